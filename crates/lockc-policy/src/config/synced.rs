//! The files that `lockc-node sync` writes on a node.

use std::path::Path;

use lockc_core::paths;
use serde::{Deserialize, de::DeserializeOwned};

use super::error::ConfigError;

/// Where they are.
#[derive(Clone, Copy, Debug)]
pub struct SyncedFiles<'a> {
    /// What the cluster says of its namespaces.
    pub namespaces: &'a Path,
    /// The policies that the cluster defines.
    pub policies: &'a Path,
}

impl Default for SyncedFiles<'static> {
    fn default() -> Self {
        Self {
            namespaces: Path::new(paths::NAMESPACES),
            policies: Path::new(paths::CLUSTER_POLICIES),
        }
    }
}

/// Parses such a file's text; `path` is for the messages.
pub(super) fn parse<T: DeserializeOwned>(
    text: &str,
    path: &Path,
    version: u32,
) -> Result<T, ConfigError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let broken = |error: serde_json::Error| {
        format!("{error}; remove the file: `lockc-node sync` writes it again")
    };
    let invalid = |message| ConfigError::Invalid { path: path.into(), message };
    let versioned: Versioned =
        serde_json::from_str(text).map_err(|error| invalid(broken(error)))?;
    if versioned.version != version {
        return Err(invalid(format!(
            "it has version {}, this lockc reads version {version}; install all parts of lockc \
             from one release",
            versioned.version
        )));
    }
    serde_json::from_str(text).map_err(|error| invalid(broken(error)))
}
