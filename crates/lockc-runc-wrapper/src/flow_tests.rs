//! The order of calls, with a kernel side that only writes down what is asked of it.

use std::{
    cell::RefCell,
    ffi::OsString,
    fs,
    os::{fd::OwnedFd, unix::fs::PermissionsExt as _},
};

use anyhow::anyhow;
use lockc_core::{abi::ContainerEntry, rules::Level};
use lockc_policy::{config::SyncedFiles, host::fake::FakeHost, policy};
use serde_json::{Value, json};

use super::*;
use crate::{
    argv,
    containers::Containers,
    environment::{ContainerRegistry, Plan},
};

#[derive(Default)]
struct Fake {
    calls: RefCell<Vec<String>>,
    registered: RefCell<Option<NewContainer>>,
    rootfs: RefCell<PathBuf>,
    entry: Option<ContainerEntry>,
    broken: bool,
}

impl Fake {
    fn note(&self, call: String) -> Result<()> {
        self.calls.borrow_mut().push(call);
        if self.broken { Err(anyhow!("not loaded; run `lockc load`")) } else { Ok(()) }
    }
}

impl ContainerRegistry for Fake {
    fn register(&self, new: &NewContainer, grants: GrantedFiles) -> Result<()> {
        *self.registered.borrow_mut() = Some(new.clone());
        *self.rootfs.borrow_mut() = grants.rootfs.top.path;
        self.note(format!("register {} {}", new.id, new.policy))
    }

    fn join(&self, _root: &Path, id: &str) -> Result<()> {
        self.note(format!("join {id}"))
    }

    fn entry(&self, _root: &Path, id: &str) -> Result<Option<ContainerEntry>> {
        self.note(format!("entry {id}"))?;
        Ok(self.entry)
    }

    fn mark_deleting(&self, root: &Path, id: &str, generation: Option<u32>) -> Result<()> {
        self.note(format!("delete {} {id} {generation:?}", root.display()))
    }
}

/// A host whose first task's namespaces are the host's, and whose configuration is the test's.
pub(super) fn host() -> FakeHost {
    FakeHost {
        host_namespaces: vec!["/proc/1".into()],
        reads_trusted_files: true,
        ..FakeHost::default()
    }
}

/// What the real runtime knows.
#[derive(Default)]
struct Known {
    ids: RefCell<Vec<&'static str>>,
    bundle: Option<(&'static str, PathBuf)>,
}

impl Containers for Known {
    fn exists(&self, _: &Path, id: &str) -> bool {
        self.ids.borrow().contains(&id)
    }

    fn bundle(&self, _: &Path, _: &Path, id: &str) -> Option<PathBuf> {
        self.bundle.as_ref().filter(|(known, _)| *known == id).map(|(_, bundle)| bundle.clone())
    }
}

/// A directory with a bundle `b` and a configuration that the user of the test may own.
struct Place {
    dir: tempfile::TempDir,
    fake: Fake,
    known: Known,
    refused: Option<PathBuf>,
    privilege: Privilege,
    notify: bool,
}

impl Place {
    fn new(spec: &Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        fs::write(dir.path().join("b/config.json"), spec.to_string()).unwrap();
        Self {
            dir,
            fake: Fake::default(),
            known: Known::default(),
            refused: None,
            privilege: Privilege::Root,
            notify: false,
        }
    }

    fn configured(self, text: &str) -> Self {
        let path = self.dir.path().join("lockc.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        self
    }

    fn run(&self, text: &str) -> Result<Plan, String> {
        self.run_from(self.dir.path(), text)
    }

    fn run_from(&self, directory: &Path, text: &str) -> Result<Plan, String> {
        let args: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
        let (invocation, result) = argv::parse(&args);
        result.map_err(|unclear| unclear.to_string())?;
        let environment = Environment {
            config: &self.dir.path().join("lockc.toml"),
            synced: SyncedFiles {
                namespaces: &self.dir.path().join("namespaces.json"),
                policies: &self.dir.path().join("policies.json"),
            },
            directory,
            granted_file: None,
            uid: 0,
            privilege: self.privilege,
            notify: self.notify,
            kernel: &self.fake,
            containers: &self.known,
            refused: self.refused.as_deref(),
            view: &host(),
            find: &|candidates| {
                Ok(candidates.first().cloned().unwrap_or_else(|| "/usr/bin/runc".into()))
            },
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
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/sched_debug", "/proc/scsi",
                "/proc/timer_list", "/proc/timer_stats", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                "/proc/sysrq-trigger"],
        },
    })
}

