//! `lockc report`: writes a support bundle without secrets and names.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;

use super::doctor;
use crate::report::{self, Options};

const EXAMPLES: &str = "\
Examples:
  lockc report
  lockc report --output lockc.tar.gz && tar -xzOf lockc.tar.gz | less
  lockc report --include-names     for your own records, not for a public issue";

/// Writes a bundle for support: versions, facts about the kernel, what doctor, status, programs, ps
/// and events say, refusals, the configuration of lockc and of the engines, and lockc's journal.
///
/// It keeps what lockc knows to be harmless: words of lockc's own pages, and values of settings
/// that it understands. Other words become numbers, other values are left out. Its MANIFEST lists
/// each file and what that lost. Review it before you give it to anybody.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The new file; otherwise `lockc-report-TIME.tar.gz` in the working directory
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replaces an existing file
    #[arg(long)]
    force: bool,
    /// Keeps names of containers, images, namespaces and paths. Secrets are left out all the same
    #[arg(long)]
    include_names: bool,
    /// How many denials and journal entries, the newest ones
    #[arg(long, value_name = "NUMBER", default_value_t = 500)]
    events: usize,
}

/// Runs it.
///
/// # Errors
///
/// Where the file exists or cannot be written. A part that cannot be gathered is listed.
pub fn run(args: &Args) -> Result<ExitCode> {
    let options = Options {
        include_names: args.include_names,
        events: args.events,
        root: PathBuf::from("/"),
    };
    let bundle = report::make(&options, || serde_json::json!(doctor::all()))?;
    let path = args
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(&bundle.directory).with_extension("tar.gz"));
    report::put(&path, &bundle.bytes, args.force)?;
    println!("{}: {} files, {} bytes", path.display(), bundle.files, bundle.bytes.len());
    for (name, why) in &bundle.failed {
        println!("not in it: {name}: {why}");
    }
    println!("Review it before you give it to anybody; MANIFEST says what each file lost.");
    Ok(ExitCode::SUCCESS)
}
