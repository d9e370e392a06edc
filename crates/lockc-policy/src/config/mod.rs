//! The administrator's configuration, `/etc/lockc/lockc.toml` and `/etc/lockc/lockc.d/*.toml`.
//!
//! A missing file means the defaults. Anything else that is not a well-formed file which only root
//! can write is an error, and the caller refuses: a policy that cannot be read must not turn into a
//! looser one.

mod files;
pub(super) mod globs;
pub mod labels;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{additions, policy, sockets::NamedSockets};
use lockc_core::{abi, hooks};

#[cfg(feature = "schema")]
pub use files::schema;
pub use files::{Loaded, Origin};
pub use labels::Labels;

/// Where the configuration is. A constant: neither environment nor command line moves it.
pub use lockc_core::paths::CONFIG as CONFIG_PATH;

/// `allowed_mounts` where no file says otherwise. Home directories as wholes are left out all the
/// same, and Kubernetes has none: its baseline admits no hostPath volume.
const ALLOWED_MOUNTS: [&str; 5] = ["/home", "/srv", "/var/data", "/mnt", "/media"];

/// The configuration, with the defaults where the files say nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Level or policy when nothing else chooses.
    pub default: String,
    /// What annotations may ask for at most.
    pub ceiling: String,
    /// What happens when the kernel side cannot be reached.
    pub fail: Fail,
    /// Whether what a policy forbids is refused and denied, or only reported.
    pub mode: Mode,
    /// Whether the level offline, and policies that extend it, leave the loopback addresses of
    /// IPv4.
    pub offline_loopback: bool,
    /// Optional LSM hooks without which `lockc load` fails.
    pub require: Vec<String>,
    /// Candidates for the real runtime; empty: the usual names in the usual places.
    pub runtimes: Vec<PathBuf>,
    /// Real runtimes, beyond those that are known, whose containers run on a kernel of their own.
    pub sandbox_runtimes: Vec<PathBuf>,
    /// What happens to containers of rootless engines.
    pub rootless: Rootless,
    /// Directories of the host that containers may be given, themselves and all below.
    pub allowed_mounts: Vec<PathBuf>,
    /// Unix sockets of the host that containers may be given.
    pub allowed_sockets: Vec<PathBuf>,
    /// State directories of engines in unusual places.
    pub engine_dirs: Vec<PathBuf>,
    /// What holds for the containers of one engine.
    pub engines: BTreeMap<Engine, Choice>,
    /// What holds for the pods of a Kubernetes namespace; `*` stands for any characters of a name.
    pub namespaces: BTreeMap<String, Choice>,
    /// What holds in Kubernetes.
    pub kubernetes: Kubernetes,
    /// The administrator's own policies by name.
    pub policies: BTreeMap<String, PolicyConfig>,
    /// What a cluster says of its namespaces, where it is synced to this node. No setting: a file
    /// of its own.
    #[serde(skip)]
    pub labels: Option<Labels>,
}

/// An engine, as far as the choice of a level asks.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// dockerd.
    Docker,
    /// containerd by its own clients: ctr, nerdctl.
    Containerd,
    /// containerd by kubelet's Container Runtime Interface.
    Cri,
    /// CRI-O.
    Crio,
    /// Podman.
    Podman,
}

impl Engine {
    /// The name in configuration and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Cri => "cri",
            Self::Crio => "crio",
            Self::Podman => "podman",
        }
    }
}

/// `[engines.NAME]` and `[namespaces.NAME]`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Choice {
    /// Level or policy of a container that asks for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What its annotations and labels may ask for at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<String>,
    /// `[engines.docker]` only: level or policy of Docker's managed plugins, which ask for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugins: Option<String>,
}

/// `[kubernetes]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kubernetes {
    /// What the namespaces' labels do.
    pub namespace_labels: Follow,
    /// Level or policy of the pods of a namespace of which `lockc-node sync` does not know (yet);
    /// without it, what holds for those of a namespace without label.
    pub unknown_namespaces: Option<String>,
}

