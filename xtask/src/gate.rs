//! `cargo xtask test`: everything that must hold before a change lands, cheapest first.
//!
//! A failing step does not hide the later ones; the summary and the very last line count all of
//! them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::arch::Arch;
use crate::kernels::{KERNELS, Kernel, kernels};
use crate::plan::{self, Times};
use crate::report::{Case, Outcome, Report};
use crate::{build, fuzz, setup, suite, ui};
use crate::{kubernetes, monitoring};

#[derive(clap::Args)]
pub struct Args {
    /// Kernels to run the integration suite on, with every case, separated by commas; by default
    /// all of them, and what does not depend on the kernel on one
    #[arg(long, value_delimiter = ',')]
    kernel: Vec<String>,
    /// All kernels of this architecture, as with --everything
    #[arg(long, value_enum, conflicts_with = "kernel")]
    arch: Option<Arch>,
    /// Only the integration cases whose name contains this; no lints, no unit tests
    #[arg(long)]
    filter: Option<String>,
    /// Run every case on every kernel (some hours)
    #[arg(long)]
    everything: bool,
    /// Minutes after which no machine and no case is started; the rest counts as skipped; 0: no
    /// limit
    #[arg(long, value_name = "MINUTES", default_value_t = 68)]
    budget: u64,
    /// Virtual machines at a time: one for each core is right
    #[arg(long, value_name = "COUNT", default_value_t = 2,
          value_parser = clap::value_parser!(u16).range(1..))]
    machines: u16,
    /// No virtual machines
    #[arg(long, conflicts_with_all = ["kernel", "arch", "filter"])]
    unit_only: bool,
    /// Write all results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write all results to this file, as JUnit; by default to nextest/gate/junit.xml in cargo's
    /// target directory
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

#[derive(Serialize)]
struct Written<'a> {
    passed: usize,
    failed: usize,
    skipped: usize,
    cases: &'a [Case],
}

impl Args {
    /// The kernels that are asked for. A run of some cases is on x86_64 only unless it says
    /// otherwise: it shall start soon.
    fn kernels(&self) -> Result<Vec<Kernel>> {
        if !self.kernel.is_empty() {
            return self.kernel.iter().map(|name| Kernel::named(name)).collect();
        }
        Ok(match (self.arch, &self.filter) {
            (Some(arch), _) => kernels(arch),
            (None, Some(_)) => kernels(Arch::X86),
            (None, None) => KERNELS.to_vec(),
        })
    }
}

/// Runs the gate; true if nothing failed.
pub fn run(args: &Args) -> Result<bool> {
    let start = Instant::now();
    let kernels = args.kernels()?;
    let everything = args.everything || !args.kernel.is_empty() || args.arch.is_some();
    if !args.unit_only && args.filter.is_none() {
        eprintln!("{}", Times::load().estimate(&kernels, everything, args.machines.into())?);
    }
    let mut report = Report::default();
    let machines = if args.unit_only { Vec::new() } else { plan::machines(&kernels, everything)? };
    setup::run(&machines)?;
    if args.filter.is_none() {
        lints(&mut report)?;
        step(&mut report, "the chart renders as its manifests", kubernetes::check);
        step(&mut report, "alert rules and dashboard by promtool", monitoring::check);
        unit_tests(&mut report)?;
        admission(args.everything, &mut report);
        fuzz::run(None, fuzz::SECONDS, &mut report)?;
    }
    if !args.unit_only {
        let unlimited = args.budget == 0 || everything || args.filter.is_some();
        let end = (!unlimited).then(|| start + Duration::from_secs(60 * args.budget));
        suite::run(
            &kernels,
            args.filter.as_deref().unwrap_or(""),
            everything,
            end,
            args.machines.into(),
            &mut report,
        )?;
    }
    if let Some(path) = &args.json {
        write_json(&report, path)?;
    }
    let junit = match &args.junit {
        Some(path) => path.clone(),
        None => build::target()?.join("nextest/gate/junit.xml"),
    };
    report.write_junit(&junit)?;
    eprintln!("the whole took {:.0} s", start.elapsed().as_secs_f32());
    report.print();
    Ok(report.failed() == 0)
}

/// One check that is a command.
fn check(report: &mut Report, name: &str, command: &mut Command) -> bool {
    let start = Instant::now();
    eprintln!("  .. {name}");
    let outcome = match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Outcome::Passed(String::new()),
        Ok(status) => Outcome::Failed(format!("{status}, its message is above")),
        Err(error) => Outcome::Failed(format!("cannot run it: {error}")),
    };
    let passed = matches!(outcome, Outcome::Passed(_));
    eprintln!(
        "{} {name} ({:.1} s)",
        if passed { "  ok" } else { "FAIL" },
        start.elapsed().as_secs_f32()
    );
    report.add("checks", name, outcome, start.elapsed());
    passed
}

