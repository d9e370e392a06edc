//! Pods whose namespace is labelled, by the file that the node keeps of a cluster.

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