/// `kubernetes.namespace_labels`: what the label pod-security.kubernetes.io/enforce of a namespace
/// does.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Follow {
    /// Nothing.
    Ignore,
    /// It holds where it is stricter than what holds without it.
    Tighten,
    /// It is the namespace's default and ceiling: whoever may label a namespace decides, as in
    /// Kubernetes itself.
    #[default]
    Follow,
}

/// `fail`: which way lockc fails when its programs or maps do not answer.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fail {
    /// The container does not start.
    #[default]
    Closed,
    /// The container starts unconfined, and that is logged.
    Open,
}

/// `mode`: what becomes of what a policy forbids.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is refused and denied.
    #[default]
    Enforce,
    /// It is allowed and reported: to find out what a policy would break.
    Audit,
}

impl Mode {
    /// The name in configuration and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Audit => "audit",
        }
    }

    /// `MODE_*` of [`abi`](lockc_core::abi).
    pub const fn raw(self) -> u32 {
        match self {
            Self::Enforce => abi::MODE_ENFORCE,
            Self::Audit => abi::MODE_AUDIT,
        }
    }

    /// The mode of a container's entry. Of an unknown one the stricter is true.
    pub const fn from_raw(raw: u32) -> Self {
        if raw == abi::MODE_AUDIT { Self::Audit } else { Self::Enforce }
    }
}

/// `rootless`: what the wrapper does where lockc's programs are out of its reach for good.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rootless {
    /// The container does not start.
    #[default]
    Refuse,
    /// It starts if its policy admits it, which is logged; the wrapper adds nothing in the kernel.
    Admission,
}

/// `[policies.NAME]`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// A level or another policy.
    pub extends: String,
    /// Instead of the mode of what it extends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Admission controls taken away.
    #[serde(default)]
    pub admit: Vec<String>,
    /// Kernel rules taken away.
    #[serde(default)]
    pub without_rules: Vec<String>,
    /// Directories of the host that containers may be given beyond the configuration's, under
    /// `restricted` too.
    #[serde(default)]
    pub allowed_mounts: Vec<PathBuf>,
    /// Unix sockets of the host that containers may be given beyond the configuration's.
    #[serde(default)]
    pub allowed_sockets: Vec<PathBuf>,
    /// Device nodes of the host that containers may be given.
    #[serde(default)]
    pub devices: Vec<PathBuf>,
    /// Capabilities that containers may have beyond the level's.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Sysctls that containers may set beyond the safe ones; `*` stands for any characters.
    #[serde(default)]
    pub sysctls: Vec<String>,
    /// Files and directories of procfs and sysfs that containers may read, themselves and all
    /// below.
    #[serde(default)]
    pub reads: Vec<PathBuf>,
    /// Whether what root's own hooks mount into a container (NVIDIA's, for instance) counts as
    /// granted, and whether they may execute programs of the host's in its root directory.
    #[serde(default)]
    pub hook_mounts: bool,
    /// Socket families and netlink protocols that containers may use beyond the usual ones, by
    /// name (docs/sockets.md).
    #[serde(default)]
    pub socket_families: Vec<String>,
}

/// What makes no sense, and where.
#[derive(Debug)]
pub(super) struct ConfigIssue {
    /// The key (`policies.NAME.admit`).
    pub key: String,
    /// The value in its list, where one is at fault.
    pub value: Option<String>,
    /// The reason, with what to write instead.
    pub message: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            default: "baseline".into(),
            ceiling: "baseline".into(),
            fail: Fail::Closed,
            mode: Mode::Enforce,
            offline_loopback: false,
            require: Vec::new(),
            runtimes: Vec::new(),
            sandbox_runtimes: Vec::new(),
            rootless: Rootless::Refuse,
            allowed_mounts: ALLOWED_MOUNTS.map(PathBuf::from).to_vec(),
            allowed_sockets: Vec::new(),
            engine_dirs: Vec::new(),
            engines: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            kubernetes: Kubernetes::default(),
            policies: BTreeMap::new(),
            labels: None,
        }
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Could not be opened or read.
    #[error(
        "{path}: cannot be read: {source}; make it readable for root, or remove it to use the \
         defaults"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Not a regular file, or somebody else than root can change it.
    #[error(
        "{path}: {problem}; lockc trusts only a configuration that nobody but root can change: \
         {remedy}"
    )]
    Untrusted {
        /// The file or the directory that it is in.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
        /// A command that puts it right.
        remedy: String,
    },
    /// Not TOML, or not of this form.
    #[error("{path}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, column, reason and, where one is close, the key that was probably meant.
        message: String,
    },
    /// Two files say the same, so that neither can be meant.
    #[error("{path}: line {line}: {key} is in {other} too; leave one of them out")]
    Twice {
        /// The later file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// The earlier file and its line.
        other: Origin,
    },
    /// Well-formed, but it makes no sense.
    #[error("{path}: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to write instead.
        message: String,
    },
}

