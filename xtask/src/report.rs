//! What ran and how it ended: the summary table and the closing line.

use std::collections::BTreeMap;
use std::time::Duration;

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
    milliseconds: u128,
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
        self.cases.push(Case {
            group: group.into(),
            name: name.into(),
            outcome,
            milliseconds: time.as_millis(),
        });
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
