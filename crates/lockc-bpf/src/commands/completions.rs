//! `lockc completions`: shell completions, from the command line's definition.

use std::{io::Write as _, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Command;
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  lockc completions bash > /usr/share/bash-completion/completions/lockc
  lockc completions fish > /usr/share/fish/vendor_completions.d/lockc.fish";

/// Prints shell completions.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell.
    shell: Shell,
}

/// Prints the completions of `lockc`, which is the whole command line.
///
/// # Errors
///
/// Standard output cannot be written.
pub fn run(args: &Args, mut lockc: Command) -> Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut lockc, "lockc", &mut text);
    std::io::stdout().write_all(&text).context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}
