//! What joins a container that runs, and what the runtime does with one.

use super::*;

/// A container `c` that runs under baseline, with the annotations.
fn running(annotations: Value) -> Place {
    let mut spec = spec();
    spec["annotations"] = annotations;
    spec["process"]["selinuxLabel"] = json!("system_u:system_r:container_t:s0");
    spec["mounts"] = json!([{ "destination": "/d", "type": "bind", "source": "/srv/data",
        "options": ["rbind"] }]);
    let mut place = Place::new(&spec);
    place.fake.entry = Some(entry(Level::Baseline));
    place.known.bundle = Some(("c", place.dir.path().join("b")));
    place
}

#[test]
fn options_of_exec_are_checked_without_a_file() {
    let place = running(json!({}));
    for (options, control) in [
        ("--apparmor unconfined", "apparmor"),
        ("--apparmor=:x:unconfined", "apparmor"),
        ("--process-label system_u:system_r:spc_t:s0", "selinux"),
        ("--cap CAP_SYS_ADMIN", "capabilities"),
        ("-c sys_ptrace", "capabilities"),
        ("--cgroup ../../x", "resources"),
        ("--cgroup pids:/x/../../y", "resources"),
    ] {
        let error = place.run(&format!("exec {options} c ls")).unwrap_err();
        assert!(error.contains(control), "{options}: {error}");
    }
    for options in [
        "",
        "--apparmor docker-default",
        "--process-label system_u:system_r:container_t:s0:c1",
        "--cgroup sub",
        "-u 0",
    ] {
        place
            .run(&format!("exec {options} c ls"))
            .unwrap_or_else(|error| panic!("{options}: {error}"));
    }
    // Beside a file the runtimes ignore them: whoever gives them means them.
    fs::write(
        place.dir.path().join("p.json"),
        json!({ "selinuxLabel": "system_u:system_r:container_t:s0" }).to_string(),
    )
    .unwrap();
    place.run("exec --process p.json c").unwrap();
    assert!(
        place
            .run("exec --process p.json --apparmor unconfined c")
            .unwrap_err()
            .contains("apparmor")
    );
}

#[test]
fn no_new_privs_is_checked_where_no_rule_stands_in_for_it() {
    let mut place = running(json!({}));
    place.fake.entry = Some(ContainerEntry { rules: 0, ..entry(Level::Restricted) });
    for (option, passes) in [
        ("", false),
        ("--no-new-privs=false", false),
        ("--no-new-privs", true),
        ("--no-new-privs=1", true),
    ] {
        let outcome = place.run(&format!("exec -u 1000 {option} c ls"));
        assert_eq!(outcome.is_ok(), passes, "{option}: {outcome:?}");
    }
}

#[test]
fn a_process_without_the_containers_label_is_refused() {
    let place = running(json!({}));
    fs::write(place.dir.path().join("p.json"), json!({ "user": { "uid": 1 } }).to_string())
        .unwrap();
    let error = place.run("exec --process p.json c").unwrap_err();
    assert!(error.contains("selinux") && error.contains("but the container has one"), "{error}");
    // Nobody knows of another container whether it has one.
    place.run("exec --process p.json other").unwrap();
}

#[test]
fn a_process_that_joins_a_rootless_container_is_checked_by_its_bundle() {
    if !root() {
        return;
    }
    for (configuration, privilege, broken) in [
        ("rootless = 'admission'", Privilege::User(1000), false),
        ("fail = 'open'", Privilege::Root, true),
    ] {
        let mut place =
            running(json!({ "org.lockc.policy": "restricted" })).configured(configuration);
        (place.privilege, place.fake.broken) = (privilege, broken);
        for (exec, control) in [
            ("exec --cap CAP_CHOWN -u 1 --no-new-privs c ls", "capabilities"),
            ("exec -u 0 --no-new-privs c ls", "run-as-root"),
            ("exec -u 1 c ls", "privilege-escalation"),
        ] {
            let error = place.run(exec).unwrap_err();
            assert!(error.contains(control), "{configuration} {exec}: {error}");
        }
        place.run("exec -u 1 --no-new-privs c ls").unwrap();
        // Of a container that is not there the runtime tells; until then the default holds.
        place.run("exec gone ls").unwrap();
        assert!(
            place.run("exec --cap CAP_SYS_ADMIN gone ls").unwrap_err().contains("capabilities")
        );
    }
}

