//! From what describes a container to the policy that holds for it.
//!
//! The administrator decides: by the runtime's arguments, or by defaults for everything, for an
//! engine, for a Kubernetes namespace. Annotations and labels are requests of whoever describes the
//! container; the nearest ceiling bounds them.

use crate::{
    config::{
        CONFIG_PATH, Choice, Config, Engine, Follow,
        labels::{LABEL, NamespaceLabel},
    },
    policy::{ANNOTATION, PLUGINS, Policy, PolicyError, named},
};

/// Short enough for a container's entry.
fn of_label() -> String {
    format!("label {LABEL}")
}

/// What the owner of a pod can do whose containers ask for more than its sandbox got.
const SANDBOX: &str =
    "ask for it in the annotations of the pod itself: that is the policy of the pod's sandbox";

/// What is known of a container when its policy is chosen.
#[derive(Clone, Debug, Default)]
pub struct PolicyRequest<'a> {
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
    /// Whether the pod's owner could have written namespace and sandbox: then what holds for them
    /// may tighten what holds without them, but not loosen it.
    pub pod_is_claimed: bool,
    /// Whether it is one of Docker's managed plugins, for which nobody can ask.
    pub is_plugin: bool,
    /// The policy of its pod's sandbox, where that is registered.
    pub sandbox: Option<Policy>,
}

/// The policy of a container.
///
/// # Errors
///
/// For a name that nobody defined, wherever it stands, and for a request above the ceiling or the
/// pod's own policy.
pub fn resolve(config: &Config, request: &PolicyRequest<'_>) -> Result<Policy, PolicyError> {
    let annotation = request.annotation.map(|name| (name, format!("annotation {ANNOTATION}")));
    let label = request.label.map(|name| (name, format!("Docker label {ANNOTATION}")));
    let mut wanted = Vec::new();
    for (name, origin) in [annotation, label].into_iter().flatten() {
        wanted.push(named(config, name, &origin)?);
    }
    // What is said of plugins alone goes before what is said of everything that the runtime starts.
    let plugins = config.engines.get(&Engine::Docker).and_then(|choice| choice.plugins.as_deref());
    if let Some(name) = plugins.filter(|_| request.is_plugin) {
        return named(config, name, PLUGINS);
    }
    if let Some(name) = request.argument {
        return named(config, name, "--lockc-policy");
    }
    let bounds = bounds(config, request)?;
    let Some(wanted) = wanted.into_iter().next() else {
        return default(config, request);
    };
    let above = |ceiling: &Policy, remedy: String| PolicyError::AboveCeiling {
        origin: wanted.origin.clone(),
        wanted: wanted.name.clone(),
        ceiling: ceiling.name.clone(),
        remedy,
    };
    if let Some(bound) =
        bounds.into_iter().find(|bound| !wanted.at_least_as_strict_as(&bound.policy))
    {
        let (namespace, place) = (request.namespace.unwrap_or_default(), &bound.origin);
        return Err(above(
            &bound.policy,
            if *place == of_label() {
                format!("let the administrator raise the {place} of namespace {namespace}")
            } else {
                format!("let the administrator raise {place} in {CONFIG_PATH}")
            },
        ));
    }
    match &request.sandbox {
        Some(sandbox) if !wanted.at_least_as_strict_as(sandbox) => {
            Err(above(sandbox, SANDBOX.into()))
        }
        _ => Ok(wanted),
    }
}

/// What stands in the configuration for everything, an engine, or a namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Default,
    Ceiling,
}

impl Key {
    const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Ceiling => "ceiling",
        }
    }

    fn of(self, choice: &Choice) -> Option<&str> {
        match self {
            Self::Default => choice.default.as_deref(),
            Self::Ceiling => choice.ceiling.as_deref(),
        }
    }
}

/// A policy and where it stands.
struct Resolved {
    policy: Policy,
    /// For messages; goes into the container's entry.
    origin: String,
    /// Whether the cluster says so, and not the configuration.
    for_cluster: bool,
}

impl Resolved {
    fn configured(config: &Config, name: &str, origin: String) -> Result<Self, PolicyError> {
        Ok(Self { policy: named(config, name, &origin)?, origin, for_cluster: false })
    }

    fn within(self, ceiling: Self) -> Self {
        if self.policy.at_least_as_strict_as(&ceiling.policy) { self } else { ceiling }
    }
}

