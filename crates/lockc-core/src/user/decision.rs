//! The one resolver: from a bundle to the policy and what it says. The wrapper acts on it, `lockc explain` shows it.

use std::path::Path;

use anyhow::Result;

use super::{
    admission::{self, Engines, Facts, Given, Request, Violation},
    config::Config,
    describe::Described,
    policy::{ANNOTATION, Policy},
    selection::{self, Asked},
    spec::Spec,
};

/// A container that is asked for.
pub struct Case<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its bundle, absolute.
    pub bundle: &'a Path,
    /// Its configuration.
    pub spec: &'a Spec,
    /// `--lockc-policy`.
    pub argument: Option<&'a str>,
    /// From a checkpoint.
    pub restore: bool,
}

/// What was decided.
pub struct Decision {
    /// Who starts it.
    pub described: Described,
    /// What holds for it.
    pub policy: Policy,
    /// What it is given, or everything that the policy refuses.
    pub judged: Result<Given, Vec<Violation>>,
}

/// Decides. `sandbox` looks up the policy of a pod's sandbox by its id.
///
/// # Errors
///
/// Where there is no policy, because of an unknown name or a request above the ceiling; where Docker's record or the
/// sandbox's entry cannot be read.
pub fn decide(
    case: &Case<'_>,
    config: &Config,
    facts: &dyn Facts,
    sandbox: impl FnOnce(&str) -> Result<Option<Policy>>,
) -> Result<Decision> {
    let engines = Engines::detect(case.bundle, &config.engine_dirs);
    let described = Described::of(case.id, case.bundle, case.spec, &engines)?;
    let asked = Asked {
        argument: case.argument,
        annotation: case.spec.annotations.get(ANNOTATION).map(String::as_str),
        label: described.label.as_deref(),
        engine: described.engine,
        namespace: described.namespace.as_deref(),
        // CRI-O writes a pod's own annotations and labels after its own, so that they may replace them; Podman copies any.
        pod_is_claimed: described.is_claimed(),
        sandbox: described.sandbox.as_deref().map(sandbox).transpose()?.flatten(),
    };
    let mut policy = selection::resolve(config, &asked)?;
    if described.or_engine.is_some() {
        let other = selection::resolve(config, &Asked { engine: described.or_engine, ..asked })?;
        if !policy.at_least_as_strict_as(&other) {
            policy = other;
        }
    }
    let request = Request {
        id: case.id,
        bundle: case.bundle,
        spec: case.spec,
        restore: case.restore,
        engine: described.engine,
        sandbox: described.is_sandbox,
    };
    let judged = admission::admit(&request, &policy, config, &engines, facts);
    Ok(Decision { described, policy, judged })
}
