//! The project's Markdown pages as the tests read them: links, anchors, and the commands they show.
//!
//! Three programs define command lines (`lockc`, `lockc-node`, `cargo xtask`). A unit test in each
//! of them parses the commands that the pages show, with [`check_commands`]. The quickstarts are
//! run as well: [`steps`] returns their commands together with the expected result.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap::error::ErrorKind;

/// A page, or another Markdown file of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Relative to the tree's root: `docs/concepts.md`.
    pub path: PathBuf,
    /// What the file contains.
    pub text: String,
}

/// The root of the source tree.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every page: the Markdown files at the top of the tree and those in `docs`, sorted by path.
///
/// # Panics
///
/// If the tree cannot be read.
#[allow(clippy::expect_used)] // only tests call this, and only from within the source tree
pub fn pages() -> Vec<Page> {
    let root = root();
    let mut pages = Vec::new();
    for directory in ["", "docs"] {
        for entry in fs::read_dir(root.join(directory)).expect("the source tree is readable") {
            let name = entry.expect("the source tree is readable").file_name();
            let path = Path::new(directory).join(name);
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(root.join(&path)).expect("pages are UTF-8");
                pages.push(Page { path, text });
            }
        }
    }
    pages.sort_by(|a, b| a.path.cmp(&b.path));
    pages
}

impl Page {
    /// The page's lines outside of code blocks.
    fn prose(&self) -> impl Iterator<Item = &str> {
        let mut in_block = false;
        self.text.lines().filter(move |line| {
            let fence = line.trim_start().starts_with("```");
            in_block ^= fence;
            !in_block && !fence
        })
    }

    /// The anchors of the headings, as GitHub and mdBook derive them.
    pub fn anchors(&self) -> Vec<String> {
        let headings = self.prose().filter(|line| line.starts_with('#'));
        let mut anchors: Vec<String> = Vec::new();
        for heading in headings {
            let title = heading.trim_start_matches('#').trim();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            let anchor = kept.collect::<String>().to_lowercase().replace(' ', "-");
            let earlier = anchors.iter().filter(|other| **other == anchor).count();
            anchors.push(if earlier == 0 { anchor } else { format!("{anchor}-{earlier}") });
        }
        anchors
    }

    /// The targets of the links and images, in order: `concepts.md#level`, `https://…`.
    pub fn links(&self) -> Vec<&str> {
        self.prose().flat_map(links).collect()
    }
}

fn links(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    // Every second part is a code span. One that is the text of a link leaves "](…)" behind it.
    for part in line.split('`').step_by(2) {
        let mut rest = part;
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            let Some(end) = rest.find(')') else { break };
            found.push(&rest[..end]);
            rest = &rest[end..];
        }
    }
    found
}

/// The blocks of a language in the pages, with the page's path.
pub fn blocks(language: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for page in pages() {
        let mut block: Option<String> = None;
        for line in page.text.lines() {
            match (line.strip_prefix("```"), block.take()) {
                (Some(begun), None) if begun == language => block = Some(String::new()),
                (Some(_), None) => {}
                (Some(_), Some(text)) => found.push((page.path.clone(), text)),
                (None, text) => block = text.map(|text| text + line + "\n"),
            }
        }
    }
    found
}

/// A command line that a page shows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    page: PathBuf,
    /// The program's name is the first word.
    words: Vec<String>,
    /// Whether it is part of a sentence, where arguments may be left out (`lockc explain`).
    in_sentence: bool,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}`", self.page.display(), self.words.join(" "))
    }
}

/// Parses every command of `program` (`lockc`, `cargo xtask`) that the pages show.
///
/// # Panics
///
/// If a page shows a command that `Cli` does not accept, or if no page shows any.
pub fn check_commands<Cli: CommandFactory>(program: &str) {
    let shown = shown_commands(program);
    assert!(!shown.is_empty(), "no page shows a command of {program}");
    for command in shown {
        let Err(error) = Cli::command().try_get_matches_from(&command.words) else { continue };
        // A sentence may leave arguments out.
        let incomplete = matches!(
            error.kind(),
            ErrorKind::MissingRequiredArgument
                | ErrorKind::MissingSubcommand
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        );
        let accepted = match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
            _ => command.in_sentence && incomplete,
        };
        assert!(accepted, "{command}: {error}");
    }
}

/// Every command of `program` in shell blocks and code spans of the pages.
fn shown_commands(program: &str) -> Vec<Shown> {
    // The changelog names commands of earlier releases.
    let pages = pages().into_iter().filter(|page| page.path != Path::new("CHANGELOG.md"));
    pages.flat_map(|page| shown_in(&page, program)).collect()
}

fn shown_in(page: &Page, program: &str) -> Vec<Shown> {
    let mut found = Vec::new();
    let mut add = |text: &str, in_sentence| {
        // A word that ends the program's name keeps `lockc` from matching `lockc-node`.
        let begins = text.strip_prefix(program).filter(|rest| rest.starts_with(' '));
        if let Some(rest) = begins {
            let words = std::iter::once(program.to_owned()).chain(words(rest)).collect();
            found.push(Shown { page: page.path.clone(), words, in_sentence });
        }
    };
    let mut block: Option<&str> = None;
    for line in page.text.lines() {
        match (line.trim_start().strip_prefix("```"), block) {
            (Some(language), None) => block = Some(language),
            (Some(_), Some(_)) => block = None,
            (None, Some("sh")) => simple_commands(line).for_each(|text| add(text, false)),
            (None, Some(_)) => {}
            (None, None) => line.split('`').skip(1).step_by(2).for_each(|span| add(span, true)),
        }
    }
    found
}

