//! A warning and its place.

use std::{fmt, path::PathBuf};

use serde::Serialize;

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
    /// Its row in docs/troubleshooting.md.
    pub id: Option<&'static str>,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file.display(), self.line, self.key, self.reason)?;
        self.id.map_or(Ok(()), |id| write!(f, " ({id})"))
    }
}
