//! `linux` of the configuration.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, de::IgnoredAny};

use super::fields::{none_if_empty, once_each, or_default};

/// `linux`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Linux {
    #[serde(deserialize_with = "or_default")]
    pub namespaces: Vec<Namespace>,
    #[serde(rename = "cgroupsPath", deserialize_with = "or_default")]
    pub cgroups_path: String,
    #[serde(rename = "uidMappings", deserialize_with = "or_default")]
    pub uid_mappings: Vec<IdMapping>,
    #[serde(deserialize_with = "or_default")]
    pub devices: Vec<Device>,
    #[serde(deserialize_with = "or_default")]
    pub resources: Resources,
    #[serde(deserialize_with = "once_each")]
    pub sysctl: BTreeMap<String, String>,
    pub seccomp: Option<Seccomp>,
    #[serde(rename = "maskedPaths", deserialize_with = "or_default")]
    pub masked_paths: Vec<PathBuf>,
    #[serde(rename = "readonlyPaths", deserialize_with = "or_default")]
    pub readonly_paths: Vec<PathBuf>,
    #[serde(rename = "rootfsPropagation", deserialize_with = "or_default")]
    pub rootfs_propagation: String,
    #[serde(deserialize_with = "or_default")]
    pub personality: Personality,
    #[serde(rename = "intelRdt")]
    pub intel_rdt: Option<IgnoredAny>,
    #[serde(rename = "memoryPolicy")]
    pub memory_policy: Option<IgnoredAny>,
    #[serde(rename = "netDevices", deserialize_with = "once_each")]
    pub net_devices: BTreeMap<String, IgnoredAny>,
}

/// `linux.personality`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Personality {
    #[serde(deserialize_with = "or_default")]
    pub domain: String,
    #[serde(deserialize_with = "or_default")]
    pub flags: Vec<String>,
}

/// `linux.seccomp`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Seccomp {
    #[serde(deserialize_with = "or_default")]
    pub default_action: String,
    #[serde(deserialize_with = "or_default")]
    pub listener_path: PathBuf,
    #[serde(deserialize_with = "or_default")]
    pub syscalls: Vec<Syscalls>,
}

/// One of `linux.seccomp.syscalls`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Syscalls {
    #[serde(deserialize_with = "or_default")]
    pub action: String,
}

impl Linux {
    /// The host's number of the container's uid 0, with a user namespace that maps it; 0 without
    /// one.
    pub fn root_uid(&self) -> u32 {
        self.host_uid(0).unwrap_or(0)
    }

    /// The host's number of one of the container's; nothing without a user namespace that maps it.
    pub fn host_uid(&self, uid: u32) -> Option<u32> {
        let own = self.namespaces.iter().any(|namespace| namespace.kind == "user");
        let mapping = self.uid_mappings.iter().filter(|_| own).find(|mapping| {
            uid.checked_sub(mapping.container).is_some_and(|offset| offset < mapping.size)
        })?;
        mapping.host.checked_add(uid - mapping.container)
    }
}

/// One of `linux.uidMappings`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct IdMapping {
    #[serde(rename = "containerID")]
    pub container: u32,
    #[serde(rename = "hostID")]
    pub host: u32,
    pub size: u32,
}

/// One of `linux.namespaces`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[allow(missing_docs)]
pub struct Namespace {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, deserialize_with = "or_default")]
    pub path: PathBuf,
}

/// One of `linux.devices`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[allow(missing_docs)]
pub struct Device {
    pub path: PathBuf,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub major: i64,
    #[serde(default)]
    pub minor: i64,
}

/// `linux.resources`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Resources {
    #[serde(deserialize_with = "or_default")]
    pub devices: Vec<DeviceRule>,
}

/// One of `linux.resources.devices`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct DeviceRule {
    pub allow: bool,
    #[serde(rename = "type", deserialize_with = "none_if_empty")]
    pub kind: Option<String>,
    pub major: Option<i64>,
    pub minor: Option<i64>,
    #[serde(deserialize_with = "or_default")]
    pub access: String,
}
