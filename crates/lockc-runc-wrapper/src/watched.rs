//! The child's view of the host. It reports each path before it accesses it, so the parent can name
//! the one that does not respond.

use std::{
    cell::RefCell,
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use lockc_policy::{
    engine::Engine,
    host::{HostView, Kind, MountedAt, Namespace, Opened, trusted::TrustError},
};

use crate::sys;

/// Notes what is looked at.
pub(crate) struct Looks<'a> {
    note: &'a sys::Note,
    count: RefCell<u32>,
}

impl<'a> Looks<'a> {
    pub(crate) fn new(note: &'a sys::Note) -> Self {
        Self { note, count: RefCell::new(0) }
    }

    pub(crate) fn at(&self, path: &Path) {
        let mut count = self.count.borrow_mut();
        *count = count.wrapping_add(1);
        let mut text = format!("{count} ").into_bytes();
        text.extend_from_slice(path.as_os_str().as_bytes());
        self.note.write(&text);
    }
}

/// The host, asked one path after the other.
pub(crate) struct Watched<'a> {
    /// The host.
    pub(crate) host: &'a dyn HostView,
    /// Is told each path before it is looked at.
    pub(crate) looks: &'a Looks<'a>,
}

impl HostView for Watched<'_> {
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.looks.at(path);
        self.host.canonicalize(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        self.looks.at(path);
        self.host.kind(path)
    }

    fn is_host_namespace(&self, path: &Path, kind: Namespace) -> io::Result<bool> {
        self.looks.at(path);
        self.host.is_host_namespace(path, kind)
    }

    fn root_uid(&self, user_namespace: &Path) -> io::Result<Option<u32>> {
        self.looks.at(user_namespace);
        self.host.root_uid(user_namespace)
    }

    fn others_may_change(&self, path: &Path) -> io::Result<bool> {
        self.looks.at(path);
        self.host.others_may_change(path)
    }

    fn own_files(&self) -> Vec<PathBuf> {
        self.host.own_files()
    }

    fn links(&self, directory: &Path) -> Vec<PathBuf> {
        self.looks.at(directory);
        self.host.links(directory)
    }

    fn open(&self, path: &Path) -> io::Result<Opened> {
        self.looks.at(path);
        self.host.open(path)
    }

    fn entries(&self, directory: &Path) -> Vec<PathBuf> {
        self.looks.at(directory);
        self.host.entries(directory)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.looks.at(path);
        self.host.read(path)
    }

    fn trusted_text(&self, path: &Path, limit: u64) -> Result<Option<String>, TrustError> {
        self.looks.at(path);
        self.host.trusted_text(path, limit)
    }

    fn trusted_entries(&self, directory: &Path) -> Result<Vec<PathBuf>, TrustError> {
        self.looks.at(directory);
        self.host.trusted_entries(directory)
    }

    fn owner(&self, path: &Path) -> Option<u32> {
        self.looks.at(path);
        self.host.owner(path)
    }

    fn mounts(&self) -> io::Result<Vec<MountedAt>> {
        self.host.mounts()
    }

    fn has_cgroup_v2(&self) -> bool {
        self.host.has_cgroup_v2()
    }

    fn containerd_uses_apparmor(&self) -> bool {
        self.host.containerd_uses_apparmor()
    }

    fn labels_containers(&self, engine: Engine) -> bool {
        self.host.labels_containers(engine)
    }

    fn cgroup_is_used(&self, path: &Path) -> bool {
        self.host.cgroup_is_used(path)
    }

    fn own_cgroup(&self) -> PathBuf {
        self.host.own_cgroup()
    }
}
