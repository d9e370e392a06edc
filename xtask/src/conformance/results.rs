//! What the tests of a suite said, and where two runs of it differ.

use std::collections::BTreeMap;

/// A test: its file, its name, and which one of that name in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Test {
    pub file: String,
    pub name: String,
    number: u32,
}

impl Test {
    /// All tests of a file.
    pub fn all_of(file: &str) -> Self {
        Self { file: file.to_owned(), name: String::new(), number: 1 }
    }

    /// Whether it is one of these, or its whole file is.
    pub fn is_among(&self, tests: &[Self]) -> bool {
        tests.iter().any(|test| test == self || *test == Self::all_of(&self.file))
    }
}

impl std::fmt::Display for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}: ", self.file)?;
        }
        f.write_str(&self.name)?;
        if self.number > 1 { write!(f, " ({})", self.number) } else { Ok(()) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    /// The suite says that this machine lacks what the test needs.
    LeftOut,
    DidNotRun,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::LeftOut => "left out",
            Self::DidNotRun => "did not run",
        })
    }
}

/// A test whose outcomes are not the same.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    pub test: Test,
    pub bare: Outcome,
    pub wrapped: Outcome,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { test, bare, wrapped } = self;
        write!(f, "{test}: {bare} with the bare runtime, {wrapped} through the wrapper")
    }
}

/// The outcomes of one run.
#[derive(Debug, Default)]
pub struct Results {
    outcomes: BTreeMap<Test, Outcome>,
    /// How many tests each file announced.
    plans: BTreeMap<String, usize>,
    file: String,
    /// Whether the machine ended before the suite did: files that are named nowhere may not have
    /// run.
    pub cut_short: bool,
}

impl Results {
    /// A line of TAP: `1..5`, `ok 3 name`, `not ok 4 name`, `ok 5 name # skip reason`. A line `#
    /// file F` stands before those of each file. youki's tests write `1 / 2 : name : ok`.
    pub fn read(&mut self, line: &str) {
        let line = line.trim();
        if let Some(file) = line.strip_prefix("# file ") {
            file.clone_into(&mut self.file);
            return;
        }
        if let Some(count) = line.strip_prefix("1..").and_then(|count| count.parse().ok()) {
            self.plans.insert(self.file.clone(), count);
            return;
        }
        let (passed, rest) = match (line.strip_prefix("ok "), line.strip_prefix("not ok ")) {
            (Some(rest), _) => (Outcome::Passed, rest),
            (_, Some(rest)) => (Outcome::Failed, rest),
            _ => return self.read_youkis(line),
        };
        let Some((number, name)) = rest.split_once(' ') else { return };
        if number.parse::<u32>().is_err() {
            return;
        }
        let name = name.trim_start_matches("- ");
        // A name may have a hash in it ("#3715"); only what TAP calls a directive ends it.
        let directive = name.match_indices(" #").find_map(|(at, _)| {
            let words = name[at + 2..].trim_start().to_ascii_lowercase();
            ["skip", "todo", "in "]
                .into_iter()
                .find(|word| words.starts_with(word))
                .map(|word| (at, word))
        });
        match directive {
            Some((at, "skip")) => self.add(&name[..at], Outcome::LeftOut),
            // bats: "# in 300 ms", "# timeout after 300 s"
            Some((at, _)) => self.add(&name[..at], passed),
            None => self.add(name, passed),
        }
    }

    fn read_youkis(&mut self, line: &str) {
        let parts: Vec<&str> = line.split(" : ").collect();
        let [number, name, result] = parts.as_slice() else { return };
        let is_number = number
            .split_once(" / ")
            .is_some_and(|(at, of)| at.parse::<u32>().is_ok() && of.parse::<u32>().is_ok());
        match *result {
            "ok" if is_number => self.add(name, Outcome::Passed),
            "skipped" if is_number => self.add(name, Outcome::LeftOut),
            result if is_number && result.starts_with("not ok") => self.add(name, Outcome::Failed),
            _ => {}
        }
    }

    fn add(&mut self, name: &str, outcome: Outcome) {
        let mut test =
            Test { file: self.file.clone(), name: name.trim_end().to_owned(), number: 1 };
        while self.outcomes.contains_key(&test) {
            test.number += 1;
        }
        self.outcomes.insert(test, outcome);
    }

    pub fn len(&self) -> usize {
        self.outcomes.len()
    }

    pub fn count(&self, outcome: Outcome) -> usize {
        self.outcomes.values().filter(|other| **other == outcome).count()
    }

    /// Tests that failed or were left out, and the files of which not every test ran.
    pub fn not_passed(&self) -> Vec<Test> {
        let unfinished = self.unfinished();
        let tests = self.outcomes.iter().filter(|(_, outcome)| **outcome != Outcome::Passed);
        let tests = tests.map(|(test, _)| test).filter(|test| !test.is_among(&unfinished)).cloned();
        let mut tests: Vec<Test> = tests.chain(unfinished.iter().cloned()).collect();
        tests.sort();
        tests
    }

