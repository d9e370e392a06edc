//! Subcommands that start no container but make the runtime act on files.
//!
//! They concern containers that exist: nothing is checked where lockc does not know the container,
//! and nothing fails because lockc is broken.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use lockc_policy::{
    admission,
    decision::{self, Case},
    enforcement::{Circumstances, KernelSide},
    host::{bundle, privilege::Privilege},
    policy::{Policy, PolicySet},
    spec::{Process, Resources, Spec},
};

use crate::{
    environment::{Environment, Plan, Refusal, absolute},
    hand,
    invocation::{Call, Checkpoint, Exec, Invocation, Update},
    log, runtime,
    words::{refusal, report},
};

/// Checks `checkpoint`, `update` and `mounts`.
pub fn check(
    invocation: &Invocation,
    plan: &mut Plan,
    environment: &Environment<'_>,
) -> Result<(), Refusal> {
    let (Call::Checkpoint(Checkpoint { id, .. })
    | Call::Update(Update { id, .. })
    | Call::Mounts(id)) = &invocation.call
    else {
        return Ok(());
    };
    let root = runtime::state_root(invocation.root.as_deref(), &plan.runtime, environment.uid);
    let Some(policy) = policy_of(&root, id, environment) else { return Ok(()) };
    let container = bundle(&plan.runtime, &root, id, environment);
    let (outcome, what) = match &invocation.call {
        Call::Checkpoint(checkpoint) => {
            let container = container.as_ref().map(|(bundle, spec)| (bundle.as_path(), spec));
            let paths = criu_paths(checkpoint, environment)?;
            (
                admission::admit_checkpoint(container, &paths, &policy, environment.view),
                "the checkpoint is made",
            )
        }
        Call::Update(update) => {
            let resources =
                resources(update, plan, environment).context("the container is not updated")?;
            let spec = container.as_ref().map(|(_, spec)| spec);
            (
                admission::admit_update(
                    resources,
                    spec,
                    update.intel_rdt,
                    &policy,
                    environment.view,
                ),
                "the limits change",
            )
        }
        _ => (admission::admit_mounts(&policy), "the runtime mounts it"),
    };
    report(&outcome.map_err(refusal)?, what, None);
    Ok(())
}

/// The policy of a registered container.
fn policy_of(root: &Path, id: &str, environment: &Environment<'_>) -> Option<Policy> {
    // A rootless engine's runtime acts with its user's rights.
    if environment.privilege != Privilege::Root {
        return None;
    }
    let config =
        PolicySet::load_beside(environment.config, environment.synced, environment.view).ok()?;
    let entry = environment
        .kernel
        .entry(root, id)
        .and_then(|entry| entry.map(|entry| decision::running(&config, &entry)).transpose());
    entry.unwrap_or_else(|error| {
        log::warn(&format!("{error:#}; the operation on {id} is not checked"));
        None
    })
}

/// Bundle and configuration of a container, as its runtime knows them.
fn bundle(
    runtime: &Path,
    root: &Path,
    id: &str,
    environment: &Environment<'_>,
) -> Option<(PathBuf, Spec)> {
    let bundle = environment.containers.bundle(runtime, root, id)?;
    let spec = bundle::spec(&bundle.join("config.json")).ok()?;
    Some((bundle, spec))
}

/// What CRIU reads and writes; without an option the runtimes take `checkpoint` in the working
/// directory.
fn criu_paths(checkpoint: &Checkpoint, environment: &Environment<'_>) -> Result<Vec<PathBuf>> {
    let image =
        absolute(checkpoint.image.as_deref().unwrap_or(Path::new("checkpoint")), environment)?;
    let work = checkpoint.work.as_ref().map(|work| absolute(work, environment)).transpose()?;
    let parent = checkpoint.parent.as_ref().map(|parent| image.join(parent));
    Ok([Some(image), work, parent].into_iter().flatten().collect())
}

