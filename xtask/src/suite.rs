//! The integration suite in virtual machines, some at a time: [`plan`](crate::plan) says which.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::arch::Arch;
use crate::kernels::Kernel;
use crate::plan::{self, BTRFS, HOUR, Job, KUBERNETES, PARTS, SYSTEM, Times, WORK, staged};
use crate::protocol::{Line, Reader};
use crate::qemu::State;
use crate::report::{Outcome, Report};
use crate::tier::Tier;
use crate::vm::{Done, Vm};
use crate::{build, kubernetes, saved, system, ui};

/// The boots of the parts that have systemd: the beginning of their cases' names, and more of the
/// kernel's command line.
const BOOTS: [(&str, &str); 5] = [
    ("system/1-", ""),
    ("system/2-", ""),
    ("system/3-", "lsm=capability,landlock,yama,apparmor"),
    ("system/4-", ""),
    ("kubernetes/", ""),
];
const TIMEOUT: Duration = Duration::from_secs(2700);
/// A cluster's programs and a dozen pods, all emulated.
const TIMEOUT_OF_A_CLUSTER: Duration = Duration::from_secs(5400);
/// How long after the end of the gate's time a machine may be at work: with its last case, or with
/// the boots of a part that has several.
const GRACE: Duration = Duration::from_secs(900);
/// How long a machine boots.
const BOOT: Duration = Duration::from_secs(15);

