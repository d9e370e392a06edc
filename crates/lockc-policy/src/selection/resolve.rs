//! Which policy holds for a container.
//!
//! The administrator decides: by the runtime's arguments, or by global, engine and namespace
//! defaults. Annotations and labels are requests of the container's owner; the nearest ceiling
//! limits them.

use lockc_core::rules::{Level, Network};

use crate::{
    config::{
        CONFIG_PATH, Follow, Mode,
        labels::{AUDIT_LABEL, LABEL, NamespaceLabel, WARN_LABEL},
    },
    engine::Engine,
    policy::{ANNOTATION, NETWORK_ANNOTATION, PLUGINS, Policy, PolicySet, RequestError},
};

/// Short enough for a container's entry.
fn label_origin() -> String {
    format!("label {LABEL}")
}

/// What the owner of a pod can do whose containers ask for more than its sandbox got.
const SANDBOX: &str =
    "ask for it in the annotations of the pod, which set the policy of the pod's sandbox";

/// What is known of a container when its policy is chosen.
#[derive(Clone, Debug, Default)]
pub struct PolicyRequest<'a> {
    /// `--lockc-policy`, which stands in the engine's configuration.
    pub argument: Option<&'a str>,
    /// The annotation.
    pub annotation: Option<&'a str>,
    /// The label of a Docker container.
    pub label: Option<&'a str>,
    /// The network that the annotation asks for, and the one that the Docker label asks for.
    pub network: [Option<&'a str>; 2],
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
/// For a name that nobody defined, and for a request above the ceiling or the pod's own policy.
pub fn resolve(set: &PolicySet, request: &PolicyRequest<'_>) -> Result<Policy, RequestError> {
    // What is said of plugins alone goes before what is said of everything that the runtime starts.
    let mode = mode(set, request);
    if let Some(policy) = set.plugins.as_ref().filter(|_| request.is_plugin) {
        return Ok(policy.chosen_by(PLUGINS).in_mode(mode));
    }
    let policy = policy(set, request, mode)?;
    let origins = ["annotation", "Docker label"];
    request.network.iter().zip(origins).try_fold(policy, |policy, (wanted, origin)| match wanted {
        Some(wanted) => {
            with_less_network(policy, wanted, &format!("{origin} {NETWORK_ANNOTATION}"))
        }
        None => Ok(policy),
    })
}

/// A request for a network only tightens: whoever describes the container may give some away.
fn with_less_network(policy: Policy, wanted: &str, origin: &str) -> Result<Policy, RequestError> {
    let Some(network) = Network::from_name(wanted) else {
        let (name, origin) = (wanted.into(), origin.into());
        return Err(RequestError::UnknownNetwork { name, origin });
    };
    let (wanted, origin) = (network.name(), origin.to_owned());
    match network.cmp(&policy.network) {
        std::cmp::Ordering::Equal => Ok(policy),
        std::cmp::Ordering::Less => {
            let holds = policy.network.name();
            Err(RequestError::LooserNetwork { origin, wanted, holds, policy: policy.to_string() })
        }
        std::cmp::Ordering::Greater if policy.level == Level::Privileged => {
            Err(RequestError::NothingDenied { origin, wanted, policy: policy.to_string() })
        }
        std::cmp::Ordering::Greater => Ok(policy.with_network(network)),
    }
}

fn policy(
    set: &PolicySet,
    request: &PolicyRequest<'_>,
    mode: Option<Mode>,
) -> Result<Policy, RequestError> {
    let annotation = request.annotation.map(|name| (name, format!("annotation {ANNOTATION}")));
    let label = request.label.map(|name| (name, format!("Docker label {ANNOTATION}")));
    let mut wanted = Vec::new();
    for (name, origin) in [annotation, label].into_iter().flatten() {
        wanted.push(set.request(name, &origin)?.in_mode(mode));
    }
    if let Some(name) = request.argument {
        return Ok(set.request(name, "--lockc-policy")?.in_mode(mode));
    }
    let Some(wanted) = wanted.into_iter().next() else {
        return Ok(default(set, request, mode));
    };
    let above = |ceiling: &Policy, remedy: String| RequestError::AboveCeiling {
        origin: wanted.origin.clone(),
        wanted: wanted.name.clone(),
        ceiling: ceiling.name.clone(),
        remedy,
    };
    let bounds = bounds(set, request, mode);
    if let Some(bound) = bounds.iter().find(|bound| !wanted.at_least_as_strict_as(&bound.policy)) {
        let (namespace, place) = (request.namespace.unwrap_or_default(), &bound.policy.origin);
        let remedy = if *place == label_origin() {
            format!("ask the administrator to raise the {place} of namespace {namespace}")
        } else {
            format!("ask the administrator to raise {place} in {CONFIG_PATH}")
        };
        return Err(above(&bound.policy, remedy));
    }
    match &request.sandbox {
        Some(sandbox) if sandbox.mode == Mode::Enforce => {
            // The mode that holds for the namespace may have changed since then.
            let wanted = wanted.clone().in_mode(Some(Mode::Enforce));
            match wanted.at_least_as_strict_as(sandbox) {
                true => Ok(wanted),
                false => Err(above(sandbox, SANDBOX.into())),
            }
        }
        // A sandbox in audit mode forbids nothing.
        _ => Ok(wanted),
    }
}

/// A policy that bounds or stands for what a container asks for; its origin is for messages.
#[derive(Clone)]
struct Resolved {
    policy: Policy,
    /// Whether the cluster says so, and not the configuration.
    for_cluster: bool,
}

impl Resolved {
    fn configured(policy: &Policy) -> Self {
        Self { policy: policy.clone(), for_cluster: false }
    }

    fn within(self, ceiling: Self) -> Self {
        if self.policy.at_least_as_strict_as(&ceiling.policy) { self } else { ceiling }
    }
}

/// The ceilings, all of which hold: of two policies neither may be the stricter one, as of
/// restricted and offline.
fn bounds(set: &PolicySet, request: &PolicyRequest<'_>, mode: Option<Mode>) -> Vec<Resolved> {
    let engine = request.engine.and_then(|engine| set.engine(engine)?.ceiling.as_ref());
    let outer = Resolved::configured(engine.unwrap_or(set.ceiling()));
    let mut bounds = Vec::new();
    let mut nearer = false;
    if let Some(name) = request.namespace {
        let namespace = Namespace::new(set, name);
        nearer =
            namespace.ceiling.is_some() || namespace.label.is_some() && !namespace.only_tightens;
        bounds.extend(namespace.label);
        bounds.extend(namespace.ceiling);
    }
    if !nearer || request.pod_is_claimed {
        bounds.push(outer);
    }
    // The cluster's word is for pods that are yet to start; this one's was heard when its sandbox
    // was created.
    let is_enforced = |sandbox: &Policy| sandbox.mode == Mode::Enforce;
    if request.sandbox.as_ref().is_some_and(is_enforced) && !request.pod_is_claimed {
        bounds.retain(|bound| !bound.for_cluster);
    }
    for bound in &mut bounds {
        bound.policy = bound.policy.clone().in_mode(mode);
    }
    bounds
}

/// The mode of policies that state none: that of the namespace, or of the engine. Where it is the
/// cluster's word, or the pod's owner could have written the namespace, it may be limited to
/// tighten.
fn mode(set: &PolicySet, request: &PolicyRequest<'_>) -> Option<Mode> {
    let outer = request.engine.and_then(|engine| set.engine(engine)?.mode);
    let Some(name) = request.namespace else { return outer };
    let tightens = |mode: Mode| mode == Mode::Enforce;
    let label = set.labels.as_ref().and_then(|labels| labels.mode(name));
    let label = label.filter(|mode| match set.namespace_labels {
        Follow::Follow => true,
        Follow::Tighten => tightens(*mode),
        Follow::Ignore => false,
    });
    let inner = set.namespace(name).and_then(|bounds| bounds.mode).or(label);
    inner.filter(|mode| !request.pod_is_claimed || tightens(*mode)).or(outer)
}

/// What the labels `audit` and `warn` of a namespace name, where that forbids more than the policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// The level whose violations go on record. In audit mode.
    pub audit: Option<Policy>,
    /// Another level, of whose violations the user is warned. Likewise.
    pub warn: Option<Policy>,
}

