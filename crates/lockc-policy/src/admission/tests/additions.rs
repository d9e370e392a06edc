//! What policies of the administrator's own add to a level, and nothing beyond it.

use super::*;

const CONFIG: &str = "
[policies.more]
extends = 'restricted'
allowed_mounts = ['/data', '/etc/ssl/certs']
allowed_sockets = ['/run/agent.sock']
devices = ['/dev/fuse']
capabilities = ['chown', 'CAP_NET_ADMIN']
sysctls = ['net.core.*', 'kernel/msgmax']
[policies.still-more]
extends = 'more'
allowed_mounts = ['/more']
";

fn config() -> PolicySet {
    PolicySet::parse(CONFIG, Path::new("lockc.toml")).unwrap()
}

/// The controls that refuse under `still-more`.
fn refused(spec: &Value) -> Vec<&'static str> {
    let mut host = FakeHost::default();
    host.kinds.insert("/dev/fuse".into(), Kind::Char(10, 229));
    host.kinds.insert("/run/agent.sock".into(), Kind::Socket);
    host.kinds.insert("/run/other.sock".into(), Kind::Socket);
    let config = config();
    let policy = config.request("still-more", "a test").unwrap();
    let checked = check_with(spec, &policy, &config.settings, &host);
    checked.err().into_iter().flatten().map(|violation| violation.control.name()).collect()
}

#[test]
fn mounts_and_sockets() {
    for source in ["/data", "/data/x", "/more/y", "/etc/ssl/certs", "/run/agent.sock"] {
        assert!(refused(&bind(source, "/x")).is_empty(), "{source}");
    }
    for source in ["/srv/x", "/datax", "/etc/ssl", "/etc/ssl/private", "/"] {
        assert_eq!(refused(&bind(source, "/x")), ["host-mounts"], "{source}");
    }
    assert_eq!(refused(&bind("/run/other.sock", "/x")), ["host-sockets"]);
}

#[test]
fn devices() {
    let device =
        |minor: u32| json!([{ "path": "/dev/any", "type": "c", "major": 10, "minor": minor }]);
    let rule = |minor: i64| {
        json!({ "devices": [{ "allow": true, "type": "c", "major": 10,
        "minor": minor, "access": "rw" }] })
    };
    let with = |key: &str, value: Value| {
        let mut spec = spec();
        spec["linux"][key] = value;
        refused(&spec)
    };
    assert!(with("devices", device(229)).is_empty() && with("resources", rule(229)).is_empty());
    assert_eq!(with("devices", device(200)), ["devices"]);
    assert_eq!(with("resources", rule(-1)), ["devices"]);
    assert!(refused(&bind("/dev/fuse", "/dev/fuse")).is_empty());
}

#[test]
fn capabilities_and_sysctls() {
    let having =
        |names: &[&str]| refused(&with("/process/capabilities", json!({ "bounding": names })));
    assert!(having(&["CAP_CHOWN", "CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE"]).is_empty());
    assert_eq!(having(&["CAP_SYS_ADMIN", "CAP_NET_ADMIN"]), ["capabilities"]);
    let setting = |name: &str| {
        let mut spec = spec();
        spec["linux"]["sysctl"] = json!({ name: "1" });
        refused(&spec)
    };
    for name in ["net.core.somaxconn", "net/core/somaxconn", "kernel.msgmax"] {
        assert!(setting(name).is_empty(), "{name}");
    }
    for name in ["net.corex", "kernel.msgmaxx"] {
        assert_eq!(setting(name), ["sysctls"], "{name}");
    }
    let policy = config().request("more", "a test").unwrap();
    // CAP_CHOWN is 0, CAP_NET_BIND_SERVICE 10, CAP_NET_ADMIN 12 (include/uapi/linux/capability.h).
    assert_eq!(policy.capabilities(), 1 | 1 << 10 | 1 << 12);
}

