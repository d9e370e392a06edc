//! `lockc unload`: detaches the programs and removes every pin.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    loader, out, pinned,
    status::{self, Container},
};

const EXAMPLES: &str = "\
Examples:
  lockc unload
  lockc unload --if-idle    only if no container runs under lockc";

/// Detaches the programs and removes every pin. Running containers are no longer confined.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Does nothing and exits with 3 if a registered container has a running process.
    #[arg(long)]
    if_idle: bool,
}

/// Runs it.
///
/// # Errors
///
/// Where a pin cannot be removed; with `--if-idle`, where the containers are not known.
pub fn run(args: &Args) -> Result<ExitCode> {
    let running = status::gather()
        .map(|status| status.containers.iter().filter(|one| Container::is_alive(one)).count());
    if args.if_idle && pinned::attached_version().is_some() {
        // A container that may be running keeps its confinement.
        let running = running?;
        if running > 0 {
            println!(
                "lockc: {running} containers run under lockc; nothing was changed, they stay \
                 confined"
            );
            return Ok(out::answer(false));
        }
        loader::unload()?;
        println!("lockc: unloaded");
        return Ok(ExitCode::SUCCESS);
    }
    if loader::unload()? {
        println!("lockc: unloaded; the lockc runtime starts no container until `lockc load`");
        let running = running.unwrap_or(0);
        if running > 0 {
            println!("lockc: {running} running containers are no longer confined");
        }
    } else {
        println!("lockc: nothing was loaded");
    }
    Ok(ExitCode::SUCCESS)
}
