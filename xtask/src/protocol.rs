//! What the guest's test program says: libtest's JSON, and before each result a line of the
//! program's own with what libtest has no place for (`tests/integration/src/it/harness.rs`).
//!
//! A machine's output also has lines of other programs. What is no message, or is a result of a
//! case that did not start, is text.

use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::report::Outcome;

/// A message, by its `type`.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Message {
    Suite {},
    Test {
        name: String,
        event: Event,
        /// The message of a failure.
        #[serde(default)]
        stdout: String,
    },
    Case {
        name: String,
        milliseconds: u64,
        detail: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Event {
    Started,
    Ok,
    Failed,
    Ignored,
}

/// What a line means.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A case ended.
    Ended { name: String, outcome: Outcome, time: Duration },
    /// A part of the protocol that needs no action.
    Quiet,
    /// Something else.
    Text,
}

/// A case that has started and not ended.
struct Running {
    name: String,
    since: Instant,
    /// Its own time and detail, if it has said them.
    said: Option<(Duration, String)>,
}

/// Reads the lines of one program.
#[derive(Default)]
pub struct Reader {
    running: Option<Running>,
}

impl Reader {
    /// The case that has started and not ended.
    pub fn running(&self) -> Option<&str> {
        self.running.as_ref().map(|running| running.name.as_str())
    }

    /// Reads a line.
    pub fn read(&mut self, line: &str) -> Line {
        match message(line) {
            None => Line::Text,
            Some(Message::Suite {}) => Line::Quiet,
            Some(Message::Case { name, milliseconds, detail }) => match &mut self.running {
                Some(running) if running.name == name => {
                    running.said = Some((Duration::from_millis(milliseconds), detail));
                    Line::Quiet
                }
                _ => Line::Text,
            },
            Some(Message::Test { name, event: Event::Started, .. }) => {
                self.running = Some(Running { name, since: Instant::now(), said: None });
                Line::Quiet
            }
            Some(Message::Test { name, event, stdout }) => {
                match self.running.take_if(|running| running.name == name) {
                    Some(running) => ended(running, &event, &stdout),
                    None => Line::Text,
                }
            }
        }
    }
}

/// The message in a line: all of it, or its end where another program began the line.
fn message(line: &str) -> Option<Message> {
    line.match_indices('{').find_map(|(at, _)| serde_json::from_str(&line[at..]).ok())
}

