//! Which of the cluster's policies this node accepts.

use std::collections::BTreeMap;

use lockc_policy::{
    config::{
        ClusterPolicies, RawConfig,
        cluster::{COUNT_LIMIT, ClusterPolicy, VERSION},
    },
    messages::with_id,
    policy::cluster::{check, spec},
};

use super::object::{Object, Verdict};

/// Longer messages are cut: each is in an object of the cluster, once per node.
const MESSAGE_LIMIT: usize = 1024;

/// What is kept on the node, and what is said of each object. `config`: this node's configuration,
/// or why it cannot be used; `kept`: what is kept so far.
///
/// An object that this node cannot use leaves the last state that it accepted of the same object.
pub fn decide(
    config: &Result<RawConfig, String>,
    objects: &BTreeMap<String, Object>,
    kept: &ClusterPolicies,
) -> (ClusterPolicies, BTreeMap<String, Verdict>) {
    let mut file = ClusterPolicies { version: VERSION, policies: BTreeMap::new() };
    let mut verdicts = BTreeMap::new();
    let last = |name: &str, object: &Object| {
        kept.policies.get(name).filter(|last| last.uid == object.uid).cloned()
    };
    // What is in use goes before what is new.
    let used = objects.iter().filter(|(name, object)| last(name, object).is_some()).count();
    let mut room = COUNT_LIMIT.saturating_sub(used);
    for (name, object) in objects {
        let last = last(name, object);
        let accepted = accept(config, name, object).and_then(|policy| {
            if last.is_none() {
                room = room.checked_sub(1).ok_or_else(|| {
                    format!("the node keeps at most {COUNT_LIMIT} policies of the cluster")
                })?;
            }
            Ok(policy)
        });
        let problem = match accepted {
            Ok(policy) => {
                file.policies.insert(name.clone(), policy);
                let is_off = config.as_ref().is_ok_and(|raw| !raw.kubernetes.cluster_policies);
                is_off.then(|| "kubernetes.cluster_policies is false on this node".to_owned())
            }
            Err(problem) => {
                let last = last.filter(|last| is_still_usable(config, name, last));
                let stays = last.as_ref().map_or_else(
                    || "; the node has no policy of that name".to_owned(),
                    |last| format!("; generation {} stays in use", last.generation),
                );
                file.policies.extend(last.map(|last| (name.clone(), last)));
                Some(cut(&with_id(&problem)) + &stays)
            }
        };
        let verdict = Verdict {
            observed_generation: object.generation,
            ready: problem.is_none(),
            message: problem.unwrap_or_default(),
        };
        verdicts.insert(name.clone(), verdict);
    }
    (file, verdicts)
}

/// The object as it is kept, if this node can use it.
fn accept(
    config: &Result<RawConfig, String>,
    name: &str,
    object: &Object,
) -> Result<ClusterPolicy, String> {
    let config = config
        .as_ref()
        .map_err(|error| format!("the configuration of this node cannot be used: {error}"))?;
    let spec = spec(&object.spec).map_err(|error| error.to_string())?;
    check(config, name, &spec).map_err(|error| error.to_string())?;
    Ok(ClusterPolicy { uid: object.uid.clone(), generation: object.generation, spec })
}

/// Whether what was accepted fits the configuration as it is now. A configuration that cannot be
/// used says nothing of it.
fn is_still_usable(config: &Result<RawConfig, String>, name: &str, last: &ClusterPolicy) -> bool {
    config.as_ref().map_or(true, |config| check(config, name, &last.spec).is_ok())
}

fn cut(message: &str) -> String {
    let end = (0..=MESSAGE_LIMIT.min(message.len())).rev().find(|at| message.is_char_boundary(*at));
    message[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
