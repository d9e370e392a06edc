//! `kubectl lockc`: what `lockc` on the nodes of a cluster says, by one command. kubectl finds a
//! program `kubectl-lockc`; this one, called so, runs kubectl in turn: it has the administrator's
//! connection and rights.

mod client;
mod events;
mod explain;
mod nodes;
mod ps;

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::ExitCode,
};

use anyhow::Result;
use clap::{Parser, Subcommand};

use client::Connection;

/// The name by which kubectl finds its plugin.
const PLUGIN: &str = "kubectl-lockc";

const HELP: &str = "\
Examples:
  kubectl lockc ps -A
  kubectl lockc events -n shop --since 1h
  kubectl lockc events web-0 -n shop -o wide
  kubectl lockc explain web-0 -n shop           by the configuration of its node
  kubectl lockc explain -f pod.yaml             by the configuration of this machine

The chart's pod on each node is asked by `kubectl exec`, which needs the right to create pods/exec
in its namespace, and the chart's value report.enabled (the default).

Exit codes:
  0  every node answered
  1  an error, or no node answered
  2  invalid command line
  3  explain: a container is refused, or is not confined by lockc
  4  some nodes did not answer; standard error says which and why";

/// Shows what lockc does on the nodes of a Kubernetes cluster.
#[derive(Debug, Parser)]
#[command(name = PLUGIN, bin_name = "kubectl lockc", version, after_help = HELP)]
pub struct Cli {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ps(ps::Args),
    Events(events::Args),
    Explain(explain::Args),
}

/// Whether this process was called as kubectl's plugin.
pub fn is_plugin(program: Option<&OsStr>) -> bool {
    program.and_then(|program| Path::new(program).file_name()).is_some_and(|name| name == PLUGIN)
}

/// Runs the plugin with this command line, the program's name first.
///
/// # Errors
///
/// Where kubectl cannot be run, or no node answers.
pub fn run(words: impl IntoIterator<Item = OsString>) -> Result<ExitCode> {
    let Cli { connection, command } = Cli::parse_from(words);
    let kubectl = connection.client();
    match command {
        Command::Ps(args) => ps::run(&args, &kubectl),
        Command::Events(args) => events::run(&args, &kubectl),
        Command::Explain(args) => explain::run(&args, &kubectl),
    }
}

#[cfg(test)]
mod tests;
