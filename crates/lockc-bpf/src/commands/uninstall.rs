//! `lockc uninstall`: removes the lockc runtime from an engine's configuration.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    install::{self, Common},
    out,
};

const EXAMPLES: &str = "\
Examples:
  lockc uninstall docker --dry-run
  lockc uninstall containerd --restart";

/// Removes the lockc runtime from an engine's configuration and keeps the rest.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    common: Common,
}

/// Runs it.
///
/// # Errors
///
/// Where the configuration cannot be read or understood, or the engine refuses the result.
pub fn run(args: &Args) -> Result<ExitCode> {
    let report = install::uninstall(&args.common)?;
    if args.common.json {
        out::json(&report)?;
    } else {
        report.print(args.common.dry_run);
    }
    Ok(ExitCode::SUCCESS)
}
