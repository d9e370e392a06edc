//! What is asked of an engine's layout: a container, one of its mounts, and the host.

use std::path::Path;

use super::{super::host_view::HostView, Belongs, Request, storage};
use crate::{config::Engine, spec::Mount};

/// The container that is checked, and how it would get what is checked.
#[derive(Clone, Copy)]
pub(in super::super) struct Query<'a> {
    pub request: &'a Request<'a>,
    /// Where it is to be mounted; nothing for its root file system.
    pub mount: Option<&'a Mount>,
    pub view: &'a dyn HostView,
}

impl Query<'_> {
    pub(super) fn id(&self) -> &str {
        self.request.id
    }

    pub(super) fn destination(&self) -> &Path {
        self.mount.map_or(Path::new(""), |mount| &mount.destination)
    }

    /// What a file that describes a namespace is to this container, in the directory of `owner`.
    pub(super) fn of_namespace(&self, owner: &str, file: &str) -> Option<Belongs> {
        let files = |is: bool| is.then_some(Belongs::Files);
        match self.request.engine {
            _ if owner == self.id() => Some(Belongs::Files),
            _ if !self.shares(file) => None,
            // Which sandbox it is, containerd says over what a pod's owner may have written.
            Some(Engine::Cri) => {
                let sandbox = self.request.spec.annotations.get("io.kubernetes.cri.sandbox-id");
                files(sandbox.is_some_and(|sandbox| sandbox == owner))
            }
            Some(Engine::Crio) if storage::is_in_pod(owner, self) => Some(Belongs::Files),
            // Podman's bundles are where CRI-O's are, if nothing of them is to outlive a reboot.
            Some(_) => Some(Belongs::Shared),
            // Nobody but the host's root.
            None => Some(Belongs::Files),
        }
    }

    /// The tasks, by their numbers in `/proc`, whose namespace `file` may belong to; a path with
    /// anything else in it may be somebody's choice. In a pod with the host's network that is
    /// whichever namespace its containers share.
    pub fn joined_tasks(&self, file: &Path) -> impl Iterator<Item = &str> {
        let namespaces = &self.request.spec.linux.namespaces;
        let kind = if file.ends_with("shm") { "ipc" } else { "network" };
        let is_there = namespaces.iter().any(|namespace| namespace.kind == kind);
        let query = namespaces.iter().filter(move |namespace| !is_there || namespace.kind == kind);
        let parts = query.filter_map(|namespace| {
            namespace.path.to_str()?.strip_prefix("/proc/")?.split_once("/ns/")
        });
        let exact = parts.filter(|(task, file)| {
            !file.contains('/') && task.bytes().all(|byte| byte.is_ascii_digit())
        });
        exact.map(|(task, _)| task)
    }

    /// Whether a file that describes a namespace may be the owner's of a namespace that this
    /// container joins.
    fn shares(&self, file: &str) -> bool {
        let namespaces = &self.request.spec.linux.namespaces;
        let of =
            |kind: &'static str| namespaces.iter().filter(move |namespace| namespace.kind == kind);
        // A pod with the host's network has none here: then its containers share their sandbox's
        // files all the same.
        let network = of("network").all(|namespace| !namespace.path.as_os_str().is_empty());
        let ipc = of("ipc").any(|namespace| !namespace.path.as_os_str().is_empty());
        match file {
            "resolv.conf" | "hosts" | "hostname" => {
                network && self.destination() == Path::new("/etc").join(file)
            }
            "shm" => ipc && self.destination() == Path::new("/dev/shm"),
            _ => false,
        }
    }
}
