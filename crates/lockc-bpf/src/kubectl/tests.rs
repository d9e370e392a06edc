//! The plugin with a kubectl that is a script.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use clap::CommandFactory as _;
use serde_json::{Value, json};

use super::{
    client::{Kubectl, Said},
    nodes, *,
};

/// A script in place of kubectl; every command line is kept in `calls`.
fn kubectl(directory: &Path, script: &str) -> Kubectl {
    let program = directory.join("kubectl");
    let calls = directory.join("calls");
    let text = format!("#!/bin/sh\necho \"$*\" >> {}\n{script}\n", calls.display());
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let options = vec!["--context".into(), "test".into()];
    Kubectl { program, options, patience: Duration::from_secs(20) }
}

fn calls(directory: &Path) -> String {
    fs::read_to_string(directory.join("calls")).unwrap_or_default()
}

/// The chart's pod on a node.
fn pod(node: &str, runs: bool) -> Value {
    let state = if runs { json!({ "running": {} }) } else { json!({ "waiting": {} }) };
    json!({ "metadata": { "namespace": "lockc-system", "name": format!("lockc-{node}") },
        "spec": { "nodeName": node },
        "status": { "containerStatuses": [{ "name": "sync", "state": { "running": {} } },
            { "name": "report", "state": state }] } })
}

/// A cluster of the nodes a and b, where b answers this.
fn cluster(directory: &Path, of_b: &str) -> Kubectl {
    let pods = json!({ "items": [pod("b", true), pod("a", true), pod("c", false),
        { "metadata": { "name": "pending" }, "spec": {} }] });
    fs::write(directory.join("pods"), pods.to_string()).unwrap();
    let of_pod = json!({ "items": [{ "spec": { "nodeName": "b" } }] });
    fs::write(directory.join("of_pod"), of_pod.to_string()).unwrap();
    let only_b = json!({ "items": [pod("b", true)] });
    fs::write(directory.join("only_b"), only_b.to_string()).unwrap();
    let container = |name: &str, namespace: Option<&str>| {
        json!({ "id": format!("{name}0123456789abcdef"), "engine": "cri", "name": name,
            "image": "i", "pod": namespace.map(|_| "web"), "namespace": namespace,
            "pod_uid": null, "policy": "baseline", "mode": "enforce", "network": "full",
            "tasks": 1, "denials": 2, "origin": "default" })
    };
    let of_a = json!({ "containers": [container("one", Some("shop")), container("two", None)] });
    fs::write(directory.join("a"), of_a.to_string()).unwrap();
    fs::write(directory.join("list"), r#"{"items": [], "spec": {"nodeName": "b"}}"#).unwrap();
    let script = format!(
        "cd {}\ncase \"$*\" in\n\
         *'config view'*) echo shop;;\n\
         *'get pods -A'*'spec.nodeName=z'*) echo '{{\"items\": []}}';;\n\
         *'get pods -A'*'spec.nodeName=b'*) cat only_b;;\n\
         *'get pods -A'*) cat pods;;\n\
         *'get pods -n '*) cat of_pod;;\n\
         *'get pod '*|*'get namespace '*) cat list;;\n\
         *'exec -n lockc-system lockc-a -c report -- /usr/bin/lockc '*) cat a;;\n\
         *'exec -n lockc-system lockc-b -c report '*) {of_b};;\n\
         *) echo \"unexpected: $*\" >&2; exit 9;;\nesac",
        directory.display()
    );
    kubectl(directory, &script)
}

fn parsed(words: &str) -> Command {
    Cli::try_parse_from(words.split(' ')).unwrap().command
}

fn ran(words: &str, kubectl: &Kubectl) -> Result<ExitCode> {
    match parsed(words) {
        Command::Ps(args) => ps::run(&args, kubectl),
        Command::Events(args) => events::run(&args, kubectl),
        Command::Explain(args) => explain::run(&args, kubectl),
    }
}

#[test]
fn the_name_of_the_program_decides() {
    for (name, is_it) in [
        (Some("kubectl-lockc"), true),
        (Some("/usr/local/bin/kubectl-lockc"), true),
        (Some("lockc"), false),
        (Some("/kubectl-lockc/lockc"), false),
        (None, false),
    ] {
        assert_eq!(is_plugin(name.map(OsStr::new)), is_it, "{name:?}");
    }
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
    let help = Cli::command().render_long_help().to_string();
    assert!(help.contains("Usage: kubectl lockc"), "{help}");
    for wrong in ["x explain", "x explain web -f y", "x ps -A -n shop", "x events --rule none"] {
        assert!(Cli::try_parse_from(wrong.split(' ')).is_err(), "{wrong}");
    }
    lockc_pages::check_commands::<Cli>("kubectl lockc");
}

#[test]
fn each_node_is_found_once() {
    let directory = tempfile::tempdir().unwrap();
    let kubectl = cluster(directory.path(), "exit 1");
    let nodes = nodes::all(&kubectl, None).unwrap();
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(calls(directory.path()).contains("--context test get pods -A -l app.kubernetes.io/"));
    let none = nodes::all(&kubectl, Some("z")).unwrap_err().to_string();
    assert!(none.contains("the node z has no pod"), "{none}");
}

#[test]
fn a_node_that_fails_does_not_hide_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let kubectl = cluster(directory.path(), "echo 'lockc: not loaded' >&2; exit 1");
    let nodes = nodes::all(&kubectl, None).unwrap();
    let answers = nodes::ask(&kubectl, &nodes, &["ps", "-o", "json"]).unwrap();
    assert_eq!(answers.answered.len(), 1);
    assert_eq!(answers.code(), ExitCode::from(4));
    assert_eq!(ran("x ps -A", &kubectl).unwrap(), ExitCode::from(4));
    let only_b = nodes::ask(&kubectl, &nodes[1..2], &["ps"]).unwrap_err().to_string();
    assert!(only_b.contains("no node answered"), "{only_b}");
}

