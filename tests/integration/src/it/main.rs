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
mod harness;
mod kubernetes;
mod lab;
mod launch;
mod podman;
mod select;
mod system;
mod wait;
mod without_runtime;
mod workloads;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use libtest_mimic::Arguments;

/// A test program as cargo's are, unless its first argument is a [`Verb`].
#[derive(Parser)]
#[command(
    name = "lockc-it",
    about = "lockc's integration suite; runs in a virtual machine: cargo xtask test"
)]
struct Tests {
    #[command(flatten)]
    libtest: Arguments,
    #[command(flatten)]
    options: harness::Options,
}

/// What it can do beside.
#[derive(Parser)]
#[command(name = "lockc-it")]
struct Tool {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
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
    /// Prepare the machine, with an engine, and do what a disk says as soon as it says something:
    /// for machines that are saved and resumed
    #[command(hide = true)]
    Wait { base: wait::Base },
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

fn main() -> ExitCode {
    let first = std::env::args().nth(1);
    let result = if first.is_some_and(|first| Verb::has_subcommand(&first)) {
        run(Tool::parse().verb)
    } else {
        let Tests { libtest, options } = Tests::parse();
        harness::run(libtest, &options, None)
    };
    match result {
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
        Verb::WithoutRuntime { count, exec } => without_runtime::run(count, &exec).map(|()| true),
        Verb::Wait { base } => {
            let (lab, job) = wait::wait(base)?;
            let words = std::iter::once("lockc-it".to_owned()).chain(job.args);
            let Tests { libtest, options } =
                Tests::try_parse_from(words).context("the job's arguments")?;
            harness::run(libtest, &options, Some(lab))
        }
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
