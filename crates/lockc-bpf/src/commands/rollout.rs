//! `lockc rollout`: shows what enforcement would break, before it is switched on.

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use lockc_core::paths;
use lockc_policy::refused::Refused;
use serde::Serialize;

use super::time::time;
use crate::{
    containers, out,
    records::Records,
    rollout::{self, Happened, Reason, Reasons, Report, Scope},
    table::{self, Cell},
};

const EXAMPLES: &str = "\
Examples:
  lockc rollout                             every namespace and engine
  lockc rollout --since 24h
  lockc rollout --scope team-a              with each finding
  lockc rollout --json | jq '.[] | select(.ready | not) | .scope'

Exit codes: 0 if enforcement would refuse and deny nothing that is on record; 3 otherwise.";

/// Shows what enforcement would refuse and deny, by Kubernetes namespace and engine.
///
/// It counts what audit mode has let pass: refusals (the last 256 containers) and denials (the
/// newest 64 of each container and rule). What nobody has tried is not on record.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only what happened since then: a time, or a duration before now (`24h`)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only this namespace or engine, with each finding
    #[arg(long, value_name = "NAME")]
    scope: Option<String>,
    /// JSON output.
    #[arg(long)]
    json: bool,
}

/// A line of JSON.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    scope: &'a Scope,
    ready: bool,
    enforced: usize,
    audited: usize,
    would_refuse: Vec<Finding<'a>>,
    would_deny: Vec<Finding<'a>>,
    refused: Vec<Finding<'a>>,
    denied: Vec<Finding<'a>>,
}

#[derive(Debug, Serialize)]
struct Finding<'a> {
    #[serde(flatten)]
    reason: &'a Reason,
    #[serde(flatten)]
    happened: &'a Happened,
}

/// Runs it.
///
/// # Errors
///
/// Where the record cannot be read: not loaded, or not root.
pub fn run(args: &Args) -> Result<ExitCode> {
    let containers = containers::confined()?;
    let mut refusals = Vec::new();
    for place in [paths::REFUSED, paths::AUDITED] {
        let kept = Refused::all(Path::new(place));
        refusals.extend(kept.with_context(|| format!("{place} can be read by root only"))?);
    }
    let mut scopes = rollout::report(&containers, &refusals, &Records::open()?.all()?, args.since);
    if let Some(name) = &args.scope {
        let is_called = |scope: &Scope| match scope {
            Scope::Namespace(own) | Scope::Engine(own) => own == name,
            Scope::Unknown => false,
        };
        scopes.retain(|scope, _| is_called(scope));
    }
    if args.json {
        let shown: Vec<Shown<'_>> =
            scopes.iter().map(|(scope, report)| shown(scope, report)).collect();
        out::json(&shown)?;
    } else if scopes.is_empty() {
        println!("no container runs, and nothing is on record");
    } else if args.scope.is_some() {
        scopes.iter().for_each(|(scope, report)| print_findings(scope, report));
    } else {
        print(scopes.iter());
    }
    Ok(out::answer(scopes.values().all(Report::is_ready)))
}

fn shown<'a>(scope: &'a Scope, report: &'a Report) -> Shown<'a> {
    let findings = |reasons: &'a Reasons| {
        reasons.iter().map(|(reason, happened)| Finding { reason, happened }).collect()
    };
    Shown {
        scope,
        ready: report.is_ready(),
        enforced: report.enforced,
        audited: report.audited,
        would_refuse: findings(&report.would_refuse),
        would_deny: findings(&report.would_deny),
        refused: findings(&report.refused),
        denied: findings(&report.denied),
    }
}

fn print<'a>(scopes: impl Iterator<Item = (&'a Scope, &'a Report)>) {
    let mut table = table::new();
    table.set_header([
        "scope",
        "enforced",
        "audited",
        "would refuse",
        "would deny",
        "refused",
        "denied",
        "verdict",
    ]);
    for (scope, report) in scopes {
        let count = |number: usize| table::number(Some(number));
        table.add_row([
            Cell::new(out::printable(&scope.name())),
            count(report.enforced),
            count(report.audited),
            count(report.would_refuse.len()),
            count(report.would_deny.len()),
            count(report.refused.len()),
            count(report.denied.len()),
            Cell::new(report.verdict()),
        ]);
    }
    table::print(table);
}

fn print_findings(scope: &Scope, report: &Report) {
    println!(
        "{}: {} in enforcement, {} in audit mode; {}",
        out::printable(&scope.name()),
        report.enforced,
        report.audited,
        report.verdict()
    );
    let mut table = table::new();
    table.set_header(["verdict", "by", "count", "container", "what, and what would allow it"]);
    for (verdict, reasons) in [
        ("would refuse", &report.would_refuse),
        ("would deny", &report.would_deny),
        ("refused", &report.refused),
        ("denied", &report.denied),
    ] {
        for (reason, happened) in reasons {
            let mut containers = happened.containers.iter();
            let first = containers.next().cloned().unwrap_or_default();
            let more = containers.count();
            let whose = if more == 0 { first } else { format!("{first} (+{more})") };
            table.add_row([
                Cell::new(verdict),
                Cell::new(&reason.name),
                table::number(Some(happened.count)),
                Cell::new(out::printable(&whose)),
                Cell::new(out::printable(&format!("{} [{}]", reason.what, reason.remedy))),
            ]);
        }
    }
    table::print(table);
}
