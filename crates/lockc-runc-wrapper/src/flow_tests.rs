//! The order of calls, with a kernel side that only writes down what is asked of it; recorded containers.

use std::{cell::RefCell, collections::BTreeMap, fs, io, os::unix::fs::PermissionsExt as _};

use anyhow::anyhow;
use lockc_core::user::{
    admission::{Engines, Kind, Namespace, Request, facts::MountedAt},
    config::Engine,
};
use serde_json::{Value, json};

use super::*;
use crate::argv;

#[derive(Default)]
struct Fake {
    calls: RefCell<Vec<String>>,
    registered: RefCell<Option<NewContainer>>,
    entry: Option<ContainerEntry>,
    broken: bool,
}

impl Fake {
    fn note(&self, call: String) -> Result<()> {
        self.calls.borrow_mut().push(call);
        if self.broken { Err(anyhow!("not loaded; run `lockc load`")) } else { Ok(()) }
    }
}

impl Kernel for Fake {
    fn register(&self, new: &NewContainer) -> Result<()> {
        *self.registered.borrow_mut() = Some(new.clone());
        self.note(format!("register {} {}", new.id, new.policy))
    }

    fn join(&self, _root: &Path, id: &str) -> Result<()> {
        self.note(format!("join {id}"))
    }

    fn entry(&self, _root: &Path, id: &str) -> Result<Option<ContainerEntry>> {
        self.note(format!("entry {id}"))?;
        Ok(self.entry)
    }

    fn mark_deleting(&self, root: &Path, id: &str) -> Result<()> {
        self.note(format!("delete {} {id}", root.display()))
    }
}

/// A host where every path exists and is what it looks like.
struct AnyHost;

impl Facts for AnyHost {
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.components().collect())
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        Ok(if path.extension().is_some_and(|end| end == "sock") { Kind::Socket } else { Kind::Directory })
    }

    fn is_host_namespace(&self, path: &Path, _: Namespace) -> io::Result<bool> {
        Ok(path.starts_with("/proc/1"))
    }

    fn root_uid(&self, _: &Path) -> io::Result<Option<u32>> {
        Ok(None)
    }

    fn others_may_change(&self, _: &Path) -> io::Result<bool> {
        Ok(false)
    }

    fn own_files(&self) -> Vec<PathBuf> {
        vec!["/etc/lockc".into()]
    }

    fn mounts(&self) -> io::Result<Vec<MountedAt>> {
        let mount =
            |device: &str, point: &str| MountedAt { device: device.into(), root: "/".into(), point: point.into() };
        Ok(vec![
            mount("8:1", "/"),
            mount("0:20", "/proc"),
            mount("0:21", "/sys"),
            mount("0:22", "/run"),
            mount("0:5", "/dev"),
        ])
    }
}

/// A directory with a bundle `b` and a configuration that the user of the test may own.
struct Place {
    dir: tempfile::TempDir,
    fake: Fake,
    standing: Standing,
}

impl Place {
    fn new(spec: &Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        fs::write(dir.path().join("b/config.json"), spec.to_string()).unwrap();
        Self { dir, fake: Fake::default(), standing: Standing::Root }
    }

