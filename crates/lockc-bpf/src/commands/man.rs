//! `lockc man`: manual pages, from the command line's definition and the configuration's schema.

mod settings;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Command;
use clap_mangen::Man;
use lockc_policy::config;
use roff::{Roff, roman};

/// Section of the manual: commands of the administrator.
const SECTION: &str = "8";

const EXAMPLES: &str = "\
Examples:
  lockc man pages                          lockc.8, lockc-load.8 ..., lockc.toml.5";

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
    let path = args.directory.join("lockc.toml.5");
    fs::write(&path, settings::page(&config::schema(), &source()))
        .with_context(|| format!("cannot write {}", path.display()))?;
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
    let man = Man::new(command).section(SECTION).source(source()).date("");
    let path = directory.join(man.get_filename());
    let mut text = Vec::new();
    man.render(&mut text)?;
    see_also(&path).to_writer(&mut text)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    subcommands.into_iter().try_for_each(|sub| page(sub, directory))
}

fn source() -> String {
    format!("lockc {}", env!("CARGO_PKG_VERSION"))
}

/// What to read beside this page.
fn see_also(page: &Path) -> Roff {
    let others = match page.file_name().and_then(|name| name.to_str()) {
        Some("lockc.8") => "lockc.toml(5), lockc-runc-wrapper(8)",
        _ => "lockc(8), lockc.toml(5)",
    };
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]).text([roman(others)]);
    roff
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
        assert!(text.trim_end().ends_with("lockc(8), lockc.toml(5)"), "{text}");
        let top = fs::read_to_string(directory.path().join("lockc.8")).expect("a page");
        assert!(top.contains("lockc.toml(5), lockc\\-runc\\-wrapper(8)"), "{top}");
    }
}
