//! What is read, what is passed over, and what is refused because runtimes would read it
//! differently.

use std::path::Path;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Spec, String> {
    Spec::parse(text.as_bytes(), Path::new("config.json")).map_err(|error| error.to_string())
}

#[test]
fn unknown_fields_and_nulls_are_passed_over() {
    let spec = parse(
        r#"{"ociVersion":"9.9.9","new":{"a":[1]},"mounts":null,"annotations":null,"linux":null,
            "root":{"path":"r","x":1},
            "process":{"user":{"uid":7,"gid":1},"capabilities":null}}"#,
    )
    .unwrap();
    assert_eq!(spec.root.unwrap().path, Path::new("r"));
    assert_eq!(spec.process.unwrap().user.uid, 7);
    assert!(spec.mounts.is_empty() && spec.linux == Linux::default());
}

#[test]
fn broken_json_names_file_and_line() {
    let error = parse("{\n\"mounts\": [\n").unwrap_err();
    assert!(error.contains("config.json") && error.contains("line"), "{error}");
    assert!(parse(r#"{"mounts":[{"destination":5}]}"#).is_err());
    assert!(parse("").is_err());
}

#[test]
fn keys_that_runtimes_would_read_differently_are_refused() {
    assert!(parse(r#"{"mounts":[],"mounts":[{"destination":"/a"}]}"#).is_err(), "twice");
    for text in [
        r#"{"Mounts":[]}"#,
        r#"{"linux":{"nameSpaces":[]}}"#,
        r#"{"mounts":[{"destination":"/a","Source":"/"}]}"#,
        "{\"proce\u{17f}s\":{}}",
    ] {
        assert!(parse(text).unwrap_err().contains("differs from"), "{text}");
    }
    assert!(parse(r#"{"annotations":{"Type":"x","PATH":"y"}}"#).is_ok(), "keys that are data");
}

#[test]
fn binds_are_recognised_by_type_and_by_option() {
    let mount = |kind: &str, option: &str| Mount {
        kind: kind.into(),
        options: vec![option.into()],
        ..Mount::default()
    };
    assert!(mount("bind", "ro").is_bind());
    assert!(mount("tmpfs", "rbind").is_bind());
    assert!(mount("", "bind").is_bind());
    assert!(!mount("tmpfs", "ro").is_bind());
}

proptest! {
    #[test]
    fn arbitrary_input_never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Spec::parse(&text, Path::new("x"));
    }
}

#[test]
fn what_one_runtime_reads_otherwise_than_another_is_refused() {
    for (text, reason) in [
        (r#"{"annotations":{"a":"1","a":"2"}}"#, "duplicate key"),
        (r#"{"linux":{"sysctl":{"a":"1","a":"2"}}}"#, "duplicate key"),
        (r#"{"annotations":{"a\u0000b":"1"}}"#, "NUL byte"),
        (r#"{"linux":{"namespaces":[{"type":"mount\u0000"}]}}"#, "NUL byte"),
        (r#"{"new":["x\u0000"]}"#, "NUL byte"),
        (r#"{"Hooks":{}}"#, "differs from"),
        (r#"{"process":{"user":{"uid":-1}}}"#, "line 1"),
        (r#"{"process":{"user":{"uid":4294967296}}}"#, "line 1"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
    assert!(parse(r#"{"annotations":{"a":"1","A":"2"}}"#).is_ok());
}

#[test]
fn deep_nesting_and_bytes_that_are_no_text_are_clear_errors() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(parse(&format!(r#"{{"new":{deep}}}"#)).unwrap_err().contains("recursion limit"));
    let error = Spec::parse(b"{\"annotations\":{\"a\":\"\xff\"}}", Path::new("config.json"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("config.json") && error.contains("unicode"), "{error}");
}
