//! The packages on a system as servers have one: systemd, engines as units, reboots.
//!
//! A stage is a boot; the machine's disk keeps what a stage did. Names are `system/STAGE-…/CASE`; a
//! case that needs an earlier one of its stage fails with it.

mod configurations;
mod install;
mod observe;
pub mod quickstart;
mod reboot;
mod remove;
mod without_bpf;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::select::Part;
use crate::{command, kubernetes};

/// A case of a stage.
pub struct Step {
    pub name: &'static str,
    pub code: fn() -> Result<String>,
}

/// A case.
pub const fn step(name: &'static str, code: fn() -> Result<String>) -> Step {
    Step { name, code }
}

/// Every case, in their order, those of Kubernetes too. The third stage boots without BPF among the
/// LSMs.
pub fn steps() -> impl Iterator<Item = (Part, &'static Step)> {
    [
        (Part::System, install::STEPS),
        (Part::System, reboot::STEPS),
        (Part::System, without_bpf::STEPS),
        (Part::System, remove::STEPS),
        (Part::Kubernetes, kubernetes::STEPS),
    ]
    .into_iter()
    .flat_map(|(part, steps)| steps.iter().map(move |step| (part, step)))
}

/// The package of that kind: of this version, or of a higher one.
pub fn package(ending: &str, higher: bool) -> Result<PathBuf> {
    let mut entries = fs::read_dir(if higher { "./higher" } else { "." })
        .context("cannot list the packages")?
        .flatten();
    let found =
        entries.find(|entry| entry.path().extension().is_some_and(|extension| extension == ending));
    found.map(|entry| entry.path()).with_context(|| format!("no package *.{ending}"))
}

/// Runs a line, which must work.
pub fn sh(line: &str) -> Result<String> {
    command::run_for(300, &["bash", "-c", line], "")?.must().with_context(|| line.to_owned())
}

/// Runs a line, which must fail and say `text`.
pub fn fails(line: &str, text: &str) -> Result<String> {
    let run = command::run_for(300, &["bash", "-c", line], "")?;
    if run.ok() || !run.said().contains(text) {
        bail!("`{line}` should fail and say {text:?}: status {}: {}", run.status, run.said());
    }
    Ok(run.said())
}

pub fn status() -> Result<Value> {
    let run = command::run(&["lockc", "status", "--json"])?;
    serde_json::from_str(&run.stdout).with_context(|| format!("lockc status: {}", run.said()))
}

/// The tasks of the container whose id begins so, as the kernel counts them.
fn tasks_of(id: &str) -> Result<i64> {
    let status = status()?;
    let containers = status["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = containers.iter().find(|entry| id.starts_with(entry["id"].as_str().unwrap_or("?")));
    found
        .and_then(|entry| entry["tasks"].as_i64())
        .with_context(|| format!("{id} is not registered: {status}"))
}

/// Waits until `done`, for at most `seconds`.
pub fn until(seconds: u64, what: &str, done: impl Fn() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) {
        if done()? {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(300));
    }
    bail!("not within {seconds} s: {what}")
}

/// A container with a restart policy that tries, from its first instruction on, to read what no
/// container may.
mod keeper {
    use super::*;

    pub const NAME: &str = "keeper";
    /// Its volume, seen from the host.
    const LOG: &str = "/var/lib/docker/volumes/keeper/_data/log";

    /// `docker run` with a restart policy.
    pub fn start() -> Result<String> {
        let script = "echo begins >> /log/log; while :; do if ls /sys/fs/ext4 > /dev/null 2>&1; \
                      then echo LEAK; else echo denied; fi >> /log/log; sleep 0.1; done";
        sh(&format!(
            "docker run -d --name {NAME} --restart always --runtime lockc -v keeper:/log debian \
             sh -c '{script}'"
        ))
    }

    pub fn id() -> Result<String> {
        sh(&format!("docker inspect -f '{{{{.Id}}}}' {NAME}"))
    }

    /// How often it began, and how many attempts were denied; an error if one was not.
    pub fn log() -> Result<(usize, usize)> {
        let text = if Path::new(LOG).exists() {
            fs::read_to_string(LOG).context("no log")?
        } else {
            String::new()
        };
        if let Some(at) = text.lines().position(|line| line == "LEAK") {
            bail!("attempt {at} of the container got through");
        }
        let count = |word: &str| text.lines().filter(|line| *line == word).count();
        Ok((count("begins"), count("denied")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_stage_and_are_unique() {
        let names: Vec<&str> = steps().map(|(_, step)| step.name).collect();
        for name in &names {
            let stage =
                name.starts_with("system/") && ["1-", "2-", "3-", "4-"].contains(&&name[7..9]);
            assert!(stage || name.starts_with("kubernetes/"), "{name}");
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
        }
        let stages = names.iter().filter(|name| name.starts_with("system/"));
        assert!(stages.is_sorted_by_key(|name| name.as_bytes()[7]));
    }
}
