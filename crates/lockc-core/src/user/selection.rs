//! From what describes a container to the policy that holds for it.
//!
//! The administrator decides: by the runtime's arguments, or by defaults for everything, for an engine, for a Kubernetes
//! namespace. Annotations and labels are requests of whoever describes the container; the nearest ceiling bounds them.

use super::{
    config::{Config, Engine},
    policy::{ANNOTATION, Policy, PolicyError, named},
};

/// What is known of a container when its policy is chosen.
#[derive(Clone, Debug, Default)]
pub struct Asked<'a> {
    /// `--lockc-policy`, which stands in the engine's configuration.
    pub argument: Option<&'a str>,
    /// The annotation.
    pub annotation: Option<&'a str>,
    /// The label of a Docker container.
    pub label: Option<&'a str>,
    /// Which engine starts it, where that is known.
    pub engine: Option<Engine>,
    /// The Kubernetes namespace of its pod.
    pub namespace: Option<&'a str>,
    /// The policy of its pod's sandbox, where that is registered.
    pub sandbox: Option<Policy>,
}

/// The policy of a container.
///
/// # Errors
///
/// For a name that nobody defined, wherever it stands, and for a request above the ceiling or the pod's own policy.
pub fn resolve(config: &Config, asked: &Asked<'_>) -> Result<Policy, PolicyError> {
    let annotation = asked.annotation.map(|name| (name, format!("annotation {ANNOTATION}")));
    let label = asked.label.map(|name| (name, format!("Docker label {ANNOTATION}")));
    let mut wanted = Vec::new();
    for (name, origin) in [annotation, label].into_iter().flatten() {
        wanted.push(named(config, name, &origin)?);
    }
    if let Some(name) = asked.argument {
        return named(config, name, "--lockc-policy");
    }
    let (ceiling, setting) = ceiling(config, asked)?;
    let Some(wanted) = wanted.into_iter().next() else {
        return default(config, asked);
    };
    let above = |ceiling: &Policy, setting: String| PolicyError::AboveCeiling {
        origin: wanted.origin.clone(),
        wanted: wanted.name.clone(),
        ceiling: ceiling.name.clone(),
        setting,
    };
    if !wanted.at_least_as_strict_as(&ceiling) {
        return Err(above(&ceiling, setting));
    }
    match &asked.sandbox {
        Some(sandbox) if !wanted.at_least_as_strict_as(sandbox) => {
            Err(above(sandbox, "the policy of its pod's sandbox".into()))
        }
        _ => Ok(wanted),
    }
}

/// The settings that hold for the container, the nearest first: the setting's table, and the choice.
fn choices<'a>(config: &'a Config, asked: &Asked<'_>) -> impl Iterator<Item = (String, &'a super::config::Choice)> {
    let namespace = asked.namespace.and_then(|name| config.namespace(name));
    let namespace = namespace.map(|(name, choice)| (format!("namespaces.{name:?}"), choice));
    let engine =
        asked.engine.and_then(|engine| Some((format!("engines.{}", engine.name()), config.engines.get(&engine)?)));
    namespace.into_iter().chain(engine)
}

fn ceiling(config: &Config, asked: &Asked<'_>) -> Result<(Policy, String), PolicyError> {
    let (name, setting) = choices(config, asked)
        .find_map(|(table, choice)| Some((choice.ceiling.as_deref()?, format!("{table}.ceiling"))))
        .unwrap_or((&config.ceiling, "`ceiling`".into()));
    Ok((named(config, name, &setting)?, setting))
}

fn default(config: &Config, asked: &Asked<'_>) -> Result<Policy, PolicyError> {
    if let Some(sandbox) = &asked.sandbox {
        let mut policy = sandbox.clone();
        policy.origin = "its pod's sandbox".into();
        return Ok(policy);
    }
    let (name, origin) = choices(config, asked)
        .find_map(|(table, choice)| Some((choice.default.as_deref()?, format!("{table}.default"))))
        .unwrap_or((&config.default, "the default".into()));
    named(config, name, &origin)
}

#[cfg(test)]
#[path = "selection_tests.rs"]
mod tests;
