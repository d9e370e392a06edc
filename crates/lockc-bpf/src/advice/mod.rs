//! What `lockc config check` says of a valid configuration: settings that give a container the
//! host, and settings that have no effect on this host.

mod capabilities;
mod dangerous;
mod devices;
mod ineffective;
mod selection;
mod values;

use std::{fmt, path::PathBuf};

use lockc_policy::{config::Loaded, policy::PolicySet};
use serde::Serialize;

use values::Values;

/// Why a setting is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It has a newer form.
    Deprecated,
    /// A container that uses it can take over the host, or nothing is enforced.
    Dangerous,
    /// It does nothing here.
    NoEffect,
}

/// A warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    pub file: PathBuf,
    pub line: usize,
    /// `allowed_mounts`, `policies.gpu.devices`.
    pub key: String,
    pub kind: Kind,
    pub reason: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file.display(), self.line, self.key, self.reason)
    }
}

/// The warnings, in the order of their places. Defaults are none.
pub fn warnings(loaded: &Loaded, set: &PolicySet, host: &View) -> Vec<Warning> {
    let values = Values::new(loaded);
    let mut found = Vec::new();
    for (key, reason) in loaded.deprecated() {
        found.extend(values.warning(key, None, Kind::Deprecated, reason));
    }
    found.extend(dangerous::warnings(&values));
    found.extend(devices::warnings(&values, host));
    found.extend(capabilities::warnings(&values, set));
    found.extend(ineffective::warnings(&values, host));
    found.extend(selection::warnings(&values, set, host));
    found.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    found
}

/// The host on which paths are looked up.
#[derive(Debug)]
pub struct View {
    root: PathBuf,
}

impl Default for View {
    fn default() -> Self {
        Self { root: "/".into() }
    }
}

impl View {
    #[cfg(test)]
    fn below(root: &std::path::Path) -> Self {
        Self { root: root.into() }
    }

    fn at(&self, path: &std::path::Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

#[cfg(test)]
mod tests;
