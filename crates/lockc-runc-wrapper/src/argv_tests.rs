//! Command lines of real engines and made-up ones.

use std::{os::unix::ffi::OsStringExt as _, path::Path};

use proptest::prelude::*;

use super::*;

#[path = "argv_property_tests.rs"]
mod properties;
#[path = "argv_recorded_tests.rs"]
mod recorded;

fn os(args: &[&str]) -> Vec<OsString> {
    args.iter().map(OsString::from).collect()
}

fn line(text: &str) -> Vec<OsString> {
    text.split_whitespace().map(OsString::from).collect()
}

fn ok(text: &str) -> Invocation {
    let (invocation, result) = parse(&line(text));
    assert_eq!(result, Ok(()), "{text}");
    invocation
}

fn started(text: &str) -> Create {
    match ok(text).call {
        Call::Create(start) => start,
        other => panic!("{text}: {other:?}"),
    }
}

fn unclear(text: &str) -> String {
    let (_, result) = parse(&line(text));
    result.expect_err(text).0
}

#[test]
fn every_spelling_of_the_bundle_is_read() {
    for spelling in [
        "--bundle /b",
        "--bundle=/b",
        "-bundle /b",
        "-bundle=/b",
        "-b /b",
        "-b=/b",
        "-b/b",
        "--b /b",
        "--b=/b",
    ] {
        for call in ["create", "run", "restore"] {
            for text in [
                format!("{call} {spelling} c"),
                format!("{call} c {spelling}"),
                format!("--root /r {call} {spelling} -- c"),
            ] {
                let start = started(&text);
                assert_eq!(
                    (start.bundle.as_deref(), start.id.as_str()),
                    (Some("/b".as_ref()), "c"),
                    "{text}"
                );
                assert_eq!(start.restore, call == "restore");
            }
        }
    }
    assert_eq!(
        started("create --bundle /a --bundle=/b c").bundle.unwrap(),
        PathBuf::from("/b"),
        "the last one holds"
    );
    assert_eq!(started("create c").bundle, None);
    assert_eq!(started("run -f other.json -b /b c").config.unwrap(), PathBuf::from("other.json"));
}

#[test]
fn global_options_of_every_runtime_are_read() {
    let invocation = ok("--debug --root=/r --log /l --log-format json --systemd-cgroup \
                         --rootless=auto --criu x create c");
    assert_eq!(
        (invocation.root.unwrap(), invocation.log.unwrap()),
        (PathBuf::from("/r"), "/l".into())
    );
    assert_eq!(invocation.log_format.unwrap(), "json");
    let invocation =
        ok("--cgroup-manager systemd --log=file:/l --log-level debug -r /r -s create c");
    assert_eq!(invocation.root.unwrap(), PathBuf::from("/r"));
    assert!(matches!(invocation.call, Call::Create(_)));
    // The value of an option is no subcommand.
    assert_eq!(started("--root create --log run create delete").id, "delete");
    assert_eq!(started("-root create -- create -- run").id, "run");
    assert_eq!(started("--new-in-2027=x --debug=true create c").id, "c");
}

#[test]
fn options_that_stand_for_several_are_read() {
    let Call::Exec(exec) = ok("exec -dtu 0:0 -c CAP_SYS_ADMIN --cap=CAP_CHOWN c sh -c ls").call
    else {
        panic!()
    };
    assert_eq!((exec.user.as_deref(), exec.caps.len(), exec.id.as_str()), (Some("0:0"), 2, "c"));
    let Call::Exec(exec) = ok("exec -tp /p c").call else { panic!() };
    assert_eq!(exec.process.unwrap(), PathBuf::from("/p"));
    assert_eq!(started("run -db /b c").bundle.unwrap(), PathBuf::from("/b"));
}

