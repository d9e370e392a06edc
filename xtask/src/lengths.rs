//! Lines have at most 100 columns, also in string literals, which rustfmt does not break; files
//! have at most 400 lines.
//!
//! `cargo nextest run -p xtask lengths`

use std::fs;
use std::path::{Path, PathBuf};

use crate::root;

const COLUMNS: usize = 100;
const LINES: usize = 400;

/// Every Rust file of the repository that a person wrote, with its text.
fn files() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for tree in ["crates", "tests", "xtask"] {
        add(&root().join(tree), &mut files);
    }
    assert!(files.len() > 300, "{} files", files.len());
    files
}

fn add(directory: &Path, files: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // tests/fuzz is a workspace with its own build directory.
            if path.file_name().is_none_or(|name| name != "target") {
                add(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let generated = text.lines().next().is_some_and(|line| line.contains("@generated"));
            if !generated {
                files.push((path, text));
            }
        }
    }
}

#[test]
fn no_line_is_too_long() {
    let mut long = Vec::new();
    for (path, text) in files() {
        for (line, number) in text.lines().zip(1..) {
            let columns = line.chars().count();
            if columns > COLUMNS {
                long.push(format!("{}:{number}: {columns} columns", path.display()));
            }
        }
    }
    assert!(long.is_empty(), "more than {COLUMNS} columns; break the literal: {long:#?}");
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<String> = files()
        .iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "more than {LINES} lines; split the file by concern: {long:#?}");
}
