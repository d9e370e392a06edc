//! `lockc quarantine`: isolates a running container, and releases it.

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use crate::{containers, live, out};

const EXAMPLES: &str = "\
Examples:
  lockc quarantine web
  lockc quarantine team-a/web-1            every container of the pod
  lockc quarantine --release web

Exit codes: 0 if every container is as asked for now.";

/// Isolates a running container: no new program, no socket, and the restricted level's rules.
///
/// It holds from the next system call on: connections that are open send and receive nothing more,
/// `docker exec` and `kubectl exec` are refused, and audit mode ends. The container's processes go
/// on; what they have mounted and opened stays readable and writable. A call that already waits for
/// data may still get it once, and splice(2) on a connection that is open asks no security module.
/// --release restores what held before.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The container: its id or the beginning of it, its name, or NAMESPACE/POD/NAME; or a pod
    #[arg(value_name = "NAME")]
    name: String,
    /// Ends the quarantine
    #[arg(long)]
    release: bool,
    /// JSON output.
    #[arg(long)]
    json: bool,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Done<'a> {
    id: &'a str,
    name: Option<String>,
    quarantined: bool,
    changed: bool,
}

/// Runs it.
///
/// # Errors
///
/// Where no running container has the name, or the pinned maps cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let confined = containers::confined()?;
    let mut all = Vec::new();
    for container in containers::of_pod_or_named(&confined, &args.name)? {
        let changed = match args.release {
            true => live::release(container)?,
            false => live::quarantine(container)?,
        };
        let name = container.names.full_name();
        all.push(Done { id: &container.id, name, quarantined: !args.release, changed });
    }
    if args.json {
        out::json(&all)?;
        return Ok(ExitCode::SUCCESS);
    }
    for done in &all {
        let called = done.name.as_deref().unwrap_or(done.id);
        println!(
            "{}: {}",
            out::printable(called),
            match (args.release, done.changed) {
                (false, true) => "under quarantine",
                (false, false) => "under quarantine already",
                (true, true) => "released",
                (true, false) => "not under quarantine",
            }
        );
    }
    Ok(ExitCode::SUCCESS)
}
