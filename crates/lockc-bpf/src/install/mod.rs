//! `lockc install ENGINE` and `lockc uninstall ENGINE`: add the lockc runtime to an engine's
//! configuration, or remove it.
//!
//! Existing settings keep their order, comments and layout. A change is printed as a diff. The
//! engine checks the new file before it replaces the old one, and the original is kept as
//! `FILE.before-lockc` until `uninstall`.

mod containerd;
mod containers;
mod crio;
mod daemon;
mod displaced;
mod docker;
mod drop_in;
mod drop_ins;
pub(crate) mod engine;
pub(crate) mod host;
mod options;
mod plan;
mod podman;
pub mod present;
mod removal;
mod report;
mod runtimes;
mod service;
pub(crate) mod state;
mod target;
#[cfg(test)]
mod tests;
mod unit;
mod validate;

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context as _, Result};

use containers::Container;
use engine::Engine;
use host::Host;
pub use options::{Common, Leave};
use plan::Plan;
use removal::Removal;
use report::FileReport;
pub use report::Report;
use runtimes::Runtimes;
use service::Goal;
use state::State;
use target::Target;

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
    let target = Target::find(host, args.engine, args.config.as_deref(), before.as_ref())?;
    let file = target.file().to_path_buf();
    let mut plan = match args.engine {
        Engine::Docker => docker::install(host, &file, runtimes, before),
        Engine::Containerd => containerd::install(host, target.place()?, runtimes, before),
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
    let others = others(host, args.engine, &file);
    if let Err(error) = &others {
        plan.warnings.push(format!(
            "the containers that lockc does not confine are unknown: {}",
            lockc_policy::with_causes(error)
        ));
    }
    let default = plan.state.default;
    let report = finish(host, args, plan, state, Goal::There)?;
    Ok(Report { others: others.unwrap_or_default(), default, ..report })
}

/// The containers that have another runtime than lockc's. Docker's that was never started gets the
/// default.
fn others(host: &Host, engine: Engine, file: &Path) -> Result<Vec<Container>> {
    let mut found = containers::all(host, engine, file)?;
    found.retain(|container| {
        !container.runtime.is_empty() && !runtimes::is_name(&container.runtime)
    });
    Ok(found)
}

/// `lockc uninstall`. Without anything in `leave`, it changes nothing while a container has a
/// runtime that would be gone.
///
/// # Errors
///
/// As with [`install`], and where the containers cannot be listed.
pub fn uninstall(args: &Common, leave: Leave) -> Result<Report> {
    let host = Host::new(&args.root)?;
    let before = State::read(&host, args.engine)?;
    let target = match Target::find(&host, args.engine, args.config.as_deref(), before.as_ref()) {
        // Where nothing was installed, it does not matter which file it would have been.
        Err(error) if args.config.is_none() && before.is_none() => {
            let warnings = vec![lockc_policy::with_causes(&error)];
            return Ok(Report { warnings, ..Report::new(args.engine) });
        }
        target => target?,
    };
    let file = target.file().to_path_buf();
    let without = |removal: &Removal| match args.engine {
        Engine::Docker => docker::uninstall(&host, &file, before.clone(), removal),
        Engine::Containerd => {
            containerd::uninstall(&host, target.place()?, before.clone(), removal)
        }
        Engine::Crio => crio::uninstall(&host, &file, before.clone(), removal),
        Engine::Podman => podman::uninstall(&host, &file, before.clone(), removal),
    };
    let is_there = !without(&Removal::default())?.changes_nothing();
    let containers =
        if is_there { existing(&host, args.engine, &file, leave)? } else { Vec::new() };
    let keep = (is_there && leave == Leave::Names).then(|| removal::real_runtime(&host));
    let removal = Removal {
        keep: keep.transpose()?,
        force: leave == Leave::Containers,
        used: containers.iter().map(|container| container.runtime.clone()).collect(),
    };
    let mut plan = without(&removal)?;
    let depend = depending(containers, &plan);
    if !depend.is_empty() && leave == Leave::Nothing {
        return Ok(Report { stopped: true, depend, ..Report::new(args.engine) });
    }
    let scripts = runtimes::unused_scripts(&host, args.engine)?;
    if depend.is_empty() {
        plan.changes.extend(scripts);
        plan.state.scripts.clear();
    } else if !scripts.is_empty() {
        // What runs is stopped by the program that started it.
        plan.warnings.push(
            "the programs in /etc/lockc/runtimes stay, because running containers are stopped by \
             them"
                .to_owned(),
        );
    }
    let kept = plan.state.kept.clone();
    let state = (!kept.is_empty()).then(|| State {
        default: false,
        default_before: None,
        ..plan.state.clone()
    });
    let report = finish(&host, args, plan, state, Goal::Gone)?;
    Ok(Report { depend, kept, ..report })
}

/// The containers of the engine. Without a choice, those that cannot be listed may depend on lockc.
fn existing(host: &Host, engine: Engine, file: &Path, leave: Leave) -> Result<Vec<Container>> {
    match containers::all(host, engine, file) {
        Err(error) if leave == Leave::Nothing => Err(error.context(
            "the containers that may depend on lockc are unknown; with --force it is removed \
             anyway",
        )),
        containers => Ok(containers.unwrap_or_default()),
    }
}

/// Those of the containers that would start no more.
fn depending(containers: Vec<Container>, plan: &Plan) -> Vec<Container> {
    let gone: BTreeSet<&str> = plan.active.iter().map(String::as_str).collect();
    let is_gone = |runtime: &str| {
        let by_path = || runtimes::name_of(Path::new(runtime)).is_some();
        gone.contains(runtime) || (!gone.is_empty() && runtime.starts_with('/') && by_path())
    };
    containers.into_iter().filter(|container| is_gone(&container.runtime)).collect()
}

fn finish(
    host: &Host,
    args: &Common,
    mut plan: Plan,
    state: Option<State>,
    goal: Goal,
) -> Result<Report> {
    plan.changes.retain(|change| change.before != change.after);
    let engine = args.engine;
    let files = plan
        .changes
        .iter()
        .map(|change| FileReport { path: change.path.clone(), diff: change.diff() })
        .collect::<Vec<_>>();
    let changed = !plan.changes.is_empty();
    let mut report = Report {
        changed,
        files,
        restart: service::command(engine, &plan.state).filter(|_| changed),
        warnings: std::mem::take(&mut plan.warnings),
        ..Report::new(engine)
    };
    if changed {
        match validate::validate(host, engine, &plan)? {
            Ok(by) => report.validated_by = Some(by),
            Err(why) => {
                report.warnings.push(format!("the engine itself did not check the result: {why}"))
            }
        }
    }
    if args.dry_run {
        return Ok(report);
    }
    let keep = match (goal, &state) {
        (Goal::There, _) => host::Backup::Make,
        (Goal::Gone, Some(_)) => host::Backup::Leave,
        (Goal::Gone, None) => host::Backup::Remove,
    };
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
        && service::is_running(host, engine, &plan.state)
        && service::is_behind(host, engine, changed, &plan.state)
    {
        service::reread(host, engine, goal, &plan.state)?;
        report.restarted = true;
    }
    Ok(report)
}
