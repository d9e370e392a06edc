//! `lockc status`: shows attached programs and registered containers.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    out,
    status::{self, Container, Status},
    table::{self, Cell},
};

const EXAMPLES: &str = "\
Examples:
  lockc status
  lockc status --json | jq '.containers[].id'

Exit codes: 0 if lockc enforces; 3 if it does not; 4 if it does, but containers are in audit mode.";

/// The exit code where a container is in audit mode.
const AUDIT: u8 = 4;

/// Shows attached programs and registered containers.
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
/// Where the pinned maps cannot be read.
pub fn run(args: &Args) -> Result<ExitCode> {
    let status = status::gather()?;
    if args.json {
        out::json(&status)?;
    } else {
        print(&status);
    }
    Ok(match (status.enforcing, status.audited) {
        (true, 0) => ExitCode::SUCCESS,
        (true, _) => ExitCode::from(AUDIT),
        (false, _) => out::answer(false),
    })
}

fn print(status: &Status) {
    match (&status.version, status.enforcing) {
        (Some(version), true) => {
            println!("enforcing: version {version}, {} programs attached", status.attached.len());
            if status.audited != 0 {
                println!(
                    "AUDIT: {} of the containers are in audit mode: lockc reports what their \
                     policies forbid, and denies nothing",
                    status.audited
                );
            }
        }
        (Some(version), false) => println!(
            "NOT enforcing: version {version} (ABI {}), not attached: {}; run `lockc load`",
            status.abi.unwrap_or_default(),
            status.missing.join(", ")
        ),
        (None, _) => println!("NOT loaded; run `lockc load`"),
    }
    for (hook, what) in &status.not_enforced {
        println!("not enforced, because this kernel has no hook {hook}: {what}");
    }
    let is_shown = |container: &&Container| container.is_alive() || container.is_guard();
    let (alive, without): (Vec<_>, Vec<_>) = status.containers.iter().partition(is_shown);
    println!("containers: {}", alive.len());
    if !alive.is_empty() {
        let mut table = table::new();
        table.set_header([
            "container",
            "name",
            "policy",
            "network",
            "mode",
            "tasks",
            "denials",
            "origin",
        ]);
        table.add_rows(alive.into_iter().map(row));
        table::print(table);
    }
    if !without.is_empty() {
        println!(
            "without a process: {} (ended or not yet started; their slots are reused within 10 \
             minutes)",
            without.len()
        );
    }
    for (hook, count) in &status.errors {
        println!("internal errors in {hook}: {count}");
    }
    if status.lost_denials != 0 {
        println!("denials for which the record had no room: {}", status.lost_denials);
    }
}

fn row(container: &Container) -> [Cell; 8] {
    let id: String = container.id.chars().take(12).collect();
    let name = container.names.full_name().map(|name| out::printable(&name));
    let mut origin = container.origin.clone();
    if container.sandbox {
        origin += "  (a sandbox: checked when it was created, kernel rules do not reach inside)";
    }
    if container.deleting {
        origin += "  (deleted; its last tasks stay confined)";
    }
    [
        Cell::new(id),
        Cell::new(name.unwrap_or_else(|| "-".into())),
        Cell::new(&container.policy),
        Cell::new(container.network),
        Cell::new(container.mode),
        table::number(Some(container.tasks)),
        table::number(Some(container.denials)),
        Cell::new(origin),
    ]
}