#[test]
fn what_the_nodes_say_is_merged() {
    let directory = tempfile::tempdir().unwrap();
    let kubectl = cluster(directory.path(), r#"echo '{"containers": []}'"#);
    let nodes = nodes::all(&kubectl, None).unwrap();
    let answers = nodes::ask(&kubectl, &nodes[..2], &["ps", "-o", "json"]).unwrap();
    assert_eq!(answers.code(), ExitCode::SUCCESS);
    for (namespace, count) in [(None, 2), (Some("shop"), 1), (Some("other"), 0)] {
        let found = ps::containers(answers.json().unwrap(), namespace);
        assert_eq!(found.len(), count, "{namespace:?}");
        assert!(found.iter().all(|it| it["node"] == "a"));
        for wide in [false, true] {
            ps::table(&found, wide).unwrap();
        }
    }
    let old = nodes::Answers::of("a", "no JSON");
    let error = old.json().unwrap_err().to_string();
    assert!(error.contains("the node a") && error.contains("of this release"), "{error}");
}

#[test]
fn events_of_a_pod_are_asked_of_its_node() {
    let directory = tempfile::tempdir().unwrap();
    let denial = json!({ "last": "2026-11-28T01:00:00Z", "first": "2026-11-28T01:00:00Z",
        "count": 3, "container": "abc", "name": "main", "pod": "web", "namespace": "shop",
        "engine": "cri", "image": null, "pod_uid": "u", "rule": "sysfs", "comm": "ls",
        "mode": "enforce", "detail": "/fs/ext4", "policy": "baseline", "remedy": "r" });
    fs::write(directory.path().join("denials"), format!("{denial}\n{denial}\n")).unwrap();
    let kubectl = cluster(directory.path(), "cat denials");
    ran("x events web -o wide --since 2026-11-28T00:00:00Z --rule sysfs", &kubectl).unwrap();
    let calls = calls(directory.path());
    assert!(calls.contains("--field-selector spec.nodeName=b"), "{calls}");
    let asked = "/usr/bin/lockc events -o json --namespace=shop --container=web \
                 --since=2026-11-28T00:00:00Z --rule=sysfs";
    assert!(calls.contains(asked), "{calls}");
}

#[test]
fn a_pod_is_explained_on_its_node() {
    let directory = tempfile::tempdir().unwrap();
    for (script, code) in [
        ("cat > asked; echo starts", Ok(ExitCode::SUCCESS)),
        ("cat > asked; echo refused; exit 3", Ok(ExitCode::from(3))),
        ("echo broken >&2; exit 1", Err("broken")),
    ] {
        let kubectl = cluster(directory.path(), script);
        let result = ran("x explain web -n other --level restricted", &kubectl);
        match (result, code) {
            (Ok(found), Ok(code)) => assert_eq!(found, code),
            (Err(error), Err(says)) => assert!(format!("{error:#}").contains(says), "{error:#}"),
            (found, _) => panic!("{found:?}"),
        }
    }
    let asked: Value =
        serde_json::from_str(&fs::read_to_string(directory.path().join("asked")).unwrap()).unwrap();
    assert_eq!(asked["items"].as_array().unwrap().len(), 2, "its namespace and itself");
    let calls = calls(directory.path());
    assert!(calls.contains("get pod web -n other"), "{calls}");
    assert!(calls.contains("-i -- /usr/bin/lockc explain --manifest - --level=restricted"));
}

#[test]
fn a_manifest_is_explained_here() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pod.yaml");
    fs::write(&file, "kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c}]}\n").unwrap();
    let kubectl = kubectl(directory.path(), "exit 9");
    let words = format!("x explain -f {} --default-runtime runc", file.display());
    assert_eq!(ran(&words, &kubectl).unwrap(), ExitCode::from(3), "not confined");
    assert_eq!(calls(directory.path()), "", "no cluster is asked");
}

#[test]
fn a_kubectl_that_does_not_end_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let slow = Kubectl {
        patience: Duration::from_millis(200),
        ..kubectl(directory.path(), "exec sleep 1000")
    };
    let error = slow.run(&["version"], "").unwrap_err().to_string();
    assert!(error.contains("did not end"), "{error}");
    let none = Kubectl { program: "/none/kubectl".into(), ..slow };
    let error = format!("{:#}", none.run(&[], "").unwrap_err());
    assert!(error.contains("install kubectl"), "{error}");
    let said = Said { err: "one\nwhy\n\n".into(), ..Said::default() };
    assert_eq!((said.why(), Said::default().why()), ("why", "kubectl failed"));
}

#[test]
fn the_namespace_is_the_contexts_unless_it_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let with = kubectl(directory.path(), "echo team-a");
    assert_eq!(with.namespace(None).unwrap(), "team-a");
    assert_eq!(with.namespace(Some("x")).unwrap(), "x");
    let without = kubectl(directory.path(), "exit 1");
    assert_eq!(without.namespace(None).unwrap(), "default");
}
