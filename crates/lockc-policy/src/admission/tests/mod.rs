//! One refusal a test, and what must not be refused; a host that is made up.

mod additions;
mod annotations;
mod belongs;
mod builds;
mod competing;
mod controls;
mod hooks;
mod mounts;
mod order;
mod overlays;
mod rootfs;
mod self_protection;
mod sockets;
mod sources;

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};

use lockc_core::rules::Level;

use super::{admit, admit_under, findings::Violation, grants::Grants, *};
use crate::{
    config::{Mode, Settings},
    engine::Engine,
    engines::{Engines, Request},
    host::{Kind, fake::FakeHost},
    policy::{Control, Policy, PolicySet},
    spec::{Process, Spec},
};

const ID: &str = "c1";
const OTHER: &str = "c2";

fn spec() -> Value {
    let namespaces = ["pid", "ipc", "network", "uts", "mount"].map(|kind| json!({ "type": kind }));
    json!({
        "root": { "path": "/b/rootfs" },
        "process": { "user": { "uid": 1000 }, "capabilities": { "bounding": [
            "CAP_NET_BIND_SERVICE"] } },
        "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
        "linux": {
            "namespaces": namespaces,
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/sched_debug", "/proc/scsi",
                "/proc/timer_list", "/proc/timer_stats", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                "/proc/sysrq-trigger"],
            "seccomp": { "defaultAction": "SCMP_ACT_ERRNO" },
        },
    })
}

fn with(path: &str, value: Value) -> Value {
    let mut spec = spec();
    *spec.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
    spec
}

fn bind(source: &str, destination: &str) -> Value {
    with(
        "/mounts",
        json!([{ "destination": destination, "type": "bind", "source": source, "options": [
            "rbind"] }]),
    )
}

fn check_with(
    spec: &Value,
    policy: &Policy,
    settings: &Settings,
    view: &FakeHost,
) -> Result<Grants, Vec<Violation>> {
    admit_of(None, spec, policy, settings, view)
}

fn check_as(
    engine: Engine,
    spec: &Value,
    policy: &Policy,
    view: &FakeHost,
) -> Result<Grants, Vec<Violation>> {
    admit_of(Some(engine), spec, policy, &Settings::default(), view)
}

fn admit_of(
    engine: Option<Engine>,
    spec: &Value,
    policy: &Policy,
    settings: &Settings,
    view: &FakeHost,
) -> Result<Grants, Vec<Violation>> {
    let spec = Spec::parse(spec.to_string().as_bytes(), Path::new("config.json")).unwrap();
    let request = Request {
        id: ID,
        bundle: Path::new("/b"),
        spec: &spec,
        restore: false,
        engine,
        sandbox: false,
    };
    let engines = Engines::default().with_dirs(&settings.engine_dirs);
    admit(&request, policy, settings, &engines, view)
}

fn check(spec: &Value, level: Level) -> Result<Grants, Vec<Violation>> {
    check_with(
        spec,
        &Policy::for_level(level, "the default"),
        &Settings::default(),
        &FakeHost::default(),
    )
}

/// The controls that refuse, at baseline; the same must pass under privileged.
fn refused(spec: &Value) -> Vec<&'static str> {
    check(spec, Level::Privileged).unwrap();
    check(spec, Level::Baseline)
        .err()
        .into_iter()
        .flatten()
        .map(|violation| violation.control.name())
        .collect()
}

fn bind_refused(source: &str) -> bool {
    let controls = refused(&bind(source, "/x"));
    assert!(controls.is_empty() || controls == ["host-mounts"], "{source}: {controls:?}");
    !controls.is_empty()
}

#[test]
fn an_ordinary_container_is_admitted_at_every_level() {
    for level in Level::ALL {
        let grants = check(&spec(), level).unwrap();
        assert_eq!(grants.rootfs.top.path, Path::new("/b/rootfs"));
    }
}

#[test]
fn a_mount_namespace_of_its_own_is_needed() {
    let all = ["pid", "ipc", "network", "uts"].map(|kind| json!({ "type": kind }));
    assert_eq!(refused(&with("/linux/namespaces", json!(all))), ["mount-namespace"]);
    let joins = with("/linux/namespaces/4", json!({ "type": "mount", "path": "/proc/77/ns/mnt" }));
    assert_eq!(refused(&joins), ["mount-namespace"]);
}

/// A container with a cgroup file system, and what else is added to its namespaces.
fn with_cgroups(namespaces: &[Value], options: &[&str]) -> Value {
    let mut spec = spec();
    let mount = json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
        "options": options });
    spec["mounts"].as_array_mut().unwrap().push(mount);
    spec["linux"]["namespaces"].as_array_mut().unwrap().extend_from_slice(namespaces);
    spec["linux"]["cgroupsPath"] = json!("/own");
    spec
}

