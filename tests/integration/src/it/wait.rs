//! A machine that is prepared once and resumed often: with the lab made, lockc loaded and perhaps
//! an engine up, `lockc-it wait` reads from a disk of its own what to do.
//!
//! xtask saves the machine while it waits, and resumes it with a job on that disk
//! (`xtask/src/saved.rs`). A resumed machine has the time and the random numbers of the saved one,
//! so the job brings both.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};
use serde::Deserialize;

use crate::btrfs;
use crate::lab::{self, Lab};
use crate::select::Tier;

/// The size of the disk with the job.
const SIZE: usize = 64 << 10;
/// What direct reads must be aligned to.
const ALIGNMENT: usize = 4096;

/// What the machine has before it waits, beside lockc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Base {
    /// Nothing.
    Plain,
    /// Its root on btrfs.
    Btrfs,
    /// That engine, running.
    Docker,
    Containerd,
    Podman,
}

/// What the disk says once there is something to do.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub struct Job {
    /// Arguments of this program.
    pub args: Vec<String>,
    /// The time, in seconds and nanoseconds since 1970.
    time: (i64, i64),
    /// Bytes that no other machine gets.
    seed: Vec<u8>,
}

/// Makes the lab, says so, and waits for a job on the disk for it.
pub fn wait(base: Base) -> Result<(Lab, Job)> {
    if base == Base::Btrfs {
        btrfs::enter()?;
    }
    let disk = lab::disk("lockc-job").context("there is no disk for a job")?;
    let mut lab = Lab::new(false, Tier::All)?;
    match base {
        Base::Plain | Base::Btrfs => {}
        Base::Docker => lab.docker().map(drop)?,
        Base::Containerd => lab.containerd().map(drop)?,
        Base::Podman => lab.podman().map(drop)?,
    }
    let file = OpenOptions::new()
        .read(true)
        // Past the page cache, which is that of the saved machine.
        .custom_flags(libc::O_DIRECT)
        .open(&disk)
        .with_context(|| format!("cannot open {}", disk.display()))?;
    println!("lockc-it: prepared");
    let mut buffer = vec![0; SIZE + ALIGNMENT];
    let at = buffer.as_ptr().align_offset(ALIGNMENT);
    let job = loop {
        file.read_exact_at(&mut buffer[at..at + SIZE], 0).context("cannot read the job's disk")?;
        if let Some(job) = parse(&buffer[at..at + SIZE])? {
            break job;
        }
        thread::sleep(Duration::from_millis(50));
    };
    // First, so that the machine is not given up for lost.
    println!("lockc-it: resumed");
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(job.time.0, job.time.1))
        .context("cannot set the clock")?;
    reseed(&job.seed)?;
    Ok((lab, job))
}

/// The job in a disk's bytes: JSON, and zeros after it; only zeros: none yet.
fn parse(disk: &[u8]) -> Result<Option<Job>> {
    let end = disk.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if end == 0 {
        return Ok(None);
    }
    serde_json::from_slice(&disk[..end]).map(Some).context("the job cannot be read")
}

/// Mixes the seed into the kernel's random numbers, and lets it use it at once.
fn reseed(seed: &[u8]) -> Result<()> {
    /// `RNDRESEEDCRNG` of linux/random.h, `_IO('R', 7)`.
    const RESEED: libc::c_ulong = 0x5207;
    if seed.len() < 32 {
        bail!("the seed has only {} bytes", seed.len());
    }
    fs::write("/dev/urandom", seed).context("cannot seed the random numbers")?;
    let file = File::open("/dev/urandom").context("cannot open /dev/urandom")?;
    // SAFETY: this request has no argument; the descriptor is open.
    if unsafe { libc::ioctl(file.as_raw_fd(), RESEED as _) } != 0 {
        return Err(io::Error::last_os_error()).context("cannot reseed the random numbers");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(text: &str) -> Vec<u8> {
        let mut disk = text.as_bytes().to_vec();
        disk.resize(SIZE, 0);
        disk
    }

    #[test]
    fn a_job_is_json_before_zeros() {
        let job = Job { args: vec!["--part".into(), "bare".into()], time: (1, 2), seed: vec![3] };
        let text = r#"{"args": ["--part", "bare"], "time": [1, 2], "seed": [3]}"#;
        assert!(parse(&disk(text)).is_ok_and(|found| found == Some(job)));
        assert!(parse(&disk("")).is_ok_and(|found| found.is_none()));
    }

    #[test]
    fn anything_else_is_an_error() {
        for text in ["{", "{}", "x", r#"{"args": [], "time": [1, 2]}"#] {
            assert!(parse(&disk(text)).is_err(), "{text}");
        }
    }
}
