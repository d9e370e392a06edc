//! The registry follows the runtime, and the runtime gets what was checked.

use std::{fs::File, io::Read as _};

use lockc_policy::refused::Refused;

use super::*;

fn text(file: &OwnedFd) -> String {
    let mut text = String::new();
    File::from(file.try_clone().unwrap()).read_to_string(&mut text).unwrap();
    text
}

/// A place where `c` is registered and runs.
fn running(level: Level) -> Place {
    let mut place = Place::new(&spec());
    place.fake.entry = Some(ContainerEntry { generation: 7, ..entry(level) });
    place.known.ids.borrow_mut().push("c");
    place
}

/// What is marked after a `delete`; `removes`: what the runtime does.
fn deleted(place: &Place, args: &str, removes: bool, ok: bool) -> Vec<String> {
    let deletion = place.run(args).unwrap().deletion.unwrap();
    if removes {
        place.known.ids.borrow_mut().clear();
    }
    deletion.follow(ok, &place.known, &place.fake).unwrap();
    place.calls()
}

#[test]
fn a_deleted_container_is_marked_when_the_runtime_has_removed_it() {
    let marked = ["entry c", "delete /run/x c Some(7)"];
    for (args, ok) in [("--root /run/x delete c", true), ("--root=/run/x delete --force c", false)]
    {
        assert_eq!(deleted(&running(Level::Baseline), args, true, ok), marked);
    }
    assert_eq!(
        deleted(&running(Level::Baseline), "delete c", true, true)[1],
        "delete /run/runc c Some(7)"
    );
    // Gone before: `--force` says that all is well, and without it the runtime knows no such
    // container.
    let gone = running(Level::Baseline);
    gone.known.ids.borrow_mut().clear();
    assert_eq!(deleted(&gone, "--root /run/x delete -f c", false, true), marked);
    assert_eq!(deleted(&gone, "--root /run/x delete c", false, false).len(), 3);
}

#[test]
fn a_delete_that_the_runtime_refuses_changes_nothing() {
    for ok in [true, false] {
        assert_eq!(deleted(&running(Level::Baseline), "delete c", false, ok), ["entry c"]);
    }
}

#[test]
fn a_delete_of_what_is_not_registered_is_the_runtimes_alone() {
    let mut place = Place::new(&spec());
    assert_eq!(place.run("delete c").unwrap().deletion, None);
    place.fake.broken = true;
    assert_eq!(place.run("delete --force c").unwrap().deletion, None);
    let mut place = running(Level::Baseline);
    assert_eq!(place.run("delete --regex c").unwrap().deletion, None);
    place.privilege = Privilege::User(1000);
    assert_eq!(place.run("delete c").unwrap().deletion, None);
}

#[test]
fn an_id_that_the_runtime_knows_is_not_registered_again() {
    for policy in ["privileged", "baseline"] {
        for call in ["create", "run", "restore"] {
            let place = running(Level::Baseline);
            let error = place
                .run(&format!("--lockc-policy {policy} --root /run/x {call} -b b c"))
                .unwrap_err();
            assert!(error.contains("already exists in /run/x"), "{error}");
            assert!(place.calls().is_empty());
        }
    }
    assert!(running(Level::Baseline).run("create -b b d").is_ok());
}

#[test]
fn without_a_root_file_system_nothing_is_registered() {
    let mut spec = spec();
    spec["root"] = json!(null);
    let place = Place::new(&spec);
    let error = place.run("--lockc-policy privileged create -b b c").unwrap_err();
    assert!(error.contains("root file system") && error.contains("cannot be found"), "{error}");
    assert!(place.calls().is_empty());
}

#[test]
fn the_runtime_gets_the_process_that_was_checked() {
    let place = running(Level::Baseline);
    let process = json!({ "args": ["true"], "user": { "uid": 0 } }).to_string();
    fs::write(place.dir.path().join("p.json"), &process).unwrap();
    let plan = place.run("exec --process p.json c").unwrap();
    // What happens to the file afterwards is all the same.
    fs::write(place.dir.path().join("p.json"), "{}").unwrap();
    assert_eq!(text(&plan.handed.unwrap()), process);
    assert!(place.run("exec c ls").unwrap().handed.is_none());
    assert!(place.run("exec --process none.json c").unwrap_err().contains("none.json"));
}

