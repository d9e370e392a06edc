//! The chart's pod, run as the kubelet would run it, and what it leaves on the node.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::cluster::{self, CERTIFICATE, NODE_TOKEN, PORT, objects};
use crate::containerd;
use crate::cri::proto::{ContainerConfig, Image, KeyValue, Mount, mode};
use crate::cri::{Container, Cri, EXITED, Pod, describe};
use crate::system::{fails, package, sh, status, until};

/// The image's name in the chart is what `ctr image import` makes of the archive.
pub fn images() -> Result<String> {
    let dump = sh("containerd config dump")?;
    // `sandbox_image` of containerd 1, `sandbox` below `pinned_images` of 2.
    let pause = dump.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        let name = value.trim().trim_matches(['"', '\'']);
        (["sandbox_image", "sandbox"].contains(&key.trim()) && name.contains('/')).then(|| name.to_owned())
    });
    containerd::network()?;
    containerd::import(&pause.context("containerd names no image for sandboxes")?)?;
    sh("ctr -n k8s.io images import lockc-image-*-x86_64.tar")
}

/// One volume's place on the node.
fn volume(objects: &[Value], spec: &Value, name: &str) -> Result<String> {
    let volumes = spec["volumes"].as_array().context("no volumes")?;
    let volume = volumes.iter().find(|volume| volume["name"] == name).with_context(|| format!("no volume {name}"))?;
    if let Some(path) = volume["hostPath"]["path"].as_str() {
        fs::create_dir_all(path).with_context(|| format!("cannot create {path}"))?;
        return Ok(path.to_owned());
    }
    let folder = format!("/run/kubelet/{name}");
    fs::create_dir_all(&folder).context("cannot create a volume")?;
    let put =
        |file: &str, text: &str| fs::write(format!("{folder}/{file}"), text).context("cannot write into a volume");
    if let Some(map) = volume["configMap"]["name"].as_str() {
        let of = |object: &&Value| object["kind"] == "ConfigMap" && object["metadata"]["name"] == map;
        let data = &objects.iter().find(of).with_context(|| format!("no ConfigMap {map}"))?["data"];
        for (file, text) in data.as_object().context("no data")? {
            put(file, text.as_str().unwrap_or_default())?;
        }
    } else if let Some(sources) = volume["projected"]["sources"].as_array() {
        for source in sources {
            if let Some(path) = source["serviceAccountToken"]["path"].as_str() {
                put(path, NODE_TOKEN)?;
            } else if source["configMap"]["name"] == "kube-root-ca.crt" {
                put("ca.crt", &fs::read_to_string(CERTIFICATE).context("no certificate")?)?;
            } else if source["downwardAPI"]["items"][0]["fieldRef"]["fieldPath"] == "metadata.namespace" {
                put("namespace", "lockc-system")?;
            } else {
                bail!("an unknown source: {source}");
            }
        }
    } else if volume["emptyDir"].is_null() {
        bail!("an unknown volume: {volume}");
    }
    Ok(folder)
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

/// A container of the pod, as the kubelet would describe it to containerd.
fn container(objects: &[Value], spec: &Value, container: &Value) -> Result<ContainerConfig> {
    let security = &container["securityContext"];
    let privileged = security["privileged"] == true;
    let mut config = describe::container(&[]).security(|linux| {
        linux.privileged = privileged;
        linux.readonly_rootfs = security["readOnlyRootFilesystem"] == true;
        linux.no_new_privs = security["allowPrivilegeEscalation"] == false;
    });
    if !privileged {
        config = config.seccomp_default();
    }
    if words(&security["capabilities"]["drop"]) == ["ALL"] {
        config = config.drop_capabilities();
    }
    config.image = Some(Image { image: container["image"].as_str().context("no image")?.into() });
    config.command = [words(&container["command"]), words(&container["args"])].concat();
    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
        let name = mount["name"].as_str().context("a mount without a name")?;
        config.mounts.push(Mount {
            container_path: mount["mountPath"].as_str().context("a mount without a path")?.into(),
            host_path: volume(objects, spec, name)?,
            readonly: mount["readOnly"] == true,
            propagation: i32::from(mount["mountPropagation"] == "HostToContainer"),
        });
    }
    for (key, value) in [("KUBERNETES_SERVICE_HOST", "127.0.0.1"), ("KUBERNETES_SERVICE_PORT", PORT)] {
        config.envs.push(KeyValue { key: key.into(), value: value.into() });
    }
    Ok(config)
}

/// The chart's pod.
struct NodePod {
    pod: Pod,
    objects: Vec<Value>,
    spec: Value,
}

impl NodePod {
    fn of(file: &str) -> Result<Self> {
        let objects = objects(file)?;
        let set = objects.iter().find(|object| object["kind"] == "DaemonSet").context("no DaemonSet")?;
        let spec = set["spec"]["template"]["spec"].clone();
        let mut config = describe::pod("lockc-system");
        if spec["hostNetwork"] == true {
            config = config.host_network();
        }
        config = config.security(|security| security.privileged = true);
        if spec["hostPID"] == true {
            config = config.namespaces(|namespaces| namespaces.pid = mode::NODE);
        }
        Ok(Self { pod: Pod::run(&Cri::connect()?, "", config)?, objects, spec })
    }

