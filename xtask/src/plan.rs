//! Which cases run on which kernel, in which machines, and how long that takes.
//!
//! A case says its tier itself (`tests/integration/src/it/select.rs`);
//! [`kernels::KERNELS`](crate::kernels::KERNELS) says which part the gate runs with which tier on
//! which kernel. A machine runs a part, or the smoke cases of several: parts balance the machines
//! that run at a time, and a case that leaves something behind harms only its own part.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::kernels::Kernel;
use crate::places;
use crate::tier::Tier;

/// The parts of the suite, in the order in which they run: the last are left out where time runs
/// out.
pub const PARTS: [&str; 10] =
    [SYSTEM, "docker", "bare", "escape", WORK, "podman", "containerd", BTRFS, HOUR, KUBERNETES];
/// The part that has systemd, packages and several boots.
pub const SYSTEM: &str = "system";
/// The part that has systemd and a cluster.
pub const KUBERNETES: &str = "kubernetes";
/// The part that needs the workloads' disk.
pub const WORK: &str = "work";
/// The part whose machine's root is another file system.
pub const BTRFS: &str = "btrfs";

/// The part whose machine's clock counts instructions: an hour passes while nothing runs.
pub const HOUR: &str = "hour";

/// The parts whose cases start containers by a runtime alone.
pub const ENGINELESS: [&str; 2] = ["bare", "escape"];

/// One machine's work.
#[derive(Clone, Debug)]
pub struct Job {
    pub kernel: Kernel,
    /// Parts that share the machine.
    pub parts: Vec<&'static str>,
    pub tier: Tier,
    /// Names of the cases that must report.
    pub expected: Vec<String>,
}

impl Job {
    pub fn has(&self, part: &str) -> bool {
        self.parts.contains(&part)
    }

    /// What stands before each line of its machine.
    pub fn label(&self) -> String {
        let part = if let [part] = self.parts[..] { part } else { self.tier.name() };
        format!("{:<4} {part:<6}", self.kernel.name)
    }

    /// The name of its time among the recorded ones.
    fn key(&self) -> String {
        format!("{} {} {}", self.kernel.name, self.parts.join("+"), self.tier.name())
    }

    /// Whether the smoke cases of other parts can share its machine.
    fn shared(&self) -> bool {
        self.tier == Tier::Smoke
            && self.parts.iter().all(|part| ![WORK, BTRFS, HOUR].contains(part))
    }
}

/// Whether a part's cases are boots of a machine with systemd.
pub fn staged(part: &str) -> bool {
    [SYSTEM, KUBERNETES].contains(&part)
}

/// How much of a part the gate, or `--everything`, runs on a kernel.
pub fn tier(kernel: &Kernel, part: &str, everything: bool) -> Option<Tier> {
    let table = match (everything, kernel.column) {
        (true, None) => return Some(Tier::All),
        (true, Some(column)) => column,
        (false, _) => kernel.gate,
    };
    table.iter().find(|(name, _)| *name == part).map(|(_, tier)| *tier)
}

/// The machines, in the order in which they start. `list` names the cases of a part and a tier;
/// where there are none, there is no machine.
pub fn jobs(
    kernels: &[Kernel],
    everything: bool,
    mut list: impl FnMut(&str, Tier) -> Result<Vec<String>>,
) -> Result<VecDeque<Job>> {
    let mut jobs: VecDeque<Job> = VecDeque::new();
    for part in PARTS {
        for kernel in kernels.iter().rev() {
            let Some(tier) = tier(kernel, part, everything) else { continue };
            let expected = list(part, tier)?;
            if expected.is_empty() {
                continue;
            }
            let kernel = kernel.for_parts(&[part]);
            let job = Job { kernel, parts: vec![part], tier, expected };
            match jobs.iter_mut().find(|other| other.kernel == job.kernel && other.shared()) {
                Some(other) if job.shared() => {
                    other.parts.extend(job.parts);
                    other.expected.extend(job.expected);
                }
                _ => jobs.push_back(job),
            }
        }
    }
    Ok(jobs)
}

/// The kernels, each with the guests, of the machines of a run.
pub fn machines(kernels: &[Kernel], everything: bool) -> Result<Vec<Kernel>> {
    let jobs = jobs(kernels, everything, |_, _| Ok(vec![String::new()]))?;
    Ok(jobs.into_iter().map(|job| job.kernel).collect())
}

/// Seconds of a machine with one part, by tier (core, smoke, gate, all), measured on two cores in
/// November 2026: what is known before the first run on a computer. `0`: the part has no such tier.
const USUAL: [(&str, [u64; 4]); 10] = [
    (SYSTEM, [0, 0, 700, 700]),
    ("docker", [0, 120, 390, 1000]),
    ("bare", [120, 420, 1150, 1900]),
    ("escape", [0, 60, 200, 300]),
    (WORK, [0, 300, 1000, 2850]),
    ("podman", [0, 200, 1020, 1700]),
    ("containerd", [0, 180, 580, 1250]),
    (BTRFS, [0, 230, 230, 400]),
    (HOUR, [0, 0, 600, 600]),
    (KUBERNETES, [0, 0, 2400, 2400]),
];

/// How long machines took on this computer, by the names of their jobs.
#[derive(Default)]
pub struct Times(BTreeMap<String, u64>);

impl Times {
    fn path() -> Result<PathBuf> {
        Ok(places::cache()?.join("times.json"))
    }