#[test]
fn criu_obeys_no_annotation_and_writes_nothing_where_others_do() {
    let place = running(json!({}));
    for (options, passes) in [
        ("--image-path /var/lib/x", true),
        ("--image-path=/var/lib/x --work-path /var/lib/y --leave-running", true),
        ("--image-path /srv/data/x", false),
        ("--image-path /var/lib/x --work-path /srv/data", false),
        ("--image-path /srv/data --parent-path ../x", false),
        ("--image-path /var/lib/x --parent-path /srv/data/x", false),
    ] {
        let outcome = place.run(&format!("checkpoint {options} c"));
        assert_eq!(outcome.is_ok(), passes, "{options}: {outcome:?}");
    }
    let place = running(json!({ "org.criu.config": "/home/u/evil.conf" }));
    let error = place.run("checkpoint --image-path /var/lib/x c").unwrap_err();
    assert!(error.contains("org.criu.config") && error.contains("hooks"), "{error}");
    // One that lockc does not know, and one of which nobody asks anything.
    place.run("checkpoint --image-path /x c2").unwrap();
    let mut privileged = running(json!({ "org.criu.config": "/home/u/evil.conf" }));
    privileged.fake.entry = Some(entry(Level::Privileged));
    privileged.run("checkpoint --image-path /srv/data c").unwrap();
}

#[test]
fn new_limits_give_no_device_and_no_share_of_the_caches() {
    let place = running(json!({}));
    let file = place.dir.path().join("r.json");
    let with = |text: Value| {
        fs::write(&file, text.to_string()).unwrap();
        place.run("update --resources r.json c")
    };
    with(json!({ "memory": { "limit": 1 }, "cpu": { "shares": 2 }, "devices": null })).unwrap();
    with(json!({ "devices": [{ "allow": false, "access": "rwm" }] })).unwrap();
    // One that the container has already: somebody admitted it.
    let known = json!({ "allow": true, "type": "b", "major": 8, "minor": 1, "access": "rwm" });
    let path = place.dir.path().join("b/config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config["linux"]["resources"] = json!({ "devices": [known] });
    fs::write(&path, config.to_string()).unwrap();
    with(json!({ "devices": [known] })).unwrap();
    with(json!({ "devices": [known, { "allow": true, "type": "b", "major": 8, "access": "r" }] }))
        .unwrap_err();
    let error = with(json!({ "devices": [{ "allow": true, "access": "rwm" }] })).unwrap_err();
    assert!(error.contains("devices"), "{error}");
    assert!(place.run("update --l3-cache-schema L3:0=f c").unwrap_err().contains("resources"));
    assert!(place.run("update --mem-bw-schema=MB:0=70 c").is_err());
    for options in ["--memory 1000", "--cpu-quota=5 --pids-limit 7", "-r r2.json"] {
        fs::write(place.dir.path().join("r2.json"), "{}").unwrap();
        place.run(&format!("update {options} c")).unwrap();
    }
    assert!(place.run("update --resources none.json c").unwrap_err().contains("none.json"));
}

#[test]
fn crun_mounts_nothing_in_a_container_below_privileged() {
    let mut place = running(json!({}));
    for text in ["mounts add c m.json", "mounts remove c m.json"] {
        assert!(place.run(text).unwrap_err().contains("host-mounts"), "{text}");
    }
    place.run("mounts --help").unwrap();
    place.fake.entry = Some(entry(Level::Privileged));
    place.run("mounts add c m.json").unwrap();
}

#[test]
fn what_starts_nothing_does_not_fail_because_lockc_is_broken() {
    let mut place = running(json!({ "org.criu.config": "/x" }));
    place.fake.broken = true;
    for text in ["checkpoint c", "update --memory 1 c", "mounts add c m.json"] {
        place.run(text).unwrap();
    }
    let place = running(json!({})).configured("defualt = 'baseline'");
    for text in ["checkpoint c", "update --memory 1 c", "mounts add c m.json"] {
        place.run(text).unwrap();
    }
}

#[test]
fn a_policy_that_cannot_be_used_does_not_change_the_runtime_of_what_starts_nothing() {
    if !root() {
        return;
    }
    let text = "runtimes = ['/usr/bin/crun']\ndefault = 'nonesuch'\n";
    let place = Place::new(&spec()).configured(text);
    for text in ["kill c 9", "state c", "delete --force c"] {
        assert_eq!(place.run(text).unwrap().runtime, Path::new("/usr/bin/crun"), "{text}");
    }
    for text in ["create -b b c", "exec c ls"] {
        assert!(place.run(text).unwrap_err().contains("nonesuch"), "{text}");
    }
    // A setting that is wrong by itself: no candidate is taken from such a file.
    let place = Place::new(&spec()).configured("runtimes = ['crun']\n");
    assert_eq!(place.run("state c").unwrap().runtime, Path::new("/usr/bin/runc"));
    assert!(place.run("create -b b c").unwrap_err().contains("runtimes"));
}
