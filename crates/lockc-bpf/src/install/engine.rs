//! The engines that lockc can be installed for.

use clap::ValueEnum;
use serde::Serialize;

/// An engine that lockc can be installed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// `/etc/docker/daemon.json`
    Docker,
    /// `/etc/containerd/config.toml`, the handlers of Kubernetes' pods
    Containerd,
    /// `/etc/crio/crio.conf.d/99-lockc.conf`
    Crio,
    /// `/etc/containers/containers.conf.d/50-lockc.conf`
    Podman,
}

impl Engine {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Crio => "crio",
            Self::Podman => "podman",
        }
    }

    /// Its configuration, or the drop-in that is lockc's own.
    pub fn config(self) -> &'static str {
        match self {
            Self::Docker => "/etc/docker/daemon.json",
            Self::Containerd => "/etc/containerd/config.toml",
            Self::Crio => "/etc/crio/crio.conf.d/99-lockc.conf",
            Self::Podman => "/etc/containers/containers.conf.d/50-lockc.conf",
        }
    }
}
