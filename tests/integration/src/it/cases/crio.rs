//! CRI-O's way of calling a runtime, without CRI-O: its bundles, its annotations, conmon as it
//! calls that, and the calls that it makes itself (cri-o, internal/oci/runtime_oci.go).

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::podman_select::{is_under, with_drop_in};
use super::{Row, Test, both, row};
use crate::bundle::{Bundle, common_rootfs};
use crate::command::{self, Run};
use crate::lab::Lab;
use crate::launch::{By, Runtime, WRAPPER, fresh_id};

/// CRI-O's runtime root.
const ROOT: &str = "/run/lockc-it-crio";
const STORAGE: &str = "/var/lib/containers/storage/overlay";
const RUN_STORAGE: &str = "/run/containers/storage/overlay-containers";

pub const ROWS: &[Row] = &[
    both("crio/life", Test::Code(life)).smoke(),
    row("crio/namespace-chooses", Test::Code(namespace_chooses)),
    row("crio/namespace-ceiling", Test::Code(namespace_ceiling)),
    row("crio/members-inherit", Test::Code(members)),
    row("crio/refused", Test::Code(refused)),
    row("crio/replaced-annotations", Test::Code(replaced)).thorough(),
];

const NAMESPACES: &str = "[namespaces.'team-*']\ndefault = 'offline'\nceiling = \
                          'offline'\n[namespaces.kube-system]\ndefault = 'privileged'\nceiling = \
                          'privileged'\n";

/// A container as CRI-O would have made it.
struct Made {
    id: String,
    folder: PathBuf,
    by: &'static str,
}

/// What CRI-O writes for a pod's sandbox.
fn annotations(namespace: &str, kind: &str, sandbox: &str) -> Value {
    json!({
        "io.container.manager": "cri-o", "io.kubernetes.cri-o.ContainerType": kind,
        "io.kubernetes.cri-o.Namespace": namespace, "io.kubernetes.cri-o.SandboxID": sandbox,
        "io.kubernetes.cri-o.KubeName": "pod", "io.kubernetes.cri-o.RuntimeHandler": "lockc",
        "io.kubernetes.cri-o.TTY": "false",
            "org.systemd.property.CollectMode": "'inactive-or-failed'",
    })
}

