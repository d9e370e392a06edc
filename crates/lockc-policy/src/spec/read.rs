//! Reading it: limits, and what runtimes would read differently.

use std::{
    borrow::Cow,
    io,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    linux::Resources,
    model::{Process, Spec},
};

/// No real bundle comes near; a larger one is an attempt to keep the wrapper busy.
pub const SIZE_LIMIT: u64 = 10 << 20;

/// Why a configuration or process file cannot be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Could not be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Larger than [`SIZE_LIMIT`].
    #[error("{path}: larger than 10 MiB; lockc does not read it")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not JSON, or not of the specification's form.
    #[error("{path}: not a valid OCI configuration: {source}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Reason, line and column.
        source: serde_json::Error,
    },
    /// A key that one runtime would read and another not.
    #[error(
        "{path}: the key {key:?} differs from {known:?} only in case, which runtimes treat \
         differently; write {known:?}"
    )]
    Case {
        /// The file.
        path: PathBuf,
        /// The key as it stands.
        key: String,
        /// The key of the specification.
        known: &'static str,
    },
    /// A string with a NUL byte: where one runtime sees its end, another goes on.
    #[error("{path}: {text:?} contains a NUL byte; remove it")]
    Nul {
        /// The file.
        path: PathBuf,
        /// The string.
        text: String,
    },
}

impl Spec {
    /// Parses a configuration; `path` is for the messages.
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, SpecError> {
        parse(text, path)
    }
}

impl Process {
    /// Parses a process file; `path` is for the messages.
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, SpecError> {
        parse(text, path)
    }
}

impl Resources {
    /// Parses the resources of `update`; `path` is for the messages.
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, SpecError> {
        parse(text, path)
    }
}

fn parse<T: DeserializeOwned>(text: &[u8], path: &Path) -> Result<T, SpecError> {
    let syntax = |source| SpecError::Syntax { path: path.into(), source };
    let parsed = serde_json::from_slice(text).map_err(syntax)?;
    let value: Value = serde_json::from_slice(text).map_err(syntax)?;
    if let Some((key, known)) = misspelt(&value) {
        return Err(SpecError::Case { path: path.into(), key, known });
    }
    if let Some(text) = with_nul(&value) {
        return Err(SpecError::Nul { path: path.into(), text: text.chars().take(80).collect() });
    }
    Ok(parsed)
}

/// Keys that admission reads, anywhere in the document.
const KEYS: [&str; 61] = [
    "root",
    "path",
    "process",
    "user",
    "uid",
    "capabilities",
    "bounding",
    "effective",
    "permitted",
    "inheritable",
    "ambient",
    "noNewPrivileges",
    "apparmorProfile",
    "selinuxLabel",
    "oomScoreAdj",
    "args",
    "env",
    "cgroupsPath",
    "scheduler",
    "policy",
    "ioPriority",
    "class",
    "mounts",
    "destination",
    "type",
    "source",
    "options",
    "annotations",
    "linux",
    "namespaces",
    "uidMappings",
    "containerID",
    "hostID",
    "size",
    "devices",
    "resources",
    "major",
    "minor",
    "allow",
    "access",
    "sysctl",
    "seccomp",
    "defaultAction",
    "listenerPath",
    "syscalls",
    "action",
    "maskedPaths",
    "readonlyPaths",
    "rootfsPropagation",
    "personality",
    "domain",
    "flags",
    "intelRdt",
    "memoryPolicy",
    "netDevices",
    "hooks",
    "prestart",
    "createRuntime",
    "createContainer",
    "poststart",
    "poststop",
];

/// Objects whose keys are data: names of annotations, sysctls, …
const DATA: [&str; 5] = ["annotations", "sysctl", "unified", "rdma", "netDevices"];

fn misspelt(value: &Value) -> Option<(String, &'static str)> {
    match value {
        Value::Array(items) => items.iter().find_map(misspelt),
        Value::Object(members) => members.iter().find_map(|(key, member)| {
            // Go folds two more letters to ASCII ones than eq_ignore_ascii_case does.
            let folded = match key.is_ascii() {
                true => Cow::Borrowed(key.as_str()),
                false => key.replace('\u{17f}', "s").replace('\u{212a}', "k").into(),
            };
            match KEYS.into_iter().find(|known| folded.eq_ignore_ascii_case(known)) {
                Some(known) if known != key => return Some((key.clone(), known)),
                _ => {}
            }
            if DATA.contains(&key.as_str()) { None } else { misspelt(member) }
        }),
        _ => None,
    }
}

fn with_nul(value: &Value) -> Option<&str> {
    let has = |text: &str| text.contains('\0');
    match value {
        Value::String(text) => has(text).then_some(text),
        Value::Array(items) => items.iter().find_map(with_nul),
        Value::Object(members) => members
            .iter()
            .find_map(|(key, member)| if has(key) { Some(key.as_str()) } else { with_nul(member) }),
        _ => None,
    }
}
