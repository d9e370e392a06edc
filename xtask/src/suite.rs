//! The integration suite in virtual machines: which cases run where, two machines at a time.
//!
//! A job is a kernel and a part (`bare` runtimes, the `escape` suite on them, an engine,
//! workloads): parts balance the two machines, and a case that leaves something behind harms only
//! its own part. A kernel's smoke cases share one machine, so that it boots and loads lockc once.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::assets::Kernel;
use crate::report::{Outcome, Report};
use crate::vm::Vm;
use crate::{build, kubernetes, system, ui};

/// In this order: the last are left out where time runs out.
const PARTS: [&str; 9] =
    [SYSTEM, "docker", "bare", "escape", WORK, "podman", "containerd", BTRFS, KUBERNETES];
/// The part that has systemd, packages and several boots.
const SYSTEM: &str = "system";
/// The part that has systemd and a cluster.
const KUBERNETES: &str = "kubernetes";
/// Their boots: the beginning of their cases' names, and more of the kernel's command line.
const BOOTS: [(&str, &str); 5] = [
    ("system/1-", ""),
    ("system/2-", ""),
    ("system/3-", "lsm=capability,landlock,yama,apparmor"),
    ("system/4-", ""),
    ("kubernetes/", ""),
];
/// The part that needs the workloads' disk.
const WORK: &str = "work";
/// The part whose machine's root is another file system.
const BTRFS: &str = "btrfs";
/// The tier that leaves nothing out.
const ALL: &str = "all";
const TIMEOUT: Duration = Duration::from_secs(2700);
/// A cluster's programs and a dozen pods, all emulated.
const TIMEOUT_OF_A_CLUSTER: Duration = Duration::from_secs(5400);
/// How long after the end of the gate's time a machine may be at work: with its last case, or with
/// the boots of a part that has several.
const GRACE: Duration = Duration::from_secs(900);
/// How long a machine boots.
const BOOT: Duration = Duration::from_secs(15);

struct Job {
    kernel: Kernel,
    /// Parts that share the machine.
    parts: Vec<&'static str>,
    tier: &'static str,
    /// Names of the cases that must report.
    expected: Vec<String>,
}

impl Job {
    fn has(&self, part: &str) -> bool {
        self.parts.contains(&part)
    }

    /// What stands before each line of its machine.
    fn label(&self) -> String {
        let part = if let [part] = self.parts[..] { part } else { self.tier };
        format!("{:<4} {part:<6}", self.kernel.name)
    }
}

/// Runs the chosen cases on the chosen kernels; `everything`: all of them on each. After `end` no
/// machine is begun.
pub fn run(
    kernels: &[Kernel],
    filter: &str,
    everything: bool,
    end: Option<Instant>,
    report: &mut Report,
) -> Result<()> {
    let programs = build::guest_programs()?;
    let mut jobs = VecDeque::new();
    for part in PARTS {
        for kernel in kernels.iter().rev() {
            let all = list(&programs, part, filter, ALL)?;
            let tier = match () {
                () if everything => ALL,
                () if kernel.whole.contains(&part) => "gate",
                () if kernel.smoke.contains(&part) => "smoke",
                () => "",
            };
            let expected =
                if tier.is_empty() { Vec::new() } else { list(&programs, part, filter, tier)? };
            if expected.len() < all.len() {
                let left = all.len() - expected.len();
                report.note(format!(
                    "kernel {}: {left} of {} {part} cases run with --everything, or on other \
                     kernels, only",
                    kernel.name,
                    all.len()
                ));
            }
            if !expected.is_empty() {
                add(&mut jobs, Job { kernel: *kernel, parts: vec![part], tier, expected });
            }
        }
    }
    if jobs.is_empty() {
        return Err(anyhow!("no case matches {filter:?}; `lockc-it list` shows the names"));
    }
    let queue = Mutex::new(jobs);
    let report = Mutex::new(report);
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop_front());
    let folders = Folders { programs, made: Mutex::default() };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(job) = next() {
                    let timeout = if job.has(KUBERNETES) { TIMEOUT_OF_A_CLUSTER } else { TIMEOUT };
                    if end.is_some_and(|end| end < Instant::now()) {
                        too_late(&job, &report);
                        continue;
                    }
                    match folders.of(job.parts[0]) {
                        Ok(folder) => run_job(&job, &folder, filter, timeout, end, &report),
                        Err(error) => missing(
                            &job,
                            &job.expected,
                            &format!("{error:#}"),
                            Duration::ZERO,
                            &report,
                        ),
                    }
                }
            });
        }
    });
    Ok(())
}

/// Adds a job, or its cases to the job of the same kernel that has smoke cases too, where they need
/// nothing of their own.
fn add(jobs: &mut VecDeque<Job>, job: Job) {
    let shared = |job: &Job| {
        job.tier == "smoke" && job.parts.iter().all(|part| ![WORK, BTRFS].contains(part))
    };
    match jobs.iter_mut().find(|other| other.kernel == job.kernel && shared(other)) {
        Some(other) if shared(&job) => {
            other.parts.extend(job.parts);
            other.expected.extend(job.expected);
        }
        _ => jobs.push_back(job),
    }
}

/// What machines get as their working directories; made when it is first asked for.
struct Folders {
    programs: PathBuf,
    made: Mutex<BTreeMap<&'static str, PathBuf>>,
}