    fn configured(self, text: &str) -> Self {
        let path = self.dir.path().join("lockc.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        self
    }

    fn run(&self, text: &str) -> Result<Plan, String> {
        let args: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
        let (invocation, result) = argv::parse(&args);
        result.map_err(|unclear| unclear.to_string())?;
        let environment = Environment {
            config: &self.dir.path().join("lockc.toml"),
            directory: self.dir.path(),
            uid: 0,
            standing: self.standing,
            kernel: &self.fake,
            facts: &AnyHost,
            find: &|candidates| Ok(candidates.first().cloned().unwrap_or_else(|| "/usr/bin/runc".into())),
        };
        prepare(&invocation, &environment).map_err(|refusal| refusal.0.join("\n"))
    }

    fn calls(&self) -> Vec<String> {
        self.fake.calls.borrow().clone()
    }
}

fn spec() -> Value {
    let namespaces = ["pid", "ipc", "network", "uts", "mount"].map(|kind| json!({ "type": kind }));
    json!({
        "root": { "path": "rootfs" },
        "process": { "user": { "uid": 0 }, "capabilities": { "bounding": ["CAP_CHOWN"] } },
        "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
        "linux": {
            "namespaces": namespaces,
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
                "/proc/timer_list", "/proc/timer_stats", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

fn entry(level: Level) -> ContainerEntry {
    let mut entry = ContainerEntry { level: level as u32, ..ContainerEntry::default() };
    entry.policy[..level.name().len()].copy_from_slice(level.name().as_bytes());
    entry
}

/// Tests of the configuration's content need a file that its owner check accepts.
fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn a_container_is_registered_and_then_the_runtime_executed() {
    for call in ["create", "run"] {
        let place = Place::new(&spec());
        let plan = place.run(&format!("--lockc-policy restricted --root /run/x {call} -b b c"));
        assert!(plan.unwrap_err().contains("uid 0"));
        let plan = place.run(&format!("--root /run/x {call} -b b c")).unwrap();
        assert_eq!(
            plan.args,
            format!("--root /run/x {call} -b b c").split(' ').map(OsString::from).collect::<Vec<_>>()
        );
        assert_eq!(plan.registered, Some(("/run/x".into(), "c".into())));
        assert_eq!(place.calls(), ["register c baseline"]);
        let new = place.fake.registered.borrow().clone().unwrap();
        assert_eq!(new.rootfs, place.dir.path().join("b/rootfs"));
        assert_eq!((new.level, new.rules), (Level::Baseline, Level::Baseline.rules()));
    }
}

#[test]
fn a_refusal_names_everything_and_touches_nothing() {
    let mut spec = spec();
    spec["mounts"] = json!([
        { "destination": "/rootfs", "type": "bind", "source": "/", "options": ["rbind"] },
        { "destination": "/s", "type": "bind", "source": "/var/run/docker.sock", "options": ["rbind"] },
    ]);
    let place = Place::new(&spec);
    let error = place.run("create -b b c").unwrap_err();
    assert!(
        error.contains("host's root directory") && error.contains("host-sockets") && error.contains("level baseline"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1);
    assert!(error.contains("(1) host-mounts") && error.contains("(2) host-sockets"), "{error}");
    assert!(place.calls().is_empty());
    let plan = place.run("--lockc-policy privileged create -b b c").unwrap();
    assert_eq!(plan.args[0], "create");
    assert_eq!(place.calls(), ["register c privileged"]);
}

#[test]
fn the_annotation_chooses_up_to_the_ceiling() {
    let mut spec = spec();
    spec["annotations"] = json!({ "org.lockc.policy": "offline" });
    let place = Place::new(&spec);
    place.run("create -b b c").unwrap();
    assert_eq!(place.calls(), ["register c offline"]);
    spec["annotations"] = json!({ "org.lockc.policy": "privileged" });
    let place = Place::new(&spec);
    assert!(place.run("create -b b c").unwrap_err().contains("ceiling"));
    assert!(place.calls().is_empty());
}

#[test]
fn without_a_readable_bundle_nothing_starts() {
    let place = Place::new(&spec());
    assert!(place.run("create -b none c").unwrap_err().contains("config.json"));
    fs::write(place.dir.path().join("b/config.json"), "{").unwrap();
    assert!(place.run("create -b b c").unwrap_err().contains("not a valid OCI configuration"));
    assert!(place.calls().is_empty());
}

#[test]
fn another_configuration_file_of_the_bundle_is_the_one_that_is_judged() {
    let place = Place::new(&spec());
    let mut other = spec();
    other["linux"]["namespaces"] = json!([{ "type": "mount" }]);
    fs::write(place.dir.path().join("other.json"), other.to_string()).unwrap();
    assert!(place.run("run -f other.json -b b c").unwrap_err().contains("host-namespaces"));
}

#[test]
fn a_kernel_side_that_does_not_answer_fails_closed() {
    let mut place = Place::new(&spec());
    place.fake.broken = true;
    assert!(place.run("create -b b c").unwrap_err().contains("lockc load"));
    assert!(place.run("exec c ls").unwrap_err().contains("lockc load"));
    assert!(place.run("delete c").is_ok(), "a delete goes on");
    assert!(place.run("state c").is_ok());
}

#[test]
fn fail_open_starts_unconfined_but_admission_still_refuses() {
    if !root() {
        return;
    }
    let mut place = Place::new(&spec()).configured("fail = 'open'");
    place.fake.broken = true;
    assert_eq!(place.run("create -b b c").unwrap().registered, None);
    assert!(place.run("exec c ls").is_ok());
    let mut bad = spec();
    bad["linux"]["namespaces"] = json!([]);
    fs::write(place.dir.path().join("b/config.json"), bad.to_string()).unwrap();
    assert!(place.run("create -b b c").unwrap_err().contains("mount-namespace"));
}

#[test]
fn a_broken_configuration_stops_starts_and_nothing_else() {
    let place = Place::new(&spec()).configured("defualt = 'baseline'");
    assert!(place.run("create -b b c").unwrap_err().contains("lockc.toml"));
    assert!(place.run("exec c ls").is_err());
    assert!(place.calls().is_empty());
    for text in ["kill c 9", "start c", "state c", "delete --force c", "features", "--version"] {
        assert!(place.run(text).is_ok(), "{text}");
    }
}

#[test]
fn a_process_is_judged_by_the_containers_policy_before_it_joins() {
    let mut place = Place::new(&spec());
    place.fake.entry = Some(entry(Level::Baseline));
    place.run("exec c ls").unwrap();
    assert_eq!(place.calls(), ["entry c", "join c"]);
    let error = place.run("exec --cap CAP_SYS_ADMIN c ls").unwrap_err();
    assert!(error.contains("SYS_ADMIN") && error.contains("baseline"), "{error}");
    fs::write(
        place.dir.path().join("p.json"),
        json!({ "capabilities": { "effective": ["CAP_SYS_MODULE"] } }).to_string(),
    )
    .unwrap();
    assert!(place.run("exec --process p.json c").unwrap_err().contains("SYS_MODULE"));
    place.fake.entry = Some(entry(Level::Restricted));
    for root in ["0", "0:0", "root"] {
        assert!(place.run(&format!("exec -u {root} c ls")).unwrap_err().contains("uid 0"), "{root}");
    }
    assert!(place.run("exec -u 1000:0 c ls").is_ok());
    assert!(place.run("exec c ls").is_ok(), "as the container's own user, who was admitted");
    place.fake.entry = Some(entry(Level::Privileged));
    assert!(place.run("exec --cap CAP_SYS_ADMIN c ls").is_ok());
    place.fake.entry = Some(ContainerEntry { level: 77, ..ContainerEntry::default() });
    assert!(place.run("exec c ls").unwrap_err().contains("77"));
}

#[test]
fn a_delete_gives_the_slot_back() {
    let place = Place::new(&spec());
    place.run("--root /run/x delete --force c").unwrap();
    place.run("delete c").unwrap();
    assert_eq!(place.calls(), ["delete /run/x c", "delete /run/runc c"]);
}

#[test]
fn a_restored_container_is_refused_below_privileged() {
    let place = Place::new(&spec());
    assert!(place.run("restore -no-subreaper --image-path /i --bundle b c").unwrap_err().contains("restored"));
    assert!(place.run("--lockc-policy privileged restore --bundle b c").is_ok());
    assert_eq!(place.calls(), ["register c privileged"]);
}

#[test]
fn the_engines_arguments_choose_among_the_configured_runtimes_only() {
    let place = Place::new(&spec());
    let plan = place.run("--lockc-runtime /usr/bin/crun create -b b c").unwrap();
    assert_eq!((plan.runtime.as_path(), plan.args[0].as_os_str()), (Path::new("/usr/bin/crun"), "create".as_ref()));
    assert!(place.run("--lockc-runtime /tmp/mine create -b b c").unwrap_err().contains("`runtimes`"));
    assert!(place.run("--lockc-runtime /tmp/mine state c").is_err());
    if root() {
        let place = Place::new(&spec()).configured("runtimes = ['/usr/bin/crun', '/usr/bin/runsc']");
        assert!(place.run("--lockc-runtime /usr/bin/runc create -b b c").is_err(), "no longer a candidate");
        for call in ["create -b b c", "exec c ls", "delete c", "kill c 9"] {
            let plan = place.run(&format!("--lockc-runtime=/usr/bin/runsc --platform=ptrace {call}")).unwrap();
            assert_eq!(plan.runtime, Path::new("/usr/bin/runsc"), "{call}");
            assert_eq!(plan.args[0], "--platform=ptrace");
        }
    }
}

#[test]
fn a_sandbox_is_judged_and_registered_without_kernel_rules() {
    if !root() {
        return;
    }
    let place = Place::new(&spec()).configured("runtimes = ['/nonexistent/runsc']");
    place.run("create -b b c").unwrap();
    let new = place.fake.registered.borrow().clone().unwrap();
    assert_eq!((new.level, new.rules.0, new.sandboxed), (Level::Baseline, 0, true));
    let mut bad = spec();
    bad["linux"]["namespaces"] = json!([{ "type": "mount" }]);
    fs::write(place.dir.path().join("b/config.json"), bad.to_string()).unwrap();
    assert!(place.run("create -b b c").unwrap_err().contains("host-namespaces"));
}

#[test]
fn rootless_engines_are_refused_or_judged_as_configured() {
    for (standing, who) in [(Standing::User(1000), "uid 1000"), (Standing::Namespace, "user namespace")] {
        let mut place = Place::new(&spec());
        place.standing = standing;
        for call in ["create -b b c", "exec c ls"] {
            let error = place.run(call).unwrap_err();
            assert!(error.contains(who) && error.contains("--guard-runtimes") && error.contains("rootless"), "{error}");
        }
        assert!(place.run("delete c").is_ok() && place.run("state c").is_ok());
        assert!(place.calls().is_empty());
        if root() {
            let mut place = Place::new(&spec()).configured("rootless = 'admission'");
            place.standing = standing;
            assert_eq!(place.run("create -b b c").unwrap().registered, None);
            assert!(place.run("exec c ls").is_ok());
            let mut bad = spec();
            bad["process"]["capabilities"]["bounding"] = json!(["CAP_SYS_ADMIN"]);
            fs::write(place.dir.path().join("b/config.json"), bad.to_string()).unwrap();
            assert!(place.run("create -b b c").unwrap_err().contains("SYS_ADMIN"));
            assert!(place.calls().is_empty());
        }
    }
}

/// Every recorded configuration by the engine that made it, with what its controls find.
#[test]
fn recorded_containers_are_admitted_unless_they_ask_for_more() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut refused = BTreeMap::new();
    let mut admitted = 0;
    for engine in fs::read_dir(fixtures).unwrap() {
        for file in fs::read_dir(engine.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|end| end != "json") {
                continue;
            }
            let name = path
                .iter()
                .rev()
                .take(2)
                .collect::<Vec<_>>()
                .iter()
                .rev()
                .map(|part| part.to_string_lossy())
                .collect::<Vec<_>>()
                .join("/");
            let spec = Spec::read(&path).unwrap();
            let sources: Vec<_> = spec
                .mounts
                .iter()
                .filter(|mount| mount.is_bind())
                .map(|mount| mount.source.to_string_lossy().into_owned())
                .collect();
            let part = |source: &String, mark: &str| {
                source.split(mark).nth(1).map(|rest| rest.split('/').next().unwrap().to_owned())
            };
            let id = sources
                .iter()
                .find_map(|source| {
                    part(source, "/docker/containers/")
                        .or_else(|| source.contains(".containerenv").then(|| part(source, "-containers/")).flatten())
                })
                .or_else(|| {
                    (spec.annotations.get("io.kubernetes.cri.container-type")? == "sandbox")
                        .then(|| spec.annotations["io.kubernetes.cri.sandbox-id"].clone())
                })
                .unwrap_or_else(|| "some-container".into());
            let (bundle, engines) = if name.contains("podman") {
                let source =
                    sources.iter().find(|source| source.ends_with("userdata/shm") && source.contains(&id)).cloned();
                let bundle = source.map_or_else(
                    || "/var/lib/containers/storage/overlay-containers/x/userdata".into(),
                    |shm| PathBuf::from(shm).parent().unwrap().to_owned(),
                );
                let engines =
                    Engines::default().with_bundle(&bundle).with_storage(Path::new("/run/user/1000/containers"));
                (bundle, engines)
            } else {
                (PathBuf::from("/run/containerd/io.containerd.runtime.v2.task/ns").join(&id), Engines::default())
            };
            let engine = match name.split('-').next() {
                Some("docker") => Engine::Docker,
                Some("podman") => Engine::Podman,
                _ => Engine::Cri,
            };
            let sandbox =
                spec.annotations.get("io.kubernetes.cri.container-type").is_some_and(|kind| kind == "sandbox");
            let request =
                Request { id: &id, bundle: &bundle, spec: &spec, restore: false, engine: Some(engine), sandbox };
            let policy = Policy::of_level(Level::Baseline, "the default");
            match admission::admit(&request, &policy, &Config::default(), &engines, &AnyHost) {
                Ok(given) => {
                    assert_eq!(given.mounts.len(), sources.len());
                    admitted += 1;
                }
                Err(violations) => {
                    let controls: Vec<_> = violations.iter().map(|violation| violation.control.name()).collect();
                    refused.insert(name, controls.join(" ") + " | " + &violations[0].what);
                }
            }
        }
    }
    let controls: Vec<_> =
        refused.iter().map(|(name, what)| (name.as_str(), what.split(" | ").next().unwrap())).collect();
    assert_eq!(
        controls,
        [
            // hostNetwork pods: the recordings were made without CNI.
            ("containerd-1.7-cri/config-274.json", "host-namespaces host-namespaces"),
            // The client that was recorded names no paths to be hidden, as kubelet does; so does procMount: Unmasked.
            ("containerd-1.7-cri/config-324.json", "proc-mount proc-mount"),
            ("containerd-2.1-cri/config-283.json", "host-namespaces host-namespaces"),
            ("containerd-2.1-cri/config-391.json", "proc-mount proc-mount"),
            // docker run --privileged
            ("docker-26/config-1561.json", "devices devices capabilities apparmor seccomp proc-mount proc-mount"),
        ],
        "{refused:#?}"
    );
    assert!(admitted >= 16, "{admitted}");
}