/// The new limits; the runtime gets what was read, from a file or from standard input.
fn resources(
    update: &Update,
    plan: &mut Plan,
    environment: &Environment<'_>,
) -> Result<Option<Resources>> {
    let Some(file) = &update.resources else { return Ok(None) };
    let path = if file == Path::new("-") {
        "/proc/self/fd/0".into()
    } else {
        absolute(file, environment)?
    };
    let text = bundle::contents(&path)?;
    let resources = Resources::parse(&text, file)?;
    plan.handed = Some(hand::sealed(&text)?);
    Ok(Some(resources))
}

/// The policy by which a process is checked that joins a container of which the kernel side knows
/// nothing: what would be decided for its bundle now, with no rule enforced.
pub fn policy_without_entry(
    invocation: &Invocation,
    exec: &Exec,
    config: &PolicySet,
    runtime: &Path,
    kernel_side: KernelSide,
    environment: &Environment<'_>,
) -> Result<Policy> {
    let root = runtime::state_root(invocation.root.as_deref(), runtime, environment.uid);
    // Of a container that is not there the runtime tells. The configuration's default holds until
    // then.
    let (bundle, spec) = bundle(runtime, &root, &exec.id, environment).unwrap_or_default();
    let case = Case {
        id: &exec.id,
        bundle: &bundle,
        spec: &spec,
        argument: invocation.policy.as_deref(),
        restore: false,
        registered: None,
        circumstances: Circumstances { runtime: Some(runtime), kernel_side, lives: true },
    };
    let decision = decision::decide(&case, config, environment.view, |_| Ok(None))?;
    Ok(decision.policy.enforcing(decision.enforcement.rules))
}

/// The process that a file describes, which the runtime gets as it was read.
fn process(exec: &Exec, plan: &mut Plan, environment: &Environment<'_>) -> Result<Option<Process>> {
    let Some(file) = &exec.process else { return Ok(None) };
    let file = absolute(file, environment)?;
    let text = bundle::contents(&file)?;
    plan.handed = Some(hand::sealed(&text)?);
    Ok(Some(Process::parse(&text, &file)?))
}

/// Checks a process that joins a container, by its file and by its options.
pub fn check_joining(
    exec: &Exec,
    plan: &mut Plan,
    root: &Path,
    policy: &Policy,
    environment: &Environment<'_>,
) -> Result<(), Refusal> {
    let cgroup = exec.cgroup.as_deref();
    let mut outcomes = vec![admission::admit_joining(&by_options(exec), None, cgroup, policy)];
    if let Some(process) = process(exec, plan, environment).context("the process is not started")? {
        // Only where it has no label the container's own is of interest.
        let container = Some(())
            .filter(|()| process.selinux_label.is_empty())
            .and_then(|()| bundle(&plan.runtime, root, &exec.id, environment));
        let container = container.as_ref().and_then(|(_, spec)| spec.process.as_ref());
        outcomes = vec![admission::admit_joining(&process, container, cgroup, policy)];
        // The runtimes leave the other options aside then; whoever gives them means them.
        if exec.apparmor.is_some() || exec.label.is_some() || !exec.caps.is_empty() {
            let beside = Process { no_new_privileges: true, ..by_options(exec) };
            outcomes.push(admission::admit_joining(&beside, None, None, policy));
        }
    }
    for outcome in outcomes {
        report(&outcome.map_err(refusal)?, "the process is started", None);
    }
    Ok(())
}

/// The process that the options of `exec` describe. What they do not name is the container's own,
/// which was admitted.
fn by_options(exec: &Exec) -> Process {
    let mut process = Process::default();
    process.capabilities.effective.clone_from(&exec.caps);
    process.apparmor_profile = exec.apparmor.clone().unwrap_or_default();
    process.selinux_label = exec.label.clone().unwrap_or_default();
    // runc has the container's without the option, crun none (src/exec.c).
    process.no_new_privileges = exec.no_new_privs == Some(true);
    process.user.uid = match &exec.user {
        None => u32::MAX,
        // What is not a number is for the runtime to refuse; until then it counts as root.
        Some(user) => user.split(':').next().and_then(|uid| uid.parse().ok()).unwrap_or(0),
    };
    process
}
