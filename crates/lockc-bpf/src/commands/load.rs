//! `lockc load`: attaches and pins the LSM programs.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    guard::{self, Guard},
    loader::{self, Outcome},
};

const EXAMPLES: &str = "\
Examples:
  lockc load                           at boot, before the engines start
  lockc load --force                   replace programs of the same version too
  lockc load --guard-runtimes          also confine containers that do not use the wrapper
  lockc load --guard-runtimes=report   only report it";

/// Attaches and pins the LSM programs. Idempotent; replaces older programs without a gap.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Replaces programs of the same version too.
    #[arg(long)]
    force: bool,
    /// Also confines containers that runc, crun or youki start without the wrapper. They run under
    /// the default policy, and nothing is refused before they start. `report`: only reports what
    /// would be denied. Without this option, an earlier guard ends.
    #[arg(
        long,
        value_name = "MODE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "enforce"
    )]
    guard_runtimes: Option<Guard>,
}

/// Runs it.
///
/// # Errors
///
/// Where a precondition is not met, or the kernel refuses a program.
pub fn run(args: &Args) -> Result<ExitCode> {
    let what = match loader::load(args.force)? {
        Outcome::Loaded => "loaded",
        Outcome::Replaced => "replaced older programs without a gap",
        Outcome::AlreadyLoaded => "already loaded",
    };
    println!("lockc {}: {what}", loader::version());
    for program in guard::set(args.guard_runtimes)? {
        println!(
            "lockc: containers that {} starts without the wrapper are guarded",
            program.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}
