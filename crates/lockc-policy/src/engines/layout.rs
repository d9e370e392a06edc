//! One way of keeping files of containers, and a path in it.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

use super::{belongs::Belongs, query::Query, request::Request};
use crate::{engine::Engine, host::HostView, spec::Spec};

/// Directories in which root file systems of containers are, below an engine's own.
pub(super) const ROOTFS_PARENTS: [&str; 10] = [
    "overlay2",
    "overlay",
    "fuse-overlayfs",
    "vfs",
    "btrfs",
    "zfs",
    "devicemapper",
    "rootfs",
    "buildkit",
    "aufs",
];

/// The engine that starts a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Starter {
    /// The engine.
    pub engine: Engine,
    /// Another that it may be as well, where the bundle's place and its annotations contradict each
    /// other.
    pub or_engine: Option<Engine>,
}

impl From<Engine> for Starter {
    fn from(engine: Engine) -> Self {
        Self { engine, or_engine: None }
    }
}

/// One way of keeping files of containers below a few directories.
pub(super) trait Layout: Sync {
    /// Its name; each has another.
    fn name(&self) -> &'static str;

    /// Engines that keep files so.
    fn engines(&self) -> &'static [Engine];

    /// The directories, where nobody moved them.
    fn usual_dirs(&self) -> &'static [&'static str];

    /// Which engine starts the container of a bundle, if the bundle's place says that it is one
    /// that keeps files so.
    fn starter(&self, _dirs: &[PathBuf], _bundle: &Path, _spec: &Spec) -> Option<Starter> {
        None
    }

    /// Directories that the running engine was told to use.
    fn configured_dirs(&self, _view: &dyn HostView) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Directories that a bundle tells of by its place.
    fn bundle_dirs(&self, _bundle: &Path, _view: &dyn HostView) -> Vec<PathBuf> {
        Vec::new()
    }

    /// What is at `rest` below `dir`.
    fn belongs(&self, dir: &Path, rest: &[&str], query: &Query<'_>) -> Option<Belongs>;

    /// Whether the root file system of this container is at `rest` below `dir`.
    fn is_rootfs(&self, _dir: &Path, _rest: &[&str], _query: &Query<'_>) -> bool {
        false
    }

    /// Whether `path` is in a volume that is none of a pod's owner's, although it may be a
    /// directory of the host.
    fn is_drivers_volume(&self, _dir: &Path, _path: &Path) -> bool {
        false
    }

    /// Whether `path` is a name that another pod's, or a driver's, mount of the same volume has.
    fn shares_volume(&self, _dir: &Path, _path: &Path, _own: &[&Path]) -> bool {
        false
    }

    /// Nodes of devices that the engine gives to the container by itself.
    fn devices(&self, _dir: &Path, _query: &Query<'_>) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Whether `source` is the socket behind which a builder puts the SSH agent that the build's
    /// caller forwards to a step.
    fn is_build_agent(&self, _dir: &Path, _source: &Path, _bundle: &Path) -> bool {
        false
    }
}

/// A layout's directories, by which a path is looked up.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) layout: &'static dyn Layout,
    pub(super) dirs: Vec<PathBuf>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(self.layout.name()).field(&self.dirs).finish()
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.layout.name() == other.layout.name() && self.dirs == other.dirs
    }
}

impl Eq for Kept {}

impl Kept {
    pub(super) fn new(layout: &'static dyn Layout) -> Self {
        Self { layout, dirs: layout.usual_dirs().iter().map(PathBuf::from).collect() }
    }

    fn may_be(&self, request: &Request<'_>) -> bool {
        // Nobody but the host's root starts a container of no engine.
        request.engine.is_none_or(|engine| self.layout.engines().contains(&engine))
    }

    pub(super) fn belongs(&self, path: &Path, query: &Query<'_>) -> Option<Belongs> {
        let classify = |dir: &PathBuf| self.layout.belongs(dir, &below(path, dir)?, query);
        if self.may_be(query.request) { self.dirs.iter().find_map(classify) } else { None }
    }

    pub(super) fn is_rootfs(&self, path: &Path, query: &Query<'_>) -> bool {
        let is_rootfs = |dir: &PathBuf| {
            below(path, dir).is_some_and(|rest| self.layout.is_rootfs(dir, &rest, query))
        };
        self.may_be(query.request) && self.dirs.iter().any(is_rootfs)
    }
}

/// Whether what is granted stays unchanged by the container.
pub(super) fn is_read_only(query: &Query<'_>) -> bool {
    query
        .mount
        .is_some_and(|mount| mount.options.iter().any(|option| option == "ro" || option == "rro"))
}

/// The components of a path; empty where one is not UTF-8.
pub(super) fn names(path: &Path) -> Vec<&str> {
    path.components().map(|part| part.as_os_str().to_str().unwrap_or("")).collect()
}

/// The components of `path` below `dir`; nothing if it is elsewhere, or not in plain UTF-8
/// components.
pub(super) fn below<'a>(path: &'a Path, dir: &Path) -> Option<Vec<&'a str>> {
    path.strip_prefix(dir)
        .ok()?
        .components()
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect()
}
