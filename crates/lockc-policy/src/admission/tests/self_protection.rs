//! lockc's own files, and who is root in a user namespace that is joined.

use super::*;
use lockc_core::rules::Rule;

fn admitting_mounts() -> Policy {
    Policy::for_level(Level::Baseline, "x").admitting(Control::HostMounts)
}

fn mounted(source: &str, options: &[&str], policy: &Policy, view: &FakeHost) -> bool {
    let mount =
        json!([{ "destination": "/x", "type": "bind", "source": source, "options": options }]);
    match check_with(&with("/mounts", mount), policy, &Settings::default(), view) {
        Ok(_) => true,
        Err(violations) => {
            assert!(
                violations.iter().all(|violation| violation.control == Control::OwnFiles),
                "{violations:?}"
            );
            assert!(violations[0].remedy.contains("privileged level"));
            false
        }
    }
}

#[test]
fn no_policy_below_privileged_lets_a_container_change_lockc() {
    let policy = admitting_mounts();
    let fake = FakeHost::default();
    for source in [
        "/",
        "/etc",
        "/etc/lockc",
        "/etc/lockc/lockc.toml",
        "/usr",
        "/usr/local/bin",
        "/etc/../etc/lockc",
    ] {
        assert!(!mounted(source, &["rbind"], &policy, &fake), "{source}");
        assert!(!mounted(source, &["bind", "rw"], &policy, &fake), "{source}");
        assert!(mounted(source, &["rbind", "ro"], &policy, &fake), "{source} read-only");
    }
    for source in
        ["/usr/bin", "/usr/lib/x", "/usr/share", "/opt/cni/bin", "/opt", "/var/lib/kubelet/plugins"]
    {
        assert!(
            !mounted(source, &["rbind"], &policy, &fake),
            "{source}: programs of the host's root"
        );
        assert!(mounted(source, &["rbind", "ro"], &policy, &fake), "{source} read-only");
    }
    for source in ["/usr/share/doc", "/etc/lockcX", "/srv", "/var/lib/x", "/opt/app"] {
        assert!(mounted(source, &["rbind"], &policy, &fake), "{source}");
    }
    let writes =
        json!([{ "destination": "/x", "type": "bind", "source": "/", "options": ["rbind"] }]);
    assert!(check(&with("/mounts", writes), Level::Privileged).is_ok());
}

#[test]
fn the_location_counts_and_not_the_path() {
    let policy = admitting_mounts();
    let mut fake = FakeHost::default();
    fake.mount("8:1", "/etc", "/srv/alias");
    assert!(!mounted("/srv/alias", &["bind"], &policy, &fake));
    // A file system of its own below the source: read-only at the top leaves it writable.
    fake.mount("8:2", "/", "/usr");
    assert!(!mounted("/", &["rbind", "ro"], &policy, &fake));
    assert!(mounted("/", &["rbind", "rro"], &policy, &fake));
    assert!(mounted("/", &["bind", "ro"], &policy, &fake));
}

#[test]
fn read_only_is_worth_nothing_where_mounts_are_allowed() {
    let mut policy = admitting_mounts();
    policy.rules = policy.rules.without(Rule::Mount);
    assert!(!mounted("/etc", &["rbind", "ro"], &policy, &FakeHost::default()));
}

#[test]
fn root_of_a_joined_user_namespace_is_looked_up() {
    let joins = |path: &str| {
        let mut spec = spec();
        spec["linux"]["namespaces"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "type": "user", "path": path }));
        spec
    };
    for level in [Level::Baseline, Level::Restricted] {
        assert_eq!(check(&joins("/proc/77/ns/user"), level).unwrap().root_uid, 100_000);
    }
    assert!(check(&joins("/proc/78/ns/user"), Level::Baseline).is_ok());
    let violations = check(&joins("/proc/78/ns/user"), Level::Restricted).unwrap_err();
    assert_eq!(violations[0].control, Control::HostNamespaces);
    assert_eq!(check(&spec(), Level::Restricted).unwrap().root_uid, 0);
}