impl Folders {
    fn of(&self, part: &'static str) -> Result<PathBuf> {
        // Held while it is made: the other machine's job may need the same.
        let mut made = self.made.lock().map_err(|_| anyhow!("making another folder failed"))?;
        if let Some(folder) = made.get(part) {
            return Ok(folder.clone());
        }
        let folder = match part {
            SYSTEM => system::folder(&self.programs)?,
            KUBERNETES => kubernetes::folder(&self.programs)?,
            _ => return Ok(self.programs.clone()),
        };
        made.insert(part, folder.clone());
        Ok(folder)
    }
}

/// Whether a part's cases are boots of a machine with systemd.
fn staged(part: &str) -> bool {
    [SYSTEM, KUBERNETES].contains(&part)
}

fn list(programs: &Path, part: &str, filter: &str, tier: &str) -> Result<Vec<String>> {
    let mut command = Command::new(programs.join("lockc-it"));
    if staged(part) {
        command.args(["system", &format!("{part}/"), "--list"]);
    } else {
        command.args(["list", "--part", part, "--filter", filter, "--tier", tier]);
    }
    let text = ui::capture(&mut command).context("cannot list the cases")?;
    let names: Vec<String> =
        text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    // A boot, and a case of it, stands on those before it: all of that part, or nothing.
    let wanted = !staged(part) || names.iter().any(|name| name.contains(filter));
    Ok(if wanted { names } else { Vec::new() })
}

fn run_job(
    job: &Job,
    programs: &Path,
    filter: &str,
    timeout: Duration,
    end: Option<Instant>,
    report: &Mutex<&mut Report>,
) {
    let start = Instant::now();
    let rest = end.map(|end| end.saturating_duration_since(start));
    let mut machine = Vm {
        kernel: job.kernel,
        timeout: rest.map_or(timeout, |rest| timeout.min(rest + GRACE)),
        append: String::new(),
        workloads: job.has(WORK),
        systemd: None,
        counts_instructions: false,
    };
    if let Some(part) = job.parts.iter().find(|part| staged(part)) {
        let Ok(scratch) = tempfile::Builder::new().prefix("lockc-system-").tempdir() else {
            return missing(
                job,
                &job.expected,
                "cannot create a temporary folder",
                Duration::ZERO,
                report,
            );
        };
        machine.systemd = Some(scratch.path().join("disk.qcow2"));
        for (stage, append) in BOOTS.into_iter().filter(|(stage, _)| stage.starts_with(part)) {
            append.clone_into(&mut machine.append);
            boot(job, &machine, programs, &format!("./lockc-it system {stage}"), stage, report);
        }
    } else {
        let parts: String = job.parts.iter().map(|part| format!(" --part {part}")).collect();
        let (filter, tier) = (filter.replace('\'', ""), job.tier);
        let seconds = rest.map_or_else(String::new, |rest| {
            format!(" --seconds {}", rest.saturating_sub(BOOT).as_secs())
        });
        let command = format!("./lockc-it run{parts} --filter '{filter}' --tier {tier}{seconds}");
        boot(job, &machine, programs, &command, "", report);
    }
    println!("{} done in {:.0} s", job.label(), start.elapsed().as_secs_f32());
}

/// One boot of a job, for the cases whose names begin with `stage`.
fn boot(
    job: &Job,
    machine: &Vm,
    programs: &Path,
    command: &str,
    stage: &str,
    report: &Mutex<&mut Report>,
) {
    let mut waiting: Vec<String> =
        job.expected.iter().filter(|name| name.starts_with(stage)).cloned().collect();
    let mut last = Instant::now();
    let mut on_line = |line: &str| {
        println!("{} {line}", job.label());
        if let Some((name, outcome, time)) = parse(line) {
            waiting.retain(|expected| *expected != name);
            if let Ok(mut report) = report.lock() {
                report.add(&group(job), &name, outcome, time);
            }
            last = Instant::now();
        }
    };
    let result = machine.run(programs, command, &mut on_line);
    // A case that did not report is a failure, whatever kept it from reporting.
    let why = match result {
        Ok(done) if done.status == 0 || waiting.is_empty() => "did not report".to_owned(),
        Ok(done) => format!("the test program ended early with status {}", done.status),
        Err(error) => format!("{error:#}"),
    };
    missing(job, &waiting, &why, last.elapsed(), report);
}

fn group(job: &Job) -> String {
    format!("kernel {}", job.kernel.name)
}

fn missing(job: &Job, names: &[String], why: &str, after: Duration, report: &Mutex<&mut Report>) {
    let Ok(mut report) = report.lock() else { return };
    for (n, name) in names.iter().enumerate() {
        let why = if n == 0 { why } else { "did not run: see the case before" };
        println!("{} case {name} FAIL {why}", job.label());
        report.add(&group(job), name, Outcome::Failed(why.to_owned()), after);
    }
}

/// Nothing is left out in silence.
fn too_late(job: &Job, report: &Mutex<&mut Report>) {
    let Ok(mut report) = report.lock() else { return };
    println!(
        "{} skip {} cases: the time of the gate is over (--budget)",
        job.label(),
        job.expected.len()
    );
    for name in &job.expected {
        report.add(
            &group(job),
            name,
            Outcome::Skipped("the time of the gate was over".into()),
            Duration::ZERO,
        );
    }
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
        assert_eq!(
            parse("case a FAIL 12 b c"),
            Some(("a".into(), Outcome::Failed("b c".into()), time))
        );
        assert_eq!(
            parse("case a skip 12"),
            Some(("a".into(), Outcome::Skipped(String::new()), time))
        );
        assert_eq!(parse("case a maybe 12 x"), None);
        assert_eq!(parse("a line of something else"), None);
    }
}
