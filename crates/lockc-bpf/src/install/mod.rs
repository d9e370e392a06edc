//! `lockc install ENGINE` and `lockc uninstall ENGINE`: the engine's configuration names the lockc
//! runtime, or no longer does.
//!
//! What is there keeps its order, its comments and its layout. A change is shown as a diff, checked
//! by the engine itself before it takes the old file's place, and the first state is kept beside it
//! as `FILE.before-lockc` until `uninstall`.

mod containerd;
mod crio;
mod docker;
mod host;
mod podman;
mod runtimes;
mod service;
mod state;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use serde::Serialize;

use host::{Change, Host};
use runtimes::Runtimes;
use state::State;

/// An engine that lockc can be installed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// `/etc/docker/daemon.json`
    Docker,
    /// `/etc/containerd/config.toml`, the handlers of Kubernetes' pods
    Containerd,
    /// `/etc/crio/crio.conf.d/99-lockc.conf`
    Crio,
    /// `/etc/containers/containers.conf.d/50-lockc.conf`
    Podman,
}

impl Engine {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Crio => "crio",
            Self::Podman => "podman",
        }
    }

    /// Its configuration, or the drop-in that is lockc's own.
    fn config(self) -> &'static str {
        match self {
            Self::Docker => "/etc/docker/daemon.json",
            Self::Containerd => "/etc/containerd/config.toml",
            Self::Crio => "/etc/crio/crio.conf.d/99-lockc.conf",
            Self::Podman => "/etc/containers/containers.conf.d/50-lockc.conf",
        }
    }
}

/// What `install` and `uninstall` have in common.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// Which engine
    #[arg(value_enum)]
    pub engine: Engine,
    /// Shows the diff and writes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Makes the engine read its configuration: docker is told to reload, containerd and CRI-O are
    /// restarted; containers go on
    #[arg(long)]
    pub restart: bool,
    /// Another configuration file than the usual one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the host's root is mounted, for an installer in a container
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    pub root: PathBuf,
    /// For machines
    #[arg(long)]
    pub json: bool,
}

/// Options of `install`.
#[derive(Clone, Debug, clap::Args)]
pub struct Install {
    /// What `uninstall` takes too
    #[command(flatten)]
    pub common: Common,
    /// Makes lockc the runtime of every container that names none
    #[arg(long)]
    pub default: bool,
    /// Also a runtime `lockc-LEVEL` with that level or policy, whatever its containers ask for;
    /// may be given several times
    #[arg(long, value_name = "LEVEL")]
    pub level: Vec<String>,
    /// The wrapper, as the host sees it; by default the one beside this program
    #[arg(long, value_name = "FILE")]
    pub wrapper: Option<PathBuf>,
}

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

/// What an engine's module makes of a request.
struct Plan {
    changes: Vec<Change>,
    state: State,
    warnings: Vec<String>,
}

/// `lockc install`.
///
/// # Errors
///
/// Where the configuration cannot be read or understood, the wrapper is not root's alone, or the
/// engine refuses the result. Then nothing was changed.
pub fn install(args: &Install) -> Result<Report> {
    let host = Host::new(&args.common.root)?;
    let wrapper = host.wrapper(args.wrapper.as_deref())?;
    let runtimes = Runtimes::new(wrapper, &args.level, args.default)?;
    install_on(&host, &args.common, &runtimes)
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
            "lockc's programs are not loaded: until `lockc load`, no container starts under it"
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
        match host.validate(engine, &plan.changes)? {
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
        runtimes::without_folder(host);
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
    /// For people.
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
            Some(_) if self.restarted => println!("lockc: {} has read it", self.engine.name()),
            Some(command) if !dry_run => {
                println!("lockc: to make {} read it: {command}", self.engine.name())
            }
            _ => {}
        }
    }
}

/// A name that a level or policy may have in a file's name and a configuration's key.
fn checked_level(level: &str) -> Result<&str> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if level.is_empty() || level.len() > 63 || !level.chars().all(plain) {
        bail!("{level:?} is no name of a level or policy: small letters, digits, - and _");
    }
    Ok(level)
}
