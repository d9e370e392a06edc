//! The text of a snapshot; and that alerts, dashboard and page name metrics that exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use lockc_core::rules::Rule;
use lockc_policy::{policy::Control, refused::RefusalCount};

use super::*;
use crate::containers::Cause;

fn full() -> Snapshot {
    Snapshot {
        is_enforcing: true,
        version: "0.2.0".into(),
        loaded_version: Some("0.1.0".into()),
        abi: Some(12),
        attached: 59,
        missing: 1,
        containers: Containers {
            confined: BTreeMap::from([
                (("we\"b\n".into(), "baseline", "enforce"), 3),
                (("restricted".into(), "restricted", "audit"), 1),
            ]),
            unconfined: Some(BTreeMap::from([(Cause::Rootless, 2)])),
            quarantined: 1,
            registered: 5,
            places: 16384,
        },
        denials: vec![(Rule::Sysfs, 7, 1)],
        replaced: 3,
        lost: 4,
        refusals: vec![
            RefusalCount {
                id: "LOCKC-A007".into(),
                control: Some(Control::Devices),
                is_audited: false,
                count: 9,
            },
            RefusalCount { id: "LOCKC-E001".into(), control: None, is_audited: false, count: 1 },
        ],
        errors: vec![("file_open".into(), 2)],
        costs: vec![programs::Counter {
            name: "file_open",
            guards: "files",
            calls: 10,
            time: Duration::from_micros(1500),
            memory: 8192,
        }],
        labels_age: Some(12.5),
    }
}

#[test]
fn every_figure_is_in_the_text() {
    let text = encode(&full()).unwrap();
    for line in [
        "lockc_enforcing 1",
        "lockc_build_info{version=\"0.2.0\",loaded_version=\"0.1.0\",abi=\"12\"} 1",
        "lockc_programs_missing 1",
        "lockc_containers{policy=\"we\\\"b\\n\",level=\"baseline\",mode=\"enforce\"} 3",
        "lockc_unconfined_containers{cause=\"rootless\"} 2",
        "lockc_registered_containers 5",
        "lockc_denials_total{rule=\"sysfs\",mode=\"enforce\"} 7",
        "lockc_denials_total{rule=\"sysfs\",mode=\"audit\"} 1",
        "lockc_unrecorded_denials_total{reason=\"no-room\"} 4",
        "lockc_refusals_total{control=\"devices\",id=\"LOCKC-A007\",mode=\"enforce\"} 9",
        "lockc_refusals_total{control=\"\",id=\"LOCKC-E001\",mode=\"enforce\"} 1",
        "lockc_internal_errors_total{hook=\"file_open\"} 2",
        "lockc_program_runs_total{program=\"file_open\"} 10",
        "lockc_program_run_time_seconds_total{program=\"file_open\"} 0.0015",
        "lockc_program_memory_bytes{program=\"file_open\"} 8192",
        "lockc_namespace_labels_age_seconds 12.5",
        "# EOF",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
    // node_exporter's parser knows these types and no others.
    for line in text.lines().filter(|line| line.starts_with("# TYPE")) {
        assert!(line.ends_with(" gauge") || line.ends_with(" counter"), "{line}");
    }
}

#[test]
fn a_host_without_programs_says_so() {
    let text = encode(&Snapshot { missing: 60, ..Snapshot::default() }).unwrap();
    assert!(
        text.contains("\nlockc_enforcing 0\n") && text.contains("\nlockc_programs_missing 60\n")
    );
    // What cannot be seen is not 0.
    assert!(!text.contains("\nlockc_unconfined_containers"), "{text}");
    assert!(!text.contains("lockc_program_runs"), "{text}");
}

/// Names of metrics in a text, without what a counter's samples end with.
fn names(text: &str) -> BTreeSet<&str> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    text.match_indices("lockc_")
        .filter(|(at, _)| !text[..*at].ends_with(is_part))
        .map(|(at, _)| text[at..].split(|character| !is_part(character)).next().unwrap())
        .map(|name| name.strip_suffix("_total").unwrap_or(name))
        .collect()
}

#[test]
fn alerts_and_dashboard_use_metrics_that_exist() {
    let text = encode(&full()).unwrap();
    let known = names(&text);
    for (file, text) in [
        ("rules", include_str!("../../../../packaging/prometheus/lockc.rules.yml")),
        ("tests", include_str!("../../../../packaging/prometheus/tests/lockc.test.yml")),
        ("dashboard", include_str!("../../../../packaging/grafana/lockc.json")),
    ] {
        let unknown: Vec<_> = names(text).difference(&known).copied().collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
        assert!(names(text).len() > 5, "{file}");
    }
}

#[test]
fn the_page_lists_every_metric() {
    const PAGE: &str = include_str!("../../../../docs/metrics.md");
    let text = encode(&full()).unwrap();
    for line in text.lines() {
        let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|line| line.split_once(' '))
        else {
            continue;
        };
        let has = |line: &str| {
            line.starts_with(&format!("| `{name}")) && line.contains(help.trim_end_matches('.'))
        };
        assert!(PAGE.lines().any(has), "docs/metrics.md: {name}: {help}");
    }
    let listed: BTreeSet<&str> = names(PAGE).into_iter().collect();
    let unknown: Vec<_> = listed.difference(&names(&text)).copied().collect();
    assert!(unknown.is_empty(), "docs/metrics.md: {unknown:?}");
}