#[test]
fn the_runtime_gets_the_configuration_that_was_checked() {
    let place = Place::new(&spec());
    fs::write(place.dir.path().join("other.json"), spec().to_string()).unwrap();
    let plan = place.run("run -f other.json -b b c").unwrap();
    assert_eq!(text(&plan.handed.unwrap()), spec().to_string());
    assert!(place.run("run -f config.json -b b c").unwrap().handed.is_none(), "the bundle's own");
    assert!(place.run("run -b b c").unwrap().handed.is_none());
}

#[test]
fn a_process_file_from_a_pipe_is_read_once() {
    use std::{io::Write as _, os::fd::AsRawFd as _};
    let place = running(Level::Baseline);
    let (read, mut write) = std::io::pipe().unwrap();
    write.write_all(br#"{"args": ["true"]}"#).unwrap();
    drop(write);
    let plan = place.run(&format!("exec -tp/dev/fd/{} c", read.as_raw_fd())).unwrap();
    assert_eq!(text(&plan.handed.unwrap()), r#"{"args": ["true"]}"#);
}

#[test]
fn what_the_runtime_does_not_know_it_is_asked_for_without_a_chance_to_enter() {
    let place = Place::new(&spec());
    let plan = place.run("exec nope true").unwrap();
    assert!(plan.empty_root && plan.handed.is_none());
    assert_eq!(place.calls(), ["entry nope"], "and no label");
    assert!(!running(Level::Baseline).run("exec c true").unwrap().empty_root);
}

#[test]
fn a_container_of_the_bare_runtimes_is_entered_where_nothing_would_confine_it() {
    let mut place = Place::new(&spec());
    place.known.ids.borrow_mut().push("bare");
    for text in ["exec bare true", "--lockc-policy privileged exec bare true"] {
        // The runtime does not tell its bundle.
        assert!(place.run(text).unwrap_err().contains("not registered"), "{text}");
    }
    place.known.bundle = Some(("bare", place.dir.path().join("b")));
    for text in ["exec bare true", "--lockc-policy offline exec bare true"] {
        assert!(place.run(text).unwrap_err().contains("not registered"), "{text}");
    }
    let plan = place.run("--lockc-policy privileged exec bare true").unwrap();
    assert!(!plan.empty_root);
    assert!(place.calls().iter().all(|call| !call.starts_with("join")), "{:?}", place.calls());
    let place = if root() {
        place.configured("default = 'privileged'\nceiling = 'privileged'")
    } else {
        return;
    };
    assert!(place.run("exec bare true").is_ok());
    let place =
        place.configured("[policies.mine]\nextends = 'privileged'\nadd_rules = ['mount']\n");
    assert!(place.run("--lockc-policy mine exec bare true").is_err());
}

#[test]
fn from_a_directory_that_is_gone_what_needs_no_file_works() {
    for call in ["state c", "kill c 9", "delete c", "start c", "exec c true"] {
        assert!(from_nowhere(call).is_ok(), "{call}");
    }
    for call in ["create c", "create -b ../b c", "create -f x -b /b c", "exec -p p.json c"] {
        let error = from_nowhere(call).unwrap_err();
        assert!(error.contains("working directory was deleted"), "{call}: {error}");
    }
}

fn from_nowhere(text: &str) -> Result<Plan, String> {
    running(Level::Baseline).run_from(Path::new(""), text)
}

#[test]
fn a_refusal_is_kept_with_every_reason() {
    let mut bad = spec();
    bad["linux"]["namespaces"] = json!([{ "type": "mount" }]);
    bad["process"]["capabilities"]["bounding"] = json!(["CAP_SYS_ADMIN"]);
    let mut place = Place::new(&bad);
    let kept = place.dir.path().join("refused");
    place.refused = Some(kept.clone());
    assert!(place.run("create -b b c").unwrap_err().contains("further reasons"));
    let refused = Refused::find(&kept, "c").unwrap();
    let controls: Vec<_> = refused.reasons.iter().map(|reason| reason.control.as_str()).collect();
    assert!(
        controls.contains(&"host-namespaces") && controls.contains(&"capabilities"),
        "{refused:?}"
    );
    assert_eq!(refused.bundle, place.dir.path().join("b"));
    place.privilege = Privilege::User(1000);
    assert!(place.run("create -b b d").is_err() && Refused::find(&kept, "d").is_none());
}
