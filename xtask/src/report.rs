//! What ran and how it ended: the summary table and the closing line.

use std::time::Duration;

use serde::Serialize;

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "outcome", content = "detail")]
pub enum Outcome {
    Passed,
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
        self.cases.push(Case { group: group.into(), name: name.into(), outcome, milliseconds: time.as_millis() });
    }

    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    fn count(&self, group: Option<&str>, wanted: impl Fn(&Outcome) -> bool) -> usize {
        let in_group = |case: &&Case| group.is_none_or(|group| case.group == group);
        self.cases.iter().filter(in_group).filter(|case| wanted(&case.outcome)).count()
    }

    pub fn passed(&self) -> usize {
        self.count(None, |outcome| *outcome == Outcome::Passed)
    }

    pub fn failed(&self) -> usize {
        self.count(None, |outcome| matches!(outcome, Outcome::Failed(_)))
    }

    pub fn skipped(&self) -> usize {
        self.count(None, |outcome| matches!(outcome, Outcome::Skipped(_)))
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
            let passed = self.count(Some(group), |outcome| *outcome == Outcome::Passed);
            let failed = self.count(Some(group), |outcome| matches!(outcome, Outcome::Failed(_)));
            let skipped = self.count(Some(group), |outcome| matches!(outcome, Outcome::Skipped(_)));
            println!("{group:<14} {passed:>7} {failed:>7} {skipped:>8}");
        }
        for note in &self.notes {
            println!("note: {note}");
        }
        for case in &self.cases {
            match &case.outcome {
                Outcome::Passed => {}
                Outcome::Failed(why) => println!("FAILED  {} {}: {why}", case.group, case.name),
                Outcome::Skipped(why) => println!("skipped {} {}: {why}", case.group, case.name),
            }
        }
        println!("\n{} passed, {} failed, {} skipped", self.passed(), self.failed(), self.skipped());
    }
}
