//! `lockc man`: manual pages, from the command line's definition.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Command;
use clap_mangen::Man;

/// Section of the manual: commands of the administrator.
const SECTION: &str = "8";

const EXAMPLES: &str = "\
Examples:
  lockc man /usr/share/man/man8";

/// Writes the manual pages into a directory.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// An existing directory.
    directory: PathBuf,
}

/// Writes the pages of `lockc`, which is the whole command line.
///
/// # Errors
///
/// A page cannot be written.
pub fn run(args: &Args, lockc: Command) -> Result<ExitCode> {
    pages(lockc, &args.directory)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes `lockc.8` and a page for each subcommand, `lockc-load.8` and so on, into `directory`.
fn pages(command: Command, directory: &Path) -> Result<()> {
    let mut command = command.disable_help_subcommand(true);
    // Gives each subcommand its whole name.
    command.build();
    page(command, directory)
}

fn page(command: Command, directory: &Path) -> Result<()> {
    let subcommands: Vec<Command> =
        command.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned().collect();
    // No date: two builds of one source are alike.
    let man = Man::new(command)
        .section(SECTION)
        .source(format!("lockc {}", env!("CARGO_PKG_VERSION")))
        .date("");
    let path = directory.join(man.get_filename());
    let mut text = Vec::new();
    man.render(&mut text)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    subcommands.into_iter().try_for_each(|sub| page(sub, directory))
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn every_subcommand_that_is_shown_has_a_page() {
        let directory = tempfile::tempdir().expect("a directory");
        let command = Command::new("lockc")
            .about("About it")
            .subcommand(Command::new("load").about("Loads").after_help("Examples:\n  lockc load"))
            .subcommand(
                Command::new("config")
                    .subcommand(Command::new("check").arg(Arg::new("json").long("json"))),
            )
            .subcommand(Command::new("secret").hide(true));
        pages(command, directory.path()).expect("pages");
        let mut names: Vec<String> = fs::read_dir(directory.path())
            .expect("the directory")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["lockc-config-check.8", "lockc-config.8", "lockc-load.8", "lockc.8"]);
        let text =
            fs::read_to_string(directory.path().join("lockc-config-check.8")).expect("a page");
        assert!(text.contains("lockc config check") && text.contains("json"), "{text}");
    }
}