/// Runs the chosen cases on the chosen kernels, that many machines at a time; `everything`: all of
/// them on each. After `end` no machine is started.
pub fn run(
    kernels: &[Kernel],
    filter: &str,
    everything: bool,
    end: Option<Instant>,
    machines: usize,
    report: &mut Report,
) -> Result<()> {
    // It lists the cases, for machines of every architecture.
    let programs = build::guest_programs(Arch::here()?)?;
    let list = |part: &str, tier| list(&programs, part, filter, tier);
    let jobs = plan::jobs(kernels, everything, list)?;
    for part in PARTS {
        for kernel in kernels.iter().rev() {
            let Some(tier) = plan::tier(kernel, part, true) else { continue };
            let all = list(part, tier)?.len();
            let chosen = match plan::tier(kernel, part, everything) {
                Some(tier) => list(part, tier)?.len(),
                None => 0,
            };
            if chosen < all {
                report.note(format!(
                    "kernel {}: {} of {all} {part} cases run with --everything, or on other \
                     kernels, only",
                    kernel.name,
                    all - chosen,
                ));
            }
        }
    }
    if jobs.is_empty() {
        return Err(anyhow!("no case matches {filter:?}; `lockc-it --list` shows the names"));
    }
    let saved = Saved::new(&jobs, filter);
    let queue = Mutex::new(jobs);
    let report = Mutex::new(report);
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop_front());
    let folders = Folders { programs: programs.clone(), made: Mutex::default() };
    std::thread::scope(|scope| {
        for _ in 0..machines {
            scope.spawn(|| {
                while let Some(job) = next() {
                    let timeout = if job.has(KUBERNETES) { TIMEOUT_OF_A_CLUSTER } else { TIMEOUT };
                    if end.is_some_and(|end| end < Instant::now()) {
                        too_late(&job, &report);
                        continue;
                    }
                    match folders.of(&job) {
                        Ok(folder) => run_job(&job, &folder, filter, timeout, end, &saved, &report),
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

/// What machines get as their working directories; made when it is first asked for.
struct Folders {
    programs: PathBuf,
    made: Mutex<BTreeMap<&'static str, PathBuf>>,
}

impl Folders {
    fn of(&self, job: &Job) -> Result<PathBuf> {
        let (arch, part) = (job.kernel.arch(), job.parts[0]);
        let name = match part {
            SYSTEM | KUBERNETES => part,
            _ if !arch.runs_here() => arch.name(),
            _ => return Ok(self.programs.clone()),
        };
        // Held while it is made: the other machine's job may need the same.
        let mut made =
            self.made.lock().map_err(|_| anyhow!("creating another directory failed"))?;
        if let Some(folder) = made.get(name) {
            return Ok(folder.clone());
        }
        let folder = match part {
            SYSTEM => system::folder(&self.programs)?,
            KUBERNETES => kubernetes::folder(&self.programs)?,
            _ => build::guest_programs(arch)?,
        };
        made.insert(name, folder.clone());
        Ok(folder)
    }
}

/// The names of a part's cases, by libtest's `--list`.
fn list(programs: &Path, part: &str, filter: &str, tier: Tier) -> Result<Vec<String>> {
    let mut command = Command::new(programs.join("lockc-it"));
    command.args(["--part", part, "--tier", tier.name(), "--list"]);
    if !staged(part) && !filter.is_empty() {
        command.args(["--", filter]);
    }
    let text = ui::capture(&mut command).context("cannot list the cases")?;
    let names: Vec<String> =
        text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect();
    // A boot, and a case of it, stands on those before it: all of that part, or nothing.
    let wanted = !staged(part) || names.iter().any(|name| name.contains(filter));
    Ok(if wanted { names } else { Vec::new() })
}

/// Which machines of this run are resumed from a saved state.
struct Saved {
    /// How many machines of a kernel with a guest could be.
    machines: BTreeMap<(&'static str, &'static str), usize>,
    /// Whether only some cases run: somebody is at work on them, and will run them again.
    filtered: bool,
}

impl Saved {
    fn new(jobs: &VecDeque<Job>, filter: &str) -> Self {
        let mut machines = BTreeMap::new();
        for job in jobs.iter().filter(|job| resumable(job) && !job.has(BTRFS)) {
            *machines.entry(machine_of(job)).or_default() += 1;
        }
        Self { machines, filtered: !filter.is_empty() }
    }

    /// A state for the job: with its engine up, or at least with lockc loaded. It is made where it
    /// saves time: for several machines of this run, or for the next run of some cases.
    fn state(&self, job: &Job, machine: &Vm, programs: &Path) -> Result<Option<State>> {
        if !resumable(job) {
            return Ok(None);
        }
        if let [base @ ("docker" | "containerd" | "podman" | BTRFS)] = job.parts[..] {
            let state = saved::state(machine, programs, base, self.filtered)?;
            if state.is_some() || base == BTRFS {
                return Ok(state);
            }
        }
        let several = self.machines.get(&machine_of(job)).is_some_and(|count| *count > 1);
        saved::state(machine, programs, "plain", self.filtered || several)
    }
}

fn machine_of(job: &Job) -> (&'static str, &'static str) {
    (job.kernel.name, job.kernel.guest.name)
}

/// Whether the job can go on from a machine that has booted and loaded lockc: not if it is about
/// booting, has a disk that it writes to, or another clock.
fn resumable(job: &Job) -> bool {
    job.parts.iter().all(|part| !staged(part) && ![WORK, HOUR].contains(part))
}

/// Runs a machine's cases, and records how long that took.
fn run_job(
    job: &Job,
    programs: &Path,
    filter: &str,
    timeout: Duration,
    end: Option<Instant>,
    saved: &Saved,
    report: &Mutex<&mut Report>,
) {
    let start = Instant::now();
    let mut complete = true;
    let rest = || end.map(|end| end.saturating_duration_since(Instant::now()));
    let mut machine = Vm {
        kernel: job.kernel,
        timeout: rest().map_or(timeout, |rest| timeout.min(rest + GRACE)),
        append: String::new(),
        workloads: job.has(WORK),
        systemd: None,
        counts_instructions: job.has(HOUR),
    };
    if let Some(part) = job.parts.iter().find(|part| staged(part)) {
        let Ok(scratch) = tempfile::Builder::new().prefix("lockc-system-").tempdir() else {
            return missing(
                job,
                &job.expected,
                "cannot create a temporary directory",
                Duration::ZERO,
                report,
            );
        };
        machine.systemd = Some(scratch.path().join("disk.qcow2"));
        for (stage, append) in BOOTS.into_iter().filter(|(stage, _)| stage.starts_with(part)) {
            append.clone_into(&mut machine.append);
            let command = format!("./lockc-it --part {part} --format json -- {stage}");
            complete &=
                cases(job, stage, report, |on_line| machine.run(programs, &command, on_line));
        }
    } else {
        let state = saved.state(job, &machine, programs).unwrap_or_else(|error| {
            println!("{} no saved machine: {error:#}", job.label());
            None
        });
        let args = arguments(job, filter, rest());
        let command = format!(
            "./lockc-it {}",
            args.iter().map(|arg| quoted(arg)).collect::<Vec<_>>().join(" ")
        );
        complete = cases(job, "", report, |on_line| {
            if let Some(state) = state {
                if let Some(done) = saved::resume(&machine, &state, &args, on_line)? {
                    return Ok(done);
                }
                state.remove();
            }
            machine.run(programs, &command, on_line)
        });
    }
    println!("{} done in {:.0} s", job.label(), start.elapsed().as_secs_f32());
    // A part of its cases, or a machine without a neighbour, tells nothing of the next run.
    if complete
        && filter.is_empty()
        && let Err(error) = Times::record(job, start.elapsed())
    {
        println!("{} no time recorded: {error:#}", job.label());
    }
}

/// Arguments of `lockc-it` for a job.
fn arguments(job: &Job, filter: &str, rest: Option<Duration>) -> Vec<String> {
    let mut args: Vec<String> =
        job.parts.iter().flat_map(|part| ["--part", part]).map(str::to_owned).collect();
    args.extend(["--tier", job.tier.name(), "--format", "json"].map(str::to_owned));
    if let Some(rest) = rest {
        args.extend(["--seconds".into(), rest.saturating_sub(BOOT).as_secs().to_string()]);
    }
    if !filter.is_empty() {
        args.extend(["--".into(), filter.into()]);
    }
    args
}

/// An argument as a word of a shell.
fn quoted(arg: &str) -> String {
    format!("'{}'", arg.replace('\'', "'\\''"))
}

/// Reads what a machine says of the cases whose names begin with `stage`; true if all of them
/// reported.
fn cases(
    job: &Job,
    stage: &str,
    report: &Mutex<&mut Report>,
    run: impl FnOnce(&mut dyn FnMut(&str)) -> Result<Done>,
) -> bool {
    let mut waiting: Vec<String> =
        job.expected.iter().filter(|name| name.starts_with(stage)).cloned().collect();
    let mut last = Instant::now();
    let mut reader = Reader::default();
    let mut on_line = |line: &str| match reader.read(line) {
        Line::Ended { name, outcome, time } => {
            println!("{} {}", job.label(), shown(&name, &outcome, time));
            waiting.retain(|expected| *expected != name);
            if let Ok(mut report) = report.lock() {
                report.add(&group(job), &name, outcome, time);
            }
            last = Instant::now();
        }
        Line::Quiet => {}
        Line::Text => println!("{} {line}", job.label()),
    };
    let result = run(&mut on_line);
    // A case that did not report is a failure, whatever kept it from reporting.
    let why = match result {
        Ok(done) if done.status == 0 || waiting.is_empty() => "did not report".to_owned(),
        Ok(done) => format!("the test program ended early with status {}", done.status),
        Err(error) => format!("{error:#}"),
    };
    // The one that ran then comes first.
    if let Some(at) = waiting.iter().position(|name| Some(name.as_str()) == reader.running()) {
        waiting[..=at].rotate_right(1);
    }
    missing(job, &waiting, &why, last.elapsed(), report);
    waiting.is_empty()
}

/// A result in one line.
fn shown(name: &str, outcome: &Outcome, time: Duration) -> String {
    let (verdict, detail) = match outcome {
        Outcome::Passed(detail) => ("ok", detail),
        Outcome::Failed(detail) => ("FAIL", detail),
        Outcome::Skipped(detail) => ("skip", detail),
    };
    format!("case {name} {verdict} {} {detail}", time.as_millis())
}

fn group(job: &Job) -> String {
    format!("kernel {}", job.kernel.name)
}

fn missing(job: &Job, names: &[String], why: &str, after: Duration, report: &Mutex<&mut Report>) {
    let Ok(mut report) = report.lock() else { return };
    for (n, name) in names.iter().enumerate() {
        let why = if n == 0 { why } else { "did not run: see the case before" };
        println!("{} case {name} FAIL {} {why}", job.label(), after.as_millis());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::KERNELS;

    fn job(parts: &[&'static str]) -> Job {
        Job { kernel: KERNELS[0], parts: parts.to_vec(), tier: Tier::Gate, expected: Vec::new() }
    }

    #[test]
    fn arguments_name_parts_tier_time_and_filter() {
        let args = arguments(&job(&["bare", "escape"]), "it's", Some(Duration::from_secs(100)));
        assert_eq!(
            args.join(" "),
            "--part bare --part escape --tier gate --format json --seconds 85 -- it's"
        );
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(arguments(&job(&["bare"]), "", None).len(), 6);
    }

    #[test]
    fn what_needs_its_own_disk_boot_or_clock_is_not_resumed() {
        for part in PARTS {
            let own = [SYSTEM, KUBERNETES, WORK, HOUR].contains(&part);
            assert_eq!(resumable(&job(&[part])), !own, "{part}");
        }
    }
}