#[test]
fn the_hosts_cgroup_namespace_is_refused_where_the_container_would_see_it() {
    let joins = |path: &str| json!({ "type": "cgroup", "path": path });
    assert_eq!(refused(&with_cgroups(&[], &["ro"])), ["host-namespaces"]);
    assert_eq!(refused(&with_cgroups(&[joins("/proc/1/ns/cgroup")], &["ro"])), ["host-namespaces"]);
    assert!(refused(&with_cgroups(&[joins("/proc/77/ns/cgroup")], &["ro"])).is_empty());
    assert!(refused(&with_cgroups(&[json!({ "type": "cgroup" })], &["ro"])).is_empty());
    // Sandboxes of CRI engines, and cgroup v1, where the engines' default is the host's.
    assert!(refused(&spec()).is_empty());
    let view = FakeHost { cgroup_v2: false, ..FakeHost::default() };
    let baseline = Policy::for_level(Level::Baseline, "the default");
    check_with(&with_cgroups(&[], &["ro"]), &baseline, &Settings::default(), &view).unwrap();
}

#[test]
fn who_manages_its_own_cgroup() {
    let new = json!({ "type": "cgroup" });
    let manages = |spec: &Value| check(spec, Level::Privileged).unwrap().cgroups;
    assert!(manages(&with_cgroups(std::slice::from_ref(&new), &["nosuid", "rw"])));
    assert!(manages(&with_cgroups(std::slice::from_ref(&new), &["nosuid"])));
    assert!(!manages(&with_cgroups(std::slice::from_ref(&new), &["ro"])));
    assert!(!manages(&with_cgroups(&[], &["rw"])));
    assert!(!manages(&with_cgroups(
        &[json!({ "type": "cgroup", "path": "/proc/77/ns/cgroup" })],
        &["rw"]
    )));
    for (pointer, value) in [
        ("/linux/cgroupsPath", json!("")),
        ("/linux/namespaces/0", json!({ "type": "pid", "path": "/proc/77/ns/pid" })),
    ] {
        let mut spec = with_cgroups(std::slice::from_ref(&new), &["rw"]);
        *spec.pointer_mut(pointer).unwrap() = value;
        assert!(!manages(&spec), "{pointer}");
    }
}

#[test]
fn namespaces_of_the_host_are_refused() {
    for (at, kind) in ["pid", "ipc", "network", "uts"].iter().enumerate() {
        let mut namespaces = spec()["linux"]["namespaces"].as_array().unwrap().clone();
        namespaces.remove(at);
        assert_eq!(
            refused(&with("/linux/namespaces", json!(namespaces))),
            ["host-namespaces"],
            "{kind} is left out"
        );
    }
    for (path, allowed) in [
        ("/proc/77/ns/net", true),
        ("/proc/1/ns/net", false),
        ("/run/docker/netns/default", false),
        ("/missing/ns", false),
    ] {
        let joins = with("/linux/namespaces/2", json!({ "type": "network", "path": path }));
        assert_eq!(refused(&joins).is_empty(), allowed, "{path}");
    }
}

#[test]
fn capabilities_beyond_the_default_set_are_refused() {
    for (set, name) in [
        ("bounding", "CAP_SYS_ADMIN"),
        ("effective", "CAP_NET_ADMIN"),
        ("permitted", "cap_sys_ptrace"),
        ("inheritable", "SYS_MODULE"),
        ("ambient", "CAP_NEW_ONE"),
    ] {
        assert_eq!(
            refused(&with("/process/capabilities", json!({ set: [name] }))),
            ["capabilities"],
            "{name}"
        );
    }
    let default = with(
        "/process/capabilities",
        json!({ "effective": ["CAP_NET_RAW", "CAP_MKNOD", "CAP_SETUID"] }),
    );
    assert!(refused(&default).is_empty());
    let violations = check(&default, Level::Restricted).unwrap_err();
    assert_eq!(violations[0].what, "NET_RAW, MKNOD, SETUID");
}

#[test]
fn devices_of_the_host_are_refused() {
    let device = |kind: &str, major: i64, minor: i64| {
        let mut spec = spec();
        spec["linux"]["devices"] =
            json!([{ "path": "/dev/x", "type": kind, "major": major, "minor": minor }]);
        spec
    };
    assert!(refused(&device("c", 1, 3)).is_empty());
    assert_eq!(refused(&device("c", 10, 229)), ["devices"]);
    let violations = check(&device("b", 8, 0), Level::Baseline).unwrap_err();
    assert!(violations[0].what.contains("block device"), "{}", violations[0]);
    let rule = |rule: Value| {
        let mut spec = spec();
        spec["linux"]["resources"] = json!({ "devices": [rule] });
        spec
    };
    for harmless in [
        json!({ "allow": false, "access": "rwm" }),
        json!({ "allow": true, "type": "c", "access": "m" }),
        json!({ "allow": true, "type": "c", "major": 136, "access": "rwm" }),
        json!({ "allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm" }),
    ] {
        assert!(refused(&rule(harmless.clone())).is_empty(), "{harmless}");
    }
    for rest in [
        json!({ "allow": true, "access": "rwm" }),
        json!({ "allow": true, "type": "b", "major": 8, "minor": 0, "access": "r" }),
        json!({ "allow": true, "type": "c", "major": 1, "access": "w" }),
        json!({ "allow": true, "type": "c", "major": -1, "minor": -1, "access": "rwm" }),
    ] {
        assert_eq!(refused(&rule(rest.clone())), ["devices"], "{rest}");
    }
    let mut fake = FakeHost::default();
    fake.kinds.insert("/home/u/sda".into(), Kind::Block(8, 0));
    let policy = Policy::for_level(Level::Baseline, "x");
    let violations =
        check_with(&bind("/home/u/sda", "/x"), &policy, &Settings::default(), &fake).unwrap_err();
    assert_eq!(violations[0].control, Control::Devices);
}

