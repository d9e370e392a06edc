//! The quickstarts, run as they are written.
//!
//! A command of a block `sh` works, unless its comment says `# fails: TEXT`; `# shows: TEXT` is in
//! what it writes. Other comments are for readers.

use anyhow::{Result, bail};
use lockc_pages::{Step, steps};

use crate::command;

pub const DOCKER: &str = include_str!("../../../../../docs/quickstart-docker.md");
pub const CONTAINERD: &str = include_str!("../../../../../docs/quickstart-containerd.md");
pub const PODMAN: &str = include_str!("../../../../../docs/quickstart-podman.md");
pub const COMMANDS: &str = include_str!("../../../../../docs/commands.md");
pub const ROLLOUT: &str = include_str!("../../../../../docs/rollout.md");
pub const KUBERNETES: &str = include_str!("../../../../../docs/quickstart-kubernetes.md");
pub const POLICIES: &str = include_str!("../../../../../docs/confinement-policies.md");

/// Runs the commands of the sections with these headings.
pub fn run(page: &str, headings: &[&str]) -> Result<String> {
    run_in("", page, headings)
}

/// With these assignments before the commands.
pub fn run_in(environment: &str, page: &str, headings: &[&str]) -> Result<String> {
    let commands: Vec<Step<'_>> =
        headings.iter().flat_map(|heading| steps(page, heading)).collect();
    for Step { text, fails, says } in &commands {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The README's commands are not run themselves.
    #[test]
    fn the_readme_installs_as_the_quickstart_does() {
        let readme = steps(include_str!("../../../../../README.md"), "Installation");
        let page = ["Install", "Use"].map(|heading| steps(DOCKER, heading)).concat();
        assert_eq!(readme.len(), 5);
        // The name of the package differs.
        for command in readme.iter().filter(|command| !command.text.starts_with("apt ")) {
            assert!(page.iter().any(|other| other.text == command.text), "{command:?}");
        }
    }

    /// A name of a file or a policy alone may be in an answer of either kind.
    #[test]
    fn checks_of_explain_name_the_verdict() {
        let mut checked = 0;
        for (page, headings) in [
            (DOCKER, vec!["Use"]),
            (PODMAN, vec!["Use"]),
            (KUBERNETES, vec!["Use"]),
            (COMMANDS, vec!["Examples"]),
        ] {
            let commands = headings.into_iter().flat_map(|heading| steps(page, heading));
            for step in commands.filter(|step| step.text.starts_with("lockc explain ")) {
                let verdicts: &[&str] = if step.fails {
                    &["refused by ", "not confined"]
                } else {
                    &["starts under ", "runs under "]
                };
                let names = verdicts.iter().any(|verdict| step.says.starts_with(verdict));
                assert!(names, "{step:?}");
                checked += 1;
            }
        }
        assert!(checked >= 4, "{checked}");
    }

    #[test]
    fn every_page_has_what_the_stages_run() {
        assert!(!steps(COMMANDS, "Examples").is_empty());
        for page in [DOCKER, CONTAINERD, PODMAN] {
            for heading in ["Install", "Use", "After a reboot", "Remove"] {
                assert!(!steps(page, heading).is_empty(), "{heading}");
            }
        }
    }
}
