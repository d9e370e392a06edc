//! A container that was checked against its policy.

use lockc_core::{families, rules::Rule};
use lockc_policy::{
    admission::kernel_files, config::cluster::KIND, decision::Decision, enforcement::Gap,
    policy::Control, spec::Spec,
};
use serde::Serialize;

use super::{
    finding::Finding,
    lines::{Line, of_control, of_rule},
};

/// All that is known of it.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The container's id.
    pub id: String,
    /// The engine, if it is known.
    pub engine: Option<&'static str>,
    /// The Kubernetes namespace, if it is in one.
    pub namespace: Option<String>,
    /// The policy.
    pub policy: String,
    /// Whether a cluster's ConfinementPolicy defines it.
    pub is_cluster_policy: bool,
    /// The level that it is or extends.
    pub level: &'static str,
    /// Where the choice came from.
    pub origin: String,
    /// The network that the policy leaves the container: `full`, `loopback` or `none`.
    pub network: &'static str,
    /// `enforce`, or `audit`: what is refused and denied is only reported.
    pub mode: &'static str,
    /// What keeps the kernel rules out: the sandbox that it runs in, a kernel of its own.
    pub sandbox: Option<&'static str>,
    /// Why the kernel side enforces no rule, where it does not.
    pub not_enforced: Option<String>,
    /// Whether it would start.
    pub starts: bool,
    /// What its policy lets it read in procfs and sysfs, and what stands in the way of that.
    pub reads: Vec<String>,
    /// Socket families and netlink protocols that its policy names.
    pub socket_families: Vec<&'static str>,
    /// What is checked before it starts.
    pub controls: Vec<Line>,
    /// What the kernel denies while it runs.
    pub rules: Vec<Line>,
    /// Whether it runs already, under this policy.
    pub registered: bool,
    /// In a manifest, what selected lockc as the runtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Why it does not run under lockc.
    #[serde(skip)]
    pub unconfined: Option<Finding>,
    /// What stands in the way of reading some of `reads`.
    #[serde(skip)]
    pub closed: Vec<String>,
    /// What else there is to know.
    #[serde(skip)]
    pub warnings: Vec<Finding>,
    /// The same without ids.
    pub notes: Vec<String>,
}

impl Explanation {
    /// The policy, as a user would look it up.
    pub(crate) fn policy(&self) -> String {
        if self.is_cluster_policy { format!("{KIND} {}", self.policy) } else { self.policy.clone() }
    }

    /// What was decided for a container.
    pub(crate) fn new(id: &str, spec: &Spec, decision: &Decision, warnings: Vec<Finding>) -> Self {
        let policy = &decision.policy;
        let (reads, closed) = reads(spec, decision);
        let violations = match &decision.checked {
            Ok(given) => &given.reported,
            Err(violations) => violations,
        };
        Self {
            id: id.to_owned(),
            engine: decision.metadata.engine.map(|engine| engine.name()),
            namespace: decision.metadata.namespace.clone(),
            policy: policy.name.clone(),
            is_cluster_policy: policy.is_from_cluster,
            level: policy.level.name(),
            origin: policy.origin.clone(),
            network: policy.network.name(),
            mode: policy.mode.name(),
            sandbox: decision.enforcement.sandbox(),
            not_enforced: decision.enforcement.gap.map(Gap::reason),
            starts: decision.checked.is_ok(),
            reads,
            socket_families: named_families(policy.more.families),
            controls: Control::ALL
                .into_iter()
                .map(|control| of_control(control, policy, violations))
                .collect(),
            rules: Rule::ALL
                .into_iter()
                .map(|rule| of_rule(rule, policy, &decision.enforcement))
                .collect(),
            registered: false,
            runtime: None,
            unconfined: None,
            closed,
            notes: warnings.iter().map(|finding| finding.what.clone()).collect(),
            warnings,
        }
    }
}

/// What the policy lets the container read, and what of that stays closed.
fn reads(spec: &Spec, decision: &Decision) -> (Vec<String>, Vec<String>) {
    let mut closed = Vec::new();
    let mut listed = Vec::new();
    for path in &decision.policy.more.reads {
        let path_of = path.display();
        match kernel_files::hides(&spec.linux, path) {
            Some(masked) => {
                let masked = masked.display();
                listed.push(format!("{path_of} (still hidden: {masked} is in maskedPaths)"));
                closed.push(format!(
                    "{path_of} stays hidden: {masked} is in maskedPaths; let the engine leave it \
                     out"
                ));
            }
            None => listed.push(path_of.to_string()),
        }
    }
    for problem in decision.checked.as_ref().map_or(&[][..], |given| &given.unread) {
        listed.push(format!("not: {problem}"));
        closed.push(problem.to_string());
    }
    (listed, closed)
}

fn named_families(bits: u64) -> Vec<&'static str> {
    families::FAMILIES
        .iter()
        .filter(|family| bits >> family.bit & 1 != 0)
        .map(|family| family.name)
        .collect()
}
