//! `lockc install`: adds the lockc runtime to an engine's configuration.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;

use crate::{
    install::{self, Common},
    out,
};

const EXAMPLES: &str = "\
Examples:
  lockc install docker --dry-run
  lockc install docker --default --restart
  lockc install containerd --level restricted --level offline --restart
  lockc install podman --json

The running daemon's options tell which file it reads. On k3s, RKE2, k0s and MicroK8s, containerd's
configuration is changed where the distribution reads it.
For engines that cannot pass arguments to a runtime, each level is a script in /etc/lockc/runtimes.
The original configuration is kept as FILE.before-lockc.";

/// Adds the lockc runtime to an engine's configuration. The engine checks the new file before it
/// replaces the old one.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Makes lockc the runtime of every container that names none
    #[arg(long)]
    default: bool,
    /// Also adds a runtime `lockc-LEVEL` whose containers always have that level or policy; may be
    /// repeated
    #[arg(long, value_name = "LEVEL")]
    level: Vec<String>,
    /// Path of the wrapper on the host; default: next to this program
    #[arg(long, value_name = "FILE")]
    wrapper: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
///
/// Where the configuration cannot be read or understood, the wrapper is not root's alone, or the
/// engine refuses the result.
pub fn run(args: &Args) -> Result<ExitCode> {
    let common = &args.common;
    let report = install::install(common, args.wrapper.as_deref(), &args.level, args.default)?;
    if common.json {
        out::json(&report)?;
    } else {
        report.print(common.dry_run);
    }
    Ok(ExitCode::SUCCESS)
}
