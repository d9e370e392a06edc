//! How much the kernel side enforces decides what admission asks for.

use super::*;

#[test]
fn a_sandbox_is_checked_and_registered_without_kernel_rules() {
    if !root() {
        return;
    }
    let place = Place::new(&spec()).configured("runtimes = ['/nonexistent/runsc']");
    place.run("create -b b c").unwrap();
    let new = place.fake.registered.borrow().clone().unwrap();
    assert_eq!((new.level, new.rules.0, new.sandboxed), (Level::Baseline, 0, true));
    let mut bad = spec();
    bad["linux"]["namespaces"] = json!([{ "type": "mount" }]);
    fs::write(place.dir.path().join("b/config.json"), bad.to_string()).unwrap();
    assert!(place.run("create -b b c").unwrap_err().contains("host-namespaces"));
}

#[test]
fn rootless_engines_are_refused_or_checked_as_configured() {
    for (privilege, who) in
        [(Privilege::User(1000), "uid 1000"), (Privilege::Namespace, "user namespace")]
    {
        let mut place = Place::new(&spec());
        place.privilege = privilege;
        for call in ["create -b b c", "exec c ls"] {
            let error = place.run(call).unwrap_err();
            assert!(
                error.contains(who)
                    && error.contains("--guard-runtimes")
                    && error.contains("rootless"),
                "{error}"
            );
        }
        assert!(place.run("delete c").is_ok() && place.run("state c").is_ok());
        assert!(place.calls().is_empty());
        if root() {
            let mut place = Place::new(&spec()).configured("rootless = 'admission'");
            place.privilege = privilege;
            assert_eq!(place.run("create -b b c").unwrap().registered, None);
            assert!(place.run("exec c ls").is_ok());
            let mut bad = spec();
            bad["process"]["capabilities"]["bounding"] = json!(["CAP_SYS_ADMIN"]);
            fs::write(place.dir.path().join("b/config.json"), bad.to_string()).unwrap();
            assert!(place.run("create -b b c").unwrap_err().contains("SYS_ADMIN"));
            assert!(place.calls().is_empty());
        }
    }
}

/// Where the kernel side enforces nothing, admission asks for what it would rely on.
#[test]
fn admission_relies_on_no_rule_that_is_not_enforced() {
    if !root() {
        return;
    }
    let bundle = |no_new_privileges: bool| {
        let mut spec = spec();
        spec["process"] = json!({ "user": { "uid": 1000 }, "noNewPrivileges": no_new_privileges });
        spec["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ERRNO" });
        spec
    };
    for (configuration, privilege, broken) in [
        ("runtimes = ['/nonexistent/runsc']", Privilege::Root, false),
        ("rootless = 'admission'", Privilege::User(1000), false),
        ("fail = 'open'", Privilege::Root, true),
    ] {
        for no_new_privileges in [false, true] {
            let mut place = Place::new(&bundle(no_new_privileges))
                .configured(&format!("default = 'restricted'\n{configuration}"));
            (place.privilege, place.fake.broken) = (privilege, broken);
            match place.run("create -b b c") {
                Ok(_) => assert!(no_new_privileges, "{configuration}"),
                Err(error) => {
                    assert!(
                        !no_new_privileges && error.contains("privilege-escalation"),
                        "{configuration}: {error}"
                    );
                }
            }
        }
    }
    let place = Place::new(&bundle(false)).configured("default = 'restricted'");
    place.run("create -b b c").unwrap();
    let rules = place.fake.registered.borrow().clone().unwrap().rules;
    assert_eq!(rules, Level::Restricted.rules(), "the kernel rule stands in for no_new_privs");
    // A process that joins is checked by what is enforced for that very container.
    let mut place = Place::new(&bundle(true));
    place.fake.entry = Some(ContainerEntry { rules: 0, ..entry(Level::Restricted) });
    assert!(place.run("exec -u 1 c ls").unwrap_err().contains("privilege-escalation"));
    place.fake.entry = Some(entry(Level::Restricted));
    place.run("exec -u 1 c ls").unwrap();
}

#[test]
fn a_container_with_every_device_gets_every_rule_but_that_of_devices() {
    if !root() {
        return;
    }
    let mut spec = spec();
    spec["linux"]["resources"] = json!({ "devices": [{ "allow": true, "access": "rwm" }] });
    let place = Place::new(&spec).configured(
        "ceiling = 'd'\ndefault = 'd'\n[policies.d]\nextends = 'baseline'\nadmit = ['devices']",
    );
    place.run("create -b b c").unwrap();
    let rules = place.fake.registered.borrow().clone().unwrap().rules;
    assert_eq!(rules, Level::Baseline.rules().without(lockc_core::rules::Rule::Device));
}

#[test]
fn a_runtime_that_chooses_a_handler_is_refused_wherever_it_is_named() {
    if !root() {
        return;
    }
    let place = Place::new(&spec())
        .configured("runtimes = ['/usr/bin/crun-wasm', '/usr/bin/krun', '/usr/bin/crun']");
    for call in [
        "create -b b c",
        "--lockc-runtime /usr/bin/krun create -b b c",
        "--lockc-runtime /usr/bin/krun run -b b c",
    ] {
        let error = place.run(call).unwrap_err();
        assert!(
            error.contains("runtime-handlers") && error.contains("by its name"),
            "{call}: {error}"
        );
    }
    place.run("--lockc-runtime /usr/bin/crun create -b b c").unwrap();
    place.run("--lockc-policy privileged create -b b c").unwrap();
}
