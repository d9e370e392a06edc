//! Of two policies the looser one admits whatever the stricter one does: of any container, and of
//! any process that joins.
//!
//! The kernel's rules are the same in both. Where one of them is off, a control stands in for it
//! and is stricter then: a read-only mount of lockc's own files wants the rule mount, masks what
//! `reads` let be read want sysfs and procfs, and gaining rights at exec is the kernel's as long as
//! it has the rule privilege.

use super::*;

/// What a policy may have more than its level.
#[derive(Clone, Debug)]
enum Loosening {
    Admit(usize),
    Reads(&'static str),
    Mounts(&'static str),
    Sockets(&'static str),
    Devices(&'static str),
    Capabilities(&'static str),
    Sysctls(&'static str),
    Audit,
}

fn loosening() -> impl Strategy<Value = Loosening> {
    let one = |values: &'static [&'static str]| prop::sample::select(values);
    prop_oneof![
        4 => (0..Control::ALL.len()).prop_map(Loosening::Admit),
        1 => one(&["/sys/firmware/acpi", "/proc/kallsyms",
            "/proc/acpi"]).prop_map(Loosening::Reads),
        1 => one(&["/data", "/etc/ssl"]).prop_map(Loosening::Mounts),
        1 => one(&["/run/agent.sock"]).prop_map(Loosening::Sockets),
        1 => one(&["/dev/fuse"]).prop_map(Loosening::Devices),
        1 => one(&["NET_ADMIN", "CHOWN"]).prop_map(Loosening::Capabilities),
        1 => one(&["net.core.*", "kernel.msgmax"]).prop_map(Loosening::Sysctls),
        1 => Just(Loosening::Audit),
    ]
}

fn loosened(mut policy: Policy, by: &[Loosening]) -> Policy {
    for step in by {
        let more = &mut policy.more;
        match step {
            Loosening::Admit(control) if Control::ALL[*control].optional() => {
                policy = policy.admitting(Control::ALL[*control]);
            }
            Loosening::Admit(_) => {}
            Loosening::Reads(path) => more.reads.push(path.into()),
            Loosening::Mounts(path) => more.mounts.push(path.into()),
            Loosening::Sockets(path) => more.sockets.push(path.into()),
            Loosening::Devices(path) => more.devices.push(path.into()),
            Loosening::Capabilities(name) => more.capabilities.push((*name).into()),
            Loosening::Sysctls(name) => more.sysctls.push((*name).into()),
            Loosening::Audit => policy.mode = Mode::Audit,
        }
    }
    policy
}

fn mounts() -> impl Strategy<Value = Value> {
    let source = prop::sample::select(vec![
        "/srv/x",
        "/data",
        "/etc",
        "/etc/ssl",
        "/run/agent.sock",
        "/run/other.sock",
        "/dev/fuse",
        "/dev/sda",
        "/",
        "/missing",
    ]);
    let options = prop::sample::select(vec!["rbind", "rshared", "rslave"]);
    let bind = (source, options).prop_map(|(source, option)| {
        json!({ "destination": "/x", "type": "bind", "source": source,
            "options": ["rbind", option] })
    });
    let other = prop::sample::select(vec!["proc", "tmpfs", "debugfs", "nfs"])
        .prop_map(|kind| json!({ "destination": "/y", "type": kind, "source": kind }));
    prop::collection::vec(prop_oneof![2 => bind, 1 => other], 0..3).prop_map(Value::from)
}

/// A container: an ordinary one with some of its parts changed.
fn container() -> impl Strategy<Value = Value> {
    let part = |pointer: &'static str, values: Vec<Value>| {
        prop::option::weighted(0.3, prop::sample::select(values))
            .prop_map(move |value| (pointer, value))
    };
    let parts = (
        part("/process/user", vec![json!({ "uid": 0 }), json!({ "uid": 5 })]),
        part(
            "/process/capabilities",
            vec![
                json!({ "bounding": ["CAP_SYS_ADMIN"] }),
                json!({ "effective": ["CAP_CHOWN", "NET_ADMIN"] }),
            ],
        ),
        part("/linux/maskedPaths", vec![json!([]), json!(["/proc/acpi", "/proc/kcore"])]),
        part("/linux/readonlyPaths", vec![json!([])]),
        part("/linux/seccomp", vec![json!(null), json!({ "defaultAction": "SCMP_ACT_ALLOW" })]),
        part("/linux/namespaces", vec![json!([{ "type": "mount" }]), json!([])]),
        part(
            "/linux/sysctl",
            vec![json!({ "kernel.msgmax": "1" }), json!({ "net.core.somaxconn": "1" })],
        ),
        part("/linux/rootfsPropagation", vec![json!("rshared"), json!("rslave")]),
        part(
            "/linux/devices",
            vec![json!([{ "path": "/dev/f", "type": "c", "major": 10, "minor": 229 }])],
        ),
        part("/process/scheduler", vec![json!({ "policy": "SCHED_FIFO", "priority": 1 })]),
        part(
            "/root",
            vec![json!({ "path": "/etc" }), json!(null), json!({ "path": "/missing/r" })],
        ),
        part("/process/apparmorProfile", vec![json!("unconfined")]),
    );
    (parts, mounts()).prop_map(|((a, b, c, d, e, f, g, h, i, j, k, l), mounts)| {
        let mut spec = spec();
        spec["mounts"] = mounts;
        for (pointer, value) in [a, b, c, d, e, f, g, h, i, j, k, l] {
            if let Some(value) = value {
                let (parent, key) = pointer.rsplit_once('/').unwrap();
                spec.pointer_mut(parent).unwrap()[key] = value;
            }
        }
        spec
    })
}

fn host() -> FakeHost {
    let mut host = FakeHost::default();
    host.kinds.insert("/dev/fuse".into(), Kind::Char(10, 229));
    host.kinds.insert("/dev/sda".into(), Kind::Block(8, 0));
    for socket in ["/run/agent.sock", "/run/other.sock"] {
        host.kinds.insert(socket.into(), Kind::Socket);
    }
    host
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, max_global_rejects: 10_000,
        ..ProptestConfig::default() })]

    #[test]
    fn the_looser_policy_admits_what_the_stricter_one_does(
        levels in prop::array::uniform2(0..Level::ALL.len()),
        (first, second) in (prop::collection::vec(loosening(), 0..4),
            prop::collection::vec(loosening(), 0..4)),
        derived in prop::bool::weighted(0.75),
        spec in container(),
    ) {
        let strict = loosened(Policy::for_level(Level::ALL[levels[0]], "x"), &first);
        let mut loose = loosened(Policy::for_level(Level::ALL[levels[1]], "x"), &second);
        if derived || levels[0] == levels[1] {
            loose = loosened(strict.clone(), &second);
        }
        // See above.
        if strict.level != Level::Privileged && loose.level != Level::Privileged {
            loose.rules = strict.rules;
        }
        prop_assume!(strict.at_least_as_strict_as(&loose));
        let (config, host) = (Settings::default(), host());
        if check_with(&spec, &strict, &config, &host).is_ok() {
            let checked = check_with(&spec, &loose, &config, &host);
            prop_assert!(checked.is_ok(), "{spec}: {checked:?} by {loose:?}");
            let process = Spec::parse(spec.to_string().as_bytes(),
                Path::new("config.json")).unwrap().process;
            if let Some(process) = process && admit_process(&process, &strict).is_ok() {
                prop_assert!(admit_process(&process, &loose).is_ok());
            }
        }
    }

    #[test]
    fn audit_refuses_only_what_nothing_could_be_reported_without(level in 1..Level::ALL.len(),
        spec in container()) {
        let mut policy = Policy::for_level(Level::ALL[level], "x");
        let (config, host) = (Settings::default(), host());
        let enforced = check_with(&spec, &policy, &config, &host);
        policy.mode = Mode::Audit;
        match (enforced, check_with(&spec, &policy, &config, &host)) {
            (Ok(grants), Ok(audited)) => prop_assert_eq!(grants, audited),
            (Err(violations), Ok(audited)) => {
                prop_assert_eq!(violations.len(), audited.reported.len());
                prop_assert!(audited.reported.iter().all(|violation| violation.control.optional()));
            }
            (_, Err(refused)) => {
                let rootless = refused.iter().any(|violation| violation.control == Control::Rootfs);
                prop_assert!(rootless
                    || refused.iter().all(|violation| !violation.control.optional()));
            }
        }
    }
}
