//! When a node is ready, and what is written of it.

use anyhow::anyhow;
use serde_json::Value;

use super::*;

fn status(enforcing: bool, attached: usize, missing: usize) -> Result<Status> {
    Ok(Status {
        enforcing,
        audited: 0,
        version: (attached > 0).then(|| "0.1.0".into()),
        abi: None,
        tells_layers: true,
        own_version: String::new(),
        attached: vec!["x"; attached],
        missing: vec!["y"; missing],
        not_enforced: Vec::new(),
        containers: Vec::new(),
        errors: Vec::new(),
        lost_denials: 0,
    })
}

fn ready() -> Readiness {
    assess(&status(true, 3, 0), &Ok(Handler::Installed), &[])
}

fn not_ready() -> Readiness {
    assess(&status(false, 0, 3), &Ok(Handler::Installed), &[])
}

#[test]
fn a_node_is_ready_with_programs_and_a_handler() {
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for (status, recorded, handlers, reason) in [
        (status(true, 3, 0), Ok(Handler::Installed), named(&[]), "Enforcing"),
        (status(true, 3, 0), Ok(Handler::Installed), named(&["runc", "lockc"]), "Enforcing"),
        // By the node's image.
        (status(true, 3, 0), Ok(Handler::Unrecorded), named(&["lockc"]), "Enforcing"),
        (status(true, 3, 0), Err(anyhow!("x")), named(&["lockc"]), "Enforcing"),
        (status(true, 3, 0), Err(anyhow!("x")), named(&[]), "Unknown"),
        (status(true, 3, 0), Ok(Handler::Unrecorded), named(&[]), "HandlerMissing"),
        // containerd was not restarted.
        (status(true, 3, 0), Ok(Handler::Installed), named(&["runc"]), "HandlerMissing"),
        (status(true, 3, 0), Ok(Handler::NameKept), named(&["lockc"]), "HandlerMissing"),
        (status(false, 2, 1), Ok(Handler::Installed), named(&[]), "ProgramsMissing"),
        (status(false, 0, 3), Ok(Handler::Installed), named(&[]), "ProgramsNotLoaded"),
        (Err(anyhow!("x")), Ok(Handler::Installed), named(&["lockc"]), "Unknown"),
    ] {
        let found = assess(&status, &recorded, &handlers);
        assert_eq!(found.reason, reason, "{found:?}");
        assert_eq!(found.is_ready, reason == "Enforcing", "{found:?}");
    }
}

#[test]
fn programs_that_are_being_replaced_do_not_make_a_node_unready() {
    let mut steady = Steady::default();
    assert!(!steady.after(not_ready()).is_ready, "it never was");
    assert!(steady.after(ready()).is_ready);
    assert!(steady.after(not_ready()).is_ready);
    assert!(steady.after(ready()).is_ready);
    assert!(steady.after(not_ready()).is_ready);
    assert!(!steady.after(not_ready()).is_ready);
    assert!(!steady.after(not_ready()).is_ready);
    assert!(steady.after(ready()).is_ready, "at once");
}

#[test]
fn only_what_changed_is_written() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let start = at("2026-11-28T01:00:00Z");
    let (label, condition) = changes(&Told::default(), &ready(), start);
    assert_eq!(label, Some("true"));
    let condition = condition.unwrap();
    let json = serde_json::to_value(&condition).unwrap();
    assert_eq!(json["type"], "LockcReady");
    assert_eq!((&json["status"], &json["reason"]), (&"True".into(), &"Enforcing".into()));
    let mut told =
        Told { label: Some("true".into()), condition: Some(condition), ..Told::default() };
    assert_eq!(changes(&told, &ready(), at("2026-11-28T01:04:00Z")), (None, None));
    let (label, beat) = changes(&told, &ready(), at("2026-11-28T01:06:00Z"));
    let beat = beat.unwrap();
    assert_eq!((label, beat.last_transition_time), (None, Some(Time(start))));
    assert_eq!(beat.last_heartbeat_time, Some(Time(at("2026-11-28T01:06:00Z"))));
    let (label, condition) = changes(&told, &not_ready(), at("2026-11-28T01:02:00Z"));
    assert_eq!(label, Some("false"));
    let condition = condition.unwrap();
    assert_eq!(condition.last_transition_time, Some(Time(at("2026-11-28T01:02:00Z"))));
    // Somebody took the label away, as a kubelet that registers its node again.
    told.label = None;
    assert_eq!(changes(&told, &ready(), start).0, Some("true"));
}

#[test]
fn a_node_tells_of_its_handlers() {
    let node: Value = json!({ "metadata": { "name": "n", "uid": "1", "labels": { LABEL: "false" } },
        "status": { "runtimeHandlers": [{ "name": "" }, { "name": "lockc" }],
            "conditions": [{ "type": "Ready", "status": "True" },
                { "type": "LockcReady", "status": "False" }] } });
    let told = told(serde_json::from_value(node).unwrap());
    assert_eq!((told.handlers, told.uid.as_deref()), (vec!["lockc".to_owned()], Some("1")));
    assert_eq!(told.label.as_deref(), Some("false"));
    assert_eq!(told.condition.map(|condition| condition.status).as_deref(), Some("False"));
}
