//! `lockc programs`: lists the LSM programs.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    out,
    programs::{self, Report},
};

const EXAMPLES: &str = "\
Examples:
  lockc programs
  lockc programs --json | jq '.[] | select(.attached | not)'";

/// Lists the LSM programs with hook, stack size, and the verifier's statistics of loaded programs.
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
/// Where this build's own programs cannot be read.
pub fn run(args: &Args) -> Result<ExitCode> {
    let reports = programs::gather()?;
    if args.json {
        out::json(&reports)?;
    } else {
        print(&reports);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(reports: &[Report]) {
    println!(
        "{:<26} {:>5}  {:<8} {:>6} {:>6} {:>9} {:>8}",
        "program", "since", "attached", "insns", "stack", "verified", "machine"
    );
    let number = |number: Option<u32>| number.map_or("-".into(), |number| number.to_string());
    for report in reports {
        println!(
            "{:<26} {:>5}  {:<8} {:>6} {:>6} {:>9} {:>8}",
            report.name,
            report.since,
            if report.attached { "yes" } else { "no" },
            report.instructions,
            report.stack,
            number(report.verified),
            number(report.machine_code),
        );
    }
}
