//! The policies that a cluster defines as objects (`ConfinementPolicy`), as `lockc-node sync`
//! writes them down on the node.
//!
//! `lockc-node sync` checks each of them with the node's configuration before it writes it. They
//! are resolved again when a container starts, because that configuration may have changed.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::{error::ConfigError, raw::PolicyConfig, synced};
use crate::host::HostView;

/// The kind of the objects.
pub const KIND: &str = "ConfinementPolicy";

/// Version of the file's form.
pub const VERSION: u32 = 1;

/// More than [`COUNT_LIMIT`] policies of [`SPEC_LIMIT`] need.
const SIZE_LIMIT: u64 = 16 << 20;

/// How many policies the file has at most.
pub const COUNT_LIMIT: usize = 128;

/// How large the specification of a policy is at most, as JSON.
pub const SPEC_LIMIT: usize = 64 << 10;

/// The policies of a cluster that this node has accepted.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterPolicies {
    /// [`VERSION`].
    pub version: u32,
    /// By name.
    pub policies: BTreeMap<String, ClusterPolicy>,
}

/// One object, in the last state that this node accepted.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterPolicy {
    /// The object's id: another object of the same name has another one.
    pub uid: String,
    /// The generation of the object that has this specification.
    pub generation: i64,
    /// As `[policies.NAME]`.
    pub spec: PolicyConfig,
}

impl ClusterPolicies {
    /// Reads the file; nothing if there is none.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, is not of this form, or can be changed by others than root.
    pub fn load(path: &Path, view: &dyn HostView) -> Result<Option<Self>, ConfigError> {
        view.trusted_text(path, SIZE_LIMIT)?.map(|text| Self::parse(&text, path)).transpose()
    }

    /// Parses a file's text; `path` is for the messages.
    ///
    /// # Errors
    ///
    /// Where it is not of this form.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        synced::parse(text, path, VERSION)
    }
}
