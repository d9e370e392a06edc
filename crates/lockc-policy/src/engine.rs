//! Container engines.

use serde::{Deserialize, Serialize};

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
