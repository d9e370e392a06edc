//! `lockc load --guard-runtimes`: the guarded programs and their policy.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use lockc_core::maps::{GuardPolicy, Registry};
use lockc_policy::{config::Mode, host::Host, policy::PolicySet, runtimes::sandbox};

/// What happens to containers that a runtime starts without the wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Guard {
    /// They are confined under the default policy.
    Enforce,
    /// What that would deny is reported.
    Report,
}

/// Guards the runtimes that are there, or takes the guard away. Returns the guarded programs.
///
/// # Errors
///
/// Where the programs are not loaded, or the configuration cannot be read.
pub fn set(guard: Option<Guard>) -> Result<Vec<PathBuf>> {
    let mut registry = Registry::open()?;
    let Some(guard) = guard else {
        registry.unguard()?;
        return Ok(Vec::new());
    };
    let host = Host::default();
    let config = PolicySet::of_host().context("guarding the runtimes failed")?;
    let policy = config.default_policy();
    let capabilities = policy.capabilities();
    // Whatever the wrapper executes, others may be executed without it.
    let mut programs = lockc_policy::runtimes::candidates(&[]);
    programs.extend(config.settings.runtimes.iter().cloned());
    // The processes that make up a sandbox do what no container may.
    programs.retain(|program| sandbox::made_by(program, &config.settings, &host).is_none());
    let mode = if guard == Guard::Report { Mode::Audit } else { policy.mode };
    let guarded = GuardPolicy {
        name: &policy.name,
        level: policy.level,
        rules: policy.rules,
        mode: mode.raw(),
        capabilities,
        families: policy.more.families,
    };
    Ok(registry.guard(&programs, &guarded)?)
}
