//! The policies that the cluster defines, as far as this node can use them.
//!
//! They are policies that containers may ask for, and nothing else: no default, ceiling, engine or
//! namespace of the configuration names one, and no policy extends one. So no object of the cluster
//! can make the configuration invalid, and each of them is usable or not by itself.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use serde_json::Value;

use super::{
    definitions,
    error::{DefinitionError, RequestError},
    strictness::Policy,
};
use crate::{
    config::{
        ClusterPolicies, PolicyConfig, RawConfig,
        cluster::{KIND, SPEC_LIMIT},
    },
    host::HostView,
};

/// Why this node does not use an object of the cluster.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RejectedPolicy {
    /// Larger than any policy that somebody wrote.
    #[error("spec: larger than {} KiB; name directories instead of single files", SPEC_LIMIT >> 10)]
    TooLarge,
    /// Not of the form of `[policies.NAME]`.
    #[error("spec: not a policy: {0}")]
    Form(String),
    /// The configuration of this node goes first.
    #[error(
        "the configuration of this node defines the policy {0} itself, and takes precedence; \
         choose another name"
    )]
    Taken(String),
    /// The definition makes no sense on this node.
    #[error("{0}")]
    Definition(String),
}

/// What the policies of the cluster come to on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterSet {
    usable: BTreeMap<String, (Policy, i64)>,
    rejected: BTreeMap<String, String>,
    /// Why the file cannot be used.
    problem: Option<String>,
}

impl ClusterSet {
    /// Reads the file and resolves each policy in it. What is wrong with the file or a policy
    /// refuses only the containers that ask for it.
    pub(super) fn load(raw: &RawConfig, path: &Path, view: &dyn HostView) -> Self {
        if !raw.kubernetes.cluster_policies {
            return Self::default();
        }
        match ClusterPolicies::load(path, view) {
            Ok(None) => Self::default(),
            Ok(Some(file)) => Self::new(raw, &file),
            Err(error) => Self { problem: Some(error.to_string()), ..Self::default() },
        }
    }

    /// Resolves each policy of a file.
    pub(super) fn new(raw: &RawConfig, file: &ClusterPolicies) -> Self {
        let mut set = Self::default();
        for (name, policy) in &file.policies {
            match check(raw, name, &policy.spec) {
                Ok(found) => {
                    set.usable.insert(name.clone(), (found, policy.generation));
                }
                Err(reason) => {
                    set.rejected.insert(name.clone(), reason.to_string());
                }
            }
        }
        set
    }

    /// The policy of that name.
    pub(super) fn get(&self, name: &str) -> Option<&Policy> {
        self.usable.get(name).map(|(policy, _)| policy)
    }

    /// The policies that can be asked for.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.usable.values().map(|(policy, _)| policy)
    }

    /// Where a policy is defined.
    pub(super) fn origin(&self, name: &str) -> Option<String> {
        let (_, generation) = self.usable.get(name)?;
        Some(format!("{KIND} {name}, generation {generation}"))
    }

    /// The policies that cannot be asked for, with the reasons.
    pub fn rejected(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rejected.iter().map(|(name, reason)| (name.as_str(), reason.as_str()))
    }

    /// Why none of them can be asked for, where the file cannot be used.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Why a request for a name that nothing else defines is refused, where this set is the reason.
    pub(super) fn refusal(&self, name: &str, origin: &str) -> Option<RequestError> {
        let (name, origin) = (name.to_owned(), origin.to_owned());
        if let Some(reason) = self.rejected.get(&name).cloned() {
            return Some(RequestError::Rejected { name, origin, reason });
        }
        let reason = self.problem.clone()?;
        Some(RequestError::Unread { name, origin, reason })
    }
}

/// The specification of an object.
///
/// # Errors
///
/// Where it is too large, or not of the form of `[policies.NAME]`.
pub fn spec(value: &Value) -> Result<PolicyConfig, RejectedPolicy> {
    // Its length as compact JSON, as the file has it.
    if value.to_string().len() > SPEC_LIMIT {
        return Err(RejectedPolicy::TooLarge);
    }
    PolicyConfig::deserialize(value).map_err(|error| RejectedPolicy::Form(error.to_string()))
}

/// What a policy of the cluster comes to beside the configuration of this node.
///
/// # Errors
///
/// Where this node cannot use it.
pub fn check(raw: &RawConfig, name: &str, spec: &PolicyConfig) -> Result<Policy, RejectedPolicy> {
    if raw.policies.contains_key(name) {
        return Err(RejectedPolicy::Taken(name.into()));
    }
    let rejected = |error: DefinitionError| {
        // The object has these keys in its specification.
        let message = error.to_string().replace(&format!("policies.{name}."), "spec.");
        RejectedPolicy::Definition(message)
    };
    definitions::check_name(name).map_err(rejected)?;
    let mut policy = definitions::resolve_beside(raw, Some((name, spec)), name, "the object")
        .map_err(rejected)?;
    policy.is_from_cluster = true;
    Ok(policy.chosen_by(""))
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