#[test]
fn uid_0_is_refused_by_restricted_alone() {
    let root = with("/process/user/uid", json!(0));
    assert!(check(&root, Level::Baseline).is_ok());
    let violations = check(&root, Level::Restricted).unwrap_err();
    assert_eq!(violations[0].control, Control::RunAsRoot);
    assert_eq!(
        check(&with("/process", Value::Null), Level::Restricted).unwrap_err()[0].control,
        Control::RunAsRoot
    );
}

#[test]
fn annotations_that_take_the_workload_out_of_the_container_are_refused() {
    for key in [
        "run.oci.handler",
        "module.wasm.image/variant",
        "run.oci.hooks.stdout",
        "run.oci.handler.c1",
    ] {
        let mut spec = spec();
        spec["annotations"] = json!({ key: "x" });
        assert_eq!(refused(&spec), ["runtime-handlers"], "{key}");
    }
    let mut spec = spec();
    spec["annotations"] =
        json!({ "run.ocix.handler": "x", "org.systemd.property.KillSignal": "15" });
    assert!(refused(&spec).is_empty());
}

#[test]
fn restoring_is_refused_below_privileged() {
    let parsed = Spec::parse(spec().to_string().as_bytes(), Path::new("x")).unwrap();
    let request = Request {
        id: ID,
        bundle: Path::new("/b"),
        spec: &parsed,
        restore: true,
        engine: None,
        sandbox: false,
    };
    for level in Level::ALL {
        let policy = Policy::for_level(level, "x");
        let result = admit(
            &request,
            &policy,
            &Settings::default(),
            &Engines::default(),
            &FakeHost::default(),
        );
        assert_eq!(result.is_ok(), level == Level::Privileged);
    }
}

#[test]
fn a_process_that_joins_is_checked_by_the_containers_policy() {
    let process = |uid: u32, cap: &str| {
        let value = json!({ "user": { "uid": uid }, "capabilities": { "effective": [cap] } });
        serde_json::from_value::<Process>(value).unwrap()
    };
    let check = |process: &Process, level| admit_process(process, &Policy::for_level(level, "x"));
    assert!(check(&process(0, "CAP_CHOWN"), Level::Baseline).is_ok());
    assert!(check(&process(0, "CAP_SYS_ADMIN"), Level::Baseline).is_err());
    assert!(check(&process(0, "CAP_SYS_ADMIN"), Level::Privileged).is_ok());
    assert_eq!(check(&process(0, "CAP_CHOWN"), Level::Restricted).unwrap_err().len(), 2);
}

#[test]
fn every_violation_is_told_at_once_with_policy_and_remedy() {
    let mut spec = bind("/etc", "/x");
    spec["linux"]["namespaces"] = json!([{ "type": "mount" }]);
    spec["process"]["capabilities"]["effective"] = json!(["CAP_SYS_ADMIN"]);
    let violations = check(&spec, Level::Baseline).unwrap_err();
    assert_eq!(violations.len(), 6);
    for violation in &violations {
        let text = violation.to_string();
        assert!(
            text.contains("refused by level baseline (from the default)")
                && text.contains("admits"),
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn taking_a_control_away_never_refuses_more(
        source in prop::sample::select(vec!["/", "/etc/x", "/home/u", "/usr",
            "/var/lib/docker/volumes/v/_data", "/var/lib"]),
        kind in prop::sample::select(vec!["bind", "tmpfs", "ext4"]),
            cap in prop::sample::select(vec!["CAP_CHOWN", "CAP_BPF"]),
        level in 0..Level::ALL.len(), control in 0..Control::ALL.len(), uid in 0..2u32,
            namespaces in 0..6usize,
    ) {
        let mut spec = spec();
        spec["mounts"] = json!([{ "destination": "/x", "type": kind, "source": source }]);
        spec["process"] = json!({ "user": { "uid": uid }, "capabilities": { "bounding": [cap] } });
        let kept = spec["linux"][
            "namespaces"].as_array().unwrap().iter().take(namespaces).cloned().collect::<Vec<_>>();
        spec["linux"]["namespaces"] = json!(kept);
        let policy = Policy::for_level(Level::ALL[level], "x");
        let looser = policy.clone().admitting(Control::ALL[control]);
        let checked = |policy: &Policy| check_with(&spec, policy, &Settings::default(),
            &FakeHost::default()).err().unwrap_or_default();
        prop_assert!(checked(&looser).len() <= checked(&policy).len());
        for other in Level::ALL.map(|level| Policy::for_level(level, "x")) {
            if other.at_least_as_strict_as(&policy) && !checked(&policy).is_empty() {
                prop_assert!(!checked(&other).is_empty());
            }
        }
    }
}
