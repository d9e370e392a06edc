//! What is read of a configuration.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

use super::{
    fields::{once_each, or_default},
    linux::Linux,
};

/// The container's configuration.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)] // named as in the OCI runtime specification
pub struct Spec {
    pub root: Option<Root>,
    pub process: Option<Process>,
    #[serde(deserialize_with = "or_default")]
    pub mounts: Vec<Mount>,
    #[serde(deserialize_with = "once_each")]
    pub annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub linux: Linux,
    #[serde(deserialize_with = "or_default")]
    pub hooks: Hooks,
}

/// `hooks`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Hooks {
    #[serde(deserialize_with = "or_default")]
    pub prestart: Vec<Hook>,
    #[serde(deserialize_with = "or_default")]
    pub create_runtime: Vec<Hook>,
    #[serde(deserialize_with = "or_default")]
    pub create_container: Vec<Hook>,
    #[serde(deserialize_with = "or_default")]
    pub poststart: Vec<Hook>,
    #[serde(deserialize_with = "or_default")]
    pub poststop: Vec<Hook>,
}

impl Hooks {
    /// Those whose program is the host's (OCI runtime specification 1.2, config.md, POSIX-platform
    /// hooks): all but `startContainer`, whose program is the container's and confined as such.
    pub fn of_the_host(&self) -> impl Iterator<Item = (&'static str, &Hook)> {
        [
            ("prestart", &self.prestart),
            ("createRuntime", &self.create_runtime),
            ("createContainer", &self.create_container),
            ("poststart", &self.poststart),
            ("poststop", &self.poststop),
        ]
        .into_iter()
        .flat_map(|(name, hooks)| hooks.iter().map(move |hook| (name, hook)))
    }
}

/// One of `hooks`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[allow(missing_docs)]
pub struct Hook {
    pub path: PathBuf,
    #[serde(default, deserialize_with = "or_default")]
    pub args: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub env: Vec<String>,
}

/// `root`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[allow(missing_docs)]
pub struct Root {
    pub path: PathBuf,
}

/// `process`, also the process file of `exec`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Process {
    #[serde(deserialize_with = "or_default")]
    pub user: User,
    #[serde(deserialize_with = "or_default")]
    pub capabilities: Capabilities,
    #[serde(rename = "noNewPrivileges")]
    pub no_new_privileges: bool,
    #[serde(rename = "apparmorProfile", deserialize_with = "or_default")]
    pub apparmor_profile: String,
    #[serde(rename = "selinuxLabel", deserialize_with = "or_default")]
    pub selinux_label: String,
    #[serde(rename = "oomScoreAdj")]
    pub oom_score_adj: Option<i64>,
    #[serde(deserialize_with = "or_default")]
    pub scheduler: Scheduler,
    #[serde(rename = "ioPriority", deserialize_with = "or_default")]
    pub io_priority: IoPriority,
}

/// `process.scheduler`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Scheduler {
    #[serde(deserialize_with = "or_default")]
    pub policy: String,
}

/// `process.ioPriority`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct IoPriority {
    #[serde(deserialize_with = "or_default")]
    pub class: String,
}

/// `process.user`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct User {
    pub uid: u32,
}

/// `process.capabilities`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Capabilities {
    #[serde(deserialize_with = "or_default")]
    pub bounding: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub effective: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub permitted: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub inheritable: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub ambient: Vec<String>,
}

impl Capabilities {
    /// Every name in every set.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        [&self.bounding, &self.effective, &self.permitted, &self.inheritable, &self.ambient]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }
}

/// One of `mounts`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Mount {
    pub destination: PathBuf,
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    #[serde(deserialize_with = "or_default")]
    pub source: PathBuf,
    #[serde(deserialize_with = "or_default")]
    pub options: Vec<String>,
}

impl Mount {
    /// Whether the runtime makes a bind mount of it: for the options `bind` and `rbind` it does so
    /// whatever the type.
    pub fn is_bind(&self) -> bool {
        self.kind == "bind"
            || self.options.iter().any(|option| option == "bind" || option == "rbind")
    }

    /// Whether file systems that the host mounts below the source later appear in the container.
    pub fn propagates(&self) -> bool {
        self.options
            .iter()
            .any(|option| ["slave", "rslave", "shared", "rshared"].contains(&option.as_str()))
    }
}
