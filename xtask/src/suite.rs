//! The integration suite in virtual machines: which cases run where, two machines at a time.
//!
//! A job is a kernel and a part (`bare` runtimes, the `escape` suite on them, an engine, workloads): parts balance the two machines, and a case that leaves
//! something behind harms only its own part.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::assets::Kernel;
use crate::report::{Outcome, Report};
use crate::vm::Vm;
use crate::{build, ui};

const PARTS: [&str; 6] = [WORK, "docker", "containerd", "podman", "bare", "escape"];
/// The part that needs the workloads' disk.
const WORK: &str = "work";
/// The tier that leaves nothing out.
const ALL: &str = "all";
const TIMEOUT: Duration = Duration::from_secs(2700);

struct Job {
    kernel: Kernel,
    part: &'static str,
    tier: &'static str,
    /// Names of the cases that must report.
    expected: Vec<String>,
}

/// Runs the chosen cases on the chosen kernels; `everything`: all of them on each.
pub fn run(kernels: &[Kernel], filter: &str, everything: bool, report: &mut Report) -> Result<()> {
    let programs = build::guest_programs()?;
    let mut jobs = VecDeque::new();
    // The longest first.
    for part in PARTS {
        for kernel in kernels.iter().rev() {
            let all = list(&programs, part, filter, ALL)?;
            let tier = match () {
                () if everything => ALL,
                () if kernel.whole.contains(&part) => "gate",
                () if kernel.smoke.contains(&part) => "smoke",
                () => "",
            };
            let expected = if tier.is_empty() { Vec::new() } else { list(&programs, part, filter, tier)? };
            if expected.len() < all.len() {
                let left = all.len() - expected.len();
                report.note(format!(
                    "kernel {}: {left} of {} {part} cases run with --everything, or on other kernels, only",
                    kernel.name,
                    all.len()
                ));
            }
            if !expected.is_empty() {
                jobs.push_back(Job { kernel: *kernel, part, tier, expected });
            }
        }
    }
    if jobs.is_empty() {
        return Err(anyhow!("no case matches {filter:?}; `lockc-it list` shows the names"));
    }
    let queue = Mutex::new(jobs);
    let report = Mutex::new(report);
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop_front());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(job) = next() {
                    run_job(&job, &programs, filter, &report);
                }
            });
        }
    });
    Ok(())
}

fn list(programs: &Path, part: &str, filter: &str, tier: &str) -> Result<Vec<String>> {
    let mut command = Command::new(programs.join("lockc-it"));
    command.args(["list", "--part", part, "--filter", filter, "--tier", tier]);
    let text = ui::capture(&mut command).context("cannot list the cases")?;
    Ok(text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

fn run_job(job: &Job, programs: &Path, filter: &str, report: &Mutex<&mut Report>) {
    let start = Instant::now();
    let group = format!("kernel {}", job.kernel.name);
    let command =
        format!("./lockc-it run --part {} --filter '{}' --tier {}", job.part, filter.replace('\'', ""), job.tier);
    let machine =
        Vm { kernel: job.kernel, timeout: TIMEOUT, append: String::new(), workloads: job.part == WORK, systemd: None };
    let mut waiting = job.expected.clone();
    let mut last = Instant::now();
    let mut on_line = |line: &str| {
        println!("{:<4} {:<6} {line}", job.kernel.name, job.part);
        if let Some((name, outcome, time)) = parse(line) {
            waiting.retain(|expected| *expected != name);
            if let Ok(mut report) = report.lock() {
                report.add(&group, &name, outcome, time);
            }
            last = Instant::now();
        }
    };
    let result = machine.run(programs, &command, &mut on_line);
    // A case that did not report is a failure, whatever kept it from reporting.
    let why = match result {
        Ok(done) if done.status == 0 || waiting.is_empty() => "did not report".to_owned(),
        Ok(done) => format!("the test program ended early with status {}", done.status),
        Err(error) => format!("{error:#}"),
    };
    if let Ok(mut report) = report.lock() {
        for (n, name) in waiting.iter().enumerate() {
            let why = if n == 0 { why.clone() } else { "did not run: see the case before".into() };
            println!("{:<4} {:<6} case {name} FAIL {why}", job.kernel.name, job.part);
            report.add(&group, name, Outcome::Failed(why), last.elapsed());
        }
    }
    println!("{:<4} {:<6} done in {:.0} s", job.kernel.name, job.part, start.elapsed().as_secs_f32());
}

/// `case NAME ok|FAIL|skip MS DETAIL`
fn parse(line: &str) -> Option<(String, Outcome, Duration)> {
    let mut words = line.strip_prefix("case ")?.splitn(4, ' ');
    let (name, verdict, time) = (words.next()?, words.next()?, words.next()?);
    let detail = words.next().unwrap_or("").to_owned();
    let outcome = match verdict {
        "ok" => Outcome::Passed(detail),
        "FAIL" => Outcome::Failed(detail),
        "skip" => Outcome::Skipped(detail),
        _ => return None,
    };
    Some((name.to_owned(), outcome, Duration::from_millis(time.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_guest_are_understood() {
        let time = Duration::from_millis(12);
        assert_eq!(
            parse("case mounts/tmpfs ok 12 EPERM"),
            Some(("mounts/tmpfs".into(), Outcome::Passed("EPERM".into()), time))
        );
        assert_eq!(parse("case a FAIL 12 b c"), Some(("a".into(), Outcome::Failed("b c".into()), time)));
        assert_eq!(parse("case a skip 12"), Some(("a".into(), Outcome::Skipped(String::new()), time)));
        assert_eq!(parse("case a maybe 12 x"), None);
        assert_eq!(parse("a line of something else"), None);
    }
}
