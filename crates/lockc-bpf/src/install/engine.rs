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

    /// The program that reads its configuration.
    pub fn program(self) -> &'static str {
        if self == Self::Docker { "dockerd" } else { self.name() }
    }

    /// What selects lockc for a container, where it is not the default.
    pub fn choice(self) -> &'static str {
        match self {
            Self::Docker => "docker run --runtime lockc (in Compose files runtime: lockc)",
            Self::Podman => "podman --runtime lockc run",
            Self::Containerd | Self::Crio => "runtimeClassName: lockc",
        }
    }

    /// Other files and directories that it may read.
    pub fn places(self) -> &'static [&'static str] {
        match self {
            Self::Docker => &[],
            Self::Containerd => &["/etc/containerd/conf.d"],
            Self::Crio => &["/etc/crio/crio.conf", "/etc/crio/crio.conf.d"],
            Self::Podman => &[
                "/etc/containers/containers.conf",
                "/etc/containers/containers.conf.d",
                "/usr/share/containers/containers.conf",
            ],
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
