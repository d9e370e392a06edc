//! Parts of the host that no container below `privileged` is granted, recognised under any path.
//!
//! A path alone says little: a directory may be a bind mount of another one. So each path is
//! compared twice, as it stands and by its location: the superblock and the path inside of it,
//! found through the mount table. Comparisons go component by component; `/var/lib/dockerX` is not
//! in `/var/lib/docker`.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use crate::host::{HostView, MountedAt, Opened};

/// Directories that hold the host's configuration, its view of kernel and devices, its sockets, and
/// its boot files.
const SYSTEM: [&str; 7] = ["/etc", "/proc", "/sys", "/dev", "/run", "/boot", "/var/run"];

/// Where a path is: the superblock and the path inside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Location {
    device: String,
    path: PathBuf,
}

/// A path in both forms.
#[derive(Clone, Debug)]
pub(crate) struct ResolvedPath {
    path: PathBuf,
    location: Option<Location>,
    /// The mount that it is reached by: its place in the table.
    mount: Option<usize>,
}

/// Under which paths the host sees an object.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// By mounts that are the host's own.
    pub host: Vec<ResolvedPath>,
    /// By mounts that an engine made inside of its own directories.
    pub engines: Vec<ResolvedPath>,
}

/// The mount table, and the forbidden trees in it.
pub(crate) struct ProtectedPaths {
    table: Vec<MountedAt>,
    /// The mount on top of each mount point: its place in the table.
    on_top: HashMap<PathBuf, usize>,
    system: Vec<ResolvedPath>,
    engines: Vec<ResolvedPath>,
}

/// In which way a source reaches a forbidden tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Overlap {
    /// It is in the tree.
    Inside(PathBuf),
    /// It contains the tree.
    Contains(PathBuf),
}

impl ResolvedPath {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is all of a file system.
    pub(crate) fn is_whole(&self) -> bool {
        self.location.as_ref().is_some_and(|location| location.path == Path::new("/"))
    }

    /// Whether what is mounted is this, or a file in the same directory.
    pub(crate) fn is_beside(&self, mounted: &MountedAt) -> bool {
        self.location.as_ref().is_some_and(|location| {
            let directory = location.path.parent().filter(|directory| *directory != Path::new("/"));
            location.device == mounted.device
                && (location.path == mounted.root
                    || directory.is_some() && directory == mounted.root.parent())
        })
    }

    /// Whether this is `other` or below it, as a path or by location.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.is_located_in(other) || self.path.starts_with(&other.path)
    }

    /// Whether this is `other` or below it on the same file system, so that a mount of `other`
    /// shows it by itself.
    pub(crate) fn is_located_in(&self, other: &Self) -> bool {
        match (&self.location, &other.location) {
            (Some(this), Some(other)) => {
                this.device == other.device && this.path.starts_with(&other.path)
            }
            _ => false,
        }
    }
}

impl ProtectedPaths {
    /// Reads the mount table and locates the forbidden trees, engine state among them.
    pub(crate) fn new(engine_dirs: &[PathBuf], view: &dyn HostView) -> io::Result<Self> {
        let table = view.mounts()?;
        // Of several mounts at one point, the last is on top.
        let points = table.iter().enumerate().map(|(at, mount)| (mount.point.clone(), at));
        let on_top = points.collect();
        let mut trees = Self { table, on_top, system: Vec::new(), engines: Vec::new() };
        trees.system = SYSTEM.iter().flat_map(|path| trees.both(Path::new(path), view)).collect();
        trees.engines = engine_dirs.iter().flat_map(|path| trees.both(path, view)).collect();
        Ok(trees)
    }

    /// The place of a canonical path.
    pub(crate) fn place(&self, path: &Path) -> ResolvedPath {
        let mount = path.ancestors().find_map(|point| self.on_top.get(point));
        self.reached(path, mount.copied())
    }

    /// The place of an object that was opened; without a location where its mount is not in the
    /// table, so that its path says nothing.
    pub(crate) fn place_of(&self, opened: &Opened) -> ResolvedPath {
        match opened.mount {
            Some(id) => {
                self.reached(&opened.path, self.table.iter().position(|mount| mount.id == id))
            }
            None => self.place(&opened.path),
        }
    }

    fn reached(&self, path: &Path, mount: Option<usize>) -> ResolvedPath {
        let location = mount.and_then(|at| {
            let mount = &self.table[at];
            let rest = path.strip_prefix(&mount.point).ok()?;
            Some(Location { device: mount.device.clone(), path: join(&mount.root, rest) })
        });
        let mount = mount.filter(|_| location.is_some());
        ResolvedPath { path: path.into(), location, mount }
    }

    /// The mount that a place is reached by.
    pub(crate) fn mount(&self, place: &ResolvedPath) -> Option<&MountedAt> {
        place.mount.map(|at| &self.table[at])
    }

