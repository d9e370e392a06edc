//! What the files say, put together. Names of policies are not resolved here.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use lockc_core::{abi, rules::Network};
use serde::{Deserialize, Serialize};

use crate::engine::Engine;

/// `allowed_mounts` where no file says otherwise. Home directories as wholes are left out all the
/// same, and Kubernetes has none: its baseline admits no hostPath volume.
const ALLOWED_MOUNTS: [&str; 5] = ["/home", "/srv", "/var/data", "/mnt", "/media"];

/// The settings that name no policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// What happens when the kernel side cannot be reached.
    pub fail: Fail,
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
}

/// The configuration as written, with the defaults where the files say nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RawConfig {
    /// Level or policy when nothing else chooses.
    pub default: String,
    /// What annotations may ask for at most.
    pub ceiling: String,
    /// Whether what a policy forbids is refused and denied, or only reported.
    pub mode: Mode,
    /// Whether `offline` leaves the loopback addresses of IPv4: the older form of a policy with
    /// `network = "loopback"`.
    pub offline_loopback: bool,
    /// What names no policy.
    #[serde(flatten)]
    pub settings: Settings,
    /// What holds for the containers of one engine.
    pub engines: BTreeMap<Engine, Choice>,
    /// What holds for the pods of a Kubernetes namespace; `*` stands for any characters of a name.
    pub namespaces: BTreeMap<String, Choice>,
    /// What holds in Kubernetes.
    pub kubernetes: Kubernetes,
    /// The administrator's own policies by name.
    pub policies: BTreeMap<String, PolicyConfig>,
}

/// `[engines.NAME]` and `[namespaces.NAME]`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Choice {
    /// Level or policy of a container that asks for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The loosest policy that annotations and labels may ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<String>,
    /// Enforcement or audit mode, for policies that do not state a mode themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// `[engines.docker]` only: level or policy of Docker's managed
    /// plugins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugins: Option<String>,
}

/// `[kubernetes]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kubernetes {
    /// What the namespaces' labels do.
    pub namespace_labels: Follow,
    /// Level or policy of the pods of a namespace of which `lockc-node sync` does not know (yet);
    /// without it, what holds for those of a namespace without label.
    pub unknown_namespaces: Option<String>,
    /// Whether containers may ask for the policies that the cluster defines as objects.
    pub cluster_policies: bool,
}

/// `kubernetes.namespace_labels`: what the label pod-security.kubernetes.io/enforce of a namespace
/// does.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Follow {
    /// The label has no effect.
    Ignore,
    /// The label counts only if it is stricter than what applies without it.
    Tighten,
    /// The label is the namespace's default and ceiling, as in Kubernetes: whoever may label a
    /// namespace decides.
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
    /// The container starts unconfined, and lockc logs that.
    Open,
}

/// `mode`: what becomes of what a policy forbids.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Violations are refused and denied.
    #[default]
    Enforce,
    /// Violations are allowed and reported.
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

/// `network`: the network that a policy leaves its containers.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkChoice {
    /// Every socket family that the level leaves.
    Full,
    /// Unix sockets and 127.0.0.0/8.
    Loopback,
    /// Unix sockets only.
    None,
}

impl NetworkChoice {
    /// As the kernel contract has it.
    pub const fn network(self) -> Network {
        match self {
            Self::Full => Network::Full,
            Self::Loopback => Network::Loopback,
            Self::None => Network::None,
        }
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
    /// It starts if its policy admits it, and lockc logs that; nothing is enforced in the kernel.
    Admission,
}

/// `[policies.NAME]`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// The level or policy that it extends.
    pub extends: String,
    /// Instead of the network of what it extends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkChoice>,
    /// Replaces the mode of the policy that it extends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Admission controls to remove.
    #[serde(default)]
    pub admit: Vec<String>,
    /// Kernel rules to remove.
    #[serde(default)]
    pub without_rules: Vec<String>,
    /// Host directories that containers may mount in addition to the global ones, under
    /// `restricted` too.
    #[serde(default)]
    pub allowed_mounts: Vec<PathBuf>,
    /// Unix sockets of the host that containers may use in addition to the global ones.
    #[serde(default)]
    pub allowed_sockets: Vec<PathBuf>,
    /// Device nodes of the host that containers may use.
    #[serde(default)]
    pub devices: Vec<PathBuf>,
    /// Capabilities in addition to those of the level.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Sysctls in addition to the safe ones; `*` matches any characters.
    #[serde(default)]
    pub sysctls: Vec<String>,
    /// Files and directories of procfs and sysfs that containers may read, with everything below
    /// them.
    #[serde(default)]
    pub reads: Vec<PathBuf>,
    /// Whether mounts that root's OCI hooks make in a container (NVIDIA's, for example) count as
    /// granted, and whether these hooks may execute host programs in the container's root
    /// directory.
    #[serde(default)]
    pub hook_mounts: bool,
    /// Socket families and netlink protocols in addition to the default ones, by name
    /// (docs/sockets.md).
    #[serde(default)]
    pub socket_families: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            fail: Fail::Closed,
            require: Vec::new(),
            runtimes: Vec::new(),
            sandbox_runtimes: Vec::new(),
            rootless: Rootless::Refuse,
            allowed_mounts: ALLOWED_MOUNTS.map(PathBuf::from).to_vec(),
            allowed_sockets: Vec::new(),
            engine_dirs: Vec::new(),
        }
    }
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            namespace_labels: Follow::default(),
            unknown_namespaces: None,
            cluster_policies: true,
        }
    }
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            default: "baseline".into(),
            ceiling: "baseline".into(),
            mode: Mode::Enforce,
            offline_loopback: false,
            settings: Settings::default(),
            engines: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            kubernetes: Kubernetes::default(),
            policies: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// The directories of the host that the containers of an engine may be given, and whether they
    /// are the defaults.
    pub fn allowed_mounts_of(&self, engine: Option<Engine>) -> (&[PathBuf], bool) {
        let are_defaults = self
            .allowed_mounts
            .iter()
            .map(PathBuf::as_path)
            .eq(ALLOWED_MOUNTS.iter().map(Path::new));
        match engine {
            Some(engine) if are_defaults && engine.is_kubernetes() => (&[], true),
            _ => (&self.allowed_mounts, are_defaults),
        }
    }
}
