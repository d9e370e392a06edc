//! What the pages say must be true: links lead somewhere, commands exist, and the messages of
//! `docs/troubleshooting.md` are those of the code.

use std::fs;
use std::path::{Component, Path, PathBuf};

use lockc_pages::{Page, pages};

use crate::{Cli, root};

/// The path without `.` and `..`.
fn normalized(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// A relative link as the file in the tree and the anchor in it; nothing for another site.
fn target(page: &Page, link: &str) -> Option<(PathBuf, Option<String>)> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = match link.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor.to_owned())),
        None => (link, None),
    };
    let directory = page.path.parent().unwrap_or(Path::new(""));
    let path = if file.is_empty() { page.path.clone() } else { normalized(&directory.join(file)) };
    Some((path, anchor))
}

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    for page in &pages {
        for link in page.links() {
            let Some((path, anchor)) = target(page, link) else { continue };
            let at = page.path.display();
            assert!(root().join(&path).exists(), "{at}: no file for the link {link}");
            let stays = path.starts_with("docs") || !page.path.starts_with("docs");
            assert!(stays, "{at}: the book has no file for the link {link}");
            let Some(anchor) = anchor else { continue };
            let other = pages.iter().find(|other| other.path == path);
            let anchors = other.map(Page::anchors).unwrap_or_default();
            assert!(anchors.contains(&anchor), "{at}: no heading for the link {link}");
        }
    }
}

#[test]
fn the_book_has_every_page_once() {
    let pages = pages();
    let summary = pages.iter().find(|page| page.path == Path::new("docs/SUMMARY.md")).unwrap();
    let mut listed: Vec<PathBuf> =
        summary.links().iter().filter_map(|link| Some(target(summary, link)?.0)).collect();
    listed.sort();
    let in_docs: Vec<PathBuf> = pages
        .iter()
        .filter(|page| page.path.starts_with("docs") && page.path != summary.path)
        .map(|page| page.path.clone())
        .collect();
    assert_eq!(listed, in_docs);
}

#[test]
fn the_pages_show_commands_that_exist() {
    lockc_pages::check_commands::<Cli>("cargo xtask");
}

#[test]
fn the_files_that_pages_name_exist() {
    const TREES: [&str; 5] = ["crates/", "docs/", "packaging/", "tests/", "xtask/"];
    let mut count = 0;
    // The changelog names files of earlier releases.
    for page in pages().iter().filter(|page| page.path != Path::new("CHANGELOG.md")) {
        for span in page.text.split('`').skip(1).step_by(2) {
            if TREES.iter().any(|tree| span.starts_with(tree)) && !span.contains(' ') {
                assert!(root().join(span).exists(), "{}: no {span}", page.path.display());
                count += 1;
            }
        }
    }
    assert!(count > 10, "{count} files");
}

/// The string literals of the product as they are printed: continued lines joined, escapes undone.
fn sources(directory: &Path, text: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            let mut lines = source.lines();
            while let Some(line) = lines.next() {
                let mut joined = line.to_owned();
                while let Some(begun) = joined.strip_suffix('\\') {
                    joined = begun.to_owned() + lines.next().unwrap_or_default().trim_start();
                }
                text.push_str(&joined.replace("\\\"", "\""));
                text.push('\n');
            }
        }
    }
}

/// The second cells of the tables whose second column is `message`.
fn messages(page: &str) -> Vec<&str> {
    let mut in_table = false;
    let mut found = Vec::new();
    for line in page.lines() {
        in_table = line.starts_with("| id | message |") || in_table && line.starts_with('|');
        if in_table && line.starts_with("| LOCKC-") {
            let cell = line[2..].split(" | ").nth(1).unwrap_or_default();
            found.push(cell.trim_matches('`').trim());
        }
    }
    found
}

#[test]
fn troubleshooting_has_the_messages_of_the_code() {
    let page = include_str!("../../../docs/troubleshooting.md");
    let mut text = String::new();
    sources(&root().join("crates"), &mut text);
    let messages = messages(page);
    assert!(messages.len() > 40, "{} messages", messages.len());
    let is_of_code = |message: &&str| {
        message
            .split('…')
            .map(str::trim)
            .filter(|part| part.len() > 3)
            .all(|part| text.contains(part))
    };
    let stale: Vec<&str> = messages.into_iter().filter(|message| !is_of_code(message)).collect();
    assert!(stale.is_empty(), "the code has no such messages: {stale:#?}");
}
