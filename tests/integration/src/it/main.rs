//! `lockc-it`: the integration suite's half inside of the virtual machine, as root, with real
//! runtimes and engines.
//!
//! A case proves three things wherever it can: an attempt works without lockc, fails under a level
//! with the exact errno and the right rule in the event, and works again under `privileged`.

mod bench;
mod btrfs;
mod bundle;
mod cases;
mod check;
mod command;
mod config;
mod containerd;
mod cri;
mod demo;
mod docker;
mod escapes;
mod kubernetes;

mod lab;
mod launch;
mod podman;
mod system;
mod without_runtime;
mod workloads;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::cases::{Case, Part, Skip, Tier};
use crate::lab::Lab;

#[derive(Parser)]
#[command(
    name = "lockc-it",
    about = "lockc's integration suite; runs in a virtual machine: cargo xtask test"
)]
struct Cli {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// The names and tags of the cases
    List(Choice),
    /// Run cases; one line each: case NAME ok|FAIL|skip MILLISECONDS DETAIL
    Run {
        #[command(flatten)]
        choice: Choice,
        /// Without lockc: only that the attempts are possible at all
        #[arg(long)]
        plain: bool,
        /// Seconds after which no case is begun any more: those that are left count as skipped
        #[arg(long)]
        seconds: Option<u64>,
    },
    /// The packages, and the chart, on a system with systemd: one boot's cases, in a folder with
    /// what they need
    System {
        /// The beginning of the cases' names: system/1-, the first boot; kubernetes/
        #[arg(default_value = "")]
        stage: String,
        /// Only their names
        #[arg(long)]
        list: bool,
    },
    /// Containers, or execs, one after the other, by lockc's library alone
    #[command(hide = true)]
    WithoutRuntime {
        #[arg(long)]
        count: usize,
        /// The container to execute in, and the PID of its init; without it each container is a
        /// new one
        #[arg(long, num_args = 2, value_names = ["ID", "PID"])]
        exec: Vec<String>,
    },
    /// A page of the documentation, from the tables of the cases
    Docs { page: Page },
    /// What system calls cost without lockc, on the host with it, and in containers: JSON on
    /// standard output
    Bench {
        /// How often each operation is measured
        #[arg(long, default_value_t = 201)]
        count: u32,
    },
    /// The demo's table
    Demo {
        /// On a host of the user's: configure nothing, clean up
        #[arg(long)]
        here: bool,
    },
}

/// Pages that are written from tables.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Page {
    Escapes,
    Workloads,
}

#[derive(clap::Args)]
struct Choice {
    /// bare runtimes, the escape suite, an engine, or workloads; may be given several times; all
    /// by default
    #[arg(long)]
    part: Vec<Part>,
    /// Only cases whose name or a tag of which contains this
    #[arg(long, default_value = "")]
    filter: String,
    /// How many of them
    #[arg(long, default_value = "all")]
    tier: Tier,
}

impl Choice {
    fn cases(&self) -> Vec<Case> {
        let mut cases = cases::all();
        cases.retain(|case| {
            (self.part.is_empty() || self.part.contains(&case.part))
                && (case.name.contains(&self.filter) || case.tags.iter().any(|tag| tag.contains(&self.filter)))
                && self.tier.has(case)
                // Only by its name: it is the machine's root that makes it.
                && (case.part != Part::Btrfs || self.part == [Part::Btrfs])
        });
        cases
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lockc-it: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<bool> {
    match verb {
        Verb::List(choice) => {
            for case in choice.cases() {
                println!("{} {}", case.name, case.tags.join(","));
            }
            Ok(true)
        }
        Verb::Run { choice, plain, seconds } => {
            let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
            if choice.part == [Part::Btrfs] {
                btrfs::enter()?;
            }
            let mut lab = Lab::new(plain, choice.tier)?;
            let mut passed = true;
            for case in choice.cases() {
                if end.is_some_and(|end| end < Instant::now()) {
                    report(
                        &case.name,
                        Instant::now(),
                        &Err(Skip("the time of the gate was over".into()).into()),
                    );
                } else {
                    passed &= run_case(&mut lab, &case);
                }
            }
            Ok(passed)
        }
        Verb::System { stage, list } => {
            let mut passed = true;
            for step in system::steps().filter(|step| step.name.starts_with(&stage)) {
                if list {
                    println!("{}", step.name);
                } else {
                    let start = Instant::now();
                    passed &= report(step.name, start, &(step.code)());
                }
            }
            Ok(passed)
        }
        Verb::WithoutRuntime { count, exec } => without_runtime::run(count, &exec).map(|()| true),
        Verb::Docs { page } => {
            let text = match page {
                Page::Escapes => escapes::docs::markdown(),
                Page::Workloads => workloads::markdown(),
            };
            print!("{text}");
            Ok(true)
        }
        Verb::Bench { count } => bench::run(count).map(|()| true),
        Verb::Demo { here } => demo::run(here),
    }
}

fn run_case(lab: &mut Lab, case: &Case) -> bool {
    let start = Instant::now();
    let passed = report(&case.name, start, &case.test.run(lab, case.runtime));
    lab.after_case();
    passed
}

/// Prints a case's line; false if it failed.
fn report(name: &str, start: Instant, result: &Result<String>) -> bool {
    let (verdict, detail) = match result {
        Ok(detail) => ("ok", detail.clone()),
        Err(error) => match error.downcast_ref::<Skip>() {
            Some(Skip(reason)) => ("skip", reason.clone()),
            None => ("FAIL", format!("{error:#}")),
        },
    };
    // One line, whatever a runtime wrote.
    let detail = detail.split_whitespace().collect::<Vec<_>>().join(" ");
    println!("case {name} {verdict} {} {detail}", start.elapsed().as_millis());
    verdict != "FAIL"
}
