//! What enforcement would break: the denials and refusals on record, by Kubernetes namespace, and
//! for containers outside of one by engine.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use lockc_policy::{container_names::ContainerNames, refused::Refused};
use serde::Serialize;

use crate::{denial::Denial, status::Container};

/// Where containers belong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "lowercase")]
pub enum Scope {
    /// A Kubernetes namespace.
    Namespace(String),
    /// An engine.
    Engine(String),
    /// Nobody knows.
    Unknown,
}

impl Scope {
    fn of(names: &ContainerNames) -> Self {
        match (&names.namespace, &names.engine) {
            (Some(namespace), _) => Self::Namespace(namespace.clone()),
            (None, Some(engine)) => Self::Engine(engine.clone()),
            (None, None) => Self::Unknown,
        }
    }

    /// In words.
    pub fn name(&self) -> String {
        match self {
            Self::Namespace(name) => format!("namespace {name}"),
            Self::Engine(name) => name.clone(),
            Self::Unknown => "(unknown)".into(),
        }
    }
}

/// Something that is refused or denied, or would be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reason {
    /// The admission control or the rule.
    pub name: String,
    /// What it is about.
    pub what: String,
    /// What would allow it.
    pub remedy: String,
}

/// How often, and to which containers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Happened {
    /// How often.
    pub count: u64,
    /// Names of the containers, or ids.
    pub containers: BTreeSet<String>,
}

/// One kind of event, by reason.
pub type Reasons = BTreeMap<Reason, Happened>;

/// What is known of one scope.
#[derive(Debug, Default)]
pub struct Report {
    /// Containers that run, in enforcement and in audit mode.
    pub enforced: usize,
    /// Likewise.
    pub audited: usize,
    /// What audit mode has let pass: at start, and while running.
    pub would_refuse: Reasons,
    /// Likewise.
    pub would_deny: Reasons,
    /// What was refused and denied.
    pub refused: Reasons,
    /// Likewise.
    pub denied: Reasons,
}

impl Report {
    /// Whether enforcement would change nothing, as far as the record goes.
    pub fn is_ready(&self) -> bool {
        self.would_refuse.is_empty() && self.would_deny.is_empty()
    }

    /// In words.
    pub fn verdict(&self) -> String {
        match self.would_refuse.len() + self.would_deny.len() {
            0 if self.audited == 0 => "enforced".into(),
            0 => "ready to enforce".into(),
            1 => "1 finding".into(),
            many => format!("{many} findings"),
        }
    }
}

/// Adds up what happened since then.
pub fn report(
    containers: &[Container],
    refusals: &[Refused],
    denials: &[Denial],
    since: Option<Timestamp>,
) -> BTreeMap<Scope, Report> {
    let mut scopes = BTreeMap::<Scope, Report>::new();
    for container in containers {
        let report = scopes.entry(Scope::of(&container.names)).or_default();
        match container.mode {
            "audit" => report.audited += 1,
            _ => report.enforced += 1,
        }
    }
    let is_recent = |time: Timestamp| since.is_none_or(|since| time >= since);
    for refused in refusals {
        if !refused.time.parse().is_ok_and(is_recent) {
            continue;
        }
        let report = scopes.entry(Scope::of(&refused.names)).or_default();
        let reasons = if refused.audited { &mut report.would_refuse } else { &mut report.refused };
        for reason in &refused.reasons {
            let reason = Reason {
                name: reason.control.clone(),
                what: reason.what.clone(),
                remedy: reason.remedy.clone(),
            };
            add(reasons, reason, 1, name(&refused.names, &refused.id));
        }
    }
    for denial in denials.iter().filter(|denial| is_recent(denial.last)) {
        let report = scopes.entry(Scope::of(&denial.names)).or_default();
        let reasons =
            if denial.mode == "audit" { &mut report.would_deny } else { &mut report.denied };
        let reason =
            Reason { name: denial.rule.into(), what: denial.what(), remedy: denial.remedy.clone() };
        add(reasons, reason, denial.count, name(&denial.names, &denial.container));
    }
    scopes
}

fn add(reasons: &mut Reasons, reason: Reason, count: u64, container: String) {
    let happened = reasons.entry(reason).or_default();
    happened.count += count;
    happened.containers.insert(container);
}

fn name(names: &ContainerNames, id: &str) -> String {
    names.full_name().unwrap_or_else(|| id.chars().take(12).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lockc_core::rules::Level;
    use lockc_policy::{
        admission::findings::Violation,
        policy::{Control, Policy},
    };

    use super::*;

    fn refused(names: &ContainerNames, time: &str, audited: bool) -> Refused {
        let policy = Policy::for_level(Level::Baseline, "a test");
        let violation = Violation {
            control: Control::HostMounts,
            what: "/etc".into(),
            policy: policy.to_string(),
            remedy: "r".into(),
            settings: Vec::new(),
        };
        let new = if audited { Refused::in_audit_mode } else { Refused::new };
        new("0123", time.into(), names, Path::new("/b"), &policy, &[violation])
    }

    #[test]
    fn what_happened_is_added_up_by_scope() {
        let docker = ContainerNames { engine: Some("docker".into()), ..Default::default() };
        let pod = ContainerNames {
            engine: Some("cri".into()),
            namespace: Some("team-a".into()),
            pod: Some("web".into()),
            ..Default::default()
        };
        let refusals = [
            refused(&docker, "2026-11-27T10:00:00Z", false),
            refused(&pod, "2026-11-27T10:00:00Z", true),
            refused(&pod, "2026-11-27T12:00:00Z", true),
            refused(&pod, "nonsense", true),
        ];
        let all = report(&[], &refusals, &[], None);
        let team = &all[&Scope::Namespace("team-a".into())];
        let happened = team.would_refuse.values().next().unwrap();
        assert_eq!((happened.count, happened.containers.len()), (2, 1));
        assert!(!team.is_ready() && team.verdict() == "1 finding");
        let docker = &all[&Scope::Engine("docker".into())];
        assert!(docker.is_ready() && docker.refused.len() == 1);
        let since = "2026-11-27T11:00:00Z".parse().ok();
        let late = report(&[], &refusals, &[], since);
        assert_eq!(late.len(), 1);
        let team = &late[&Scope::Namespace("team-a".into())];
        assert_eq!(team.would_refuse.values().next().unwrap().count, 1);
    }
}
