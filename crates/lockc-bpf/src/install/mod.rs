//! `lockc install ENGINE` and `lockc uninstall ENGINE`: add the lockc runtime to an engine's
//! configuration, or remove it.
//!
//! Existing settings keep their order, comments and layout. A change is printed as a diff. The
//! engine checks the new file before it replaces the old one, and the original is kept as
//! `FILE.before-lockc` until `uninstall`.

mod containerd;
mod crio;
mod docker;
mod engine;
mod host;
mod options;
mod plan;
mod podman;
mod runtimes;
mod service;
mod state;
#[cfg(test)]
mod tests;
mod validate;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

use engine::Engine;
use host::{Change, Host};
pub use options::Common;
use plan::Plan;
use runtimes::Runtimes;
use state::State;

/// What was, or would be, done.
#[derive(Debug, Serialize)]
pub struct Report {
    engine: Engine,
    /// Whether anything differs from what is there.
    changed: bool,
    /// Files, with unified diffs.
    files: Vec<FileReport>,
    /// Who checked the result; nobody where the engine's program is not on the machine.
    validated_by: Option<String>,
    /// What makes the engine read it.
    restart: Option<String>,
    /// Whether that was done.
    restarted: bool,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct FileReport {
    path: PathBuf,
    diff: String,
}

/// `lockc install`.
///
/// # Errors
///
/// Where the configuration cannot be read or understood, the wrapper is not root's alone, or the
/// engine refuses the result. Then nothing was changed.
pub fn install(
    args: &Common,
    wrapper: Option<&Path>,
    levels: &[String],
    default: bool,
) -> Result<Report> {
    let host = Host::new(&args.root)?;
    let wrapper = host.wrapper(wrapper)?;
    let runtimes = Runtimes::new(wrapper, levels, default)?;
    install_on(&host, args, &runtimes)
}

fn install_on(host: &Host, args: &Common, runtimes: &Runtimes) -> Result<Report> {
    let before = State::read(host, args.engine)?;
    let file = config(args, before.as_ref());
    let mut plan = match args.engine {
        Engine::Docker => docker::install(host, &file, runtimes, before),
        Engine::Containerd => containerd::install(host, &file, runtimes, before),
        Engine::Crio => crio::install(host, &file, runtimes, before),
        Engine::Podman => podman::install(host, &file, runtimes, before),
    }?;
    if args.engine != Engine::Docker {
        // Docker passes arguments; the others need a program for each level.
        plan.changes.splice(0..0, runtimes.scripts(host)?);
    }
    if host.is_this() && !crate::status::gather().is_ok_and(|status| status.enforcing) {
        plan.warnings.push(
            "lockc's programs are not loaded; no container starts under lockc until you run `lockc \
             load`"
                .into(),
        );
    }
    let state = Some(plan.state.clone());
    finish(host, args, plan, state)
}

/// `lockc uninstall`.
///
/// # Errors
///
/// As with [`install`].
pub fn uninstall(args: &Common) -> Result<Report> {
    let host = Host::new(&args.root)?;
    let before = State::read(&host, args.engine)?;
    let file = config(args, before.as_ref());
    let mut plan = match args.engine {
        Engine::Docker => docker::uninstall(&host, &file, before),
        Engine::Containerd => containerd::uninstall(&host, &file, before),
        Engine::Crio | Engine::Podman => own_drop_in(&host, &file, before),
    }?;
    plan.changes.extend(runtimes::unused_scripts(&host, args.engine)?);
    finish(&host, args, plan, None)
}

fn config(args: &Common, state: Option<&State>) -> PathBuf {
    match (&args.config, state) {
        (Some(file), _) => file.clone(),
        (None, Some(state)) => state.config.clone(),
        (None, None) => args.engine.config().into(),
    }
}

/// A drop-in of lockc's own just goes.
fn own_drop_in(host: &Host, file: &Path, before: Option<State>) -> Result<Plan> {
    let changes =
        vec![Change { path: file.into(), before: host.read(file)?, after: None, mode: 0o644 }];
    Ok(Plan {
        changes,
        state: before.unwrap_or_else(|| State::new(file, false)),
        warnings: Vec::new(),
    })
}

fn finish(host: &Host, args: &Common, mut plan: Plan, state: Option<State>) -> Result<Report> {
    plan.changes.retain(|change| change.before != change.after);
    let engine = args.engine;
    let files = plan
        .changes
        .iter()
        .map(|change| FileReport { path: change.path.clone(), diff: change.diff() })
        .collect::<Vec<_>>();
    let changed = !plan.changes.is_empty();
    let mut report = Report {
        engine,
        changed,
        files,
        validated_by: None,
        restart: service::command(engine).map(str::to_owned).filter(|_| changed),
        restarted: false,
        warnings: plan.warnings,
    };
    if changed {
        match validate::validate(host, engine, &plan.changes)? {
            Ok(by) => report.validated_by = Some(by),
            Err(why) => {
                report.warnings.push(format!("the engine itself did not check the result: {why}"))
            }
        }
    }
    if args.dry_run {
        return Ok(report);
    }
    let keep = if state.is_some() { host::Backup::Make } else { host::Backup::Remove };
    for change in &plan.changes {
        let backup = if change.path == plan.state.config { keep } else { host::Backup::Leave };
        host.apply(change, backup)
            .with_context(|| format!("{} was not changed", change.path.display()))?;
    }
    State::write(host, engine, state.as_ref())?;
    if state.is_none() {
        runtimes::remove_directory(host);
    }
    if args.restart
        && service::is_running(host, engine)
        && service::is_behind(host, engine, changed, &plan.state)
    {
        service::reread(host, engine, state.is_some(), &plan.state.config)?;
        report.restarted = true;
    }
    Ok(report)
}

impl Report {
    /// Prints it.
    pub fn print(&self, dry_run: bool) {
        for file in &self.files {
            println!("{}", file.diff.trim_end());
        }
        for warning in &self.warnings {
            eprintln!("lockc: warning: {warning}");
        }
        if !self.changed {
            println!("lockc: {}: nothing to change", self.engine.name());
        } else if dry_run {
            println!("lockc: {}: nothing was changed: --dry-run", self.engine.name());
        }
        if let Some(by) = &self.validated_by {
            println!("lockc: {}: checked by {by}", self.engine.name());
        }
        match &self.restart {
            Some(_) if self.restarted => println!("lockc: {} has loaded it", self.engine.name()),
            Some(command) if !dry_run => {
                println!("lockc: to make {} load it, run: {command}", self.engine.name())
            }
            _ => {}
        }
    }
}
