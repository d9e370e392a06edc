//! The Pod Security Standards' controls, and what only the OCI runtime specification knows: an
//! example that is refused and its neighbours that are not, at each level.

use super::*;
use crate::engine::Engine;

/// The controls that refuse the ordinary container with `value` put at `path`.
fn by(path: &str, value: Value, level: Level) -> Vec<&'static str> {
    by_engine(path, value, level, None)
}

fn by_engine(path: &str, value: Value, level: Level, engine: Option<Engine>) -> Vec<&'static str> {
    let (parent, key) = path.rsplit_once('/').unwrap();
    let mut spec = spec();
    let place = if parent.is_empty() { &mut spec } else { spec.pointer_mut(parent).unwrap() };
    place[key] = value;
    let spec = Spec::parse(spec.to_string().as_bytes(), Path::new("config.json")).unwrap();
    let request = Request {
        id: ID,
        bundle: Path::new("/b"),
        spec: &spec,
        restore: false,
        engine,
        sandbox: false,
    };
    let policy = Policy::for_level(level, "a test");
    let checked =
        admit(&request, &policy, &Settings::default(), &Engines::default(), &FakeHost::default());
    checked.err().into_iter().flatten().map(|violation| violation.control.name()).collect()
}

/// Refused at baseline, offline and restricted, by that control alone; never at privileged.
fn refused_everywhere(path: &str, value: &Value, control: &str) {
    assert!(by(path, value.clone(), Level::Privileged).is_empty(), "{path} {value}");
    for level in [Level::Baseline, Level::Restricted] {
        assert_eq!(by(path, value.clone(), level), [control], "{path} {value} {level:?}");
    }
}

/// Not refused at any level.
fn admitted_everywhere(path: &str, value: &Value) {
    for level in Level::ALL {
        assert!(by(path, value.clone(), level).is_empty(), "{path} {value} {level:?}");
    }
}

/// The engines' masks without one path.
fn without(key: &str, path: &str) -> Value {
    let mut paths = spec()["linux"][key].clone();
    paths.as_array_mut().unwrap().retain(|each| each != path);
    paths
}

#[test]
fn app_armor() {
    refused_everywhere("/process/apparmorProfile", &json!("unconfined"), "apparmor");
    for profile in ["", "docker-default", "cri-containerd.apparmor.d", "an-own-one"] {
        admitted_everywhere("/process/apparmorProfile", &json!(profile));
    }
}

#[test]
fn containerds_missing_profile_means_unconfined() {
    let controls = |apparmor, engine, sandbox, level| {
        let spec = Spec::parse(spec().to_string().as_bytes(), Path::new("config.json")).unwrap();
        let request = Request {
            id: ID,
            bundle: Path::new("/b"),
            spec: &spec,
            restore: false,
            engine,
            sandbox,
        };
        let view = FakeHost { apparmor, ..FakeHost::default() };
        let policy = Policy::for_level(level, "a test");
        let checked = admit(&request, &policy, &Settings::default(), &Engines::default(), &view);
        checked.err().into_iter().flatten().map(|violation| violation.control).collect::<Vec<_>>()
    };
    let cri = Some(Engine::Cri);
    assert_eq!(controls(true, cri, false, Level::Baseline), [Control::AppArmor]);
    for (apparmor, engine, sandbox, level) in [
        (false, cri, false, Level::Baseline),
        (true, cri, true, Level::Baseline),
        (true, cri, false, Level::Privileged),
        (true, Some(Engine::Containerd), false, Level::Baseline),
        (true, None, false, Level::Restricted),
    ] {
        assert!(
            controls(apparmor, engine, sandbox, level).is_empty(),
            "{apparmor} {engine:?} {sandbox} {level:?}"
        );
    }
}

#[test]
fn selinux() {
    let path = "/process/selinuxLabel";
    for label in [
        "system_u:system_r:spc_t:s0",
        "system_u:system_r:unconfined_t:s0-s0:c0.c1023",
        "sysadm_u:system_r:container_t:s0",
        "system_u:sysadm_r:container_t:s0",
        "disable",
    ] {
        refused_everywhere(path, &json!(label), "selinux");
    }
    for kind in ["container_t", "container_init_t", "container_kvm_t", "container_engine_t"] {
        admitted_everywhere(path, &json!(format!("system_u:system_r:{kind}:s0:c1,c2")));
    }
    admitted_everywhere(path, &json!(""));
}

#[test]
fn proc_mount() {
    let masked: Vec<Value> = spec()["linux"]["maskedPaths"].as_array().unwrap().clone();
    for path in &masked {
        let path = path.as_str().unwrap();
        refused_everywhere("/linux/maskedPaths", &without("maskedPaths", path), "proc-mount");
    }
    for path in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"] {
        refused_everywhere("/linux/readonlyPaths", &without("readonlyPaths", path), "proc-mount");
    }
    refused_everywhere("/linux/maskedPaths", &json!(null), "proc-mount");
    let mut others = masked;
    others.retain(|path| path != "/proc/kcore");
    others.extend([json!("/proc//kcore/"), json!("/proc/asound")]);
    admitted_everywhere("/linux/maskedPaths", &json!(others));
}

