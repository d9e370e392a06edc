//! One way of keeping files of containers, and a path in it.

use std::path::{Component, Path, PathBuf};

use super::{belongs::Belongs, query::Query, request::Request};
use crate::engine::Engine;

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

/// One way of keeping files of containers below a few directories.
pub(super) trait Layout {
    /// Engines that keep them so.
    const ENGINES: &'static [Engine];

    /// What is at `rest` below `dir`.
    fn belongs(&self, dir: &Path, rest: &[&str], query: &Query<'_>) -> Option<Belongs>;

    /// Whether the root file system of this container is at `rest` below `dir`.
    fn is_rootfs(&self, _dir: &Path, _rest: &[&str], _asked: &Query<'_>) -> bool {
        false
    }
}

/// A layout's directories, by which a path is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept<L> {
    pub(super) dirs: Vec<PathBuf>,
    layout: L,
}

impl<L: Layout> Kept<L> {
    pub(super) fn at(dirs: &[&str], layout: L) -> Self {
        Self { dirs: dirs.iter().map(PathBuf::from).collect(), layout }
    }

    fn may_be(request: &Request<'_>) -> bool {
        // Nobody but the host's root starts a container of no engine.
        request.engine.is_none_or(|engine| L::ENGINES.contains(&engine))
    }

    pub(super) fn belongs(&self, path: &Path, query: &Query<'_>) -> Option<Belongs> {
        let classify = |dir: &PathBuf| self.layout.belongs(dir, &below(path, dir)?, query);
        if Self::may_be(query.request) { self.dirs.iter().find_map(classify) } else { None }
    }

    pub(super) fn is_rootfs(&self, path: &Path, query: &Query<'_>) -> bool {
        let is_rootfs = |dir: &PathBuf| {
            below(path, dir).is_some_and(|rest| self.layout.is_rootfs(dir, &rest, query))
        };
        Self::may_be(query.request) && self.dirs.iter().any(is_rootfs)
    }
}

/// Whether what is granted stays unchanged by the container.
pub(super) fn is_read_only(query: &Query<'_>) -> bool {
    query
        .mount
        .is_some_and(|mount| mount.options.iter().any(|option| option == "ro" || option == "rro"))
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