fn lints(report: &mut Report) -> Result<()> {
    check(report, "cargo fmt --check", build::cargo().args(["fmt", "--all", "--check"]));
    check(
        report,
        "cargo clippy -D warnings",
        build::cargo().args(["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"]),
    );
    // What must not compile: nextest runs no documentation tests.
    check(
        report,
        "documentation tests",
        build::cargo().args(["test", "--quiet", "--doc", "--package", "lockc-core"]),
    );
    check(
        report,
        "cargo deny: licences, bans, sources",
        build::cargo().args([
            "deny",
            "--log-level",
            "error",
            "check",
            "licenses",
            "bans",
            "sources",
        ]),
    );
    advisories(report);
    Ok(())
}

/// One check that is a function.
fn step(report: &mut Report, name: &'static str, check: fn() -> Result<()>) {
    let start = Instant::now();
    let outcome = match ui::step(name, check) {
        Ok(()) => Outcome::Passed(String::new()),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    };
    report.add("checks", name, outcome, start.elapsed());
}

/// Kubernetes' own admission plugin takes minutes to build.
fn admission(everything: bool, report: &mut Report) {
    const NAME: &str = "the admission policy by Kubernetes' own plugin";
    let outcome = if everything {
        match kubernetes::judged() {
            Ok(mut command) => {
                check(report, NAME, &mut command);
                return;
            }
            Err(error) => Outcome::Failed(format!("{error:#}")),
        }
    } else {
        Outcome::Skipped("with --everything, or cargo xtask chart --check --admission".into())
    };
    report.add("checks", NAME, outcome, Duration::ZERO);
}

/// The advisory database is a git repository that not every machine reaches: that is said, not
/// hidden, and is no failure.
fn advisories(report: &mut Report) {
    const NAME: &str = "cargo deny: advisories";
    let start = Instant::now();
    eprintln!("  .. {NAME}");
    let fetch = Command::new("timeout")
        .args(["60", "cargo", "deny", "--log-level", "error", "fetch", "db"])
        .current_dir(crate::root())
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if fetch.is_ok_and(|status| status.success()) {
        check(
            report,
            NAME,
            build::cargo().args([
                "deny",
                "--log-level",
                "error",
                "check",
                "--disable-fetch",
                "advisories",
            ]),
        );
    } else {
        eprintln!("skip {NAME}: the advisory database can't be fetched from here");
        report.add(
            "checks",
            NAME,
            Outcome::Skipped("the advisory database can't be fetched from here".into()),
            start.elapsed(),
        );
    }
}

/// Unit tests by nextest; each test is a case of the report.
fn unit_tests(report: &mut Report) -> Result<()> {
    let start = Instant::now();
    eprintln!("  .. unit tests");
    let junit = build::target()?.join("nextest/default/junit.xml");
    let _ = fs::remove_file(&junit);
    let status = build::cargo()
        .args([
            "nextest",
            "run",
            "--no-fail-fast",
            "--no-tests",
            "pass",
            "--status-level",
            "fail",
            "--final-status-level",
            "fail",
        ])
        .stdin(Stdio::null())
        .status()
        .context("cannot run cargo nextest")?;
    let before = (report.cases.len(), report.failed());
    let read = fs::read_to_string(&junit).context("nextest wrote no report");
    let read = read.and_then(|text| report.add_junit("unit", &text));
    let (ran, failed) = (report.cases.len() - before.0, report.failed() - before.1);
    let unexplained = match read {
        Err(error) => Some(format!("{error:#}; {status}")),
        Ok(()) if !status.success() && failed == 0 => {
            Some(format!("{status}, its message is above"))
        }
        Ok(()) => None,
    };
    if let Some(why) = unexplained {
        report.add("unit", "cargo nextest", Outcome::Failed(why), start.elapsed());
    }
    eprintln!(
        "{} unit tests: {ran} run ({:.1} s)",
        if status.success() { "  ok" } else { "FAIL" },
        start.elapsed().as_secs_f32()
    );
    Ok(())
}

fn write_json(report: &Report, path: &Path) -> Result<()> {
    let written = Written {
        passed: report.passed(),
        failed: report.failed(),
        skipped: report.skipped(),
        cases: &report.cases,
    };
    let text = serde_json::to_string_pretty(&written).context("cannot format the results")?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    ui::step(&format!("results in {}", path.display()), || Ok(()))
}
