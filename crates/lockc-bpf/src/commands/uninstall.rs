//! `lockc uninstall`: removes the lockc runtime from an engine's configuration.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    install::{self, Common, Leave},
    out,
};

const EXAMPLES: &str = "\
Examples:
  lockc uninstall docker --dry-run
  lockc uninstall containerd --restart
  lockc uninstall docker --keep-name --restart    existing containers start again, unconfined

A container cannot start without the runtime that it was created with. If there is such a container,
`lockc uninstall` lists it with the command that moves it, changes nothing, and exits with 3.";

/// Removes the lockc runtime from an engine's configuration and keeps the rest.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Removes the runtime although containers depend on it; they do not start again
    #[arg(long, conflicts_with = "keep_name")]
    force: bool,
    /// Keeps the runtime's name in the engine's configuration, for the real runtime: existing
    /// containers start again, and lockc does not confine them
    #[arg(long)]
    keep_name: bool,
}

/// Runs it.
///
/// # Errors
///
/// Where the configuration cannot be read or understood, or the engine refuses the result.
pub fn run(args: &Args) -> Result<ExitCode> {
    let leave = match (args.force, args.keep_name) {
        (true, _) => Leave::Containers,
        (_, true) => Leave::Names,
        _ => Leave::Nothing,
    };
    let report = install::uninstall(&args.common, leave)?;
    if args.common.json {
        out::json(&report)?;
    } else {
        report.print(args.common.dry_run);
    }
    Ok(out::answer(!report.is_stopped()))
}
