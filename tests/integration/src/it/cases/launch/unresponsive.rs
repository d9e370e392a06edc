//! A volume whose file system does not respond.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::super::{Skip, by_of};
use crate::bundle::Bundle;
use crate::command;
use crate::lab::Lab;
use crate::launch::{By, Running, Runtime, fresh_id};

/// A volume whose file system does not answer costs only its own container.
pub(super) fn hangs(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    if !command::run(&["modprobe", "fuse"])?.ok() {
        return Err(Skip("this kernel has no FUSE".into()).into());
    }
    let by = by_of(lab, runtime, "baseline");
    let other = Running::start(by, &Bundle::new(&["sleep", "1000"]))?;
    for operation in ["statfs", "getattr", "open"] {
        let place = format!("/srv/lockc-it/hangs-{operation}");
        command::sh(&format!("mkdir -p {place}"))?;
        let mut daemon = std::process::Command::new("/usr/local/bin/lockc-probe")
            .args(["hang", operation, &place])
            .spawn()
            .context("cannot start a FUSE daemon")?;
        let outcome = hang(by, &other, &place);
        // Whoever waits for it gets an error.
        let _ = daemon.kill();
        let _ = daemon.wait();
        command::sh(&format!("umount -l {place}"))?;
        outcome.with_context(|| operation.to_owned())?;
    }
    Ok("statfs, getattr, open: the others went on".into())
}

fn hang(by: By, other: &Running, place: &str) -> Result<()> {
    let start = Instant::now();
    // Asking the file system itself might take for ever.
    while !fs::read_to_string("/proc/self/mounts")
        .context("cannot read the mounts")?
        .contains(&format!(" {place} "))
    {
        std::thread::sleep(Duration::from_millis(100));
        if start.elapsed() > Duration::from_secs(20) {
            bail!("proves nothing: nothing is mounted");
        }
    }
    let directory = Bundle::new(&["true"]).bind(place, "/data").write(by)?;
    let mut words = by.words();
    words.extend(["run".into(), "--bundle".into(), directory.display().to_string(), fresh_id()]);
    let line =
        format!("exec timeout -s KILL 60 {} > {}/log 2>&1", words.join(" "), directory.display());
    let mut hung =
        std::process::Command::new("bash").args(["-c", &line]).spawn().context("cannot start")?;
    std::thread::sleep(Duration::from_secs(1));
    let start = Instant::now();
    crate::launch::run(by, &Bundle::new(&["true"]))?
        .must()
        .context("another container does not start")?;
    other.exec(&["true"])?.must().context("another container cannot be entered")?;
    let third = Running::start(by, &Bundle::new(&["sleep", "1000"]))?;
    third
        .call(&["delete", "--force"], &[])?
        .must()
        .context("another container cannot be deleted")?;
    let went_on = start.elapsed();
    if went_on > Duration::from_secs(40) {
        bail!("the others took {went_on:?}");
    }
    // It starts, as without lockc, or is refused with the path; both in time.
    let ended = loop {
        match hung.try_wait().context("cannot wait")? {
            Some(status) => break Some(status),
            None if start.elapsed() > Duration::from_secs(30) => break None,
            None => std::thread::sleep(Duration::from_millis(100)),
        }
    };
    let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
    let Some(status) = ended else {
        let _ = hung.kill();
        // The runtime itself asks the file system, as it would without lockc.
        return if command::run(&["pgrep", "-x", "lockc-runc-wrap"])?.ok() {
            bail!("the wrapper waits: {log}")
        } else {
            Ok(())
        };
    };
    if status.success() || log.contains("does not respond") || !log.contains("lockc:") {
        Ok(())
    } else {
        bail!("{log}")
    }
}