#[test]
fn ids_that_look_like_something_else_are_ids() {
    for id in ["create", "exec", "delete", "run", "a.b", "-"] {
        assert_eq!(started(&format!("create {id}")).id, id);
    }
    assert_eq!(started("create -- --bundle").id, "--bundle");
    assert_eq!(ok("delete --force delete").call, Call::Delete(Some("delete".into())));
    assert_eq!(ok("kill run 9").call, Call::Other);
    assert_eq!(ok("state create").call, Call::Other);
    let Call::Exec(exec) = ok("exec c --process /p").call else { panic!() };
    assert_eq!((exec.id.as_str(), exec.process), ("c", None), "what follows the id is the command");
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for text in [
        "--new create c",
        "--new x create c",
        "create --new c",
        "run --new x c",
        "exec --new c ls",
        "restore --new c",
        "create -x c",
        "create a b",
        "create",
        "create --bundle",
        "exec",
        "create c --help",
        "create --help=false c",
        "--help=false create c",
        "--version=0 run c",
        "frobnicate c",
        "--new frobnicate c",
        "--bund=/b create c --bund /b",
    ] {
        let error = unclear(text);
        assert!(error.len() > 20, "{text}: {error}");
    }
    for text in ["--new state c", "--new delete c", "--new"] {
        assert_eq!(ok(text).call, Call::Other, "{text}: nothing that starts can follow");
    }
}

#[test]
fn what_acts_on_files_is_read_whatever_the_spelling() {
    let update = |resources: Option<&str>, intel_rdt| {
        Call::Update(Update { resources: resources.map(PathBuf::from), intel_rdt, id: "c".into() })
    };
    for (text, call) in [
        ("update -r f c", update(Some("f"), false)),
        ("update c --resources=f", update(Some("f"), false)),
        ("update -memory 5 --cpu-share=3 c", update(None, false)),
        ("update --l3-cache-schema L3:0=f c", update(None, true)),
        ("mounts add c f", Call::Mounts("c".into())),
        ("mounts --help", Call::Other),
        ("update --help", Call::Other),
        ("checkpoint -h", Call::Other),
    ] {
        assert_eq!(ok(text).call, call, "{text}");
    }
    let Call::Checkpoint(checkpoint) =
        ok("checkpoint -image-path=/i --work-path /w c --parent-path ../p").call
    else {
        panic!()
    };
    assert_eq!(checkpoint.image.as_deref(), Some(Path::new("/i")));
    assert_eq!((checkpoint.work, checkpoint.parent), (Some("/w".into()), Some("../p".into())));
    for text in [
        "update --of-the-next-release f c",
        "checkpoint --x /y c",
        "checkpoint a b",
        "update",
        "--x update c",
    ] {
        unclear(text);
    }
}

#[test]
fn options_of_exec_are_read() {
    let Call::Exec(exec) = ok("exec --apparmor a --process-label=l --no-new-privs=false --cgroup \
                               ../x -u 1 c ls --apparmor b")
    .call
    else {
        panic!()
    };
    assert_eq!((exec.apparmor.as_deref(), exec.label.as_deref()), (Some("a"), Some("l")));
    assert_eq!((exec.no_new_privs, exec.cgroup.as_deref()), (Some(false), Some("../x")));
    for (text, on) in
        [("--no-new-privs", true), ("-no-new-privs=T", true), ("--no-new-privs=0", false)]
    {
        let Call::Exec(exec) = ok(&format!("exec {text} c ls")).call else { panic!("{text}") };
        assert_eq!(exec.no_new_privs, Some(on), "{text}");
    }
}

#[test]
fn runscs_own_spellings_are_read_and_what_is_not_known_is_refused() {
    for globals in [
        "-root /r -log /l -log-format json -debug -debug-log /d/ -platform systrap -network=none",
        "--root=/r --log=/l --log-format=json --platform=ptrace --network none --ignore-cgroups \
         --host-uds=none",
    ] {
        let invocation = ok(&format!("{globals} create -bundle /b -pid-file /p -user-log /u c1"));
        assert_eq!(invocation.root.as_deref(), Some(Path::new("/r")), "{globals}");
        assert_eq!(invocation.log.as_deref(), Some("/l".as_ref()));
        let Call::Create(start) = invocation.call else { panic!("{globals}") };
        assert_eq!((start.id.as_str(), start.bundle.as_deref()), ("c1", Some(Path::new("/b"))));
        let Call::Exec(exec) =
            ok(&format!("{globals} exec -user 1:2 -cap CAP_X -internal-pid-file i c1 ls")).call
        else {
            panic!("{globals}")
        };
        assert_eq!(
            (exec.id.as_str(), exec.user.as_deref(), exec.caps.len()),
            ("c1", Some("1:2"), 1)
        );
        assert_eq!(
            ok(&format!("{globals} delete -force c1")).call,
            Call::Delete(Some("c1".into()))
        );
        assert_eq!(ok(&format!("{globals} kill -all c1 KILL")).call, Call::Other);
    }
    assert!(unclear("--new-flag x create -bundle /b c1").contains("--option=value"));
    for text in ["do ls", "-network=none do ls", "boot c1", "gofer --bundle /b"] {
        assert!(unclear(text).contains("unknown subcommand"), "{text}");
    }
}