impl Config {
    /// What holds for pods of a namespace: the entry with exactly its name, or the glob with the
    /// most characters that fit it, the first in the alphabet of equally long ones.
    pub fn namespace(&self, name: &str) -> Option<(&str, &Choice)> {
        let found = match self.namespaces.get_key_value(name) {
            Some(exact) => Some(exact),
            None => {
                let fitting = self.namespaces.iter().filter(|(glob, _)| globs::fits(glob, name));
                fitting.min_by_key(|(glob, _)| {
                    std::cmp::Reverse(glob.bytes().filter(|byte| *byte != b'*').count())
                })
            }
        };
        found.map(|(key, choice)| (key.as_str(), choice))
    }

    /// The directories of the host that the containers of an engine may be given, and whether they
    /// are the defaults.
    pub fn allowed_mounts_of(&self, engine: Option<Engine>) -> (&[PathBuf], bool) {
        let are_defaults = self
            .allowed_mounts
            .iter()
            .map(PathBuf::as_path)
            .eq(ALLOWED_MOUNTS.iter().map(Path::new));
        match engine {
            Some(Engine::Cri | Engine::Crio) if are_defaults => (&[], true),
            _ => (&self.allowed_mounts, are_defaults),
        }
    }

    /// Whether it makes sense; `both`: a file gives `default` and `ceiling`, so that one of them is
    /// not just missing.
    fn check(&self, both: bool) -> Result<(), ConfigIssue> {
        let lists = [
            ("runtimes", &self.runtimes),
            ("sandbox_runtimes", &self.sandbox_runtimes),
            ("allowed_mounts", &self.allowed_mounts),
            ("allowed_sockets", &self.allowed_sockets),
            ("engine_dirs", &self.engine_dirs),
        ];
        for (key, paths) in lists {
            for path in paths {
                if !additions::is_plain(path) {
                    let message = format!(
                        "{key}: {path:?} is not an absolute path without `..`; write the full path"
                    );
                    return Err(ConfigIssue {
                        key: key.into(),
                        value: Some(path.to_string_lossy().into()),
                        message,
                    });
                }
            }
        }
        for path in &self.allowed_sockets {
            if let Err(problem) = NamedSockets::new(path) {
                let message = format!("allowed_sockets: {problem}");
                let value = Some(path.to_string_lossy().into());
                return Err(ConfigIssue { key: "allowed_sockets".into(), value, message });
            }
        }
        for name in &self.require {
            if hooks::by_name(name).is_none() {
                let hint = nearest(name, hooks::PROGRAMS.iter().map(|program| program.name));
                let hint =
                    hint.map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default();
                let message = format!(
                    "require: {name:?} is not an LSM hook of lockc's{hint}; docs/hooks.md has \
                     them all"
                );
                return Err(ConfigIssue {
                    key: "require".into(),
                    value: Some(name.clone()),
                    message,
                });
            }
        }
        policy::check(self, both)
    }
}

/// The candidate that differs from `word` by at most two insertions, deletions or replacements.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let distance = |other: &str| {
        let mut row: Vec<usize> = (0..=other.chars().count()).collect();
        for (i, a) in word.chars().enumerate() {
            let mut diagonal = row[0];
            row[0] = i + 1;
            for (j, b) in other.chars().enumerate() {
                let replace = diagonal + usize::from(a != b);
                diagonal = row[j + 1];
                row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
            }
        }
        row.last().copied().unwrap_or(usize::MAX)
    };
    candidates
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, candidate)| candidate)
}
