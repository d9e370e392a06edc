//! Policies that a cluster defines: which of them a node uses, and what the others leave alone.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    config::{Loaded, SyncedFiles, cluster::ClusterPolicy},
    host::Host,
    policy::PolicySet,
};

fn raw(text: &str) -> RawConfig {
    Loaded::parse(text, Path::new("lockc.toml")).unwrap().config
}

/// The set of a node with that configuration, and that file of the cluster's.
fn node(config: &str, policies: &[(&str, Value)]) -> PolicySet {
    let mut set = PolicySet::parse(config, Path::new("lockc.toml")).unwrap();
    set.cluster = ClusterSet::new(&raw(config), &file(policies));
    set
}

fn file(policies: &[(&str, Value)]) -> ClusterPolicies {
    let of = |(name, value): &(&str, Value)| {
        let policy = ClusterPolicy { uid: "u".into(), generation: 2, spec: spec(value).unwrap() };
        ((*name).to_owned(), policy)
    };
    ClusterPolicies { version: 1, policies: policies.iter().map(of).collect() }
}

fn rejection(config: &str, name: &str, value: &Value) -> String {
    match spec(value) {
        Ok(spec) => check(&raw(config), name, &spec).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_policy_is_the_one_that_the_configuration_would_define() {
    let set = node(
        "[policies.own]\nextends = 'baseline'\nreads = ['/proc/kallsyms']",
        &[("gpu", json!({ "extends": "own", "reads": ["/sys/class/drm"], "network": "none" }))],
    );
    let policy = set.request("gpu", "annotation").unwrap();
    let own = PolicySet::parse(
        "[policies.own]\nextends = 'baseline'\nreads = ['/proc/kallsyms']\n\
         [policies.gpu]\nextends = 'own'\nreads = ['/sys/class/drm']\nnetwork = 'none'",
        Path::new("x"),
    );
    let mut expected = own.unwrap().request("gpu", "annotation").unwrap();
    assert!(policy.is_from_cluster && !expected.is_from_cluster);
    expected.is_from_cluster = true;
    assert_eq!(policy, expected);
    let shown = policy.to_string();
    assert!(shown.starts_with("ConfinementPolicy gpu of level baseline"), "{shown}");
    assert_eq!(set.defined_by("gpu"), "ConfinementPolicy gpu, generation 2");
    assert_eq!(set.defined_by("own"), "lockc.toml:1");
    assert_eq!(set.defined_by("baseline"), "lockc");
    assert_eq!(set.all().filter(|policy| policy.is_from_cluster).count(), 1);
    assert!(set.registered("gpu", policy.level, "x").is_from_cluster);
}

#[test]
fn the_nodes_own_policy_and_the_levels_win() {
    let config = "[policies.gpu]\nextends = 'restricted'";
    let loose = json!({ "extends": "privileged" });
    for name in ["gpu", "baseline", "offline", "privileged", "restricted"] {
        let set = node(config, &[(name, loose.clone())]);
        let policy = set.request(name, "x").unwrap();
        assert!(!policy.is_from_cluster, "{name}");
        assert!(rejection(config, name, &loose).contains("choose another name"), "{name}");
        assert_eq!(set.cluster.rejected().count(), 1, "{name}");
        assert_eq!(set.all().filter(|policy| policy.name == name).count(), 1, "{name}");
    }
    // It was accepted before the administrator took the name.
    let set = node(config, &[("gpu", loose)]);
    assert_eq!(set.registered("gpu", set.ceiling().level, "x").name, "baseline");
}

#[test]
fn what_makes_no_sense_is_told_by_the_objects_own_keys() {
    for (name, value, says) in [
        ("a", json!({}), "missing field `extends`"),
        ("a", json!({ "extends": "baseline", "ceiling": "privileged" }), "unknown field `ceiling`"),
        ("a", json!({ "extends": "baseline", "default": "a" }), "unknown field `default`"),
        ("a", json!({ "extends": 1 }), "spec: not a policy"),
        ("a", json!("baseline"), "spec: not a policy"),
        ("a", json!({ "extends": "baseline", "reads": ["/etc/shadow"] }), "spec.reads: "),
        ("a", json!({ "extends": "baseline", "devices": ["dev/x"] }), "spec.devices: "),
        ("a", json!({ "extends": "baseline", "admit": ["own-files"] }), "spec.admit: "),
        ("a", json!({ "extends": "baseline", "without_rules": ["x"] }), "spec.without_rules: "),
        ("a", json!({ "extends": "none-such" }), "unknown policy \"none-such\" in spec.extends"),
        ("a", json!({ "extends": "a" }), "extends itself"),
        ("a b", json!({ "extends": "baseline" }), "at most 31"),
        ("", json!({ "extends": "baseline" }), "at most 31"),
        (&"a".repeat(32), json!({ "extends": "baseline" }), "at most 31"),
        ("a", json!({ "extends": "baseline", "reads": ["/sys/".repeat(20_000)] }), "64 KiB"),
    ] {
        let error = rejection("", name, &value);
        assert!(error.contains(says), "{value}: {error}");
    }
}

#[test]
fn nothing_else_can_name_a_policy_of_the_cluster() {
    // Otherwise an object that is deleted would stop every container of the node.
    for config in ["default = 'gpu'", "ceiling = 'gpu'", "[policies.x]\nextends = 'gpu'"] {
        assert!(PolicySet::parse(config, Path::new("x")).is_err(), "{config}");
    }
    let set =
        node("", &[("a", json!({ "extends": "baseline" })), ("b", json!({ "extends": "a" }))]);
    assert!(set.request("a", "x").is_ok());
    let error = set.request("b", "annotation x").unwrap_err();
    assert_eq!(error.id(), "LOCKC-P006");
    assert!(error.to_string().contains("unknown policy \"a\" in spec.extends"), "{error}");
}

/// A node on which the file has that text, with that owner and mode.
fn with_file(text: &str, mode: u32, config: &str, owned: bool) -> PolicySet {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("policies.json"), text).unwrap();
    fs::set_permissions(at("policies.json"), fs::Permissions::from_mode(mode)).unwrap();
    fs::write(at("lockc.toml"), config).unwrap();
    fs::set_permissions(at("lockc.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    let owner = dir.path().metadata().unwrap().uid();
    let loaded = Loaded::read(&at("lockc.toml"), &Host::owned_by(owner)).unwrap();
    let synced = SyncedFiles { namespaces: &at("namespaces.json"), policies: &at("policies.json") };
    let view = Host::owned_by(if owned { owner } else { owner + 1 });
    PolicySet::synced(&loaded, &at("lockc.toml"), synced, &view).unwrap()
}

#[test]
fn a_file_that_cannot_be_used_refuses_only_those_who_ask_for_a_policy_of_it() {
    let good = json!(file(&[("gpu", json!({ "extends": "baseline" }))])).to_string();
    let unknown = good.replace("\"reads\"", "\"writes\"");
    assert_ne!(good, unknown);
    assert!(with_file(&good, 0o644, "", true).request("gpu", "x").is_ok());
    for (text, mode, owned, says) in [
        (good.as_str(), 0o644, false, "chown root:root"),
        (&good, 0o664, true, "chmod go-w"),
        (&good[..good.len() - 1], 0o644, true, "EOF"),
        ("", 0o644, true, "lockc-node sync"),
        (&unknown, 0o644, true, "writes"),
        ("{\"version\":2,\"objects\":[]}", 0o644, true, "version 2"),
    ] {
        let set = with_file(text, mode, "[policies.own]\nextends = 'restricted'", owned);
        let error = set.request("gpu", "annotation x").unwrap_err();
        assert_eq!(error.id(), "LOCKC-P007", "{error}");
        assert!(error.to_string().contains(says), "{says}: {error}");
        for name in ["baseline", "restricted", "own"] {
            assert!(set.request(name, "x").is_ok(), "{name}");
        }
        assert!(set.cluster.problem().unwrap().contains(says));
    }
}

#[test]
fn the_administrator_can_turn_them_off() {
    let good = json!(file(&[("gpu", json!({ "extends": "baseline" }))])).to_string();
    let off = "[kubernetes]\ncluster_policies = false";
    for text in [good.as_str(), "damaged"] {
        let set = with_file(text, 0o644, off, true);
        assert_eq!(set.request("gpu", "x").unwrap_err().id(), "LOCKC-P001");
        assert_eq!(set.cluster, ClusterSet::default());
    }
}

fn any_spec() -> impl Strategy<Value = Value> {
    let extends = prop::sample::select(vec!["baseline", "restricted", "offline", "own", "x", "b"]);
    let reads = prop::collection::vec(
        prop::sample::select(vec!["/sys/class/drm", "/proc/kallsyms", "/etc", "proc"]),
        0..3,
    );
    let admit = prop::collection::vec(
        prop::sample::select(vec!["devices", "hooks", "own-files", "nothing"]),
        0..2,
    );
    (extends, reads, admit, any::<bool>()).prop_map(|(extends, reads, admit, hooks)| {
        json!({ "extends": extends, "reads": reads, "admit": admit, "hook_mounts": hooks })
    })
}

proptest! {
    /// Whatever the cluster defines, what does not name it is decided as without it.
    #[test]
    fn the_configuration_is_not_affected(specs in prop::collection::vec(any_spec(), 1..5)) {
        let config = "[policies.own]\nextends = 'baseline'\nadmit = ['devices']";
        let names = ["a", "b", "own", "baseline", "gpu"];
        let policies: Vec<(&str, Value)> = names.into_iter().zip(specs).collect();
        let with = node(config, &policies);
        let without = PolicySet::parse(config, Path::new("lockc.toml")).unwrap();
        prop_assert_eq!(&PolicySet { cluster: ClusterSet::default(), ..with.clone() }, &without);
        for name in ["privileged", "baseline", "restricted", "offline", "own"] {
            prop_assert_eq!(with.request(name, "x"), without.request(name, "x"));
        }
        let count = with.cluster.policies().count() + with.cluster.rejected().count();
        prop_assert_eq!(count, policies.len());
        for (name, value) in &policies {
            let alone = check(&raw(config), name, &spec(value).unwrap()).ok();
            // Each is usable or not by itself.
            prop_assert_eq!(alone.as_ref(), with.cluster.get(name));
        }
        let text = json!(file(&policies)).to_string();
        let read = ClusterPolicies::parse(&text, Path::new("x")).unwrap();
        prop_assert_eq!(read, file(&policies));
    }
}
