//! What a node keeps of the cluster's policies, whatever the cluster and the node say.

use std::path::Path;

use lockc_policy::config::{Loaded, PolicyConfig};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn config(text: &str) -> Result<RawConfig, String> {
    let loaded = Loaded::parse(text, Path::new("lockc.toml")).map_err(|error| error.to_string())?;
    Ok(loaded.config)
}

fn object(uid: &str, generation: i64, spec: Value) -> Object {
    Object { uid: uid.into(), generation, spec, nodes: Vec::new() }
}

fn one(name: &str, object: Object) -> BTreeMap<String, Object> {
    BTreeMap::from([(name.to_owned(), object)])
}

fn good(reads: &str) -> Value {
    json!({ "extends": "baseline", "reads": [reads] })
}

fn bad() -> Value {
    json!({ "extends": "baseline", "reads": ["/etc/shadow"] })
}

#[test]
fn a_change_that_the_node_cannot_use_leaves_the_last_state() {
    let own = config("");
    let (kept, verdicts) = decide(
        &own,
        &one("gpu", object("u", 1, good("/sys/class/drm"))),
        &ClusterPolicies::default(),
    );
    let ready = Verdict { observed_generation: 1, ready: true, message: String::new() };
    assert_eq!(verdicts["gpu"], ready);

    let (still, verdicts) = decide(&own, &one("gpu", object("u", 2, bad())), &kept);
    assert_eq!(still, kept);
    let verdict = &verdicts["gpu"];
    assert!(!verdict.ready && verdict.observed_generation == 2, "{verdict:?}");
    assert!(verdict.message.contains("spec.reads") && verdict.message.contains("/etc/shadow"));
    assert!(verdict.message.contains("LOCKC-E053"), "{verdict:?}");
    assert!(verdict.message.ends_with("generation 1 stays in use"), "{verdict:?}");

    let (next, verdicts) =
        decide(&own, &one("gpu", object("u", 3, good("/sys/class/hwmon"))), &still);
    assert!(verdicts["gpu"].ready);
    assert_eq!(next.policies["gpu"].generation, 3);
    let (gone, _) = decide(&own, &BTreeMap::new(), &next);
    assert!(gone.policies.is_empty(), "an object that is deleted leaves nothing");
}

#[test]
fn another_object_of_the_name_does_not_get_the_last_state_of_the_first() {
    let own = config("");
    let (kept, _) = decide(
        &own,
        &one("gpu", object("u", 7, good("/sys/class/drm"))),
        &ClusterPolicies::default(),
    );
    let (file, verdicts) = decide(&own, &one("gpu", object("v", 1, bad())), &kept);
    assert!(file.policies.is_empty());
    assert!(verdicts["gpu"].message.ends_with("the node has no policy of that name"));
}

#[test]
fn what_the_node_says_itself_goes_first() {
    let objects = one("gpu", object("u", 1, good("/sys/class/drm")));
    let (kept, _) = decide(&config(""), &objects, &ClusterPolicies::default());
    let own = config("[policies.gpu]\nextends = 'restricted'");
    let (file, verdicts) = decide(&own, &objects, &kept);
    assert!(file.policies.is_empty(), "what was accepted earlier goes too");
    assert!(verdicts["gpu"].message.contains("takes precedence"), "{verdicts:?}");

    // The node's administrator turned them off: they are kept for the day they are turned on.
    let off = config("[kubernetes]\ncluster_policies = false");
    let (file, verdicts) = decide(&off, &objects, &kept);
    assert_eq!(file, kept);
    assert!(!verdicts["gpu"].ready && verdicts["gpu"].message.contains("cluster_policies"));

    // Nothing is known of a broken configuration, under which no container starts anyway.
    let (file, verdicts) = decide(&config("x = 1"), &objects, &kept);
    assert_eq!(file, kept);
    assert!(verdicts["gpu"].message.contains("cannot be used"), "{verdicts:?}");
    let (file, _) = decide(&config("x = 1"), &objects, &ClusterPolicies::default());
    assert!(file.policies.is_empty(), "what was never checked is never written");
}