/// What the cluster wants to hear of beyond the policy.
pub fn reported(set: &PolicySet, namespace: Option<&str>, chosen: &Policy) -> Reported {
    let labels = set.labels.as_ref().filter(|_| set.namespace_labels != Follow::Ignore);
    let (Some(labels), Some(namespace)) = (labels, namespace) else { return Reported::default() };
    let mut enforced = chosen.clone();
    enforced.mode = Mode::Enforce;
    let of = |label: &str, level: Option<Level>| {
        let mut policy = Policy::for_level(level?, format!("label {label}"));
        let adds = !enforced.at_least_as_strict_as(&policy);
        policy.mode = Mode::Audit;
        adds.then_some(policy)
    };
    let audit = of(AUDIT_LABEL, labels.audit(namespace));
    let warn = of(WARN_LABEL, labels.warn(namespace));
    let is_another =
        |policy: &Policy| audit.as_ref().is_none_or(|audit| audit.level != policy.level);
    Reported { warn: warn.filter(is_another), audit }
}

fn default(set: &PolicySet, request: &PolicyRequest<'_>, mode: Option<Mode>) -> Policy {
    let policy = nearest_default(set, request).policy.in_mode(mode);
    match &request.sandbox {
        Some(sandbox) if !request.pod_is_claimed || sandbox.at_least_as_strict_as(&policy) => {
            sandbox.chosen_by("its pod's sandbox")
        }
        _ if policy.origin == "`default`" => policy.chosen_by("the default"),
        _ => policy,
    }
}

