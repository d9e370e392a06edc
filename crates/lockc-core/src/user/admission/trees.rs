//! Parts of the host that no container below `privileged` is given, recognised under any path.
//!
//! A path alone says little: a directory may be a bind mount of another one. So each path is compared twice, as it
//! stands and by its location: the superblock and the path inside of it, found through the mount table. Comparisons go
//! component by component; `/var/lib/dockerX` is not in `/var/lib/docker`.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::facts::{Facts, MountedAt};

/// Directories that hold the host's configuration, its view of kernel and devices, its sockets, and its boot files.
const SYSTEM: [&str; 7] = ["/etc", "/proc", "/sys", "/dev", "/run", "/boot", "/var/run"];

/// Where a path is: the superblock and the path inside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Location {
    device: String,
    path: PathBuf,
}

/// A path in both forms.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    path: PathBuf,
    location: Option<Location>,
}

/// The mount table, and the forbidden trees in it.
pub(crate) struct Trees {
    table: Vec<MountedAt>,
    system: Vec<Place>,
    engines: Vec<Place>,
}

/// In which way a source reaches a forbidden tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It is in the tree.
    Inside(PathBuf),
    /// It contains the tree.
    Contains(PathBuf),
    /// A file system mounted below it, at the second path, reaches the tree.
    Below(PathBuf, PathBuf),
}

impl Place {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this is `other` or below it, as a path or by location.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.is_located_in(other) || self.path.starts_with(&other.path)
    }

    /// Whether this is `other` or below it on the same file system, so that a mount of `other` shows it by itself.
    pub(crate) fn is_located_in(&self, other: &Self) -> bool {
        match (&self.location, &other.location) {
            (Some(this), Some(other)) => this.device == other.device && this.path.starts_with(&other.path),
            _ => false,
        }
    }
}

impl Trees {
    /// Reads the mount table and locates the forbidden trees, engine state among them.
    pub(crate) fn new(engine_dirs: &[PathBuf], facts: &dyn Facts) -> io::Result<Self> {
        let mut trees = Self { table: facts.mounts()?, system: Vec::new(), engines: Vec::new() };
        trees.system = SYSTEM.iter().flat_map(|path| trees.both(Path::new(path), facts)).collect();
        trees.engines = engine_dirs.iter().flat_map(|path| trees.both(path, facts)).collect();
        Ok(trees)
    }

    /// The place of a canonical path.
    pub(crate) fn place(&self, path: &Path) -> Place {
        // The last of the longest is the mount on top.
        let mount = self
            .table
            .iter()
            .filter(|mount| path.starts_with(&mount.point))
            .max_by_key(|mount| mount.point.components().count());
        let location = mount.and_then(|mount| {
            let rest = path.strip_prefix(&mount.point).ok()?;
            Some(Location { device: mount.device.clone(), path: join(&mount.root, rest) })
        });
        Place { path: path.into(), location }
    }

    /// The places of a path as written and resolved; the first alone where it does not exist.
    pub(crate) fn both(&self, path: &Path, facts: &dyn Facts) -> Vec<Place> {
        let mut places = vec![self.place(path)];
        match facts.canonicalize(path) {
            Ok(resolved) if resolved != path => places.push(self.place(&resolved)),
            _ => {}
        }
        places
    }

    /// Whether a path in an engine's directory really is there, and not something that is mounted over it.
    pub(crate) fn as_named(&self, place: &Place) -> bool {
        self.engines.iter().any(|engine| {
            place.path.strip_prefix(&engine.path).is_ok_and(|rest| match (&place.location, &engine.location) {
                (Some(place), Some(engine)) => place.device == engine.device && place.path == join(&engine.path, rest),
                _ => false,
            })
        })
    }

    /// Under which other paths the host sees what is at `place`, apart from file systems that an engine mounted inside
    /// of its own directory.
    pub(crate) fn aliases(&self, place: &Place) -> Vec<Place> {
        let Some(location) = &place.location else { return Vec::new() };
        let engines_own =
            |point: &Path| self.engines.iter().any(|engine| point != engine.path && point.starts_with(&engine.path));
        self.table
            .iter()
            .filter(|mount| mount.device == location.device && !engines_own(&mount.point))
            .filter_map(|mount| Some(join(&mount.point, location.path.strip_prefix(&mount.root).ok()?)))
            .filter(|path| *path != place.path)
            .map(|path| self.place(&path))
            .collect()
    }

    /// Whether a path says by itself that it is, is in, or contains a forbidden tree.
    pub(crate) fn is_named(&self, path: &Path) -> bool {
        self.system.iter().chain(&self.engines).any(|tree| path.starts_with(&tree.path) || tree.path.starts_with(path))
    }

    /// How `place` reaches the host's root or a forbidden tree. `submounts`: what is mounted below comes along.
    pub(crate) fn reach(&self, place: &Place, submounts: bool, engines: bool) -> Option<Reach> {
        let root = self.place(Path::new("/"));
        if root.is_within(place) {
            return Some(Reach::Contains("/".into()));
        }
        let engines: &[Place] = if engines { &self.engines } else { &[] };
        for tree in self.system.iter().chain(engines) {
            if place.is_within(tree) {
                return Some(Reach::Inside(tree.path.clone()));
            }
            if tree.is_within(place) {
                return Some(Reach::Contains(tree.path.clone()));
            }
        }
        if submounts {
            for mount in
                self.table.iter().filter(|mount| mount.point != place.path && mount.point.starts_with(&place.path))
            {
                let point = self.place(&mount.point);
                if let Some(Reach::Inside(tree) | Reach::Contains(tree)) =
                    self.reach(&point, false, !engines.is_empty())
                {
                    return Some(Reach::Below(tree, mount.point.clone()));
                }
            }
        }
        None
    }
}

fn join(root: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() { root.into() } else { root.join(rest) }
}