#[test]
fn more_than_the_file_holds_is_told_and_what_is_in_use_stays() {
    let own = config("");
    let many = |from: usize, to: usize| -> BTreeMap<String, Object> {
        let of = |n| (format!("p{n:03}"), object("u", 1, good("/sys/class/drm")));
        (from..to).map(of).collect()
    };
    let (kept, _) = decide(&own, &many(100, 100 + COUNT_LIMIT), &ClusterPolicies::default());
    assert_eq!(kept.policies.len(), COUNT_LIMIT);
    let (file, verdicts) = decide(&own, &many(0, 100 + COUNT_LIMIT), &kept);
    assert_eq!(file, kept);
    assert!(verdicts["p000"].message.contains("at most"), "{:?}", verdicts["p000"]);
    assert!(verdicts["p100"].ready);
    let largest = serde_json::to_vec(&file).unwrap().len();
    assert!(largest < 16 << 20);
}

#[test]
fn messages_stay_small() {
    let spec = json!({ "extends": "ä".repeat(20_000) });
    let (_, verdicts) =
        decide(&config(""), &one("gpu", object("u", 1, spec)), &ClusterPolicies::default());
    let message = &verdicts["gpu"].message;
    assert!(message.len() < MESSAGE_LIMIT + 100, "{} bytes", message.len());
    assert!(message.contains('ä'));
}

fn any_object() -> impl Strategy<Value = Object> {
    let spec = prop_oneof![
        Just(good("/sys/class/drm")),
        Just(good("/proc/kallsyms")),
        Just(json!({ "extends": "own" })),
        Just(bad()),
        Just(Value::Null),
        Just(json!({ "extends": "baseline", "ceiling": "privileged" })),
    ];
    (prop::sample::select(vec!["u", "v"]), 1..4i64, spec)
        .prop_map(|(uid, generation, spec)| object(uid, generation, spec))
}

fn any_objects() -> impl Strategy<Value = BTreeMap<String, Object>> {
    let name = prop::sample::select(vec!["a", "b", "own", "baseline", "A B"]);
    prop::collection::btree_map(name.prop_map(str::to_owned), any_object(), 0..5)
}

proptest! {
    /// Through any history of objects and configurations.
    #[test]
    fn what_is_kept_can_be_used_and_is_what_somebody_wrote(
        steps in prop::collection::vec((any_objects(), 0..3usize), 1..8)
    ) {
        let configs =
            [config(""), config("[policies.own]\nextends = 'baseline'"), config("broken")];
        let mut kept = ClusterPolicies::default();
        let mut seen: Vec<(String, String, PolicyConfig)> = Vec::new();
        for (objects, own) in steps {
            let own = &configs[own];
            for (name, object) in &objects {
                if let Ok(spec) = spec(&object.spec) {
                    seen.push((name.clone(), object.uid.clone(), spec));
                }
            }
            let (file, verdicts) = decide(own, &objects, &kept);
            prop_assert_eq!(verdicts.len(), objects.len());
            for (name, policy) in &file.policies {
                let object = &objects[name];
                prop_assert_eq!(&object.uid, &policy.uid);
                let of = (name.clone(), policy.uid.clone(), policy.spec.clone());
                prop_assert!(seen.contains(&of));
                if let Ok(own) = own {
                    prop_assert!(check(own, name, &policy.spec).is_ok());
                } else {
                    prop_assert_eq!(kept.policies.get(name), Some(policy));
                }
                let is_new = policy.generation == object.generation
                    && spec(&object.spec).as_ref() == Ok(&policy.spec);
                prop_assert!(is_new || !verdicts[name].ready);
            }
            for (name, verdict) in &verdicts {
                prop_assert_eq!(verdict.ready, verdict.message.is_empty());
                prop_assert!(!verdict.ready || file.policies.contains_key(name));
            }
            // Once more without news, nothing changes.
            let (again, same) = decide(own, &objects, &file);
            prop_assert_eq!(&again, &file);
            prop_assert_eq!(same.len(), verdicts.len());
            kept = file;
        }
    }
}
