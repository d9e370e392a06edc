//! The program itself, where nothing has to be loaded: what it prints, and how it refuses.

#![allow(clippy::unwrap_used)] // helpers of tests are not seen as tests

use std::{fs, process::Command};

fn wrapper(args: &[&str]) -> (Option<i32>, String, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_lockc-runc-wrapper")).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn help_and_version_are_lockcs_own() {
    let (code, out, _) = wrapper(&["--lockc-help"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("--lockc-policy") && out.contains("daemon.json"));
    let (code, out, _) = wrapper(&["--lockc-version"]);
    assert_eq!(
        (code, out.trim()),
        (Some(0), concat!("lockc-runc-wrapper ", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn a_refusal_is_on_stderr_and_in_the_engines_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.json");
    let log_arg = log.to_str().unwrap();
    for rest in [
        &["create", "--new", "c"][..],
        &["create", "--bundle", "/nonexistent", "c"],
        &["frobnicate"],
    ] {
        let _ = fs::remove_file(&log);
        let (code, out, err) =
            wrapper(&[&["--log", log_arg, "--log-format", "json"], rest].concat());
        assert_eq!((code, out.as_str()), (Some(1), ""), "{rest:?}: {err}");
        assert!(err.starts_with("lockc: "), "{err}");
        let object: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(&log).unwrap()).unwrap();
        assert_eq!(object["level"], "error");
        assert!(err.contains(object["msg"].as_str().unwrap().lines().next().unwrap()), "{object}");
    }
}
