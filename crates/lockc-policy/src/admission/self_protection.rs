//! What stands between a container and the host's root, whatever else a policy admits: lockc's
//! configuration and programs, and the programs and plugins that the host's root executes.
//!
//! The pins need nothing here: the kernel side lets no container into a bpffs.

use std::path::{Path, PathBuf};

use crate::{
    admission::protected_paths::{ProtectedPaths, ResolvedPath},
    host::HostView,
};
use crate::{config::Settings, spec::Mount};

/// Such files and directories, located.
pub(super) struct Own {
    /// lockc's.
    lockc: Vec<(PathBuf, ResolvedPath)>,
    /// What else the host's root executes.
    programs: Vec<(PathBuf, ResolvedPath)>,
    /// Whether the kernel side denies a remount: a read-only mount stays so.
    sealed: bool,
}

impl Own {
    pub(super) fn new(
        trees: &ProtectedPaths,
        settings: &Settings,
        view: &dyn HostView,
        sealed: bool,
    ) -> Self {
        let locate = |path: PathBuf| {
            trees.both(&path, view).into_iter().map(move |place| (path.clone(), place))
        };
        let programs = programs().into_iter().chain(settings.runtimes.iter().cloned());
        Self {
            lockc: view.own_files().into_iter().flat_map(locate).collect(),
            programs: programs.flat_map(locate).collect(),
            sealed,
        }
    }

    /// Whether the container cannot change what is mounted so, apart from what is mounted below.
    pub(super) fn is_read_only(&self, mount: &Mount) -> bool {
        self.sealed && mount.options.iter().any(|option| option == "ro" || option == "rro")
    }

    /// Which of them a container with this root file system may change; of lockc's alone with
    /// `lockc_only`.
    pub(super) fn changed_in(&self, root: &ResolvedPath, lockc_only: bool) -> Option<&Path> {
        let overlaps = |own: &ResolvedPath| own.is_located_in(root) || root.is_within(own);
        let programs: &[_] = if lockc_only { &[] } else { &self.programs };
        let mut all = self.lockc.iter().chain(programs);
        all.find(|(_, own)| overlaps(own)).map(|(path, _)| path.as_path())
    }

    /// Which of them a bind mount of `source` lets the container change; of lockc's alone with
    /// `lockc_only`.
    pub(super) fn changed_by(
        &self,
        mount: &Mount,
        source: &ResolvedPath,
        lockc_only: bool,
    ) -> Option<&Path> {
        let has = |option: &str| mount.options.iter().any(|given| given == option);
        let all_read_only = self.sealed && has("rro");
        let read_only = self.is_read_only(mount);
        let programs: &[_] = if lockc_only { &[] } else { &self.programs };
        let changed = self.lockc.iter().chain(programs).find(|(_, own)| {
            if own.is_located_in(source) || source.is_within(own) {
                !read_only
            } else {
                // On a file system of its own below the source.
                own.is_within(source) && brings_submounts(mount) && !all_read_only
            }
        });
        changed.map(|(path, _)| path.as_path())
    }
}

/// Whether what is mounted below the source comes along: for the runtimes a bind mount is recursive
/// unless it says `bind`.
fn brings_submounts(mount: &Mount) -> bool {
    mount.options.iter().any(|option| option == "rbind")
        || mount.options.iter().all(|option| option != "bind")
}

/// Directories with programs, libraries and plugins that the host's root executes or loads:
/// hier(7), CNI's and NRI's plugins, hooks of Podman and CRI-O, kubelet's plugins.
fn programs() -> Vec<PathBuf> {
    [
        "/usr/bin",
        "/usr/sbin",
        "/usr/lib",
        "/usr/lib64",
        "/usr/libexec",
        "/usr/local/bin",
        "/usr/local/sbin",
        "/usr/local/lib",
        "/usr/local/libexec",
        "/usr/share/containers/oci/hooks.d",
        "/etc/containers/oci/hooks.d",
        "/etc/cni",
        "/opt/cni",
        "/opt/containerd",
        "/opt/nri",
        "/var/lib/kubelet/plugins",
        "/var/lib/kubelet/plugins_registry",
        "/var/lib/kubelet/device-plugins",
    ]
    .map(PathBuf::from)
    .to_vec()
}
