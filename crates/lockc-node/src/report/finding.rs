//! What happened to a pod: a denial or a refusal, in the words of an Event.

use std::fmt::Write as _;

use jiff::Timestamp;
use lockc_bpf::{denial::Denial, out::printable};
use lockc_policy::{
    container_names::ContainerNames,
    policy::{Key, Setting},
    refused::Refused,
};
use sha2::{Digest as _, Sha256};

use super::limits::{NOTE, cut};

/// Bytes of an object in a message: what would allow it comes after it.
const OBJECT: usize = 320;

/// A pod, as the kubelet named it to the engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodKey {
    /// Its Kubernetes namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl PodKey {
    /// Nothing for a container that is in no pod, or whose engine does not say in which one.
    fn of(names: &ContainerNames) -> Option<Self> {
        Some(Self {
            namespace: names.namespace.clone()?,
            name: names.pod.clone()?,
            uid: names.pod_uid.clone()?,
        })
    }
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A rule of the kernel side denied an operation.
    Denied,
    /// A control refused to start a container.
    Refused,
    /// Either would have happened, had the container not been in audit mode.
    Audited,
}

impl Kind {
    /// The Event's reason.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Denied => "LockcDenied",
            Self::Refused => "LockcRefused",
            Self::Audited => "LockcAudited",
        }
    }
}

/// It happened to a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// To which one.
    pub pod: PodKey,
    /// What.
    pub kind: Kind,
    /// The container's name in the pod; a sandbox has none.
    pub container: Option<String>,
    /// The container's id. A pod may have had several of the same name.
    pub source: String,
    /// The rule, or the controls.
    pub rule: String,
    /// The policy.
    pub policy: String,
    /// In which words.
    pub message: String,
    /// How often it happened to this container.
    pub count: u64,
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// What makes it another one than the others of the pod, as a part of an object's name.
    pub key: String,
}

impl Finding {
    /// A denial; nothing where it did not happen in a pod.
    pub fn from_denial(denial: &Denial) -> Option<Self> {
        let pod = PodKey::of(&denial.names)?;
        let kind = if denial.mode == "audit" { Kind::Audited } else { Kind::Denied };
        let container = denial.names.name.clone();
        // The numbers of a file's mount are others whenever the container starts.
        let object = denial.detail.split(" (mount root ").next().unwrap_or_default();
        let mut message = format!(
            "{}: {} {} to {}",
            whose(container.as_deref()),
            denial.verdict(),
            denial.denies,
            denial.comm
        );
        if !object.is_empty() {
            let _ = write!(message, ": {}", cut(object, OBJECT));
        }
        let _ = write!(message, " [rule {}, policy {}]", denial.rule, printable(&denial.policy));
        if let Some(setting) = &denial.setting {
            let _ = write!(message, "; a policy with {} allows it", in_words(setting));
        }
        if !denial.id.is_empty() {
            let _ = write!(message, " ({})", denial.id);
        }
        let name = container.as_deref().unwrap_or_default();
        let key = key(&pod, &[kind.reason(), name, denial.rule, &denial.hook, object]);
        Some(Self {
            pod,
            kind,
            source: denial.container.clone(),
            rule: denial.rule.to_owned(),
            policy: denial.policy.clone(),
            message: cut(&message, NOTE),
            count: denial.count,
            first: denial.first,
            last: denial.last,
            container,
            key,
        })
    }

    /// A refusal; nothing where no pod's container was refused.
    pub fn from_refusal(refused: &Refused) -> Option<Self> {
        let pod = PodKey::of(&refused.names)?;
        let first = refused.reasons.first()?;
        let last: Timestamp = refused.time.parse().ok()?;
        let (kind, verdict) = match refused.audited {
            true => (Kind::Audited, "would be refused"),
            false => (Kind::Refused, "refused"),
        };
        let mut controls: Vec<&str> =
            refused.reasons.iter().map(|reason| reason.control.as_str()).collect();
        controls.dedup();
        let rule = controls.join(", ");
        let container = refused.names.name.clone();
        let mut message = format!(
            "{}: {verdict} by {}: {}: {} [{}]",
            whose(container.as_deref()),
            printable(&refused.policy),
            first.control,
            printable(&cut(&first.what, OBJECT)),
            printable(&cut(&first.remedy, OBJECT)),
        );
        if refused.reasons.len() > 1 {
            let _ = write!(message, "; reasons in all: {} ({rule})", refused.reasons.len());
        }
        let name = container.as_deref().unwrap_or_default();
        let key = key(&pod, &[kind.reason(), "refusal", name, &rule]);
        Some(Self {
            pod,
            kind,
            source: refused.id.clone(),
            rule,
            policy: refused.policy.clone(),
            message: cut(&message, NOTE),
            count: 1,
            first: last,
            last,
            container,
            key,
        })
    }
}

fn whose(container: Option<&str>) -> String {
    container.map_or("sandbox".into(), |name| format!("container {}", printable(name)))
}

/// As it is written in lockc.toml.
fn in_words(setting: &Setting) -> String {
    match setting.key {
        Key::HookMounts => format!("{} = true", setting.key.name()),
        key => format!("{} = [{:?}]", key.name(), cut(&setting.value, OBJECT)),
    }
}

/// The same for the same parts, whichever process asks.
pub fn key(pod: &PodKey, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in [&[pod.uid.as_str()], parts].concat() {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "finding_tests.rs"]
mod tests;