impl Made {
    fn new(lab: &Lab, runtime: Runtime, line: &'static [&'static str]) -> Result<Self> {
        let id = format!("{:0>64}", fresh_id().replace(['i', 't', '-'], ""));
        let by = if lab.plain { runtime.path() } else { WRAPPER };
        let folder = PathBuf::from(RUN_STORAGE).join(&id).join("userdata");
        fs::create_dir_all(&folder).context("cannot make a bundle")?;
        let source = Bundle::new(line).write(By::Lockc("baseline"))?.join("config.json");
        let rootfs = format!("{STORAGE}/{id}/merged");
        // As the storage's overlay driver: a file system of the container's own.
        let layers = format!("{STORAGE}/{id}");
        command::sh(&format!(
            "mkdir -p {layers}/merged {layers}/diff {layers}/work && mount -t overlay overlay -o \
             lowerdir={},upperdir={layers}/diff,workdir={layers}/work {rootfs}",
            common_rootfs()?
        ))?;
        let made = Self { id, folder, by };
        let mut spec: Value = serde_json::from_slice(&fs::read(source).context("no bundle")?)?;
        spec["root"]["path"] = rootfs.into();
        made.write(&spec)?;
        Ok(made)
    }

    fn spec(&self) -> Result<Value> {
        Ok(serde_json::from_slice(
            &fs::read(self.folder.join("config.json")).context("no config.json")?,
        )?)
    }

    fn write(&self, spec: &Value) -> Result<()> {
        fs::write(self.folder.join("config.json"), spec.to_string())
            .context("cannot write config.json")
    }

    /// With these annotations; `more` is what the pod's owner had written after CRI-O's own.
    fn annotated(self, mut all: Value, more: &[(&str, &str)]) -> Result<Self> {
        // As the storage writes it down (containers/storage 1.57, containers.go), with what CRI-O
        // adds.
        let metadata = json!({ "pod-name": "pod", "pod-id": all["io.kubernetes.cri-o.SandboxID"],
            "name": "c" });
        let list = json!([{ "id": self.id, "names": [], "layer": self.id,
            "metadata": metadata.to_string() }]);
        let lists = "/var/lib/containers/storage/overlay-containers";
        fs::create_dir_all(lists).context("cannot make the list of containers")?;
        fs::write(format!("{lists}/volatile-containers.json"), list.to_string())
            .context("cannot list the container")?;
        for (key, value) in more {
            all[*key] = (*value).into();
        }
        let mut spec = self.spec()?;
        spec["annotations"] = all;
        self.write(&spec)?;
        Ok(self)
    }

    fn sandbox(lab: &Lab, runtime: Runtime, namespace: &str) -> Result<Self> {
        let made = Self::new(lab, runtime, &["sleep", "1000"])?;
        let id = made.id.clone();
        made.annotated(annotations(namespace, "sandbox", &id), &[])
    }

    /// conmon, with the arguments of CRI-O's CreateContainer; what it would have told CRI-O.
    fn create(&self) -> Result<Value> {
        let Self { id, by, .. } = self;
        let folder = self.folder.display();
        let conmon = format!(
            "mkdir -p /run/lockc-it-crio-exits /run/lockc-it-crio-attach; cd {folder}; \
             _OCI_SYNCPIPE=3 _OCI_STARTPIPE=4 conmon -b {folder} -c {id} --exit-dir \
             /run/lockc-it-crio-exits -l {folder}/log --log-level info -n k8s_c -P \
             {folder}/conmon-pidfile -p {folder}/pidfile --persist-dir {folder} -r {by} \
             --runtime-arg --root={ROOT} --socket-dir-path /run/lockc-it-crio-attach --syslog -u \
             {id} --log-size-max 1000000 3> {folder}/sync 4< <(echo x) > {folder}/out 2>&1; for n \
             in $(seq 100); do grep -q pid {folder}/sync && break; sleep 0.1; done; cat \
             {folder}/sync"
        );
        let said = command::run(&["bash", "-c", &conmon])?.must()?;
        serde_json::from_str(&said).with_context(|| {
            format!(
                "conmon said {said:?}; {}",
                fs::read_to_string(self.folder.join("out")).unwrap_or_default()
            )
        })
    }

    /// Created and started.
    fn start(self) -> Result<Self> {
        let said = self.create()?;
        if said["pid"].as_i64().is_none_or(|pid| pid <= 0) {
            bail!("not created: {said}");
        }
        self.call(&["start"], &[])?.must().context("start")?;
        Ok(self)
    }

    /// CRI-O's direct calls: `--root R SUB ID …`.
    fn call(&self, before: &[&str], after: &[&str]) -> Result<Run> {
        command::run(&[&[self.by, "--root", ROOT], before, &[&self.id], after].concat())
    }

    /// What CRI-O would tell kubelet.
    fn refusal(&self, parts: &[&str]) -> Result<String> {
        let said = self.create()?;
        let message = said["message"].as_str().unwrap_or_default();
        let all = command::with_all_reasons(message);
        if said["pid"] != -1
            || !message.contains("lockc: ")
            || !parts.iter().all(|part| all.contains(part))
        {
            bail!("not refused with {parts:?}: {said}");
        }
        Ok(all)
    }

    fn pid(&self) -> Result<String> {
        fs::read_to_string(self.folder.join("pidfile"))
            .context("no pidfile")
            .map(|pid| pid.trim().to_owned())
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = self.call(&["delete", "--force"], &[]);
        let _ = command::sh(&format!("umount {STORAGE}/{}/merged", self.id));
    }
}