/// The ceilings, all of which hold: of two levels neither may be the stricter one, as of restricted
/// and offline.
fn bounds(config: &Config, request: &PolicyRequest<'_>) -> Result<Vec<Resolved>, PolicyError> {
    let outer = outer(config, request, Key::Ceiling)?;
    let mut bounds = Vec::new();
    let mut nearer = false;
    if let Some(namespace) = request.namespace {
        let of_namespace = Namespace::of(config, namespace)?;
        nearer = of_namespace.ceiling.is_some()
            || of_namespace.label.is_some() && !of_namespace.only_tightens;
        bounds.extend(of_namespace.label);
        bounds.extend(of_namespace.ceiling);
    }
    if !nearer || request.pod_is_claimed {
        bounds.push(outer);
    }
    // The cluster's word is for pods that are yet to start; this one's was heard when its sandbox
    // was created.
    if request.sandbox.is_some() && !request.pod_is_claimed {
        bounds.retain(|bound| !bound.for_cluster);
    }
    Ok(bounds)
}

fn default(config: &Config, request: &PolicyRequest<'_>) -> Result<Policy, PolicyError> {
    let Resolved { mut policy, origin, .. } = nearest_default(config, request)?;
    policy.origin = if origin == "`default`" { "the default".into() } else { origin };
    match &request.sandbox {
        Some(sandbox) if !request.pod_is_claimed || sandbox.at_least_as_strict_as(&policy) => {
            let mut inherited = sandbox.clone();
            inherited.origin = "its pod's sandbox".into();
            Ok(inherited)
        }
        _ => Ok(policy),
    }
}

/// The default of the namespace, or the engine, or everything.
fn nearest_default(config: &Config, request: &PolicyRequest<'_>) -> Result<Resolved, PolicyError> {
    let outer = outer(config, request, Key::Default)?;
    let Some(namespace) = request.namespace else { return Ok(outer) };
    let of_namespace = Namespace::of(config, namespace)?;
    let label = match (of_namespace.label, of_namespace.ceiling) {
        (Some(label), Some(ceiling)) => Some(label.within(ceiling)),
        (label, _) => label,
    };
    let inner = match label {
        Some(label)
            if of_namespace.only_tightens && !label.policy.at_least_as_strict_as(&outer.policy) =>
        {
            None
        }
        Some(label) => Some(label),
        None => of_namespace.default,
    };
    Ok(match inner {
        Some(inner)
            if !request.pod_is_claimed || inner.policy.at_least_as_strict_as(&outer.policy) =>
        {
            inner
        }
        _ => outer,
    })
}

/// What holds for the engine, or everything.
fn outer(config: &Config, request: &PolicyRequest<'_>, key: Key) -> Result<Resolved, PolicyError> {
    let engine =
        request.engine.and_then(|engine| Some((engine, key.of(config.engines.get(&engine)?)?)));
    match (engine, key) {
        (Some((engine, name)), _) => {
            Resolved::configured(config, name, format!("engines.{}.{}", engine.name(), key.name()))
        }
        (None, Key::Default) => Resolved::configured(config, &config.default, "`default`".into()),
        (None, Key::Ceiling) => Resolved::configured(config, &config.ceiling, "`ceiling`".into()),
    }
}

/// What is said of a namespace. An entry with a default has the last word; one with only a ceiling
/// bounds what the label may bring.
struct Namespace {
    default: Option<Resolved>,
    ceiling: Option<Resolved>,
    /// What the cluster says, where that counts.
    label: Option<Resolved>,
    /// Whether the label does not stand for what holds elsewhere, but beside it.
    only_tightens: bool,
}

impl Namespace {
    fn of(config: &Config, namespace: &str) -> Result<Self, PolicyError> {
        let entry = config.namespace(namespace);
        let own = |key: Key| {
            let found = entry.and_then(|(table, choice)| Some((table, key.of(choice)?)));
            let origin = |table: &str| format!("namespaces.{table:?}.{}", key.name());
            found.map(|(table, name)| Resolved::configured(config, name, origin(table))).transpose()
        };
        let (default, ceiling) = (own(Key::Default)?, own(Key::Ceiling)?);
        let label = if default.is_some() { None } else { for_cluster(config, namespace)? };
        let only_tightens = config.kubernetes.namespace_labels == Follow::Tighten;
        Ok(Self { default, ceiling, label, only_tightens })
    }
}

/// What the cluster says of a namespace, where it is synced to this node and the administrator
/// follows it.
fn for_cluster(config: &Config, namespace: &str) -> Result<Option<Resolved>, PolicyError> {
    let labels =
        config.labels.as_ref().filter(|_| config.kubernetes.namespace_labels != Follow::Ignore);
    let (name, origin) =
        match (labels.map(|labels| labels.of(namespace)), &config.kubernetes.unknown_namespaces) {
            (Some(NamespaceLabel::Level(level)), _) => (level.name(), of_label()),
            (Some(NamespaceLabel::Unknown), Some(name)) => {
                (name.as_str(), "kubernetes.unknown_namespaces".into())
            }
            _ => return Ok(None),
        };
    Ok(Some(Resolved { for_cluster: true, ..Resolved::configured(config, name, origin)? }))
}

#[cfg(test)]
#[path = "selection_tests.rs"]
mod tests;