/// The default of the namespace, or the engine, or everything.
fn nearest_default(set: &PolicySet, request: &PolicyRequest<'_>) -> Resolved {
    let engine = request.engine.and_then(|engine| set.engine(engine)?.default.as_ref());
    let outer = Resolved::configured(engine.unwrap_or(set.default_policy()));
    let Some(name) = request.namespace else { return outer };
    let namespace = Namespace::new(set, name);
    let label = match (namespace.label, namespace.ceiling) {
        (Some(label), Some(ceiling)) => Some(label.within(ceiling)),
        (label, _) => label,
    };
    let inner = match label {
        Some(label)
            if namespace.only_tightens && !label.policy.at_least_as_strict_as(&outer.policy) =>
        {
            None
        }
        Some(label) => Some(label),
        None => namespace.default,
    };
    match inner {
        Some(inner)
            if !request.pod_is_claimed || inner.policy.at_least_as_strict_as(&outer.policy) =>
        {
            inner
        }
        _ => outer,
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
    fn new(set: &PolicySet, name: &str) -> Self {
        let entry = set.namespace(name).cloned().unwrap_or_default();
        let default = entry.default.as_ref().map(Resolved::configured);
        let ceiling = entry.ceiling.as_ref().map(Resolved::configured);
        let label = if default.is_some() { None } else { cluster_label(set, name) };
        let only_tightens = set.namespace_labels == Follow::Tighten;
        Self { default, ceiling, label, only_tightens }
    }
}

/// What the cluster says of a namespace, where it is synced to this node and the administrator
/// follows it.
fn cluster_label(set: &PolicySet, namespace: &str) -> Option<Resolved> {
    let labels = set.labels.as_ref().filter(|_| set.namespace_labels != Follow::Ignore)?;
    let policy = match labels.of(namespace) {
        NamespaceLabel::Level(level) => set.level(level, label_origin()),
        NamespaceLabel::Unknown => set.unknown_namespaces.clone()?,
        NamespaceLabel::Nothing => return None,
    };
    Some(Resolved { policy, for_cluster: true })
}