fn life(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let made = Made::sandbox(lab, runtime, "default")?.start()?;
    if !lab.plain {
        is_under(&made.id, "baseline", "the default")?;
    }
    let process = made.folder.join("exec-process");
    let mut exec = made.spec()?["process"].clone();
    exec["args"] = json!(["sh", "-c", "echo from-exec; exit 5"]);
    fs::write(&process, exec.to_string()).context("cannot write a process")?;
    let file = process.display().to_string();
    let direct = made.call(&["exec", "--process", &file], &[])?;
    if direct.status != 5 || direct.stdout != "from-exec" {
        bail!("exec --process: status {}: {}", direct.status, direct.said());
    }
    // ExecSync: probes and hooks of the lifecycle.
    let folder = made.folder.display();
    let sync = format!(
        "_OCI_SYNCPIPE=3 _OCI_STARTPIPE=4 conmon -c {0} -n c -r {1} -p {folder}/exec-pid -e -l \
         {folder}/exec-log --socket-dir-path /run/lockc-it-crio-attach --log-level info --sync \
         --exec-process-spec {file} --runtime-arg --root={ROOT} 3> {folder}/exec-sync 4< <(echo \
         x) > /dev/null 2>&1; cat {folder}/exec-log {folder}/exec-sync",
        made.id, made.by
    );
    let said = command::run(&["bash", "-c", &sync])?.said();
    if !said.contains("from-exec")
        || !said.contains("\"exit_code\": 5") && !said.contains("\"exit_code\":5")
    {
        bail!("conmon -e: {said}");
    }
    let state: Value = serde_json::from_str(&made.call(&["state"], &[])?.must()?)?;
    for words in [&["pause"][..], &["resume"]] {
        made.call(words, &[])?.must().with_context(|| words.join(" "))?;
    }
    let update = [made.by, "--root", ROOT, "update", "--resources", "-", &made.id];
    command::run_with_input(&update, r#"{"memory":{"limit":134217728}}"#)?
        .must()
        .context("update")?;
    made.call(&["kill"], &["KILL"])?.must().context("kill")?;
    made.call(&["delete", "--force"], &[])?.must().context("delete")?;
    Ok(format!("{} {}", state["status"], state["id"]))
}

fn namespace_chooses(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    with_drop_in(NAMESPACES, || {
        let team = Made::sandbox(lab, runtime, "team-a")?.start()?;
        let said = is_under(&team.id, "offline", "namespaces.\"team-*\".default")?;
        let other = Made::sandbox(lab, runtime, "default")?.start()?;
        is_under(&other.id, "baseline", "the default")?;
        // Namespaces of CRI-O's may only tighten: a pod's owner may replace them.
        let system = Made::sandbox(lab, runtime, "kube-system")?.start()?;
        is_under(&system.id, "baseline", "the default")?;
        Ok(said)
    })?;
    with_drop_in(
        "[engines.crio]\ndefault = 'offline'\n[engines.podman]\ndefault = 'privileged'\n",
        || {
            let made = Made::sandbox(lab, runtime, "default")?.start()?;
            is_under(&made.id, "offline", "engines.crio.default")
        },
    )
}

fn namespace_ceiling(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    with_drop_in(NAMESPACES, || {
        let asks = |namespace: &str, policy: &str| {
            let made = Made::new(lab, runtime, &["true"])?;
            let own = annotations(namespace, "sandbox", &made.id);
            made.annotated(own, &[("org.lockc.policy", policy)])
        };
        asks("team-a", "baseline")?.refusal(&["asks for baseline", "ceiling offline", "team-*"])?;
        asks("kube-system", "privileged")?.refusal(&["asks for privileged", "ceiling baseline"])
    })
}

/// A container in its sandbox' namespaces, with its files.
fn member(lab: &Lab, runtime: Runtime, sandbox: &Made, more: &[(&str, &str)]) -> Result<Made> {
    let made = Made::new(lab, runtime, &["sleep", "1000"])?;
    let pid = sandbox.pid()?;
    let mut spec = made.spec()?;
    let namespaces = spec["linux"]["namespaces"].as_array_mut().context("no namespaces")?;
    namespaces.retain(|namespace| {
        ["pid", "mount", "cgroup"].iter().any(|kind| namespace["type"] == *kind)
    });
    for (kind, file) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        namespaces.push(json!({"type": kind, "path": format!("/proc/{pid}/ns/{file}")}));
    }
    let hosts = sandbox.folder.join("hostname");
    fs::write(&hosts, "pod\n").context("cannot write hostname")?;
    let mounts = spec["mounts"].as_array_mut().context("no mounts")?;
    mounts.push(json!({"destination": "/etc/hostname", "type": "bind", "source": hosts,
        "options": ["bind", "rw"]}));
    made.write(&spec)?;
    made.annotated(annotations("team-a", "container", &sandbox.id), more)
}

