//! Manual pages and shell completions, from the command line's definition.

use std::{fs, io::Write, path::Path};

use anyhow::{Context as _, Result};
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

/// Section of the manual: commands of the administrator.
const SECTION: &str = "8";

/// Writes the completions of `shell` to standard output.
///
/// # Errors
///
/// Standard output cannot be written.
pub fn completions(mut command: Command, shell: Shell) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, "lockc", &mut text);
    std::io::stdout().write_all(&text).context("cannot write to standard output")
}

/// Writes `lockc.8` and a page for each subcommand, `lockc-load.8` and so on, into `folder`.
///
/// # Errors
///
/// A page cannot be written.
pub fn pages(command: Command, folder: &Path) -> Result<()> {
    let mut command = command.disable_help_subcommand(true);
    // Gives each subcommand its whole name.
    command.build();
    page(command, folder)
}

fn page(command: Command, folder: &Path) -> Result<()> {
    let subcommands: Vec<Command> =
        command.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned().collect();
    // No date: two builds of one source are alike.
    let man = Man::new(command)
        .section(SECTION)
        .source(format!("lockc {}", env!("CARGO_PKG_VERSION")))
        .date("");
    let path = folder.join(man.get_filename());
    let mut text = Vec::new();
    man.render(&mut text)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    subcommands.into_iter().try_for_each(|sub| page(sub, folder))
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn every_subcommand_that_is_shown_has_a_page() {
        let folder = tempfile::tempdir().expect("a folder");
        let command = Command::new("lockc")
            .about("About it")
            .subcommand(Command::new("load").about("Loads").after_help("Examples:\n  lockc load"))
            .subcommand(
                Command::new("config")
                    .subcommand(Command::new("check").arg(Arg::new("json").long("json"))),
            )
            .subcommand(Command::new("secret").hide(true));
        pages(command, folder.path()).expect("pages");
        let mut names: Vec<String> = fs::read_dir(folder.path())
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["lockc-config-check.8", "lockc-config.8", "lockc-load.8", "lockc.8"]);
        let text = fs::read_to_string(folder.path().join("lockc-config-check.8")).expect("a page");
        assert!(text.contains("lockc config check") && text.contains("json"), "{text}");
    }
}