fn entry(level: Level) -> ContainerEntry {
    let mut entry =
        ContainerEntry { level: level as u32, rules: level.rules().0, ..ContainerEntry::default() };
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
        assert!(plan.unwrap_err().contains("run-as-root"));
        let plan = place.run(&format!("--root /run/x {call} -b b c")).unwrap();
        assert_eq!(
            plan.args,
            format!("--root /run/x {call} -b b c")
                .split(' ')
                .map(OsString::from)
                .collect::<Vec<_>>()
        );
        assert_eq!(plan.registered, Some(("/run/x".into(), "c".into())));
        assert_eq!(place.calls(), ["register c baseline"]);
        let new = place.fake.registered.borrow().clone().unwrap();
        assert_eq!(*place.fake.rootfs.borrow(), place.dir.path().join("b/rootfs"));
        assert_eq!((new.level, new.rules), (Level::Baseline, Level::Baseline.rules()));
    }
}

#[test]
fn a_refusal_names_everything_and_touches_nothing() {
    let mut spec = spec();
    spec["mounts"] = json!([
        { "destination": "/rootfs", "type": "bind", "source": "/", "options": ["rbind"] },
        { "destination": "/s", "type": "bind", "source": "/var/run/docker.sock", "options": [
            "rbind"] },
    ]);
    let place = Place::new(&spec);
    let error = place.run("create -b b c").unwrap_err();
    assert!(
        error.starts_with("refused by level baseline")
            && error.contains("host-mounts: bind mount of / at"),
        "{error}"
    );
    assert!(
        error.contains(
            "host's root directory [mount the directories that the container needs, or use"
        ),
        "{error}"
    );
    assert!(error.ends_with("; 1 further reason (host-sockets): see `lockc explain c`"), "{error}");
    assert_eq!(error.lines().count(), 1);
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
fn another_configuration_file_of_the_bundle_is_the_one_that_is_checked() {
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
fn a_process_is_checked_by_the_containers_policy_before_it_joins() {
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
        assert!(
            place.run(&format!("exec -u {root} c ls")).unwrap_err().contains("uid 0"),
            "{root}"
        );
    }
    assert!(place.run("exec -u 1000:0 c ls").is_ok());
    assert!(place.run("exec c ls").is_ok(), "as the container's own user, who was admitted");
    place.fake.entry = Some(entry(Level::Privileged));
    assert!(place.run("exec --cap CAP_SYS_ADMIN c ls").is_ok());
    place.fake.entry = Some(ContainerEntry { level: 77, ..ContainerEntry::default() });
    assert!(place.run("exec c ls").unwrap_err().contains("77"));
}

#[test]
fn a_start_joins_where_notifications_are_wanted_and_never_fails() {
    let mut place = Place::new(&spec());
    place.run("start c").unwrap();
    assert!(place.calls().is_empty());
    place.notify = true;
    place.run("start c").unwrap();
    assert_eq!(place.calls(), ["join c"]);
    place.fake.broken = true;
    place.run("start c").unwrap();
}

#[test]
fn a_restored_container_is_refused_below_privileged() {
    let place = Place::new(&spec());
    assert!(
        place
            .run("restore -no-subreaper --image-path /i --bundle b c")
            .unwrap_err()
            .contains("restored")
    );
    assert!(place.run("--lockc-policy privileged restore --bundle b c").is_ok());
    assert_eq!(place.calls(), ["register c privileged"]);
}

#[test]
fn the_engines_arguments_choose_among_the_configured_runtimes_only() {
    let place = Place::new(&spec());
    let plan = place.run("--lockc-runtime /usr/bin/crun create -b b c").unwrap();
    assert_eq!(
        (plan.runtime.as_path(), plan.args[0].as_os_str()),
        (Path::new("/usr/bin/crun"), "create".as_ref())
    );
    assert!(
        place.run("--lockc-runtime /tmp/mine create -b b c").unwrap_err().contains("`runtimes`")
    );
    assert!(place.run("--lockc-runtime /tmp/mine state c").is_err());
    if root() {
        let place =
            Place::new(&spec()).configured("runtimes = ['/usr/bin/crun', '/usr/bin/runsc']");
        assert!(
            place.run("--lockc-runtime /usr/bin/runc create -b b c").is_err(),
            "no longer a candidate"
        );
        for call in ["create -b b c", "exec c ls", "delete c", "kill c 9"] {
            let plan = place
                .run(&format!("--lockc-runtime=/usr/bin/runsc --platform=ptrace {call}"))
                .unwrap();
            assert_eq!(plan.runtime, Path::new("/usr/bin/runsc"), "{call}");
            assert_eq!(plan.args[0], "--platform=ptrace");
        }
    }
}

#[path = "flow_enforcement_tests.rs"]
mod enforcement;
#[path = "flow_registry_tests.rs"]
mod registry;

#[path = "flow_recorded_tests.rs"]
mod recorded;

#[path = "flow_commands_tests.rs"]
mod commands_tests;

#[path = "flow_cluster_tests.rs"]
mod cluster;
#[path = "flow_labels_tests.rs"]
mod labels;
