//! `cargo xtask fuzz`: libFuzzer on everything that reads input of tenants and
//! engines. No sanitizer is needed, because the code is safe Rust, so the stable toolchain
//! suffices; it finds panics and violated properties.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::places;
use crate::report::{Outcome, Report};
use crate::{build, root, setup, ui, upstream};

/// The targets of `tests/fuzz`, and the folder of the tree with examples to begin with.
const TARGETS: [(&str, Option<&str>); 5] = [
    ("argv", None),
    ("config_json", Some("crates/lockc-runc-wrapper/tests/fixtures")),
    ("lockc_toml", Some("packaging")),
    ("log_writer", None),
    ("runtime_spec", Some("crates/lockc-runc-wrapper/tests/fixtures")),
];
/// Inputs of configurations with seccomp profiles are larger than libFuzzer makes them by itself.
const LONGEST: usize = 65536;

/// What the gate gives each of them.
pub const SECONDS: u64 = 25;

#[derive(clap::Args)]
pub struct Args {
    /// argv, `config_json`, `lockc_toml`, `log_writer` or `runtime_spec`; all of them without one
    target: Option<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// Fuzzes; true if nothing was found.
pub fn command(args: &Args) -> Result<bool> {
    setup::run(&[])?;
    let mut report = Report::default();
    run(args.target.as_deref(), args.seconds, &mut report)?;
    report.print();
    Ok(report.failed() == 0)
}

/// Fuzzes one or all targets, two at a time.
pub fn run(only: Option<&str>, seconds: u64, report: &mut Report) -> Result<()> {
    let chosen: Vec<_> =
        TARGETS.into_iter().filter(|(name, _)| only.is_none_or(|only| only == *name)).collect();
    if chosen.is_empty() {
        bail!("no such target; there are {}", TARGETS.map(|(name, _)| name).join(", "));
    }
    setup::cargo_fuzz()?;
    ui::step("building the fuzz targets", || {
        let status = fuzz("build")?.status().context("cannot run cargo fuzz")?;
        if status.success() {
            Ok(())
        } else {
            bail!("the fuzz targets do not build; cargo's message is above")
        }
    })?;
    let queue = Mutex::new(chosen);
    let report = Mutex::new(report);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((name, seeds)) = queue.lock().ok().and_then(|mut queue| queue.pop())
                {
                    let start = Instant::now();
                    let outcome = match target(name, seeds, seconds) {
                        Ok(said) => Outcome::Passed(said),
                        Err(error) => Outcome::Failed(format!("{error:#}")),
                    };
                    eprintln!(
                        "{} fuzz {name}",
                        if matches!(outcome, Outcome::Passed(_)) { "  ok" } else { "FAIL" }
                    );
                    if let Ok(mut report) = report.lock() {
                        report.add("fuzz", name, outcome, start.elapsed());
                    }
                }
            });
        }
    });
    Ok(())
}

/// `cargo fuzz WORD` for the project's targets.
fn fuzz(word: &str) -> Result<Command> {
    let mut command = build::cargo();
    command.args(["fuzz", word, "--fuzz-dir"]).arg(root().join("tests/fuzz"));
    command.args(["--sanitizer", "none", "--target-dir"]).arg(build::target()?.join("fuzz"));
    command.stdin(Stdio::null());
    Ok(command)
}

/// One target; what libFuzzer says last, or where what it found is.
fn target(name: &str, seeds: Option<&str>, seconds: u64) -> Result<String> {
    let corpus = places::cache()?.join("fuzz").join(name);
    fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
    let log = places::cache()?.join("logs").join(format!("fuzz-{name}.log"));
    let file =
        fs::File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
    let mut command = fuzz("run")?;
    if name == "runtime_spec" {
        command.env("LOCKC_READER", upstream::reader()?);
    }
    command.arg(name).arg(&corpus);
    command.args(seeds.map(|seeds| root().join(seeds)));
    command.args(["--", "-print_final_stats=1", "-rss_limit_mb=1024", "-timeout=10"]);
    command.arg(format!("-max_len={LONGEST}"));
    command.arg(format!("-max_total_time={seconds}"));
    command.stdout(Stdio::null()).stderr(file);
    let start = Instant::now();
    let status = command.status().context("cannot run cargo fuzz")?;
    let text = fs::read_to_string(&log).unwrap_or_default();
    if !status.success() {
        let input: Option<PathBuf> = text
            .lines()
            .find_map(|line| line.split("Test unit written to ").nth(1))
            .map(PathBuf::from);
        let input =
            input.map_or_else(String::new, |input| format!("; the input is {}", input.display()));
        bail!("{status}; libFuzzer's output is in {}{input}", log.display());
    }
    let runs = text
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
        .unwrap_or("")
        .trim();
    // A target that cannot start would find nothing either.
    if runs.parse::<u64>().unwrap_or(0) < 1000 || start.elapsed() < Duration::from_secs(seconds) {
        bail!("only {runs:?} inputs were tried; libFuzzer's output is in {}", log.display());
    }
    Ok(format!("{runs} inputs"))
}