#[test]
fn seccomp() {
    let path = "/linux/seccomp";
    for open in [
        json!({ "defaultAction": "SCMP_ACT_ALLOW" }),
        json!({ "defaultAction": "SCMP_ACT_LOG", "syscalls": [{ "names": ["bpf"],
            "action": "SCMP_ACT_ALLOW" }] }),
    ] {
        refused_everywhere(path, &open, "seccomp");
    }
    let agent = json!({ "defaultAction": "SCMP_ACT_ERRNO", "listenerPath": "/run/agent.sock" });
    refused_everywhere(path, &agent, "seccomp");
    let some = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["bpf"],
        "action": "SCMP_ACT_KILL" }] });
    admitted_everywhere(path, &some);
    // Undefined is allowed at baseline, unless the engine has a profile of its own that somebody
    // left out.
    for (engine, baseline) in [
        (None, true),
        (Some(Engine::Cri), true),
        (Some(Engine::Crio), true),
        (Some(Engine::Containerd), true),
        (Some(Engine::Docker), false),
        (Some(Engine::Podman), false),
    ] {
        assert_eq!(
            by_engine(path, json!(null), Level::Baseline, engine).is_empty(),
            baseline,
            "{engine:?}"
        );
        assert_eq!(
            by_engine(path, json!(null), Level::Restricted, engine),
            ["seccomp"],
            "{engine:?}"
        );
        assert!(by_engine(path, json!(null), Level::Privileged, engine).is_empty());
    }
}

#[test]
fn sysctls() {
    let path = "/linux/sysctl";
    for name in [
        "kernel.msgmax",
        "kernel/msgmax",
        "net.ipv4.ip_forward",
        "net.core.somaxconn",
        "fs.mqueue.msg_max",
        "KERNEL.shm_rmid_forced",
    ] {
        refused_everywhere(path, &json!({ name: "1" }), "sysctls");
    }
    for name in
        ["net.ipv4.ping_group_range", "net/ipv4/ip_unprivileged_port_start", "net.ipv4.tcp_rmem"]
    {
        admitted_everywhere(path, &json!({ name: "1" }));
    }
}

#[test]
fn privilege_escalation_is_left_to_the_kernel_unless_its_rule_is_off() {
    admitted_everywhere("/process/noNewPrivileges", &json!(false));
    let mut policy = Policy::for_level(Level::Restricted, "a test");
    policy.rules = policy.rules.without(lockc_core::rules::Rule::Privilege);
    let controls = |spec: &Value| {
        let checked = check_with(spec, &policy, &Settings::default(), &FakeHost::default());
        checked.err().into_iter().flatten().map(|violation| violation.control).collect::<Vec<_>>()
    };
    assert_eq!(controls(&spec()), [Control::PrivilegeEscalation]);
    let mut without = spec();
    without["process"]["noNewPrivileges"] = true.into();
    assert!(controls(&without).is_empty());
}

#[test]
fn hooks_of_the_host() {
    for name in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        let hook = |path: &str| json!({ name: [{ "path": path, "args": ["x"] }] });
        for path in ["/b/rootfs/hook", "/home/u/hook", "/missing/hook"] {
            refused_everywhere("/hooks", &hook(path), "hooks");
        }
        admitted_everywhere("/hooks", &hook("/usr/bin/dockerd"));
    }
    // Runs in the container, confined.
    admitted_everywhere("/hooks", &json!({ "startContainer": [{ "path": "/home/hook" }] }));
    admitted_everywhere("/hooks", &json!(null));
    let mut volume = bind("/srv/data", "/data");
    volume["hooks"] = json!({ "prestart": [{ "path": "/srv/data/hook" }] });
    assert_eq!(refused(&volume), ["hooks"]);
}

#[test]
fn root_propagation() {
    for value in ["shared", "rshared"] {
        refused_everywhere("/linux/rootfsPropagation", &json!(value), "rootfs-propagation");
    }
    for value in ["", "private", "rprivate", "slave", "rslave", "unbindable"] {
        admitted_everywhere("/linux/rootfsPropagation", &json!(value));
    }
}

#[test]
fn network_devices() {
    refused_everywhere("/linux/netDevices", &json!({ "eth0": {} }), "host-namespaces");
    admitted_everywhere("/linux/netDevices", &json!({}));
}

