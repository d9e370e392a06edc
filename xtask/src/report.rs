//! What ran and how it ended: the summary table and the closing line.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "outcome", content = "detail")]
pub enum Outcome {
    Passed(String),
    Failed(String),
    Skipped(String),
}

/// A case in its group (`checks`, `unit`, or a kernel).
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    group: String,
    name: String,
    #[serde(flatten)]
    outcome: Outcome,
    #[serde(rename = "milliseconds", serialize_with = "milliseconds")]
    time: Duration,
}

fn milliseconds<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u128(time.as_millis())
}

/// Everything that ran.
#[derive(Default)]
pub struct Report {
    pub cases: Vec<Case>,
    /// What was left out on purpose, said in the summary.
    notes: Vec<String>,
}

impl Report {
    pub fn add(&mut self, group: &str, name: &str, outcome: Outcome, time: Duration) {
        self.cases.push(Case { group: group.into(), name: name.into(), outcome, time });
    }

    /// Adds what another runner reports as JUnit, a case for each of its tests.
    pub fn add_junit(&mut self, group: &str, text: &str) -> Result<()> {
        let run = quick_junit::Report::deserialize_from_str(text).context("no JUnit report")?;
        for suite in run.test_suites {
            for case in suite.test_cases {
                let outcome = match &case.status {
                    TestCaseStatus::Success { .. } => Outcome::Passed(String::new()),
                    TestCaseStatus::NonSuccess { message, .. } => {
                        let message =
                            message.as_ref().map_or("its output is above", |m| m.as_str());
                        Outcome::Failed(message.to_owned())
                    }
                    TestCaseStatus::Skipped { message, .. } => {
                        let message = message.as_ref().map_or("ignored", |m| m.as_str());
                        Outcome::Skipped(message.to_owned())
                    }
                };
                let name = format!("{} {}", suite.name.as_str(), case.name.as_str());
                self.add(group, &name, outcome, case.time.unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Writes everything as JUnit: a suite for each group.
    pub fn write_junit(&self, path: &Path) -> Result<()> {
        let mut suites: Vec<TestSuite> = Vec::new();
        for case in &self.cases {
            let mut status = match &case.outcome {
                Outcome::Passed(_) => TestCaseStatus::success(),
                Outcome::Failed(_) => TestCaseStatus::non_success(NonSuccessKind::Failure),
                Outcome::Skipped(_) => TestCaseStatus::skipped(),
            };
            let (Outcome::Passed(detail) | Outcome::Failed(detail) | Outcome::Skipped(detail)) =
                &case.outcome;
            let passed = matches!(case.outcome, Outcome::Passed(_));
            if !passed {
                status.set_message(detail.as_str());
            }
            let mut test = TestCase::new(case.name.as_str(), status);
            test.set_classname(case.group.as_str()).set_time(case.time);
            if passed && !detail.is_empty() {
                test.set_system_out(detail.as_str());
            }
            let at = suites.iter().position(|suite| suite.name.as_str() == case.group);
            let at = at.unwrap_or_else(|| {
                suites.push(TestSuite::new(case.group.as_str()));
                suites.len() - 1
            });
            suites[at].add_test_case(test);
        }
        let mut run = quick_junit::Report::new("lockc");
        run.add_test_suites(suites);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot create {}", parent.display()))?;
        }
        let text = run.to_string().context("cannot format the results")?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    fn count(&self, group: Option<&str>, wanted: impl Fn(&Outcome) -> bool) -> usize {
        let in_group = |case: &&Case| group.is_none_or(|group| case.group == group);
        self.cases.iter().filter(in_group).filter(|case| wanted(&case.outcome)).count()
    }

    pub fn passed(&self) -> usize {
        self.count(None, |outcome| matches!(outcome, Outcome::Passed(_)))
    }

    pub fn failed(&self) -> usize {
        self.count(None, |outcome| matches!(outcome, Outcome::Failed(_)))
    }

    pub fn skipped(&self) -> usize {
        self.count(None, |outcome| matches!(outcome, Outcome::Skipped(_)))
    }

    /// The escape suite's matrix: a technique a row, the way it was run a column; by kernel where
    /// they differ.
    fn print_matrix(&self) {
        let mut rows: BTreeMap<&str, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
        for case in &self.cases {
            if let (Some(name), Outcome::Passed(row)) =
                (case.name.strip_prefix("escape/"), &case.outcome)
            {
                let kernel = case.group.strip_prefix("kernel ").unwrap_or(&case.group);
                rows.entry(name).or_default().entry(row).or_default().push(kernel);
            }
        }
        if rows.is_empty() {
            return;
        }
        println!(
            "\n{:<26} {:<8} {:<11} {:<44} {:<58} offline",
            "escapes", "plain", "privileged", "baseline", "restricted"
        );
        for (name, by_row) in &rows {
            for (row, kernels) in by_row {
                let cell = |n: usize| {
                    row.split(" | ")
                        .nth(n)
                        .and_then(|cell| cell.split_once(": "))
                        .map_or("", |cell| cell.1)
                };
                let name = if by_row.len() > 1 {
                    format!("{name} ({})", kernels.join(", "))
                } else {
                    (*name).to_owned()
                };
                println!(
                    "{name:<26} {:<8} {:<11} {:<44} {:<58} {}",
                    cell(0),
                    cell(1),
                    cell(2),
                    cell(3),
                    cell(4)
                );
            }
        }
    }

    /// The table, what failed and what was skipped, and last the line that CI reads.
    pub fn print(&self) {
        let mut groups: Vec<&str> = Vec::new();
        for case in &self.cases {
            if !groups.contains(&case.group.as_str()) {
                groups.push(&case.group);
            }
        }
        println!("\n{:<14} {:>7} {:>7} {:>8}", "", "passed", "failed", "skipped");
        for group in groups {
            let passed = self.count(Some(group), |outcome| matches!(outcome, Outcome::Passed(_)));
            let failed = self.count(Some(group), |outcome| matches!(outcome, Outcome::Failed(_)));
            let skipped = self.count(Some(group), |outcome| matches!(outcome, Outcome::Skipped(_)));
            println!("{group:<14} {passed:>7} {failed:>7} {skipped:>8}");
        }
        self.print_matrix();
        for note in &self.notes {
            println!("note: {note}");
        }
        for case in &self.cases {
            match &case.outcome {
                Outcome::Passed(_) => {}
                Outcome::Failed(why) => println!("FAILED  {} {}: {why}", case.group, case.name),
                Outcome::Skipped(why) => println!("skipped {} {}: {why}", case.group, case.name),
            }
        }
        println!(
            "\n{} passed, {} failed, {} skipped",
            self.passed(),
            self.failed(),
            self.skipped()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_the_same_after_junit() -> Result<()> {
        let mut report = Report::default();
        let time = Duration::from_millis(1500);
        report.add("kernel 6.12", "a/passed", Outcome::Passed("EPERM \u{1b}[1m<b>".into()), time);
        report.add(
            "kernel 6.12",
            "a/failed",
            Outcome::Failed("NOT \"DENIED\" & more".into()),
            time,
        );
        report.add("kernel 7.2", "a/skipped", Outcome::Skipped("no such call".into()), time);
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("new/junit.xml");
        report.write_junit(&path)?;
        let mut again = Report::default();
        again.add_junit("unit", &fs::read_to_string(path)?)?;
        let found: Vec<_> =
            again.cases.iter().map(|case| (case.name.as_str(), &case.outcome)).collect();
        assert_eq!(
            found,
            [
                ("kernel 6.12 a/passed", &Outcome::Passed(String::new())),
                ("kernel 6.12 a/failed", &Outcome::Failed("NOT \"DENIED\" & more".into())),
                ("kernel 7.2 a/skipped", &Outcome::Skipped("no such call".into())),
            ]
        );
        assert!(again.cases.iter().all(|case| case.time == time));
        Ok(())
    }

    #[test]
    fn what_is_no_junit_is_an_error() {
        for text in ["", "<testsuites", "{}", "<html></html>"] {
            assert!(Report::default().add_junit("unit", text).is_err(), "{text}");
        }
    }
}
