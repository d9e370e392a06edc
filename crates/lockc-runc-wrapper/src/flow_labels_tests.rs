//! Pods whose namespace is labelled, by the file that the node keeps of a cluster.

use lockc_core::{
    abi::{MODE_AUDIT, MODE_ENFORCE},
    rules::RuleMask,
};
use lockc_policy::refused::Refused;

use super::*;

const BUNDLE: &str = "io.containerd.runtime.v2.task/k8s.io/c";

/// A pod's container in containerd's place for it.
fn place(user: u32) -> Place {
    let mut spec = spec();
    spec["process"] = json!({ "user": { "uid": user } });
    spec["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ERRNO" });
    spec["annotations"] = json!({
        "io.kubernetes.cri.sandbox-namespace": "team-a",
            "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.sandbox-id": "s",
    });
    let place = Place::new(&spec);
    fs::create_dir_all(place.dir.path().join(BUNDLE)).unwrap();
    fs::write(place.dir.path().join(BUNDLE).join("config.json"), spec.to_string()).unwrap();
    place
}

fn label(place: &Place, text: &str) {
    let path = place.dir.path().join("namespaces.json");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
}

fn labelled(place: &Place, value: &str) {
    label(
        place,
        &format!(
            r#"{{"version":1,"synced":"2026-01-02T03:04:05Z",
                "namespaces":{{"team-a":{{"enforce":"{value}"}}}}}}"#
        ),
    );
}

#[test]
fn a_label_decides_about_the_next_pod_and_not_about_one_that_runs() {
    if !root() {
        return;
    }
    let create = format!("create -b {BUNDLE} c");
    let mut place = place(1000);
    for (value, policy) in
        [("restricted", "restricted"), ("privileged", "privileged"), ("baseline", "baseline")]
    {
        labelled(&place, value);
        place.run(&create).unwrap();
        assert_eq!(place.calls().pop().unwrap(), format!("register c {policy}"));
        let origin = place.fake.registered.borrow().clone().unwrap().origin;
        assert_eq!(origin, "label pod-security.kubernetes.io/enforce");
    }
    place.fake.entry = Some(entry(Level::Baseline));
    labelled(&place, "restricted");
    place.run(&create).unwrap();
    assert_eq!(
        place.calls().pop().unwrap(),
        "register c baseline",
        "its pod's sandbox is as it was"
    );
}

