//! The decision: from a bundle to its policy and the result. The wrapper acts on it, `lockc
//! explain` prints it.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{
    admission::{self, findings::Violation, grants::Grants},
    config::Mode,
    enforcement::{Circumstances, Enforcement},
    engines::{Engines, Request},
    host::HostView,
    policy::{ANNOTATION, NETWORK_ANNOTATION, Policy, PolicySet},
    selection::{self, PolicyRequest, Reported, metadata::ContainerMetadata},
    spec::Spec,
};
use lockc_core::{
    abi::{ContainerEntry, ENTRY_LOOPBACK, unpadded},
    rules::{Level, Network, RuleMask},
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
    /// The policy that it runs under, with the rules that are enforced. No other is chosen then.
    pub registered: Option<Policy>,
    /// What decides how much of the policy is enforced.
    pub circumstances: Circumstances<'a>,
}

/// What was decided.
pub struct Decision {
    /// Who starts it.
    pub metadata: ContainerMetadata,
    /// What holds for it.
    pub policy: Policy,
    /// What the kernel side enforces of that. Admission relied on nothing else.
    pub enforcement: Enforcement,
    /// The rules that the kernel side only reports, beyond those.
    pub audited: RuleMask,
    /// What it is given, or everything that the policy refuses.
    pub checked: Result<Grants, Vec<Violation>>,
    /// What the level that the cluster audits would refuse.
    pub reported: Vec<Violation>,
    /// What the level of which the cluster warns would refuse.
    pub warned: Vec<Violation>,
}

/// Decides. `sandbox` looks up the policy of a pod's sandbox by its id.
///
/// # Errors
///
/// Where there is no policy, because of an unknown name or a request above the ceiling; where
/// Docker's record or the sandbox's entry cannot be read.
pub fn decide(
    case: &Case<'_>,
    set: &PolicySet,
    view: &dyn HostView,
    sandbox: impl FnOnce(&str) -> Result<Option<Policy>>,
) -> Result<Decision> {
    let engines = Engines::detect(case.bundle, &set.settings.engine_dirs, view);
    let metadata = ContainerMetadata::of(case.id, case.bundle, case.spec, &engines, view)?;
    let policy = policy_for(case, &metadata, set, sandbox)?;
    let reported = match &case.registered {
        Some(_) => Reported::default(),
        None => selection::reported(set, metadata.namespace.as_deref(), &policy),
    };
    let request = Request {
        id: case.id,
        bundle: case.bundle,
        spec: case.spec,
        restore: case.restore,
        engine: metadata.engine,
        sandbox: metadata.is_sandbox,
    };
    let under = |policy: &Policy| {
        let enforcement = match &case.registered {
            Some(policy) => Enforcement { rules: policy.rules, gap: None },
            None => {
                let linux = &case.spec.linux;
                Enforcement::new(policy, linux, &set.settings, &case.circumstances, view)
            }
        };
        let checked = admission::admit_under(
            &request,
            &policy.enforcing(enforcement.rules),
            &set.settings,
            &engines,
            view,
            &case.circumstances,
        );
        (enforcement, checked)
    };
    let (enforcement, checked) = under(&policy);
    let mut decision = Decision {
        metadata,
        policy,
        enforcement,
        audited: RuleMask::NONE,
        checked,
        reported: Vec::new(),
        warned: Vec::new(),
    };
    let violations = |checked: Result<Grants, Vec<Violation>>| match checked {
        Ok(grants) => grants.reported,
        Err(violations) => violations,
    };
    if let Some(level) = reported.warn {
        decision.warned = violations(under(&level).1);
    }
    let Some(level) = reported.audit else { return Ok(decision) };
    let (enforcement, checked) = under(&level);
    if decision.policy.level == Level::Privileged && checked.is_ok() {
        // Nothing is enforced, so that everything can be reported.
        return Ok(Decision { policy: level, enforcement, checked, ..decision });
    }
    if decision.policy.level != Level::Privileged && decision.enforcement.gap.is_none() {
        decision.audited = level.rules.minus(decision.enforcement.rules);
    }
    decision.reported = violations(checked);
    Ok(decision)
}

/// Chooses the policy alone, as [`decide`] does.
///
/// # Errors
///
/// As for [`decide`].
pub fn policy_of(
    case: &Case<'_>,
    set: &PolicySet,
    view: &dyn HostView,
    sandbox: impl FnOnce(&str) -> Result<Option<Policy>>,
) -> Result<Policy> {
    let engines = Engines::detect(case.bundle, &set.settings.engine_dirs, view);
    policy_for(
        case,
        &ContainerMetadata::of(case.id, case.bundle, case.spec, &engines, view)?,
        set,
        sandbox,
    )
}

fn policy_for(
    case: &Case<'_>,
    metadata: &ContainerMetadata,
    set: &PolicySet,
    sandbox: impl FnOnce(&str) -> Result<Option<Policy>>,
) -> Result<Policy> {
    let request = PolicyRequest {
        argument: case.argument,
        annotation: case.spec.annotations.get(ANNOTATION).map(String::as_str),
        label: metadata.label.as_deref(),
        network: [
            case.spec.annotations.get(NETWORK_ANNOTATION).map(String::as_str),
            metadata.network_label.as_deref(),
        ],
        engine: metadata.engine,
        namespace: metadata.namespace.as_deref(),
        // CRI-O writes a pod's own annotations and labels after its own, so that they may replace
        // them; Podman copies any.
        pod_is_claimed: metadata.is_claimed(),
        is_plugin: metadata.is_plugin,
        sandbox: metadata.sandbox.as_deref().map(sandbox).transpose()?.flatten(),
    };
    match &case.registered {
        Some(policy) => Ok(policy.clone()),
        None => choose(set, metadata, request),
    }
}

/// Where it is not clear which of two engines starts it, the stricter of what holds for either.
fn choose(
    set: &PolicySet,
    metadata: &ContainerMetadata,
    request: PolicyRequest<'_>,
) -> Result<Policy> {
    let policy = selection::resolve(set, &request)?;
    if metadata.or_engine.is_none() {
        return Ok(policy);
    }
    let other = selection::resolve(set, &PolicyRequest { engine: metadata.or_engine, ..request })?;
    Ok(if policy.at_least_as_strict_as(&other) { policy } else { other })
}

/// The policy that a registered container runs under.
///
/// # Errors
///
/// For an entry that this version of lockc cannot have written.
pub fn registered(set: &PolicySet, entry: &ContainerEntry) -> Result<Policy> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(unpadded(bytes)).into_owned();
    let level = Level::from_raw(entry.level).with_context(|| {
        format!(
            "the container is registered with the unknown level {}; create it again",
            entry.level
        )
    })?;
    let mut policy = set.registered(&text(&entry.policy), level, &text(&entry.origin));
    // As the kernel side checks the container, until it is created again.
    policy.mode = Mode::from_raw(entry.mode);
    let rules = entry.enforced();
    if rules != RuleMask::NONE {
        let loopback = entry.flags & ENTRY_LOOPBACK != 0;
        policy = policy.with_network(Network::for_rules(rules, loopback));
    }
    Ok(policy)
}

/// As [`registered`], with the rules that the kernel side enforces for this container. A process
/// that joins it must not rely on others.
///
/// # Errors
///
/// As there.
pub fn running(set: &PolicySet, entry: &ContainerEntry) -> Result<Policy> {
    Ok(registered(set, entry)?.enforcing(entry.enforced()))
}