#[test]
fn resources_that_others_feel() {
    for (path, value) in [
        ("/linux/intelRdt", json!({ "closID": "x" })),
        ("/linux/memoryPolicy", json!({ "mode": "MPOL_BIND", "nodes": "0" })),
        ("/linux/personality", json!({ "domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"] })),
        ("/linux/personality", json!({ "domain": "BSD" })),
        ("/process/scheduler", json!({ "policy": "SCHED_FIFO", "priority": 99 })),
        ("/process/scheduler", json!({ "policy": "SCHED_DEADLINE" })),
        ("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_RT", "priority": 0 })),
    ] {
        refused_everywhere(path, &value, "resources");
    }
    for (path, value) in [
        ("/linux/personality", json!({ "domain": "LINUX32" })),
        ("/process/scheduler", json!({ "policy": "SCHED_BATCH", "nice": 5 })),
        ("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_IDLE" })),
    ] {
        admitted_everywhere(path, &value);
    }
}

#[test]
fn properties_of_the_systemd_unit() {
    refused_everywhere(
        "/annotations",
        &json!({ "org.systemd.property.DeviceAllow": "x" }),
        "runtime-handlers",
    );
    let podman = json!({ "org.systemd.property.KillSignal": "37",
        "org.systemd.property.TimeoutStopUSec": "uint64 10000000" });
    admitted_everywhere("/annotations", &podman);
}

#[test]
fn a_user_that_is_the_hosts_root() {
    let mut spec = spec();
    spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
    spec["linux"]["uidMappings"] = json!([{ "containerID": 1, "hostID": 0, "size": 1 }, {
        "containerID": 990, "hostID": 100_000, "size": 20 }]);
    check(&spec, Level::Restricted).unwrap();
    spec["process"]["user"]["uid"] = 1.into();
    let violations = check(&spec, Level::Restricted).unwrap_err();
    assert!(violations[0].what.contains("the host's uid 0"), "{violations:?}");
    check(&spec, Level::Baseline).unwrap();
}

#[test]
fn a_joining_process_is_checked_alike() {
    let policy = Policy::for_level(Level::Baseline, "a test");
    for (text, control) in [
        (json!({ "apparmorProfile": "unconfined", "user": { "uid": 1 } }), Control::AppArmor),
        (
            json!({ "selinuxLabel": "system_u:system_r:spc_t:s0", "user": { "uid": 1 } }),
            Control::SeLinux,
        ),
        (
            json!({ "scheduler": { "policy": "SCHED_RR" }, "user": { "uid": 1 } }),
            Control::Resources,
        ),
    ] {
        let process: Process = serde_json::from_value(text).unwrap();
        assert_eq!(admit_process(&process, &policy).unwrap_err()[0].control, control);
    }
}

#[test]
fn a_pods_sandbox_needs_no_masks_and_keeps_its_engines_capabilities() {
    let mut spec = spec();
    spec["process"]["capabilities"]["bounding"] = json!(crate::policy::capabilities::usual());
    for key in ["maskedPaths", "readonlyPaths", "seccomp"] {
        spec["linux"].as_object_mut().unwrap().remove(key);
    }
    let parsed = Spec::parse(spec.to_string().as_bytes(), Path::new("config.json")).unwrap();
    let checked = |sandbox| {
        let request = Request {
            id: ID,
            bundle: Path::new("/b"),
            spec: &parsed,
            restore: false,
            engine: None,
            sandbox,
        };
        let policy = Policy::for_level(Level::Restricted, "a test");
        admit(&request, &policy, &Settings::default(), &Engines::default(), &FakeHost::default())
    };
    checked(true).unwrap();
    assert_eq!(checked(false).unwrap_err().len(), 4);
}

#[test]
fn raw_block_volumes_of_a_pod_are_its_devices() {
    let log = json!({ "destination": "/dev/termination-log", "type": "bind",
        "source": "/var/lib/kubelet/pods/u1/containers/c/0", "options": ["bind"] });
    let mut spec = with("/mounts", json!([log]));
    spec["linux"]["devices"] =
        json!([{ "path": "/dev/xvda", "type": "b", "major": 7, "minor": 3 }]);
    spec["linux"]["resources"] = json!({ "devices": [{ "allow": true, "type": "b", "major": 7,
        "minor": 3, "access": "rwm" }] });
    let policy = Policy::for_level(Level::Restricted, "x");
    let mut fake = FakeHost::default();
    let refused = |engine, fake: &FakeHost| check_as(engine, &spec, &policy, fake).is_err();
    assert!(refused(Engine::Cri, &fake), "a device of the host");
    let node = "/var/lib/kubelet/pods/u1/volumeDevices/kubernetes.io~csi/pvc-1";
    fake.texts.insert(node.into(), Vec::new());
    fake.kinds.insert(node.into(), Kind::Block(7, 3));
    assert!(!refused(Engine::Cri, &fake));
    assert!(refused(Engine::Docker, &fake), "no pod's");
    fake.kinds.insert(node.into(), Kind::Block(7, 4));
    assert!(refused(Engine::Cri, &fake), "another device");
    let other = node.replace("u1", "u2");
    fake.texts.insert(other.clone().into(), Vec::new());
    fake.kinds.insert(other.into(), Kind::Block(7, 3));
    assert!(refused(Engine::Cri, &fake), "another pod's");
}
