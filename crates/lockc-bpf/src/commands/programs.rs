//! `lockc programs`: lists the LSM programs.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    out,
    programs::{self, Report},
    table::{self, Cell, CellAlignment},
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
    if reports.iter().any(|report| report.attached.is_none()) {
        eprintln!("only root can see which programs are attached");
    }
    Ok(ExitCode::SUCCESS)
}

fn print(reports: &[Report]) {
    let mut table = table::new();
    let right = |name| Cell::new(name).set_alignment(CellAlignment::Right);
    table.set_header([
        Cell::new("program"),
        right("since"),
        Cell::new("attached"),
        right("insns"),
        right("stack"),
        right("verified"),
        right("machine"),
    ]);
    for report in reports {
        table.add_row([
            Cell::new(report.name),
            right(report.since),
            Cell::new(match report.attached {
                Some(true) => "yes",
                Some(false) => "no",
                None => "?",
            }),
            table::number(Some(report.instructions)),
            table::number(Some(report.stack)),
            table::number(report.verified),
            table::number(report.machine_code),
        ]);
    }
    table::print(table);
}