#[test]
fn a_policy_that_adds_is_looser_than_one_that_does_not() {
    let config = config();
    let named = |name| config.request(name, "a test").unwrap();
    let (more, still_more) = (named("more"), named("still-more"));
    assert!(more.at_least_as_strict_as(&still_more) && !still_more.at_least_as_strict_as(&more));
    assert!(
        !more.at_least_as_strict_as(&named("baseline"))
            && !more.at_least_as_strict_as(&named("restricted"))
    );
    assert!(
        named("restricted").at_least_as_strict_as(&more)
            && more.at_least_as_strict_as(&named("privileged"))
    );
    assert_eq!(config.registered("more", Level::Restricted, "x").more, more.more);
}

#[test]
fn values_that_cannot_be_meant_are_errors() {
    for (line, problem) in [
        ("allowed_mounts = ['data']", "allowed_mounts: \"data\" is not an absolute path"),
        ("devices = ['/dev/../mem']", "devices: "),
        ("capabilities = ['NET_ADMINS']", "capabilities: \"NET_ADMINS\" is not a capability"),
        ("sysctls = ['*']", "sysctls: \"*\" is not a sysctl"),
        ("socket = []", "did you mean"),
    ] {
        let text = format!("[policies.x]\nextends = 'baseline'\n{line}\n");
        let error = PolicySet::parse(&text, Path::new("lockc.toml")).unwrap_err().to_string();
        assert!(
            error.contains(problem) || line.starts_with("socket") && error.contains("line 3"),
            "{line}: {error}"
        );
    }
}

#[test]
fn what_may_be_read_need_not_be_hidden_and_the_rest_must() {
    let config = PolicySet::parse(
        "[policies.x]\nextends = 'baseline'\nreads = ['/sys/firmware/acpi', \
         '/proc/keys']\n[policies.y]\nextends = 'x'\nwithout_rules = ['sysfs']\n",
        Path::new("lockc.toml"),
    )
    .unwrap();
    let seen = |name: &str, masked: &[&str]| {
        let policy = config.request(name, "a test").unwrap();
        let checked = check_with(
            &with("/linux/maskedPaths", json!(masked)),
            &policy,
            &config.settings,
            &FakeHost::default(),
        );
        checked.err().map(|violations| violations[0].what.clone())
    };
    let but = |shown: &[&str]| -> Vec<&str> {
        kernel_files::MASKED.into_iter().filter(|masked| !shown.contains(masked)).collect()
    };
    assert_eq!(seen("x", &but(&["/sys/firmware", "/proc/keys"])), None);
    assert_eq!(
        seen("x", &but(&["/sys/firmware", "/proc/kcore"])).unwrap(),
        "/proc/kcore not hidden"
    );
    assert_eq!(
        seen("y", &but(&["/sys/firmware"])).unwrap(),
        "/sys/firmware not hidden",
        "nothing else denies it"
    );
}

#[test]
fn a_mount_that_audit_lets_pass_is_none_of_lockcs_own_files() {
    let mut policy = Policy::for_level(Level::Baseline, "x");
    policy.mode = Mode::Audit;
    let checked = |source: &str, options: &[&str], caps: &[&str]| {
        let mut spec = with("/process/capabilities", json!({ "bounding": caps }));
        spec["mounts"] =
            json!([{ "destination": "/x", "type": "bind", "source": source, "options": options }]);
        check_with(&spec, &policy, &Settings::default(), &FakeHost::default())
            .map(|grants| grants.reported.len())
    };
    assert_eq!(checked("/var/lib", &["rbind"], &[]).unwrap(), 1);
    assert_eq!(checked("/etc", &["bind", "ro"], &[]).unwrap(), 1);
    for (options, caps) in [(["rbind", "rw"], &[][..]), (["bind", "ro"], &["CAP_SYS_ADMIN"])] {
        let refused = checked("/etc", &options, caps).unwrap_err();
        assert!(refused.len() == 1 && refused[0].control == Control::OwnFiles, "{refused:?}");
        assert!(refused[0].reason().contains("audit mode does not allow it"));
    }
}
