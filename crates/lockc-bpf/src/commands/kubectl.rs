//! `lockc kubectl`: the plugin of kubectl, for the program `kubectl-lockc` of the packages.

use std::{ffi::OsString, iter, process::ExitCode};

use anyhow::Result;

use crate::kubectl;

/// The same as `kubectl lockc`.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// The command line of `kubectl lockc`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// Runs it.
///
/// # Errors
///
/// Those of the plugin.
pub fn run(args: &Args) -> Result<ExitCode> {
    kubectl::run(iter::once("kubectl-lockc".into()).chain(args.words.iter().cloned()))
}
