//! The quickstarts, run as they are written.
//!
//! A command of a block `sh` works, unless its comment says `# fails: TEXT`; `# shows: TEXT` is in
//! what it writes. Other comments are for readers.

use anyhow::{Result, bail};

use crate::command;

pub const DOCKER: &str = include_str!("../../../../../docs/quickstart-docker.md");
pub const CONTAINERD: &str = include_str!("../../../../../docs/quickstart-containerd.md");
pub const PODMAN: &str = include_str!("../../../../../docs/quickstart-podman.md");
pub const KUBERNETES: &str = include_str!("../../../../../docs/quickstart-kubernetes.md");

/// A command with what is expected of it.
#[derive(Debug, PartialEq, Eq)]
struct Command<'a> {
    text: &'a str,
    fails: bool,
    says: &'a str,
}

/// Runs the commands of the sections with these headings.
pub fn run(page: &str, headings: &[&str]) -> Result<String> {
    run_in("", page, headings)
}

/// With these assignments before the commands.
pub fn run_in(environment: &str, page: &str, headings: &[&str]) -> Result<String> {
    let commands: Vec<Command<'_>> =
        headings.iter().flat_map(|heading| commands(page, heading)).collect();
    for Command { text, fails, says } in &commands {
        let run = command::run_for(600, &["bash", "-c", &format!("{environment}\n{text}")], "")?;
        let said = run.said();
        if run.ok() == *fails {
            bail!("`{text}` {}: {said}", if *fails { "worked" } else { "failed" });
        }
        if !said.contains(says) {
            bail!("`{text}` does not say {says:?}: {said}");
        }
    }
    if commands.is_empty() {
        bail!("no command under {headings:?}");
    }
    Ok(format!("{} commands", commands.len()))
}

fn commands<'a>(page: &'a str, heading: &str) -> Vec<Command<'a>> {
    let mut section = false;
    let mut block = false;
    let mut found = Vec::new();
    for line in page.lines() {
        match line {
            "```sh" => block = true,
            "```" => block = false,
            _ if block && section => found.push(parse(line)),
            _ => {
                if let Some(title) = line.strip_prefix("## ") {
                    section = title == heading;
                }
            }
        }
    }
    found
}

fn parse(line: &str) -> Command<'_> {
    let (text, comment) = line.split_once(" # ").unwrap_or((line, ""));
    let text = text.trim();
    if let Some(says) = comment.strip_prefix("fails:") {
        Command { text, fails: true, says: says.trim() }
    } else {
        Command { text, fails: false, says: comment.strip_prefix("shows:").unwrap_or("").trim() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_say_what_is_expected() {
        let page = "# T\n\n## A\n\n```sh\nls /   # shows: etc\n```\n\n## B\n\n```sh\nfalse   # \
                    fails: \ntrue  # a word\n```\n";
        assert_eq!(commands(page, "A"), [Command { text: "ls /", fails: false, says: "etc" }]);
        let b = [
            Command { text: "false", fails: true, says: "" },
            Command { text: "true", fails: false, says: "" },
        ];
        assert_eq!(commands(page, "B"), b);
        assert_eq!(commands(page, "C"), []);
    }

    #[test]
    fn every_page_has_what_the_stages_run() {
        for page in [DOCKER, CONTAINERD, PODMAN] {
            for heading in ["Install", "Use", "After a reboot", "Remove"] {
                assert!(!commands(page, heading).is_empty(), "{heading}");
            }
        }
    }
}