fn members(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let lab = &*lab;
    let sandbox = with_drop_in("[engines.crio]\ndefault = 'offline'\n", || {
        Made::sandbox(lab, runtime, "x")?.start()
    })?;
    let container = member(lab, runtime, &sandbox, &[])?.start()?;
    is_under(&container.id, "offline", "its pod's sandbox")?;
    member(lab, runtime, &sandbox, &[("org.lockc.policy", "baseline")])?.refusal(&[
        "asks for baseline",
        "ceiling offline",
        "pod's sandbox",
    ])?;
    // Neither replaced type nor namespace makes more of it.
    let replaced =
        [("io.kubernetes.cri-o.ContainerType", "sandbox"), ("io.container.manager", "libpod")];
    let container = member(lab, runtime, &sandbox, &replaced[1..])?.start()?;
    is_under(&container.id, "offline", "its pod's sandbox")
}

/// Controls, as kubelet would show them.
fn refused(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let made = Made::sandbox(lab, runtime, "default")?;
    let mut spec = made.spec()?;
    let mounts = spec["mounts"].as_array_mut().context("no mounts")?;
    mounts.push(
        json!({"destination": "/host", "type": "bind", "source": "/etc", "options": ["rbind"]}),
    );
    spec["linux"]["maskedPaths"] = json!([]);
    // CRI-O's sandboxes are spared that; what only calls itself one is not.
    made.write(&spec)?;
    let said = made.refusal(&["host-mounts: ", "/etc", "level baseline"])?;
    if said.contains("proc-mount") {
        bail!("a sandbox is not spared proc-mount: {said}");
    }
    let pretends = made.annotated(annotations("default", "sandbox", "of-another"), &[])?;
    pretends.refusal(&["host-mounts: ", "proc-mount: "])
}

/// What a pod's labels and annotations replace of CRI-O's own loosens nothing.
fn replaced(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let config = "[engines.podman]\ndefault = 'privileged'\nceiling = \
                  'privileged'\n[engines.docker]\ndefault = \
                  'privileged'\n[namespaces.kube-system]\ndefault = 'privileged'\nceiling = \
                  'privileged'\n";
    let makes: [&[(&str, &str)]; 3] = [
        &[("io.container.manager", "libpod")],
        &[("io.container.manager", "docker"), ("io.kubernetes.cri-o.Namespace", "kube-system")],
        &[
            ("io.kubernetes.cri-o.ContainerType", "container"),
            ("io.kubernetes.cri-o.SandboxID", "none"),
        ],
    ];
    with_drop_in(config, || {
        for more in makes {
            let make = |more: &[(&str, &str)]| {
                let made = Made::new(lab, runtime, &["sleep", "1000"])?;
                let own = annotations("default", "container", "s");
                made.annotated(own, more)
            };
            let made = make(more)?.start()?;
            is_under(&made.id, "baseline", "the default").with_context(|| format!("{more:?}"))?;
            let asking = [more, &[("org.lockc.policy", "privileged")]].concat();
            make(&asking)?.refusal(&["asks for privileged", "ceiling baseline"])?;
        }
        Ok("nothing loosened".into())
    })
}
