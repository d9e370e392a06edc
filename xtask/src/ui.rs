//! Progress on standard error, and commands that are quiet unless they fail.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Runs `work` and says what it did and how long it took.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    eprintln!("  .. {what}");
    let result = work();
    let seconds = start.elapsed().as_secs_f32();
    match &result {
        Ok(_) => eprintln!("  ok {what} ({seconds:.1} s)"),
        Err(_) => eprintln!("FAIL {what} ({seconds:.1} s)"),
    }
    result
}

/// Runs `command` with its output in `log`; a failure shows the end of it.
pub fn quiet(command: &mut Command, log: &Path) -> Result<()> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("cannot share the log file")?)
        .stderr(file)
        .status()
        .with_context(|| format!("cannot run {program}"))?;
    if !status.success() {
        bail!("{program} failed ({status}); the end of {}:\n{}", log.display(), tail(log, 3000));
    }
    Ok(())
}

/// The last `bytes` of a text file, for messages.
pub fn tail(path: &Path, bytes: u64) -> String {
    let mut text = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let length = file.metadata().map_or(0, |meta| meta.len());
        if file.seek(SeekFrom::Start(length.saturating_sub(bytes))).is_ok() {
            // What can't be read is not shown; the caller's own message stands.
            let _ = file.read_to_end(&mut text);
        }
    }
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

/// Standard output of a command that must succeed.
pub fn capture(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!(
            "{program} failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