#[test]
fn a_delete_is_never_refused() {
    assert_eq!(ok("delete --new c").call, Call::Delete(Some("c".into())));
    assert_eq!(ok("delete -f c").call, Call::Delete(Some("c".into())));
    assert_eq!(ok("delete c --force").call, Call::Delete(Some("c".into())));
    assert_eq!(ok("delete --regex .*").call, Call::Delete(None));
    assert_eq!(ok("delete").call, Call::Delete(None));
}

#[test]
fn what_only_prints_goes_to_the_runtime() {
    for text in [
        "",
        "--help",
        "-h",
        "--version",
        "-v",
        "--root /r --version",
        "--help create c",
        "create --help",
        "run -h c",
        "exec --help",
        "features",
        "--debug features",
        "help create",
        "--root",
    ] {
        assert_eq!(ok(text).call, Call::Other, "{text}");
    }
    assert_eq!(ok("--lockc-help").call, Call::Help);
    assert_eq!(ok("--lockc-version").call, Call::Version);
}

#[test]
fn own_options_are_taken_out_and_nothing_else() {
    for text in [
        "--lockc-policy restricted --root /r create -b /b c",
        "--lockc-policy=restricted --root /r create -b /b c",
        "--root /r --lockc-policy restricted create -b /b c",
    ] {
        let invocation = ok(text);
        assert_eq!(invocation.policy.as_deref(), Some("restricted"));
        assert_eq!(invocation.passed, line("--root /r create -b /b c"), "{text}");
    }
    assert_eq!(ok("--root --lockc-policy create c").policy, None, "the value of --root");
    let Call::Exec(_) = ok("exec c --lockc-policy x").call else { panic!() };
    for text in [
        "--lockc-policy",
        "--lockc-policy= create c",
        "--lockc-nonsense create c",
        "create --lockc-policy x c",
        "--lockc-policy a --lockc-policy b create c",
    ] {
        assert!(!unclear(text).is_empty(), "{text}");
    }
}

#[test]
fn an_error_still_knows_the_log() {
    let (invocation, result) = parse(&line("--log /l --log-format json create --new c"));
    assert!(result.is_err());
    assert_eq!(invocation.log.unwrap(), "/l");
}

#[test]
fn bytes_that_are_no_utf8_are_passed_and_no_ids() {
    let odd = OsString::from_vec(b"/b\xff".to_vec());
    let (invocation, result) =
        parse(&[os(&["create", "--bundle"]), vec![odd.clone()], os(&["c"])].concat());
    assert_eq!(result, Ok(()));
    let Call::Create(start) = invocation.call else { panic!() };
    assert_eq!(start.bundle.unwrap(), PathBuf::from(&odd));
    assert!(parse(&[os(&["create"]), vec![odd]].concat()).1.is_err());
}

/// What stands where the runtime reads a file's name, and where its state root.
#[test]
fn the_places_of_files_and_of_the_state_root_are_known() {
    for (line, file, root) in [
        ("exec --process p.json c", Some("p.json"), None),
        ("exec --process=p.json c", Some("p.json"), None),
        ("exec -tpp.json c", Some("p.json"), None),
        ("exec -p a -p p.json c -p other", Some("p.json"), None),
        ("exec c true --process p.json", None, None),
        ("--root /r exec -p p.json c", Some("p.json"), Some("/r")),
        (
            "--lockc-policy x --root=/r --lockc-runtime=/y exec -p p.json c",
            Some("p.json"),
            Some("/r"),
        ),
        (
            "--log l --lockc-policy x -r /r --lockc-runtime /y run -f p.json c",
            Some("p.json"),
            Some("/r"),
        ),
        ("-r/r create c --config=p.json", Some("p.json"), Some("/r")),
        ("delete c", None, None),
    ] {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let (invocation, result) = parse(&args);
        result.unwrap();
        let at = |at: Option<At>| {
            at.map(|at| invocation.passed[at.index].to_str().unwrap()[at.start..].to_owned())
        };
        assert_eq!(at(invocation.file_at).as_deref(), file, "{line}");
        assert_eq!(at(invocation.root_at).as_deref(), root, "{line}");
    }
}
