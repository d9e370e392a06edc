//! What is asked of an engine's layout: a container, one of its mounts, and the host.

use std::path::Path;

use super::request::Request;
use crate::{host::HostView, spec::Mount};

/// The container that is checked, and how it would get what is checked.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
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
}