    /// What is mounted below a directory, by path.
    pub(crate) fn below(&self, place: &ResolvedPath) -> impl Iterator<Item = ResolvedPath> {
        let path = &place.path;
        let below = move |mount: &MountedAt| mount.point != *path && mount.point.starts_with(path);
        let mounts = self.table.iter().enumerate().filter(move |(_, mount)| below(mount));
        mounts.map(|(at, mount)| self.reached(&mount.point, Some(at)))
    }

    /// Whether a path is in an engine's directory.
    pub(crate) fn is_engines(&self, path: &Path) -> bool {
        self.engines.iter().any(|engine| path != engine.path && path.starts_with(&engine.path))
    }

    /// The places of a path as written and resolved; the first alone where it does not exist.
    pub(crate) fn both(&self, path: &Path, view: &dyn HostView) -> Vec<ResolvedPath> {
        let mut places = vec![self.place(path)];
        match view.canonicalize(path) {
            Ok(resolved) if resolved != path => places.push(self.place(&resolved)),
            _ => {}
        }
        places
    }

    /// Under which paths the host sees what is at `place`, its own among them.
    pub(crate) fn names(&self, place: &ResolvedPath) -> Names {
        let Some(location) = &place.location else { return Names::default() };
        let mut names = Names::default();
        for (at, mount) in
            self.table.iter().enumerate().filter(|(_, mount)| mount.device == location.device)
        {
            let Ok(rest) = location.path.strip_prefix(&mount.root) else { continue };
            let (kind, point) = match self.in_engine(mount, 0) {
                Some(point) => (&mut names.engines, point),
                None => (&mut names.host, mount.point.clone()),
            };
            kind.push(ResolvedPath {
                path: join(&point, rest),
                location: Some(location.clone()),
                mount: Some(at),
            });
        }
        names
    }

    /// The path in an engine's directory of what is mounted there. Where the host's root is mounted
    /// once more, in a volume perhaps, what an engine mounts appears below that too, by
    /// propagation: that is the engine's mount as well, of the same name.
    fn in_engine(&self, mount: &MountedAt, depth: u32) -> Option<PathBuf> {
        self.by_parent(mount, depth)
            .or_else(|| self.is_engines(&mount.point).then(|| mount.point.clone()))
    }

    /// The same by where it is mounted, and not by how that is reached.
    fn by_parent(&self, mount: &MountedAt, depth: u32) -> Option<PathBuf> {
        let parent =
            self.table.iter().find(|parent| parent.id == mount.parent && parent.id != mount.id)?;
        let rest = mount.point.strip_prefix(&parent.point).ok()?;
        let inside = join(&parent.root, rest);
        let located = self.engines.iter().find_map(|engine| {
            let located =
                engine.location.as_ref().filter(|located| located.device == parent.device)?;
            let rest = inside
                .strip_prefix(&located.path)
                .ok()
                .filter(|rest| !rest.as_os_str().is_empty())?;
            Some(join(&engine.path, rest))
        });
        // Mounts on mounts; nobody has that many.
        let on_mount = || (depth < 32).then(|| self.in_engine(parent, depth + 1)).flatten();
        located.or_else(|| on_mount().map(|point| join(&point, rest)))
    }

    /// Whether a path says by itself that it is, is in, or contains a forbidden tree.
    pub(crate) fn is_named(&self, path: &Path) -> bool {
        self.system
            .iter()
            .chain(&self.engines)
            .any(|tree| path.starts_with(&tree.path) || tree.path.starts_with(path))
    }

    /// How `place` reaches the host's root or a forbidden tree, by itself.
    pub(crate) fn overlap(&self, place: &ResolvedPath) -> Option<Overlap> {
        let root = self.place(Path::new("/"));
        if root.is_within(place) {
            return Some(Overlap::Contains("/".into()));
        }
        for tree in self.system.iter().chain(&self.engines) {
            if place.is_within(tree) {
                return Some(Overlap::Inside(tree.path.clone()));
            }
            if tree.is_within(place) {
                return Some(Overlap::Contains(tree.path.clone()));
            }
        }
        self.shown_by_the_system(place).map(|point| Overlap::Contains(point.into()))
    }

    /// Where the host mounted a part of what is at `place` in a directory of its own: `/etc/ssh`
    /// from `/srv/persistent/etc/ssh`. A name of `place` itself says that by its path.
    fn shown_by_the_system(&self, place: &ResolvedPath) -> Option<&Path> {
        let location = place.location.as_ref()?;
        let is_part = |mount: &&MountedAt| {
            mount.device == location.device
                && mount.root != location.path
                && mount.root.starts_with(&location.path)
        };
        let is_systems =
            |mount: &&MountedAt| self.system.iter().any(|tree| mount.point.starts_with(&tree.path));
        let mut parts = self.table.iter().filter(is_part).filter(is_systems);
        parts.find(|mount| self.in_engine(mount, 0).is_none()).map(|mount| mount.point.as_path())
    }
}

fn join(root: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() { root.into() } else { root.join(rest) }
}
