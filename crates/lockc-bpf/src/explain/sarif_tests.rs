//! The log against what SARIF 2.1.0 requires (sections 3.13, 3.14, 3.19, 3.27, 3.28, 3.29, 3.49).

use serde_json::{Value, json};

use super::*;
use crate::{
    explain::answer::Place,
    manifest::{self, Cluster},
};

const MANIFEST: &str = "kind: Pod
metadata: {name: web, annotations: {org.lockc.policy: restricted}}
spec:
  runtimeClassName: lockc
  containers:
  - name: ok
    ports: [{hostPort: 80}]
  - name: root
---
kind: Pod
metadata: {name: above, annotations: {org.lockc.policy: privileged}}
spec: {runtimeClassName: lockc, containers: [{name: c}]}
---
kind: Pod
metadata: {name: forgotten}
spec: {containers: [{name: c}]}
---
nothing
";

fn of_manifest(file: &str) -> Value {
    let mut answers = manifest::explain(MANIFEST, &Cluster::default()).unwrap();
    for answer in &mut answers {
        answer.place = answer.place.take().map(|place| Place { file: file.into(), ..place });
    }
    serde_json::to_value(log(&answers)).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} of {value}"))
}

#[test]
fn the_log_has_what_the_format_requires() {
    let log = of_manifest("k8s/my pod.yaml");
    assert_eq!(text(&log, "version"), "2.1.0");
    assert!(text(&log, "$schema").starts_with("https://"));
    let runs = log["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1);
    let driver = &runs[0]["tool"]["driver"];
    assert_eq!(text(driver, "name"), "lockc");
    let rules = driver["rules"].as_array().unwrap();
    let mut ids: Vec<&str> = rules.iter().map(|rule| text(rule, "id")).collect();
    for rule in rules {
        assert!(!text(&rule["shortDescription"], "text").is_empty());
    }
    let results = runs[0]["results"].as_array().unwrap();
    assert!(results.len() >= 6, "{results:#?}");
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(ids[index], text(result, "ruleId"));
        assert!(["none", "note", "warning", "error"].contains(&text(result, "level")));
        assert!(!text(&result["message"], "text").is_empty());
        let locations = result["locations"].as_array().unwrap();
        assert_eq!(locations.len(), 1);
        let place = &locations[0]["physicalLocation"];
        // A URI reference: RFC 3986 has no blanks.
        assert_eq!(text(&place["artifactLocation"], "uri"), "k8s/my%20pod.yaml");
        assert!(place["region"]["startLine"].as_u64().unwrap() >= 1);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), rules.len(), "ids are unique");
}

/// As the schema has them: no other property is allowed.
#[test]
fn the_log_has_no_other_properties() {
    fn keys(value: &Value, allowed: &[&str]) {
        for key in value.as_object().unwrap().keys() {
            assert!(allowed.contains(&key.as_str()), "{key}");
        }
    }
    let log = of_manifest("pod.yaml");
    keys(&log, &["$schema", "version", "runs"]);
    let run = &log["runs"][0];
    keys(run, &["tool", "columnKind", "results"]);
    assert!(["utf16CodeUnits", "unicodeCodePoints"].contains(&text(run, "columnKind")));
    keys(&run["tool"], &["driver"]);
    keys(&run["tool"]["driver"], &["name", "semanticVersion", "rules"]);
    for rule in run["tool"]["driver"]["rules"].as_array().unwrap() {
        keys(rule, &["id", "name", "shortDescription", "help"]);
        keys(&rule["shortDescription"], &["text"]);
        keys(&rule["help"], &["text"]);
    }
    for result in run["results"].as_array().unwrap() {
        keys(result, &["ruleId", "ruleIndex", "level", "message", "locations"]);
        keys(&result["message"], &["text"]);
        keys(&result["locations"][0], &["physicalLocation", "logicalLocations"]);
        keys(&result["locations"][0]["physicalLocation"], &["artifactLocation", "region"]);
        keys(&result["locations"][0]["logicalLocations"][0], &["fullyQualifiedName"]);
    }
}

#[test]
fn each_finding_is_a_result_at_its_line() {
    let log = of_manifest("pod.yaml");
    let results = log["runs"][0]["results"].as_array().unwrap();
    let at: Vec<(&str, &str, u64)> = results
        .iter()
        .map(|result| {
            let line = &result["locations"][0]["physicalLocation"]["region"]["startLine"];
            (text(result, "ruleId"), text(result, "level"), line.as_u64().unwrap())
        })
        .collect();
    for expected in [
        ("LOCKC-A009", "error", 6),
        ("LOCKC-W003", "warning", 6),
        ("LOCKC-A009", "error", 8),
        ("LOCKC-P002", "error", 12),
        ("LOCKC-W001", "error", 16),
        ("LOCKC-W009", "error", 18),
    ] {
        assert!(at.contains(&expected), "{expected:?}: {at:?}");
    }
}

/// GitHub rejects a file that it cannot find.
#[test]
fn standard_input_is_no_file() {
    let log = of_manifest("-");
    let location = &log["runs"][0]["results"][0]["locations"][0];
    assert_eq!(location["physicalLocation"], json!(null));
    assert_eq!(
        text(&location["logicalLocations"][0], "fullyQualifiedName"),
        "Pod web, container ok"
    );
}

#[test]
fn files_are_uris() {
    for (file, expected) in [
        ("pod.yaml", "pod.yaml"),
        ("./a/pod.yaml", "a/pod.yaml"),
        ("/run/b/config.json", "file:///run/b/config.json"),
        ("a b%c#ä.yaml", "a%20b%25c%23%C3%A4.yaml"),
    ] {
        assert_eq!(uri(file), expected);
    }
}
