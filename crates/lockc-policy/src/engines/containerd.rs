//! containerd, and its plugin for Kubernetes' Container Runtime Interface.

use std::path::{Component, Path, PathBuf};

use super::{
    belongs::Belongs,
    docker,
    layout::{Layout, Starter, is_read_only, names},
    namespaces,
    query::Query,
};
use crate::{engine::Engine, host::HostView, spec::Spec};

/// Roots and state directories: containerd's own, and those of k3s, RKE2, k0s and MicroK8s.
const DIRS: [&str; 9] = [
    "/var/lib/containerd",
    "/run/containerd",
    "/var/lib/rancher/k3s/agent/containerd",
    "/var/lib/rancher/rke2/agent/containerd",
    "/run/k3s/containerd",
    "/var/lib/k0s/containerd",
    "/run/k0s/containerd",
    "/var/snap/microk8s/common/var/lib/containerd",
    "/var/snap/microk8s/common/run/containerd",
];

pub(super) struct Containerd;

impl Layout for Containerd {
    fn name(&self) -> &'static str {
        "containerd"
    }

    fn engines(&self) -> &'static [Engine] {
        &[Engine::Containerd, Engine::Cri, Engine::Docker]
    }

    fn usual_dirs(&self) -> &'static [&'static str] {
        &DIRS
    }

    /// `…/io.containerd.runtime.v2.task/NAMESPACE/ID`; the CRI plugin's namespace is `k8s.io`.
    fn starter(&self, _dirs: &[PathBuf], bundle: &Path, _spec: &Spec) -> Option<Starter> {
        match names(bundle).as_slice() {
            [.., "io.containerd.runtime.v2.task", "k8s.io", _] => Some(Engine::Cri.into()),
            [.., "io.containerd.runtime.v2.task", _, _] => Some(Engine::Containerd.into()),
            _ => None,
        }
    }

    fn belongs(&self, _dir: &Path, rest: &[&str], query: &Query<'_>) -> Option<Belongs> {
        let files = |is: bool| is.then_some(Belongs::Files);
        match rest {
            // Caches and other stages of a build, where dockerd keeps its images with containerd.
            [plugin, "snapshots", _, "fs", ..]
                if plugin.starts_with("io.containerd.snapshotter.") =>
            {
                docker::is_step(query.request.bundle).then_some(Belongs::Step)
            }
            _ if query.request.engine == Some(Engine::Docker) => None,
            [plugin, "sandboxes", owner, file] if is_cri(plugin) => {
                namespaces::belongs(query, owner, file)
            }
            [plugin, "containers", owner, "volumes", _, ..] if is_cri(plugin) => {
                files(*owner == query.id())
            }
            // An image as a volume (containerd 2.1, internal/cri/server/container_image_mount.go).
            [plugin, "image-volumes", pod, _, ..] if is_cri(plugin) => {
                let annotations = &query.request.spec.annotations;
                let sandbox = annotations.get("io.kubernetes.cri.sandbox-id").map(String::as_str);
                (sandbox == Some(*pod) && is_read_only(query)).then_some(Belongs::Image)
            }
            _ => None,
        }
    }

    /// A snapshot that containerd mounted in the bundle: by its own path somebody chose it (`ctr
    /// run
    /// --rootfs`), and dockerd's users cannot choose.
    fn is_rootfs(&self, _dir: &Path, rest: &[&str], query: &Query<'_>) -> bool {
        let request = query.request;
        let root = || Some(request.bundle.join(&request.spec.root.as_ref()?.path));
        let is_direct = |root: &Path| !root.components().any(|part| part == Component::ParentDir);
        let is_mounted =
            || root().is_some_and(|root| is_direct(&root) && root.starts_with(request.bundle));
        matches!(rest, [first, _, ..] if first.starts_with("io.containerd.snapshotter."))
            && (request.engine == Some(Engine::Docker) || is_mounted())
    }

    /// The state that holds a bundle that looks like containerd's.
    fn bundle_dirs(&self, bundle: &Path, _view: &dyn HostView) -> Vec<PathBuf> {
        let parts: Vec<_> = bundle.components().collect();
        match parts.as_slice() {
            [state @ .., task, _, _]
                if task.as_os_str() == "io.containerd.runtime.v2.task" && state.len() >= 3 =>
            {
                vec![state.iter().collect()]
            }
            _ => Vec::new(),
        }
    }
}

fn is_cri(plugin: &str) -> bool {
    plugin == "io.containerd.grpc.v1.cri"
        || plugin.starts_with("io.containerd.cri.")
        || plugin == "io.containerd.podsandbox.controller.v1.podsandbox"
}
