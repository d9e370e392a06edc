//! The messages that have an id, with their causes and remedies: the tables of
//! `docs/troubleshooting.md`, which the programs contain.
//!
//! A message of a control or a rule has the id of that. The id of an error is found by its text, so
//! that the page is the only list of them. `…` in the page stands for a value.

use std::fmt;

/// The page.
pub const PAGE: &str = include_str!("../../../docs/troubleshooting.md");

/// A row of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// `LOCKC-E001`.
    pub id: &'static str,
    /// The text, in Markdown; of a kernel rule, its name.
    pub text: &'static str,
    /// The cause; of a kernel rule, what the program sees.
    pub cause: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Every row of the page.
pub fn all() -> impl Iterator<Item = Message> {
    PAGE.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
        let id = cells.next().filter(|id| is_id(id))?;
        Some(Message { id, text: cells.next()?, cause: cells.next()?, remedy: cells.next()? })
    })
}

/// Whether a text has the form of an id: a letter and three digits.
pub fn is_id(text: &str) -> bool {
    let number = text
        .strip_prefix("LOCKC-")
        .and_then(|rest| rest.strip_prefix(|letter: char| letter.is_ascii_uppercase()));
    number.is_some_and(|digits| digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// The id of an error, by its text: that of the row which has most of it.
pub fn id_of(error: &str) -> Option<&'static str> {
    id_among(error, &["LOCKC-E", "LOCKC-P"])
}

/// The id of a warning about the configuration, in the same way.
pub fn id_of_warning(warning: &str) -> Option<&'static str> {
    id_among(warning, &["LOCKC-C", "LOCKC-E"])
}

fn id_among(error: &str, beginnings: &[&str]) -> Option<&'static str> {
    let matching = all()
        .filter(|message| beginnings.contains(&&message.id[..7]))
        .filter_map(|message| Some((matched(message.text.trim_matches('`'), error)?, message.id)));
    matching.max().map(|(_, id)| id)
}

/// How much of the error is what the pattern says, if it matches.
fn matched(pattern: &str, error: &str) -> Option<usize> {
    let mut rest = error;
    let mut length = 0;
    for part in pattern.split('…').map(str::trim) {
        rest = &rest[rest.find(part)? + part.len()..];
        length += part.len();
    }
    Some(length)
}

/// The first id that a text names, or else the id of the error that it is.
pub fn id_in(text: &str) -> Option<&str> {
    let named = text.match_indices("LOCKC-").find_map(|(at, _)| {
        let id = text.get(at..at + 10)?;
        is_id(id).then_some(id)
    });
    named.or_else(|| id_of(text))
}

/// An error with its id, if it has one and does not name it itself.
pub fn with_id(error: &str) -> String {
    match id_of(error).filter(|_| !error.contains("(LOCKC-")) {
        Some(id) => format!("{error} ({id})"),
        None => error.to_owned(),
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, text, cause, remedy } = self;
        write!(f, "{id}  {text}\n  cause: {cause}\n  what to do: {remedy}")
    }
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
