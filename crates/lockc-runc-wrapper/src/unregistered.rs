//! `exec` into unregistered containers.
//!
//! There is no such container: the runtime tells so itself, in its words and with its exit code. It
//! gets an empty state root for that, so that a container which is created at this very moment
//! cannot be entered without its label.
//!
//! The runtime made it without lockc: it may be entered where its policy would confine nothing.

use std::{ffi::OsString, fs, os::unix::fs::DirBuilderExt as _, path::Path};

use anyhow::{Context as _, Result, bail};
use lockc_core::{maps::RegistryError, paths, rules::RuleMask};
use lockc_policy::{
    decision::{self, Case},
    enforcement::Circumstances,
    host::bundle,
    policy::{Control, Policy, PolicySet, Strength},
};

use crate::{
    environment::{Environment, Plan, pod_sandbox},
    invocation::Invocation,
};

/// Says how a process is started in a container that is not registered.
///
/// # Errors
///
/// Where the container exists and its policy would confine it.
pub fn plan(
    invocation: &Invocation,
    id: &str,
    root: &Path,
    config: &PolicySet,
    plan: &mut Plan,
    environment: &Environment<'_>,
) -> Result<()> {
    if !environment.containers.exists(root, id) {
        plan.empty_root = true;
        return Ok(());
    }
    let free = environment.containers.bundle(&plan.runtime, root, id).is_some_and(|bundle| {
        policy(invocation, id, root, &bundle, config, environment)
            .is_ok_and(|policy| confines_nothing(&policy))
    });
    if free { Ok(()) } else { Err(RegistryError::NotRegistered { id: id.to_owned() }.into()) }
}

/// The policy that the container would have been created under.
fn policy(
    invocation: &Invocation,
    id: &str,
    root: &Path,
    bundle: &Path,
    config: &PolicySet,
    environment: &Environment<'_>,
) -> Result<Policy> {
    let spec = bundle::spec(&bundle.join("config.json"))?;
    let argument = invocation.policy.as_deref();
    let case = Case {
        id,
        bundle,
        spec: &spec,
        argument,
        restore: false,
        registered: None,
        circumstances: Circumstances::default(),
    };
    decision::policy_of(&case, config, environment.view, |id| {
        pod_sandbox(config, root, id, environment)
    })
}

/// Whether neither the kernel side nor admission would refuse anything.
fn confines_nothing(policy: &Policy) -> bool {
    policy.rules == RuleMask(0)
        && Control::ALL.into_iter().all(|control| policy.strength(control) == Strength::Off)
}

/// Makes the empty state root, and has the runtime look there.
///
/// # Errors
///
/// Where it cannot be made, or is not empty.
pub fn use_empty_root(invocation: &Invocation, args: &mut Vec<OsString>) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(paths::EMPTY);
    let entries = made.and_then(|()| fs::read_dir(paths::EMPTY));
    let entries = entries
        .with_context(|| format!("{} cannot be created; nothing was executed", paths::EMPTY))?;
    if entries.count() != 0 {
        bail!("{} is not empty; nothing was executed: remove its contents", paths::EMPTY);
    }
    match invocation.root_at {
        Some(at) => at.put(args, paths::EMPTY.as_ref()),
        None => drop(args.splice(0..0, ["--root".into(), paths::EMPTY.into()])),
    }
    Ok(())
}
