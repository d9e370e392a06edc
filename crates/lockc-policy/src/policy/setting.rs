//! What an administrator's policy can say to allow something.

use serde::{Deserialize, Serialize};

/// A key of `[policies.NAME]`, the narrowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// Files of procfs and sysfs.
    Reads,
    /// Sysctls.
    Sysctls,
    /// Socket families.
    SocketFamilies,
    /// Directories and files of the host.
    AllowedMounts,
    /// Device nodes of the host.
    Devices,
    /// Unix sockets of the host.
    AllowedSockets,
    /// Capabilities.
    Capabilities,
    /// Mounts by root's hooks.
    HookMounts,
    /// Admission controls that are removed.
    Admit,
    /// Kernel rules that are removed.
    WithoutRules,
}

impl Key {
    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Sysctls => "sysctls",
            Self::SocketFamilies => "socket_families",
            Self::AllowedMounts => "allowed_mounts",
            Self::Devices => "devices",
            Self::AllowedSockets => "allowed_sockets",
            Self::Capabilities => "capabilities",
            Self::HookMounts => "hook_mounts",
            Self::Admit => "admit",
            Self::WithoutRules => "without_rules",
        }
    }
}

/// A value of one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Setting {
    /// The key.
    pub key: Key,
    /// The value, or an element of the list; of `hook_mounts` `true`.
    pub value: String,
}

impl Setting {
    /// A value of a key.
    pub fn new(key: Key, value: impl Into<String>) -> Self {
        Self { key, value: value.into() }
    }
}