#[test]
fn a_file_that_cannot_be_trusted_lets_nothing_start_and_keeps_nothing_from_ending() {
    if !root() {
        return;
    }
    let place = place(0);
    let create = format!("create -b {BUNDLE} c");
    place.run(&create).unwrap();
    labelled(&place, "restricted");
    assert!(place.run(&create).unwrap_err().contains("uid 0"));
    for broken in ["", "{}", r#"{"version":2}"#] {
        label(&place, broken);
        let error = place.run(&create).unwrap_err();
        assert!(error.contains("namespaces.json") && error.contains("not started"), "{error}");
        assert!(place.run("exec c ls").is_err());
        assert!(place.run("delete c").is_ok());
    }
    labelled(&place, "privileged");
    let path = place.dir.path().join("namespaces.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(place.run(&create).unwrap_err().contains("chmod go-w"));
}

/// As the labels of the namespace `team-a`.
fn with_labels(place: &Place, labels: Value) {
    let text = json!({
        "version": 1, "synced": "2026-01-02T03:04:05Z", "namespaces": { "team-a": labels },
    });
    label(place, &text.to_string());
}

#[test]
fn what_a_cluster_audits_is_started_and_goes_on_record() {
    if !root() {
        return;
    }
    let create = format!("create -b {BUNDLE} c");
    let mut place = place(0);
    let kept = place.dir.path().join("refused");
    place.refused = Some(kept.clone());
    let audited = place.dir.path().join("audited");
    // The user is root, which restricted refuses.
    with_labels(&place, json!({ "enforce": "baseline", "audit": "restricted" }));
    place.run(&create).unwrap();
    let new = place.fake.registered.borrow().clone().unwrap();
    assert_eq!((new.policy.as_str(), new.mode), ("baseline", MODE_ENFORCE));
    let restricted = Level::Restricted.rules();
    assert_eq!(new.rules, restricted, "what restricted denies is reported");
    assert_eq!(new.audited, restricted.minus(Level::Baseline.rules()));
    let record = Refused::find(&audited, "c").unwrap();
    assert!(record.audited && record.policy.contains("label pod-security.kubernetes.io/audit"));
    assert!(record.reasons.iter().any(|reason| reason.control == "run-as-root"));
    assert!(Refused::find(&kept, "c").is_none());
    fs::remove_dir_all(&audited).unwrap();

    // Of warnings nothing is kept.
    with_labels(&place, json!({ "enforce": "baseline", "warn": "restricted" }));
    place.run(&create).unwrap();
    let new = place.fake.registered.borrow().clone().unwrap();
    assert!(new.audited == RuleMask::NONE && !audited.exists());

    // Where nothing is enforced, everything can be reported.
    with_labels(&place, json!({ "enforce": "privileged", "audit": "baseline" }));
    place.run(&create).unwrap();
    let new = place.fake.registered.borrow().clone().unwrap();
    assert_eq!((new.level, new.mode), (Level::Baseline, MODE_AUDIT));
    assert_eq!(new.origin, "label pod-security.kubernetes.io/audit");

    // A level that forbids no more is not asked.
    with_labels(&place, json!({ "enforce": "restricted", "audit": "baseline" }));
    assert!(place.run(&create).unwrap_err().contains("run-as-root"));
}

#[test]
fn what_cannot_be_audited_stays_as_it_is() {
    if !root() {
        return;
    }
    let mut place = place(0);
    let bundle = place.dir.path().join(BUNDLE).join("config.json");
    let mut spec: Value = serde_json::from_slice(&fs::read(&bundle).unwrap()).unwrap();
    spec["linux"]["namespaces"] = json!([{ "type": "network" }]);
    fs::write(&bundle, spec.to_string()).unwrap();
    place.refused = Some(place.dir.path().join("refused"));
    with_labels(&place, json!({ "enforce": "privileged", "audit": "baseline" }));
    place.run(&format!("create -b {BUNDLE} c")).unwrap();
    let new = place.fake.registered.borrow().clone().unwrap();
    assert_eq!((new.level, new.mode), (Level::Privileged, MODE_ENFORCE));
    let record = Refused::find(&place.dir.path().join("audited"), "c").unwrap();
    assert!(record.reasons.iter().any(|reason| reason.control == "mount-namespace"));
}

#[test]
fn the_mode_of_a_namespace_and_of_an_engine() {
    if !root() {
        return;
    }
    let create = format!("create -b {BUNDLE} c");
    let mode = |config: &str, labels: Value| {
        let place = place(1000).configured(config);
        with_labels(&place, labels);
        place.run(&create).unwrap();
        place.fake.registered.borrow().clone().unwrap().mode
    };
    let none = || json!({});
    let label = |mode: &str| json!({ "mode": mode });
    for (config, labels, expected) in [
        ("", none(), MODE_ENFORCE),
        ("[engines.cri]\nmode = 'audit'", none(), MODE_AUDIT),
        ("[engines.docker]\nmode = 'audit'", none(), MODE_ENFORCE),
        ("[namespaces.team-a]\nmode = 'audit'", none(), MODE_AUDIT),
        (
            "[namespaces.'team-*']\nmode = 'enforce'\n[engines.cri]\nmode = 'audit'",
            none(),
            MODE_ENFORCE,
        ),
        ("", label("audit"), MODE_AUDIT),
        ("", label("aduit"), MODE_ENFORCE),
        ("mode = 'audit'", label("enforce"), MODE_ENFORCE),
        ("[namespaces.team-a]\nmode = 'enforce'", label("audit"), MODE_ENFORCE),
        ("kubernetes.namespace_labels = 'tighten'", label("audit"), MODE_ENFORCE),
        ("mode = 'audit'\nkubernetes.namespace_labels = 'tighten'", label("enforce"), MODE_ENFORCE),
        ("kubernetes.namespace_labels = 'ignore'", label("audit"), MODE_ENFORCE),
        // A policy that states a mode keeps it.
        (
            "default = 'strict'\n[policies.strict]\nextends = 'baseline'\nmode = 'enforce'",
            label("audit"),
            MODE_ENFORCE,
        ),
    ] {
        assert_eq!(mode(config, labels.clone()), expected, "{config:?} {labels}");
    }
}