    /// Those of earlier runs. What cannot be read is not known.
    pub fn load() -> Self {
        let text = Self::path().and_then(|path| Ok(fs::read_to_string(path)?)).unwrap_or_default();
        Self(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Records how long a machine took.
    pub fn record(job: &Job, time: Duration) -> Result<()> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _guard = ONE_AT_A_TIME.lock();
        let mut times = Self::load();
        times.0.insert(job.key(), time.as_secs());
        let (path, text) = (Self::path()?, serde_json::to_string_pretty(&times.0)?);
        let mut file = tempfile::NamedTempFile::new_in(places::cache()?)
            .context("cannot create a file in the cache")?;
        std::io::Write::write_all(&mut file, text.as_bytes()).context("cannot record a time")?;
        file.persist(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(())
    }

    /// A job's time, and whether it is a recorded one.
    fn of(&self, job: &Job) -> (u64, bool) {
        if let Some(seconds) = self.0.get(&job.key()) {
            return (*seconds, true);
        }
        let usual = |part: &str| {
            let times = USUAL.iter().find(|(name, _)| *name == part).map_or([0; 4], |row| row.1);
            times[job.tier as usize]
        };
        (job.parts.iter().map(|part| usual(part)).sum(), false)
    }

    /// What to expect of a run on these kernels, that many machines at a time, in words.
    pub fn estimate(
        &self,
        kernels: &[Kernel],
        everything: bool,
        machines: usize,
    ) -> Result<String> {
        let jobs = jobs(kernels, everything, |_, _| Ok(vec![String::new()]))?;
        let mut ends = vec![0; machines];
        let mut known = 0;
        for job in &jobs {
            let (seconds, recorded) = self.of(job);
            known += usize::from(recorded);
            // The next job starts where a machine ends first.
            if let Some(end) = ends.iter_mut().min() {
                *end += seconds;
            }
        }
        let minutes = ends.iter().max().unwrap_or(&0).div_ceil(60);
        let time = if minutes < 90 {
            format!("{minutes} min")
        } else {
            format!("{} h {} min", minutes / 60, minutes % 60)
        };
        let basis = match jobs.len() - known {
            0 => "as the last run on this computer took".to_owned(),
            others if known == 0 => {
                format!("by the usual time of {others} machines: none has a time of this computer")
            }
            others => format!(
                "{known} of {} machines as they took on this computer, {others} as usual",
                jobs.len()
            ),
        };
        Ok(format!("the virtual machines take about {time}, {machines} at a time ({basis})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::kernels::{KERNELS, kernels};

    fn all(_: &str, _: Tier) -> Result<Vec<String>> {
        Ok(vec!["a/case".to_owned()])
    }

    fn planned(everything: bool) -> Vec<String> {
        jobs(&KERNELS, everything, all)
            .map(|jobs| jobs.iter().map(Job::key).collect())
            .unwrap_or_default()
    }

    #[test]
    fn the_gate_runs_every_part_but_the_cluster_and_smoke_shares_machines() {
        assert_eq!(
            planned(false),
            [
                "6.12 system gate",
                "7.2 docker gate",
                "6.12-aarch64 bare core",
                "7.2 bare+escape smoke",
                "6.12 bare gate",
                "6.1 bare+escape smoke",
                "6.12 escape gate",
                "6.12 work smoke",
                "6.12 podman gate",
                "6.12 containerd gate",
                "6.12 btrfs gate",
            ]
        );
    }

    #[test]
    fn everything_is_every_part_on_every_kernel_and_a_column_for_aarch64() {
        let (aarch64, x86): (Vec<_>, Vec<_>) =
            planned(true).into_iter().partition(|job| job.contains("aarch64"));
        assert_eq!(x86.len(), PARTS.len() * kernels(Arch::X86).len());
        assert!(x86.iter().all(|job| job.ends_with(" all")));
        assert_eq!(
            aarch64,
            [
                "6.12-aarch64 docker gate",
                "7.2-aarch64 bare+escape smoke",
                "6.12-aarch64-16k bare smoke",
                "6.12-aarch64 bare all",
                "6.12-aarch64 escape all",
                "6.12-aarch64 podman+containerd smoke",
            ]
        );
    }

    #[test]
    fn a_part_without_a_case_has_no_machine() {
        let none = |part: &str, _| {
            Ok(if part == "docker" { vec!["docker/shell".to_owned()] } else { Vec::new() })
        };
        assert!(jobs(&KERNELS, false, none).is_ok_and(|jobs| jobs.len() == 1));
    }

    #[test]
    fn every_machine_has_a_usual_time() {
        for everything in [false, true] {
            for job in jobs(&KERNELS, everything, all).unwrap_or_default() {
                assert!(Times::default().of(&job).0 > 0, "{}", job.key());
            }
        }
    }

    #[test]
    fn an_estimate_says_what_it_is_based_on() {
        let of = |times: &Times| times.estimate(&KERNELS, false, 2).unwrap_or_default();
        assert!(of(&Times::default()).contains("by the usual time of 11 machines"));
        let mut times = Times::default();
        times.0.insert("6.12 bare gate".into(), 60 * 200);
        let text = of(&times);
        assert!(text.contains("about 3 h 32 min"), "{text}");
        assert!(text.contains("1 of 11 machines as they took on this computer, 10 as usual"));
        let known = planned(false).into_iter().map(|key| (key, 60)).collect();
        let text = of(&Times(known));
        assert!(text.contains("about 6 min, 2 at a time (as the last run"), "{text}");
    }
}