    /// In a line, how the file that was read last went.
    pub fn last_file(&self) -> Option<String> {
        let outcomes: Vec<Outcome> = self
            .outcomes
            .iter()
            .filter(|(test, _)| test.file == self.file)
            .map(|(_, outcome)| *outcome)
            .collect();
        let count = |outcome| outcomes.iter().filter(|other| **other == outcome).count();
        (!self.file.is_empty()).then(|| {
            let (passed, failed, left_out) =
                (count(Outcome::Passed), count(Outcome::Failed), count(Outcome::LeftOut));
            format!("{}: {passed} passed, {failed} failed, {left_out} left out", self.file)
        })
    }

    /// Files of which not every test ran. One that announces none lacks something, too: crun's do
    /// that.
    pub fn unfinished(&self) -> Vec<Test> {
        let unfinished =
            self.plans.iter().filter(|(file, plan)| self.ran(file) < **plan || **plan == 0);
        unfinished.map(|(file, _)| Test::all_of(file)).collect()
    }

    fn ran(&self, file: &str) -> usize {
        self.outcomes.keys().filter(|test| test.file == file).count()
    }

    /// How far that file came.
    pub fn progress(&self, file: &Test) -> String {
        format!(
            "{}: {} of {} tests ran",
            file.file,
            self.ran(&file.file),
            self.plans.get(&file.file).unwrap_or(&0)
        )
    }

    pub fn differences(&self, wrapped: &Self) -> Vec<Difference> {
        let mut tests: Vec<&Test> = self.outcomes.keys().chain(wrapped.outcomes.keys()).collect();
        tests.sort();
        tests.dedup();
        let outcome = |results: &Self, test| {
            results.outcomes.get(test).copied().unwrap_or(Outcome::DidNotRun)
        };
        tests
            .into_iter()
            .map(|test| Difference {
                test: test.clone(),
                bare: outcome(self, test),
                wrapped: outcome(wrapped, test),
            })
            .filter(|difference| difference.bare != difference.wrapped)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(text: &str) -> Results {
        let mut results = Results::default();
        text.lines().for_each(|line| results.read(line));
        results
    }

    fn told(results: &Results) -> Vec<(String, Outcome)> {
        results.outcomes.iter().map(|(test, outcome)| (test.to_string(), *outcome)).collect()
    }

    #[test]
    fn results_are_read_and_compared() {
        let bare = "# file a.bats\n1..4\nok 1 one\nok 2 two # skip no criu\nnot ok 3 three\n# (in \
                    test file)\nok 4 one\nokay\n";
        let found = results(bare);
        assert_eq!(
            told(&found),
            [
                ("a.bats: one".to_owned(), Outcome::Passed),
                ("a.bats: one (2)".to_owned(), Outcome::Passed),
                ("a.bats: three".to_owned(), Outcome::Failed),
                ("a.bats: two".to_owned(), Outcome::LeftOut)
            ]
        );
        let names: Vec<String> = found.not_passed().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a.bats: three", "a.bats: two"]);
        assert_eq!(found.last_file().unwrap(), "a.bats: 2 passed, 1 failed, 1 left out");
        assert!(found.differences(&results(bare)).is_empty());
        let wrapped =
            results("# file a.bats\n1..4\nnot ok 1 one\nok 2 two # SKIP\nnot ok 3 three\n");
        let differences: Vec<String> =
            found.differences(&wrapped).iter().map(ToString::to_string).collect();
        assert_eq!(
            differences,
            [
                "a.bats: one: passed with the bare runtime, failed through the wrapper",
                "a.bats: one (2): passed with the bare runtime, did not run through the wrapper"
            ]
        );
        assert!(found.unfinished().is_empty());
        let unfinished = wrapped.unfinished();
        assert_eq!(unfinished, [Test::all_of("a.bats")]);
        assert_eq!(wrapped.progress(&unfinished[0]), "a.bats: 3 of 4 tests ran");
        // All of it is to be run again, then.
        assert_eq!(wrapped.not_passed(), unfinished);
        assert!(wrapped.outcomes.keys().all(|test| test.is_among(&unfinished)));
        assert_eq!(results("# file b.py\n1..0\n").unfinished(), [Test::all_of("b.py")]);
    }

    #[test]
    fn directives_end_a_name() {
        let found = results(
            "ok 1 - crun's #SKIP\nok 2 issue #3715 is fixed\nok 3 timed # in 12 ms\nok 4 a # b # \
             skip reason\nok 5 x #skip\n",
        );
        assert_eq!(
            told(&found),
            [
                ("a # b".to_owned(), Outcome::LeftOut),
                ("crun's".to_owned(), Outcome::LeftOut),
                ("issue #3715 is fixed".to_owned(), Outcome::Passed),
                ("timed".to_owned(), Outcome::Passed),
                ("x".to_owned(), Outcome::LeftOut),
            ]
        );
    }

    #[test]
    fn youkis_results_are_read() {
        let found = results(
            "# Start group x\n1 / 3 : a : ok\n2 / 3 : b : not ok\n\terror\n3 / 3 : c : skipped\n# \
             End group x\n",
        );
        let outcomes: Vec<Outcome> = found.outcomes.into_values().collect();
        assert_eq!(outcomes, [Outcome::Passed, Outcome::Failed, Outcome::LeftOut]);
    }
}
