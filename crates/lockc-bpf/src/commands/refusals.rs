//! `lockc refusals`: lists the containers that were refused lately.

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use lockc_core::paths;
use lockc_policy::refused::Refused;

use crate::{
    out,
    table::{self, Cell},
};

const EXAMPLES: &str = "\
Examples:
  lockc refusals
  lockc explain web                   every reason of one of them
  lockc refusals --json | jq -r '.[].reasons[].control' | sort | uniq -c";

/// Lists the containers that were refused lately, the latest last.
///
/// The last 256 are kept until the host reboots.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// JSON output.
    #[arg(long)]
    json: bool,
}

/// Runs it.
///
/// # Errors
///
/// Where the records cannot be read: only root can.
pub fn run(args: &Args) -> Result<ExitCode> {
    let refused = Refused::all(Path::new(paths::REFUSED))
        .with_context(|| format!("refusals in {} can be read by root only", paths::REFUSED))?;
    if args.json {
        out::json(&refused)?;
    } else if refused.is_empty() {
        println!("no container was refused since the host booted");
    } else {
        print(&refused);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(refused: &[Refused]) {
    let mut table = table::new();
    table.set_header(["time", "container", "engine", "control", "reason"]);
    for refused in refused {
        let short = || refused.id.chars().take(12).collect();
        let name: String = refused.names.full_name().unwrap_or_else(short);
        let controls: Vec<&str> =
            refused.reasons.iter().map(|reason| reason.control.as_str()).collect();
        let what = refused.reasons.first().map_or("", |reason| reason.what.as_str());
        table.add_row([
            Cell::new(&refused.time),
            Cell::new(name),
            Cell::new(refused.names.engine.as_deref().unwrap_or("-")),
            Cell::new(controls.join(", ")),
            Cell::new(what),
        ]);
    }
    table::print(table);
}
