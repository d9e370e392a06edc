//! The calls that real engines were recorded to make.

use super::*;

/// The recorded calls of an engine, one a line, each argument in brackets.
fn recorded(text: &str) -> impl Iterator<Item = Vec<OsString>> {
    text.lines().map(|line| {
        line.trim_start_matches('[')
            .trim_end_matches(']')
            .split("] [")
            .map(OsString::from)
            .collect()
    })
}

#[test]
fn every_recorded_call_is_recognised() {
    let logs = [
        include_str!("../tests/fixtures/docker-26/argv.log"),
        include_str!("../tests/fixtures/docker-28/argv.log"),
        include_str!("../tests/fixtures/containerd-1.7-cri/argv.log"),
        include_str!("../tests/fixtures/containerd-2.1-cri/argv.log"),
        include_str!("../tests/fixtures/podman-5.4/argv.log"),
        include_str!("../tests/fixtures/podman-5.8/argv.log"),
    ];
    for log in logs {
        let mut starts = 0;
        for args in recorded(log) {
            let (invocation, result) = parse(&args);
            assert_eq!(result, Ok(()), "{args:?}");
            assert_eq!(invocation.passed, args, "nothing of lockc's own");
            let named = |name: &str| args.iter().any(|arg| arg == name);
            let last = args.last().and_then(|arg| arg.to_str()).unwrap();
            match &invocation.call {
                Call::Create(start) => {
                    assert!(named("create") && start.bundle.is_some(), "{args:?}");
                    assert_eq!(start.id, last);
                    starts += 1;
                }
                Call::Exec(exec) => {
                    assert!(named("exec") && exec.process.is_some(), "{args:?}");
                    assert_eq!(exec.id, last);
                }
                Call::Delete(id) => {
                    assert_eq!((named("delete"), id.as_deref()), (true, Some(last)))
                }
                Call::Start(id) => assert_eq!((named("start"), id.as_deref()), (true, Some(last))),
                Call::Other => {
                    assert!(!named("create") && !named("exec") && !named("delete"), "{args:?}")
                }
                Call::Update(update) => {
                    assert_eq!((named("update"), update.id.as_str()), (true, last))
                }
                Call::Help | Call::Version | Call::Checkpoint(_) | Call::Mounts(_) => {
                    panic!("{args:?}")
                }
            }
            assert_eq!(invocation.log.is_some(), named("--log"));
            assert_eq!(invocation.root.is_some(), named("--root"));
        }
        assert!(starts > 0);
    }
}

/// cri-o, internal/oci/runtime_oci.go, and conmon, src/runtime_args.c.
#[test]
fn cri_o_calls_by_conmon_and_by_itself() {
    let bundle = "/run/containers/storage/overlay-containers/c1/userdata";
    for conmon in ["", "--systemd-cgroup "] {
        for more in ["", "--no-pivot ", "--console-socket /run/s "] {
            let text = format!(
                "{conmon}--root=/run/runc create --bundle {bundle} --pid-file {bundle}/pidfile \
                 {more}c1"
            );
            let start = started(&text);
            assert_eq!(
                (start.id.as_str(), start.bundle.as_deref()),
                ("c1", Some(Path::new(bundle))),
                "{text}"
            );
            assert_eq!(ok(&text).root.as_deref(), Some(Path::new("/run/runc")));
        }
    }
    let restored = format!(
        "--root=/run/runc restore --bundle {bundle} --pid-file p --detach --image-path /i \
         --work-path {bundle} --lsm-profile=selinux:a:b:c:d --lsm-mount-context=x \
         --tcp-established c1"
    );
    assert!(started(&restored).restore);
    for text in [
        "--root=/run/runc exec --pid-file /tmp/pidfile1 --process /tmp/exec-process-1 --detach c1",
        "--root=/run/runc exec --pid-file p --process /tmp/exec-process-1 --detach \
         --console-socket /run/s c1",
        "--root /run/runc exec --process /tmp/exec-process-1 c1",
    ] {
        let Call::Exec(exec) = ok(text).call else { panic!("{text}") };
        assert_eq!(
            (exec.id.as_str(), exec.process.as_deref()),
            ("c1", Some(Path::new("/tmp/exec-process-1")))
        );
    }
    assert_eq!(ok("--root /run/runc delete --force c1").call, Call::Delete(Some("c1".into())));
    for text in ["state c1", "kill c1 TERM", "pause c1", "resume c1", "kill --all c1 KILL"] {
        assert_eq!(ok(&format!("--root /run/runc {text}")).call, Call::Other, "{text}");
    }
    let update = Update { resources: Some("-".into()), intel_rdt: false, id: "c1".into() };
    assert_eq!(ok("--root /run/runc update --resources - c1").call, Call::Update(update));
    assert_eq!(ok("--root /run/runc start c1").call, Call::Start(Some("c1".into())));
    assert_eq!(ok("features").call, Call::Other);
}