fn ended(running: Running, event: &Event, stdout: &str) -> Line {
    let (time, detail) = match running.said {
        Some((time, detail)) => (time, Some(detail)),
        None => (running.since.elapsed(), None),
    };
    let detail = detail.filter(|detail| !detail.is_empty());
    let outcome = match (event, detail) {
        (Event::Started | Event::Ok, detail) => Outcome::Passed(detail.unwrap_or_default()),
        (Event::Failed, detail) => {
            Outcome::Failed(detail.unwrap_or_else(|| stdout.trim().to_owned()))
        }
        (Event::Ignored, Some(reason)) => Outcome::Skipped(reason),
        (Event::Ignored, None) => Outcome::Failed("was ignored without a reason".into()),
    };
    Line::Ended { name: running.name, outcome, time }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: &str = r#"{ "type": "test", "event": "started", "name": "mounts/tmpfs" }"#;
    const OK: &str = r#"{ "type": "test", "name": "mounts/tmpfs", "event": "ok" }"#;
    const FAILED: &str = concat!(
        r#"{ "type": "test", "name": "mounts/tmpfs", "event": "failed", "#,
        r#""stdout": "Error: \"NOT DENIED\"\n" }"#,
    );
    const IGNORED: &str = r#"{ "type": "test", "name": "mounts/tmpfs", "event": "ignored" }"#;

    fn said(detail: &str) -> String {
        serde_json::json!({
            "type": "case", "name": "mounts/tmpfs", "milliseconds": 12, "detail": detail,
        })
        .to_string()
    }

    /// The last of these lines.
    fn last(lines: &[&str]) -> Line {
        let mut reader = Reader::default();
        lines.iter().map(|line| reader.read(line)).last().unwrap_or(Line::Text)
    }

    fn outcome(lines: &[&str]) -> Outcome {
        match last(lines) {
            Line::Ended { outcome, .. } => outcome,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_case_ends_with_its_own_time_and_detail() {
        let ended = |outcome| Line::Ended {
            name: "mounts/tmpfs".into(),
            outcome,
            time: Duration::from_millis(12),
        };
        assert_eq!(
            last(&[STARTED, &said("EPERM by \"mount\""), OK]),
            ended(Outcome::Passed("EPERM by \"mount\"".into()))
        );
        assert_eq!(
            last(&[STARTED, &said("NOT DENIED"), FAILED]),
            ended(Outcome::Failed("NOT DENIED".into()))
        );
        assert_eq!(
            last(&[STARTED, &said("no such call"), IGNORED]),
            ended(Outcome::Skipped("no such call".into()))
        );
    }

    #[test]
    fn without_the_line_of_its_own_a_case_still_counts() {
        assert_eq!(outcome(&[STARTED, OK]), Outcome::Passed(String::new()));
        assert_eq!(outcome(&[STARTED, FAILED]), Outcome::Failed("Error: \"NOT DENIED\"".into()));
    }

    #[test]
    fn nothing_is_skipped_in_silence() {
        let silent = Outcome::Failed("was ignored without a reason".into());
        assert_eq!(outcome(&[STARTED, IGNORED]), silent);
        assert_eq!(outcome(&[STARTED, &said(""), IGNORED]), silent);
    }

    #[test]
    fn the_suites_own_messages_are_quiet() {
        let end = concat!(
            r#"{ "type": "suite", "event": "ok", "passed": 3, "failed": 0, "ignored": 0, "#,
            r#""measured": 0, "filtered_out": 0, "exec_time": 0.1 }"#,
        );
        assert_eq!(
            last(&[r#"{ "type": "suite", "event": "started", "test_count": 3 }"#]),
            Line::Quiet
        );
        assert_eq!(last(&[end]), Line::Quiet);
    }

    #[test]
    fn garbage_is_text() {
        for line in [
            "",
            "a line of something else",
            "{",
            "{}",
            "[1, 2]",
            "\"test\"",
            r#"{"type": "bench", "name": "mounts/tmpfs", "median": 1, "deviation": 2}"#,
            r#"{"type": "test"}"#,
            r#"{"type": "test", "name": "mounts/tmpfs", "event": "maybe"}"#,
            r#"{"type": "test", "name": "mounts/tmpfs", "event": "ok""#,
            r#"{"type": "test", "name": 3, "event": "ok"}"#,
            r#"{"type": "case", "name": "mounts/tmpfs", "milliseconds": -1, "detail": ""}"#,
            r#"{"type": "test", "name": "mounts/tmpfs", "event": "ok"} and more"#,
            "\u{fffd}\u{1b}[31m{\u{fffd}",
        ] {
            assert_eq!(last(&[STARTED, line]), Line::Text, "{line}");
        }
        // The case goes on.
        assert_eq!(outcome(&[STARTED, "{", "x", OK]), Outcome::Passed(String::new()));
    }

    #[test]
    fn a_line_that_another_program_began_is_read() {
        let lines = [STARTED, &format!("bash: {{no newline{}", said("x")), &format!("% {OK}")];
        assert_eq!(outcome(&lines), Outcome::Passed("x".into()));
    }

    #[test]
    fn a_result_belongs_to_the_case_that_runs() {
        let other = |line: &str| line.replace("mounts/tmpfs", "mounts/proc");
        assert_eq!(last(&[OK]), Line::Text);
        assert_eq!(last(&[STARTED, &other(OK)]), Line::Text);
        assert_eq!(last(&[STARTED, OK, OK]), Line::Text);
        // Nor does what another case said.
        assert_eq!(outcome(&[STARTED, &other(&said("x")), OK]), Outcome::Passed(String::new()));
        let mut reader = Reader::default();
        assert_eq!(reader.running(), None);
        reader.read(STARTED);
        assert_eq!(reader.running(), Some("mounts/tmpfs"));
        reader.read(OK);
        assert_eq!(reader.running(), None);
    }
}
