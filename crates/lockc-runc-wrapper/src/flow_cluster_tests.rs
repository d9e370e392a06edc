//! Pods that ask for a policy that the cluster defines, by the file that the node keeps of them.

use super::*;

const BUNDLE: &str = "io.containerd.runtime.v2.task/k8s.io/c";

/// A pod's container that asks for a policy, on a node with the cluster's policy `gpu`.
fn place(asks: Option<&str>) -> Place {
    let mut spec = spec();
    spec["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ERRNO" });
    spec["annotations"] = json!({
        "io.kubernetes.cri.sandbox-namespace": "team-a",
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.sandbox-id": "s",
    });
    if let Some(name) = asks {
        spec["annotations"]["org.lockc.policy"] = json!(name);
    }
    let place = Place::new(&spec);
    fs::create_dir_all(place.dir.path().join(BUNDLE)).unwrap();
    fs::write(place.dir.path().join(BUNDLE).join("config.json"), spec.to_string()).unwrap();
    write(&place, "policies.json", &policies(), 0o644);
    place
}

fn policies() -> String {
    let policy = |spec: Value| json!({ "uid": "u", "generation": 1, "spec": spec });
    json!({ "version": 1, "policies": {
        "gpu": policy(json!({ "extends": "baseline", "reads": ["/sys/class/drm"] })),
        "quiet": policy(json!({ "extends": "baseline", "network": "loopback" })),
        "everything": policy(json!({ "extends": "privileged" })),
        "broken": policy(json!({ "extends": "none-such" })),
    } })
    .to_string()
}

fn write(place: &Place, name: &str, text: &str, mode: u32) {
    let path = place.dir.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn labelled(place: &Place, value: &str) {
    let text = json!({ "version": 1, "synced": "2026-01-02T03:04:05Z",
        "namespaces": { "team-a": { "enforce": value } } });
    write(place, "namespaces.json", &text.to_string(), 0o644);
}

fn create(place: &Place) -> Result<String, String> {
    place.run(&format!("create -b {BUNDLE} c"))?;
    Ok(place.fake.registered.borrow().clone().unwrap().policy)
}

#[test]
fn a_policy_of_the_cluster_is_granted_up_to_the_namespaces_ceiling() {
    if !root() {
        return;
    }
    for (asks, label, granted) in [
        ("gpu", "privileged", true),
        ("gpu", "baseline", false),
        ("quiet", "baseline", true),
        ("quiet", "restricted", false),
        ("everything", "privileged", true),
        ("everything", "baseline", false),
    ] {
        let place = place(Some(asks));
        labelled(&place, label);
        match create(&place) {
            Ok(policy) => assert!(granted && policy == asks, "{asks} {label}: {policy}"),
            Err(error) => {
                assert!(!granted && error.contains("looser than the ceiling"), "{error}");
            }
        }
    }
}

#[test]
fn a_file_that_cannot_be_used_stops_only_those_who_ask_for_it() {
    if !root() {
        return;
    }
    for (text, mode, says) in
        [("", 0o644, "EOF"), ("{}", 0o644, "version"), (policies().as_str(), 0o666, "chmod go-w")]
    {
        let asking = place(Some("gpu"));
        labelled(&asking, "privileged");
        assert_eq!(create(&asking).unwrap(), "gpu");
        write(&asking, "policies.json", text, mode);
        let error = create(&asking).unwrap_err();
        assert!(error.contains("cannot be read") && error.contains(says), "{error}");
        assert!(asking.run("delete c").is_ok());
        for (asks, policy) in [(None, "baseline"), (Some("baseline"), "baseline")] {
            let other = place(asks);
            labelled(&other, "baseline");
            write(&other, "policies.json", text, mode);
            assert_eq!(create(&other).unwrap(), policy);
        }
    }
    let place = place(Some("broken"));
    labelled(&place, "privileged");
    let error = create(&place).unwrap_err();
    assert!(error.contains("not used on this node") && error.contains("none-such"), "{error}");
}

#[test]
fn the_nodes_configuration_goes_before_the_cluster() {
    if !root() {
        return;
    }
    let own = "[policies.everything]\nextends = 'restricted'\n";
    let at = place(Some("everything")).configured(own);
    labelled(&at, "privileged");
    let error = create(&at).unwrap_err();
    assert!(error.contains("policy everything of level restricted"), "{error}");
    let at = place(Some("gpu")).configured("[kubernetes]\ncluster_policies = false\n");
    labelled(&at, "privileged");
    assert!(create(&at).unwrap_err().contains("unknown policy"));
}

#[test]
fn a_container_that_runs_keeps_no_more_than_its_level_when_its_policy_is_gone() {
    if !root() {
        return;
    }
    let mut place = place(None);
    let mut entry = entry(Level::Baseline);
    entry.policy = Default::default();
    entry.policy[..3].copy_from_slice(b"gpu");
    place.fake.entry = Some(entry);
    // The container takes the policy of its pod's sandbox.
    for text in [policies(), String::new()] {
        write(&place, "policies.json", &text, 0o644);
        assert_eq!(create(&place).unwrap(), if text.is_empty() { "baseline" } else { "gpu" });
    }
}
