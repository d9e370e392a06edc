//! How a container is started: by a runtime alone, or through lockc's wrapper under a policy.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use lockc_integration::Attempt;

use crate::bundle::Bundle;
use crate::command::{self, Run};

/// The wrapper, where the suite installs it.
pub const WRAPPER: &str = "/usr/local/bin/lockc-runc-wrapper";
/// State of the suite's bare containers.
pub const STATE: &str = "/run/lockc-it";

/// A real runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    Crun,
    Runc,
}

impl Runtime {
    pub const fn path(self) -> &'static str {
        match self {
            Self::Crun => "/usr/bin/crun",
            Self::Runc => "/usr/sbin/runc",
        }
    }
}

/// By whom a container is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The real runtime itself.
    Plain(Runtime),
    /// The wrapper, with this policy on its command line; empty: none, so that it chooses by
    /// itself.
    Lockc(&'static str),
}

impl By {
    /// Whether the bundle comes as engines write it, with paths hidden and a seccomp profile, since
    /// the levels refuse another. The tests' own policies and the plain runtimes get it
    /// without, so that nothing but lockc is in the way.
    pub fn as_engines_do(self) -> bool {
        matches!(self, Self::Lockc("" | "baseline" | "restricted" | "offline"))
    }

    /// The command up to the subcommand.
    pub fn words(self) -> Vec<String> {
        let mut words: Vec<&str> = match self {
            Self::Plain(runtime) => vec![runtime.path()],
            Self::Lockc("") => vec![WRAPPER],
            Self::Lockc(policy) => vec![WRAPPER, "--lockc-policy", policy],
        };
        words.extend(["--root", STATE]);
        words.into_iter().map(str::to_owned).collect()
    }
}

/// An id that no earlier container had.
pub fn fresh_id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("it{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// `run` in the foreground.
pub fn run(by: By, bundle: &Bundle) -> Result<Run> {
    run_for(120, by, bundle)
}

/// `run` in the foreground, for at most `seconds`.
pub fn run_for(seconds: u32, by: By, bundle: &Bundle) -> Result<Run> {
    let folder = bundle.write(by)?;
    let mut words = by.words();
    words.extend(["run", "--bundle"].map(str::to_owned));
    words.push(folder.display().to_string());
    if bundle.leak.is_some() {
        words.extend(["--preserve-fds", "1"].map(str::to_owned));
    }
    words.push(fresh_id());
    if let Some(leak) = &bundle.leak {
        // A descriptor that the engine left open, as in CVE-2024-21626.
        let line = format!("exec 3<{leak}; exec \"$@\"");
        words.splice(0..0, ["bash".to_owned(), "-c".into(), line, "bash".into()]);
    }
    command::run_for(seconds, &words, "")
}

/// `run` of a bundle whose program is the probe.
pub fn attempt(by: By, bundle: &Bundle) -> Result<Attempt> {
    let run = run(by, bundle)?;
    outcome(bundle, &run).with_context(|| {
        format!("{by:?}: the container did not run: status {}: {}", run.status, run.said())
    })
}

/// The probe's line in an output, or what stands for it where the program was not executed.
pub fn outcome(bundle: &Bundle, run: &Run) -> Result<Attempt> {
    match parse(run) {
        Err(_) if bundle.leak.is_some() && !run.ok() => stopped(run),
        parsed => parsed,
    }
}

/// What a descriptor that was left open leads to: the container's program is not executed, and the
/// runtime says why.
fn stopped(run: &Run) -> Result<Attempt> {
    let said = run.said().to_lowercase();
    let errno = [("permission denied", libc::EACCES), ("operation not permitted", libc::EPERM)]
        .into_iter()
        .find_map(|(text, errno)| said.contains(text).then_some(errno))
        .context("neither a line of the probe's nor a program that was not executed")?;
    Ok(Attempt { ok: false, errno, detail: "not executed".into() })
}

/// The probe's line in an output.
pub fn parse(run: &Run) -> Result<Attempt> {
    let line = run
        .stdout
        .lines()
        .rev()
        .find(|line| line.starts_with('{'))
        .context("no line of the probe's")?;
    serde_json::from_str(line).context("not the probe's line")
}

/// A container that runs in the background until it is dropped.
pub struct Running {
    pub id: String,
    pub by: By,
    /// PID of its init.
    pub pid: i32,
}

impl Running {
    /// `create` and `start`, as engines do.
    pub fn start(by: By, bundle: &Bundle) -> Result<Self> {
        let folder = bundle.write(by)?;
        let id = fresh_id();
        let pid_file = folder.join("pid");
        // The runtime must not inherit our pipes: the container would keep them open.
        let mut words = vec!["bash".to_owned(), "-c".into(), "\"$@\" > \"$0\" 2>&1".into()];
        words.push(folder.join("log").display().to_string());
        words.extend(by.words());
        words.extend(["create", "--pid-file"].map(str::to_owned));
        words.extend([
            pid_file.display().to_string(),
            "--bundle".into(),
            folder.display().to_string(),
            id.clone(),
        ]);
        let run = command::run(&words)?;
        if !run.ok() {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            anyhow::bail!("{by:?} create: status {}: {log}", run.status);
        }
        let text = std::fs::read_to_string(&pid_file).context("the runtime wrote no pid file")?;
        let running =
            Self { id, by, pid: text.trim().parse().context("the pid file has no number")? };
        running.call(&["start"], &[])?.must().context("start")?;
        Ok(running)
    }

    /// A subcommand with the id, then `after`.
    pub fn call(&self, before: &[&str], after: &[&str]) -> Result<Run> {
        let mut words = self.by.words();
        words.extend(before.iter().map(|word| (*word).to_owned()));
        words.push(self.id.clone());
        words.extend(after.iter().map(|word| (*word).to_owned()));
        command::run(&words)
    }

    /// `exec` of a program in it.
    pub fn exec(&self, program: &[&str]) -> Result<Run> {
        self.call(&["exec"], program)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A case may have deleted it already.
        let _ = self.call(&["delete", "--force"], &[]);
    }
}
