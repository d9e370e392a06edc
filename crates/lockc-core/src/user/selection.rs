//! From what describes a container to the policy that holds for it.
//!
//! The administrator decides: by the runtime's arguments, or by defaults for everything, for an engine, for a Kubernetes
//! namespace. Annotations and labels are requests of whoever describes the container; the nearest ceiling bounds them.

use super::{
    config::{Choice, Config, Engine},
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
    /// Whether the pod's owner could have written namespace and sandbox: then what holds for them may tighten what holds
    /// without them, but not loosen it.
    pub pod_is_claimed: bool,
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

/// What one level of the configuration says.
type Setting = fn(&Choice) -> Option<&String>;

fn ceiling(config: &Config, asked: &Asked<'_>) -> Result<(Policy, String), PolicyError> {
    nearest(config, asked, |choice| choice.ceiling.as_ref(), "ceiling", &config.ceiling)
}

fn default(config: &Config, asked: &Asked<'_>) -> Result<Policy, PolicyError> {
    let (mut policy, origin) = nearest(config, asked, |choice| choice.default.as_ref(), "default", &config.default)?;
    policy.origin = if origin == "`default`" { "the default".into() } else { origin };
    match &asked.sandbox {
        Some(sandbox) if !asked.pod_is_claimed || sandbox.at_least_as_strict_as(&policy) => {
            let mut inherited = sandbox.clone();
            inherited.origin = "its pod's sandbox".into();
            Ok(inherited)
        }
        _ => Ok(policy),
    }
}

/// The policy that the namespace's entry names, or the engine's, or the configuration; and where it stands.
fn nearest(
    config: &Config,
    asked: &Asked<'_>,
    setting: Setting,
    key: &str,
    global: &str,
) -> Result<(Policy, String), PolicyError> {
    let at = |name: &str, origin: String| Ok((named(config, name, &origin)?, origin));
    let engine = asked.engine.and_then(|engine| Some((engine, setting(config.engines.get(&engine)?)?)));
    let outer = match engine {
        Some((engine, name)) => at(name, format!("engines.{}.{key}", engine.name()))?,
        None => at(global, format!("`{key}`"))?,
    };
    let entry = asked.namespace.and_then(|name| config.namespace(name));
    let Some((table, name)) = entry.and_then(|(table, choice)| Some((table, setting(choice)?))) else {
        return Ok(outer);
    };
    let inner = at(name, format!("namespaces.{table:?}.{key}"))?;
    let trusted = !asked.pod_is_claimed || inner.0.at_least_as_strict_as(&outer.0);
    Ok(if trusted { inner } else { outer })
}

#[cfg(test)]
#[path = "selection_tests.rs"]
mod tests;