/// The simple commands of a line of shell, without its comment.
fn simple_commands(line: &str) -> impl Iterator<Item = &str> {
    let line = line.split(" #").next().unwrap_or_default();
    line.split(['|', ';', '&', '(', ')'])
        .map(|part| part.trim().trim_start_matches("do ").trim_start_matches("sudo "))
}

/// The words of a simple command, without quotes and redirections.
fn words(text: &str) -> Vec<String> {
    let plain = text.split(['>', '<']).next().unwrap_or_default();
    plain.split_whitespace().map(|word| word.replace(['\'', '"'], "")).collect()
}

/// A command of a quickstart with the result that its comment promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// The command line.
    pub text: &'a str,
    /// Whether it fails (`# fails: TEXT`).
    pub fails: bool,
    /// Text in its output (`# shows: TEXT`, `# fails: TEXT`); empty: any.
    pub says: &'a str,
}

/// The commands in the `sh` blocks of a page's section.
pub fn steps<'a>(page: &'a str, heading: &str) -> Vec<Step<'a>> {
    let mut section = false;
    let mut block = false;
    let mut found = Vec::new();
    for line in page.lines() {
        match line {
            "```sh" => block = true,
            "```" => block = false,
            _ if block && section => found.push(step(line)),
            _ => {
                if let Some(title) = line.strip_prefix("## ") {
                    section = title == heading;
                }
            }
        }
    }
    found
}

fn step(line: &str) -> Step<'_> {
    let (text, comment) = line.split_once(" # ").unwrap_or((line, ""));
    let text = text.trim();
    if let Some(says) = comment.strip_prefix("fails:") {
        Step { text, fails: true, says: says.trim() }
    } else {
        Step { text, fails: false, says: comment.strip_prefix("shows:").unwrap_or("").trim() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page { path: "docs/a.md".into(), text: text.into() }
    }

    #[test]
    fn comments_say_what_is_expected() {
        let page = "# T\n\n## A\n\n```sh\nls /   # shows: etc\n```\n\n## B\n\n```sh\nfalse   # \
                    fails: \ntrue  # a word\n```\n";
        assert_eq!(steps(page, "A"), [Step { text: "ls /", fails: false, says: "etc" }]);
        let b = [
            Step { text: "false", fails: true, says: "" },
            Step { text: "true", fails: false, says: "" },
        ];
        assert_eq!(steps(page, "B"), b);
        assert_eq!(steps(page, "C"), []);
    }

    #[test]
    fn anchors_are_those_of_the_renderers() {
        let page = page(
            "# Notes on X, Y\n```sh\n# no heading\n```\n## `lockc load`\n## A-b_c (d)\n## A-b_c \
             (d)\n",
        );
        assert_eq!(page.anchors(), ["notes-on-x-y", "lockc-load", "a-b_c-d", "a-b_c-d-1"]);
    }

    #[test]
    fn links_are_found_outside_of_code() {
        let page = page(
            "See [a](a.md#x), ![b](b.svg) and [`c`](c.md).\n`[no](no.md)`\n```\n[no](no.md)\n```\n",
        );
        assert_eq!(page.links(), ["a.md#x", "b.svg", "c.md"]);
    }

    #[test]
    fn commands_are_found_in_blocks_and_sentences() {
        let page = page(
            "Run `lockc doctor`, not `lockc-node sync` or `x`.\n```sh\nfor n in 1; do lockc config \
             show | grep x && break; done   # shows: lockc x\nlockc config schema > 'f'\n```\n\
             ```text\nlockc nothing\n```\n",
        );
        let shown: Vec<_> = shown_in(&page, "lockc")
            .into_iter()
            .map(|shown| (shown.words.join(" "), shown.in_sentence))
            .collect();
        let expected = [
            ("lockc doctor".to_owned(), true),
            ("lockc config show".to_owned(), false),
            ("lockc config schema".to_owned(), false),
        ];
        assert_eq!(shown, expected);
        assert_eq!(shown_in(&page, "lockc-node").len(), 1);
    }
}