    /// Its init containers, one after the other; what they said.
    fn init(&self) -> Result<String> {
        let mut said = Vec::new();
        for one in self.spec["initContainers"].as_array().context("no init containers")? {
            let config = container(&self.objects, &self.spec, one)?;
            let container = self.pod.start(&config)?;
            // It may restart containerd: as the kubelet does, this asks again.
            let code = Cell::new(None);
            until(200, "the init container has ended", || {
                code.set(
                    container.status().ok().filter(|status| status.state == EXITED).map(|status| status.exit_code),
                );
                Ok(code.get().is_some())
            })?;
            let run = container.logs()?;
            if code.get() != Some(0) {
                bail!("{}: status {:?}: {}", one["name"], code.get(), run.said());
            }
            said.push(run.said());
        }
        Ok(said.join("\n"))
    }
}

/// The container that follows the labels, for as long as it is kept.
pub fn sync() -> Result<(Pod, Container)> {
    let NodePod { pod, objects, spec } = NodePod::of("lockc.yaml")?;
    let container = pod.start(&container(&objects, &spec, &spec["containers"][0])?)?;
    Ok((pod, container))
}

/// A sandbox and containers of a tenant.
pub fn tenant(handler: &str, namespace: &str) -> Result<Pod> {
    let cri: Rc<Cri> = Cri::connect()?;
    Pod::run(&cri, handler, describe::pod(namespace))
}

pub fn install() -> Result<String> {
    let said = NodePod::of("lockc.yaml")?.init()?;
    until(90, "containerd is back with the handler", || {
        Ok(sh("containerd config dump")?.contains("/usr/local/bin/lockc-runc-wrapper") && Cri::connect().is_ok())
    })?;
    if status()?["enforcing"] != true {
        bail!("not enforcing: {said}");
    }
    Ok(said)
}

pub fn install_again() -> Result<String> {
    let before = sh("stat -c '%i %y' /etc/containerd/config.toml; systemctl show -p ExecMainPID containerd")?;
    let said = NodePod::of("lockc.yaml")?.init()?;
    let after = sh("stat -c '%i %y' /etc/containerd/config.toml; systemctl show -p ExecMainPID containerd")?;
    if before == after { Ok(said) } else { bail!("containerd was touched again: {before}, then {after}: {said}") }
}

/// What the chart put on the node is what the package puts there, but for the place of the programs.
pub fn same_state() -> Result<String> {
    let file = package("deb", false)?;
    sh(&format!("rm -rf /run/package && dpkg-deb -x {} /run/package", file.display()))?;
    for name in ["lockc", "lockc-runc-wrapper"] {
        sh(&format!("cmp /run/package/usr/bin/{name} /usr/local/bin/{name}"))?;
        sh(&format!("stat -c '%U %G %a' /usr/local/bin/{name} | grep -qx 'root root 755'"))?;
    }
    sh("cmp /run/package/etc/lockc/lockc.toml /etc/lockc/lockc.toml")?;
    let unit = sh("find /run/package -name lockc.service")?;
    sh(&format!("sed s,/usr/bin/lockc,/usr/local/bin/lockc, {unit} | cmp - /etc/systemd/system/lockc.service"))?;
    sh("systemctl daemon-reload && systemctl is-enabled lockc && systemctl start lockc && systemctl is-active lockc")?;
    let status = status()?;
    if status["version"] != status["own_version"] || status["enforcing"] != true {
        bail!("other programs are loaded: {status}");
    }
    // The same command for containerd, by a different path.
    let again = sh("lockc install containerd --level baseline --level restricted --level offline --dry-run --json")?;
    let again: Value = serde_json::from_str(&again).context("no JSON")?;
    if again["changed"] != false {
        bail!("`lockc install containerd` of the package would change {again}");
    }
    sh("lockc config check")
}

pub fn uninstall() -> Result<String> {
    let said = NodePod::of("uninstall.yaml")?.init()?;
    until(90, "containerd is back without the handler", || {
        Ok(!sh("containerd config dump")?.contains("lockc-runc-wrapper") && Cri::connect().is_ok())
    })?;
    if Path::new("/var/lib/lockc/namespaces.json").exists()
        || Path::new("/etc/lockc/lockc.d/50-kubernetes.toml").exists()
    {
        bail!("the cluster's files are still there: {said}");
    }
    let refused = tenant("lockc", "default").err().map(|error| format!("{error:#}")).unwrap_or_default();
    if !refused.contains("lockc") {
        bail!("the handler is still there: {refused:?}");
    }
    tenant("", "default")?;
    fails("ls /etc/lockc/runtimes/*", "No such file")?;
    drop(cluster::end_server());
    Ok(said)
}
