//! `lockc-node`: what a Kubernetes node needs beyond `lockc`. It is a separate program, so other
//! hosts need neither a Kubernetes client nor TLS.

mod cache;
mod client;
mod install;
mod policies;
mod report;
mod sync;

use std::{io, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};
use lockc_policy::{messages::with_id, with_causes};

const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  an error, printed on standard error
  2  invalid command line";

/// Installs lockc on a Kubernetes node, and keeps the node's copies of the cluster's namespace
/// labels and ConfinementPolicies.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// A command; its help is that of its arguments.
#[derive(Debug, Subcommand)]
enum Command {
    Sync(sync::Args),
    Report(report::Args),
    Install(install::Args),
    Uninstall(install::UninstallArgs),
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).with_target(false).init();
    match run(&Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lockc-node: {}", with_id(&with_causes(&error)));
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    match command {
        Command::Sync(args) => sync::run(args),
        Command::Report(args) => report::run(args),
        Command::Install(args) => install::install(args),
        Command::Uninstall(args) => install::uninstall(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_show_commands_that_exist() {
        lockc_pages::check_commands::<Cli>("lockc-node");
    }
}
