//! The table of container engines, as far as the choice of a policy and its checks need to know
//! them. Where an engine keeps files is in [`engines`](crate::engines).

use serde::{Deserialize, Serialize};

/// What is known of an engine.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The name in configuration and messages.
    pub name: &'static str,
    /// The annotations in which it, or its storage, describes a container's pod.
    pub pod: Option<PodAnnotations>,
    /// Whether kubelet tells it what to run.
    pub is_kubernetes: bool,
    /// When it gives containers SELinux labels.
    pub selinux: Labelling,
}

/// Names of annotations.
#[derive(Clone, Copy, Debug)]
pub struct PodAnnotations {
    /// The Kubernetes namespace.
    pub namespace: &'static str,
    /// `sandbox` or `container`.
    pub kind: &'static str,
    /// The id of the sandbox.
    pub sandbox: &'static str,
    /// The pod's name.
    pub pod: &'static str,
    /// The pod's uid; a static pod's is not the one that the API server knows.
    pub uid: &'static str,
    /// The container's name; where it has none of its own in the pod, the engine's.
    pub name: &'static str,
    /// The image, as it was asked for.
    pub image: &'static str,
}

/// When an engine gives containers SELinux labels. Files include those of the directory `FILE.d`.
#[derive(Clone, Copy, Debug)]
pub enum Labelling {
    /// Never.
    Never,
    /// Where a file has the key with this value, or the program was started with the option.
    Where {
        /// The files.
        files: &'static [&'static str],
        /// Key and value.
        setting: (&'static str, &'static str),
        /// Program and option.
        option: Option<(&'static str, &'static str)>,
    },
    /// Unless a file has the key with this value.
    Unless {
        /// The files.
        files: &'static [&'static str],
        /// Key and value.
        setting: (&'static str, &'static str),
    },
}

/// Those of the storage that CRI-O and Podman share.
const STORAGE_ANNOTATIONS: PodAnnotations = PodAnnotations {
    namespace: "io.kubernetes.cri-o.Namespace",
    kind: "io.kubernetes.cri-o.ContainerType",
    sandbox: "io.kubernetes.cri-o.SandboxID",
    pod: "io.kubernetes.pod.name",
    uid: "io.kubernetes.pod.uid",
    name: "io.kubernetes.container.name",
    image: "io.kubernetes.cri-o.ImageName",
};

macro_rules! engines {
    ($($(#[$doc:meta])* $variant:ident $facts:expr;)*) => {
        /// A container engine.
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[derive(
            Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize,
        )]
        #[serde(rename_all = "lowercase")]
        pub enum Engine {
            $($(#[$doc])* $variant,)*
        }

        impl Engine {
            /// Every engine.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// What is known of it.
            pub const fn facts(self) -> Facts {
                match self {
                    $(Self::$variant => $facts,)*
                }
            }
        }
    };
}

// When they label: dockerd(8); containerd's docs/cri/config.md; crio.conf(5); containers.conf(5).
engines! {
    /// dockerd.
    Docker Facts {
        name: "docker",
        pod: None,
        is_kubernetes: false,
        selinux: Labelling::Where {
            files: &["/etc/docker/daemon.json"],
            setting: ("selinux-enabled", "true"),
            option: Some(("dockerd", "--selinux-enabled")),
        },
    };
    /// containerd by its own clients: ctr, nerdctl.
    Containerd Facts {
        name: "containerd",
        pod: None,
        is_kubernetes: false,
        selinux: Labelling::Never,
    };
    /// containerd by kubelet's Container Runtime Interface.
    Cri Facts {
        name: "cri",
        pod: Some(PodAnnotations {
            namespace: "io.kubernetes.cri.sandbox-namespace",
            kind: "io.kubernetes.cri.container-type",
            sandbox: "io.kubernetes.cri.sandbox-id",
            pod: "io.kubernetes.cri.sandbox-name",
            uid: "io.kubernetes.cri.sandbox-uid",
            name: "io.kubernetes.cri.container-name",
            image: "io.kubernetes.cri.image-name",
        }),
        is_kubernetes: true,
        selinux: Labelling::Where {
            files: &["/etc/containerd/config.toml"],
            setting: ("enable_selinux", "true"),
            option: None,
        },
    };
    /// CRI-O.
    Crio Facts {
        name: "crio",
        pod: Some(STORAGE_ANNOTATIONS),
        is_kubernetes: true,
        selinux: Labelling::Where {
            files: &["/etc/crio/crio.conf"],
            setting: ("selinux", "true"),
            option: None,
        },
    };
    /// Podman. A member of a Podman pod has the id of its infra container, but no kind.
    Podman Facts {
        name: "podman",
        pod: Some(STORAGE_ANNOTATIONS),
        is_kubernetes: false,
        selinux: Labelling::Unless {
            files: &[
                "/usr/share/containers/containers.conf",
                "/etc/containers/containers.conf",
            ],
            setting: ("label", "false"),
        },
    };
}

impl Engine {
    /// The name in configuration and messages.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// Whether kubelet tells it what to run.
    pub const fn is_kubernetes(self) -> bool {
        self.facts().is_kubernetes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_uses_the_names_of_the_table() {
        for engine in Engine::ALL {
            assert_eq!(serde_json::to_value(engine).unwrap(), engine.name());
        }
    }
}
