//! The answers of `lockc explain` in SARIF 2.1.0 (OASIS), for code scanning in CI.
//!
//! A control, or a check of explain, is a rule; a finding is a result at the line of its container.

use lockc_policy::policy::{Control, RequestError};
use serde::Serialize;

use super::{
    answer::Answer,
    finding::{Check, Finding, Severity},
};

/// The version of the format.
const VERSION: &str = "2.1.0";
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// Where the page is that lists the ids.
const HELP: &str = "docs/troubleshooting.md";

/// A log file.
#[derive(Debug, Serialize)]
pub struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    column_kind: &'static str,
    results: Vec<SarifResult>,
}

#[derive(Debug, Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    semantic_version: &'static str,
    rules: Vec<Rule>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: &'static str,
    name: &'static str,
    short_description: Text,
    help: Text,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifResult {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Text,
    locations: [Location; 1],
}

#[derive(Debug, Serialize)]
struct Text {
    text: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    physical_location: Option<PhysicalLocation>,
    logical_locations: [LogicalLocation; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Debug, Serialize)]
struct ArtifactLocation {
    uri: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation {
    fully_qualified_name: String,
}

/// The log of one run of lockc.
pub fn log(answers: &[Answer]) -> Log {
    let rules = rules();
    let results = answers.iter().flat_map(|answer| {
        answer.findings.iter().filter_map(|finding| result(&rules, answer, finding))
    });
    let results = results.collect();
    let driver = Driver { name: "lockc", semantic_version: env!("CARGO_PKG_VERSION"), rules };
    let run = Run { tool: Tool { driver }, column_kind: "unicodeCodePoints", results };
    Log { schema: SCHEMA, version: VERSION, runs: [run] }
}

/// Every rule, found or not: who reads the log sees what was checked.
fn rules() -> Vec<Rule> {
    let rule = |id, name, about: &str| Rule {
        id,
        name,
        short_description: Text { text: about.to_owned() },
        help: Text { text: format!("{HELP} of lockc lists causes and remedies by the id {id}.") },
    };
    let controls = Control::ALL.map(|control| rule(control.id(), control.name(), control.checks()));
    let checks = Check::ALL.map(|check| rule(check.id(), check.name(), check.about()));
    let requests = RequestError::IDS.map(|id| rule(id, "policy", "the policy that is asked for"));
    controls.into_iter().chain(requests).chain(checks).collect()
}

fn result(rules: &[Rule], answer: &Answer, finding: &Finding) -> Option<SarifResult> {
    let place = answer.place.as_ref().filter(|place| place.file != "-");
    let physical_location = place.map(|place| PhysicalLocation {
        artifact_location: ArtifactLocation { uri: uri(&place.file) },
        region: place.line.map(|start_line| Region { start_line }),
    });
    let subject = answer.subject.clone();
    Some(SarifResult {
        rule_id: finding.id,
        rule_index: rules.iter().position(|rule| rule.id == finding.id)?,
        level: match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        },
        message: Text { text: format!("{subject}: {}", finding.what) },
        locations: [Location {
            physical_location,
            logical_locations: [LogicalLocation { fully_qualified_name: subject }],
        }],
    })
}

/// A relative reference, or a `file` URI, with everything escaped that RFC 3986 does not allow in
/// a path.
fn uri(file: &str) -> String {
    use std::fmt::Write as _;

    let file = file.strip_prefix("./").unwrap_or(file);
    let mut uri = if file.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in file.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
#[path = "sarif_tests.rs"]
mod tests;
