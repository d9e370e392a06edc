//! Every id of the code has its row in the page, and every row its id in the code.

use std::{fs, path::Path};

use lockc_core::rules::Rule;

use super::*;
use crate::policy::{Control, RequestError};

fn with(letter: char) -> Vec<Message> {
    let beginning = format!("LOCKC-{letter}");
    all().filter(|message| message.id.starts_with(&beginning)).collect()
}

#[test]
fn every_row_has_an_id_of_the_code_and_every_id_a_row() {
    let mut code: Vec<&str> = Control::ALL.map(Control::id).to_vec();
    code.extend(Rule::ALL.map(Rule::id));
    code.extend(RequestError::IDS);
    for id in &code {
        assert!(all().any(|message| message.id == *id), "the page has no row of {id}");
    }
    for letter in ['A', 'D', 'P'] {
        assert!(!with(letter).is_empty());
        for message in with(letter) {
            assert!(code.contains(&message.id), "the code has no {}", message.id);
        }
    }
}

#[test]
fn every_row_of_a_rule_names_it() {
    let rows: Vec<(&str, String)> =
        with('D').iter().map(|row| (row.id, row.text.trim_matches('`').to_owned())).collect();
    let rules: Vec<(&str, String)> =
        Rule::ALL.iter().map(|rule| (rule.id(), rule.name().to_owned())).collect();
    assert_eq!(rows, rules);
}

#[test]
fn every_row_of_a_control_names_it() {
    for message in with('A') {
        let control = Control::ALL.into_iter().find(|control| control.id() == message.id);
        let name = format!("`{}`", control.unwrap().name());
        let is_privileged = message.text.starts_with("`--privileged");
        assert!(message.cause.contains(&name) || is_privileged, "{message:?}");
    }
}

#[test]
fn errors_are_numbered_without_a_gap() {
    let ids: Vec<&str> = with('E').iter().map(|message| message.id).collect();
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    let numbered: Vec<String> = (1..=ids.len()).map(|n| format!("LOCKC-E{n:03}")).collect();
    assert_eq!(sorted, numbered);
}

#[test]
fn no_row_is_without_an_id() {
    let mut header = "";
    for line in PAGE.lines().filter(|line| line.starts_with("| ")) {
        if line.contains("| what to do |") {
            header = line;
            assert!(line.starts_with("| id |"), "{line}");
        } else if line.contains("| ids |") || line.contains("| question |") {
            header = "";
        } else if !header.is_empty() {
            let id = line[2..].split(" | ").next().unwrap_or_default();
            assert!(is_id(id), "{line}");
            assert_eq!(line.matches(" | ").count(), 3, "{line}");
        }
    }
}

/// Messages that only pass on what another program or a cause says, and those that only
/// `lockc-node`'s log has.
const WITHOUT_ID: [&str; 8] = [
    "x",
    "x: x",
    "x: cannot be read: x",
    "policies.x.admit: x x",
    "policies.x.x: x",
    // An answer, which has the id LOCKC-W009.
    "x: it has no pod template with a list of containers",
    "the watch ended",
    "`lockc x` failed: x",
];

/// The text after each of these, up to the end of the first string literal, with `x` for values.
fn messages_of(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for begin in ["bail!(", "anyhow!(", "#[error("] {
        for (at, _) in source.match_indices(begin) {
            let rest = source[at + begin.len()..].trim_start();
            let Some(literal) = rest.strip_prefix('"') else { continue };
            let mut text = String::new();
            let mut characters = literal.chars();
            let mut depth = 0;
            while let Some(character) = characters.next() {
                match character {
                    '"' => break,
                    '\\' => match characters.next() {
                        Some('\n') => characters = characters.as_str().trim_start().chars(),
                        Some('n') => text.push('\n'),
                        Some(other) => text.push(other),
                        None => {}
                    },
                    '{' => depth += 1,
                    '}' => {
                        depth -= 1;
                        text.push('x');
                    }
                    other if depth == 0 => text.push(other),
                    _ => {}
                }
            }
            found.push(text);
        }
    }
    found
}

fn sources(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && name != "tests" && name != "lockc-ebpf" {
            sources(&path, found);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") && name != "build.rs" {
            let text = fs::read_to_string(&path).unwrap();
            found.push(text.split("#[cfg(test)]\nmod").next().unwrap().to_owned());
        }
    }
}

#[test]
fn every_error_of_the_code_has_an_id() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut found);
    let messages: Vec<String> = found.iter().flat_map(|source| messages_of(source)).collect();
    assert!(messages.len() > 80, "{} messages", messages.len());
    let without: Vec<&String> = messages
        .iter()
        .filter(|text| id_of(text).is_none() && !WITHOUT_ID.contains(&text.as_str()))
        .collect();
    assert!(without.is_empty(), "no row of docs/troubleshooting.md has these: {without:#?}");
    for text in WITHOUT_ID {
        assert!(messages.iter().any(|message| message == text), "the code has no {text:?}");
    }
}

/// A pattern that another one covers would never be found.
#[test]
fn every_error_is_found_by_its_text() {
    for message in with('E').into_iter().chain(with('P')) {
        let text = message.text.trim_matches('`').replace('…', "x");
        assert_eq!(id_of(&format!("a context: {text}")), Some(message.id), "{text}");
    }
}

#[test]
fn an_id_is_told_once_and_only_where_there_is_one() {
    let known = "no OCI runtime found: install one";
    assert_eq!(with_id(known), format!("{known} (LOCKC-E002)"));
    assert_eq!(with_id(&with_id(known)), with_id(known));
    assert_eq!(with_id("something else"), "something else");
    assert_eq!(with_id(""), "");
}

#[test]
fn ids_have_one_form() {
    assert!(is_id("LOCKC-A001"));
    for text in ["LOCKC-A01", "LOCKC-a001", "LOCKC-A0011", "LOCKC-", "lockc-A001", "LOCKC-Ä01"] {
        assert!(!is_id(text), "{text}");
    }
}
