//! The pinned maps: opening them, reading them, labelling this process. Registration is in
//! `register`.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    },
    path::Path,
};

use aya::maps::{Array, HashMap, Map, MapData, MapError};
use nix::{
    fcntl::{Flock, FlockArg},
    sys::statfs::statfs,
    time::{ClockId, clock_gettime},
};
use sha2::{Digest as _, Sha256};

use super::{error::RegistryError, task_storage};
use crate::{
    abi::{
        ABI_VERSION, ContainerEntry, ContainerKey, ENTRY_DELETING, ENTRY_GUARD, GrantKey,
        LABEL_SEEN, Meta, NameRule, ReadKey, ReadSet, STATE_GRANT, STATE_LAUNCHING, TaskLabel,
        Usage,
    },
    hooks::PROGRAMS,
    paths,
};

/// A slot whose container never had a task is taken again after this long: its `create` failed and
/// nobody deleted it.
const ABANDONED_NS: u64 = 600_000_000_000;

/// A registered container, as `lockc status` shows it.
#[derive(Clone, Copy, Debug)]
pub struct Registered {
    /// Its key.
    pub key: ContainerKey,
    /// Its entry.
    pub entry: ContainerEntry,
    /// Its counters.
    pub usage: Usage,
}

/// Open handles of the pinned maps. All of them are close-on-exec: they must not reach the runtime.
pub struct Registry {
    pub(super) labels: OwnedFd,
    pub(super) containers: Array<MapData, ContainerEntry>,
    pub(super) usage: Array<MapData, Usage>,
    pub(super) grants: HashMap<MapData, GrantKey, u32>,
    pub(super) ids: HashMap<MapData, [u8; 32], ContainerKey>,
    pub(super) reads: HashMap<MapData, ReadKey, NameRule>,
    pub(super) read_sets: HashMap<MapData, [u8; 32], ReadSet>,
    pub(super) meta: Array<MapData, Meta>,
}

/// The result of a removal; that somebody else removed the entry is no error.
pub(super) fn removed(
    result: Result<(), MapError>,
    map: &'static str,
) -> Result<(), RegistryError> {
    match result {
        Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
        Err(source) => Err(map_error("writing", map)(source)),
    }
}

/// Whether something is pinned. Who may not look is not told that nothing is loaded.
fn exists(path: &Path) -> Result<(), RegistryError> {
    let path = path.to_path_buf();
    match path.symlink_metadata() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(RegistryError::NotRoot { path })
        }
        Err(_) => Err(RegistryError::NotLoaded { path }),
    }
}

/// Opens a pinned map.
pub fn open_map(name: &'static str) -> Result<MapData, RegistryError> {
    let path = Path::new(paths::MAPS).join(name);
    exists(&path)?;
    MapData::from_pin(path).map_err(map_error("opening", name))
}

pub(super) fn map_error(
    action: &'static str,
    map: &'static str,
) -> impl Fn(MapError) -> RegistryError {
    move |source| RegistryError::Map { action, map, source }
}

pub(super) fn array<T: aya::Pod>(name: &'static str) -> Result<Array<MapData, T>, RegistryError> {
    Array::try_from(Map::Array(open_map(name)?)).map_err(map_error("opening", name))
}

pub(super) fn hash<K: aya::Pod, V: aya::Pod>(
    name: &'static str,
) -> Result<HashMap<MapData, K, V>, RegistryError> {
    HashMap::try_from(Map::HashMap(open_map(name)?)).map_err(map_error("opening", name))
}

/// Takes the lock that serialises registration, loading and unloading; it is held until the value
/// is dropped.
pub fn lock() -> Result<Flock<File>, RegistryError> {
    let path = Path::new(paths::RUN).join("lock");
    let at = |source| RegistryError::Io { path: path.clone(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(paths::RUN).map_err(at)?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(at)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| at(errno.into()))
}

/// What identifies a container in `ids`.
pub fn id_hash(root: &Path, id: &str) -> [u8; 32] {
    use std::os::unix::ffi::OsStrExt as _;
    // `/var/run` is `/run` on every host that engines run on; they write either.
    let root = root
        .strip_prefix("/var/run")
        .map_or_else(|_| root.to_path_buf(), |rest| Path::new("/run").join(rest));
    let mut hash = Sha256::new();
    hash.update(root.as_os_str().as_bytes());
    hash.update([0]);
    hash.update(id.as_bytes());
    hash.finalize().into()
}

impl Registry {
    /// Opens the pinned maps.
    ///
    /// # Errors
    ///
    /// Where a map or the link of a program is missing, or the programs are of another ABI version.
    /// All of them mean that nothing may start.
    pub fn open() -> Result<Self, RegistryError> {
        let meta: Array<MapData, Meta> = array("meta")?;
        let loaded = meta.get(&0, 0).map_err(map_error("reading", "meta"))?;
        // The loader writes it last.
        if loaded.abi == 0 {
            return Err(RegistryError::HalfLoaded);
        }
        if loaded.abi != ABI_VERSION {
            return Err(RegistryError::Abi { found: loaded.abi, wanted: ABI_VERSION });
        }
        for program in
            PROGRAMS.iter().filter(|program| !program.is_optional() || loaded.has(program.hook))
        {
            exists(&Path::new(paths::LINKS).join(program.name))?;
        }
        let labels =
            open_map("task_labels")?.fd().as_fd().try_clone_to_owned().map_err(|source| {
                RegistryError::Io { path: Path::new(paths::MAPS).join("task_labels"), source }
            })?;
        Ok(Self {
            labels,
            containers: array("containers")?,
            usage: array("usage")?,
            grants: hash("grants")?,
            ids: hash("ids")?,
            reads: hash("reads")?,
            read_sets: hash("read_sets")?,
            meta,
        })
    }

    /// Labels this process as setting up a task of a registered container (`exec`).
    pub fn join(&self, root: &Path, id: &str) -> Result<ContainerKey, RegistryError> {
        let (key, _) = self
            .entry(root, id)?
            .ok_or_else(|| RegistryError::NotRegistered { id: id.to_owned() })?;
        self.enter_launching(key)?;
        Ok(key)
    }

    /// The entry of a container; `Ok(None)`: it is not registered.
    pub fn entry(
        &self,
        root: &Path,
        id: &str,
    ) -> Result<Option<(ContainerKey, ContainerEntry)>, RegistryError> {
        let Some(key) = self.key(&id_hash(root, id))? else {
            return Ok(None);
        };
        let entry = self.container(key.slot)?;
        Ok((entry.generation == key.generation).then_some((key, entry)))
    }

    /// Notes that the engine deletes the container. Its tasks, if any survive, stay confined; the
    /// slot is taken again when the last one is gone. `Ok(false)`: it is not registered, or
    /// under another generation than `generation`: somebody else has created a container of
    /// that id meanwhile.
    pub fn mark_deleting(
        &mut self,
        root: &Path,
        id: &str,
        generation: Option<u32>,
    ) -> Result<bool, RegistryError> {
        let _lock = lock()?;
        let Some((key, mut entry)) = self.entry(root, id)? else {
            return Ok(false);
        };
        if generation.is_some_and(|generation| generation != key.generation) {
            return Ok(false);
        }
        entry.flags |= ENTRY_DELETING;
        self.set_container(key.slot, &entry)?;
        Ok(true)
    }

    /// Every registered container, those included that were deleted and still have a task.
    pub fn containers(&self) -> Result<Vec<Registered>, RegistryError> {
        let mut found = self.entries()?;
        let mut result = Ok(());
        found.retain(|container| {
            self.is_over(container.key).map_or_else(
                |error| {
                    result = Err(error);
                    false
                },
                |over| !over,
            )
        });
        result.map(|()| found)
    }

    /// Every entry, those included whose container is over.
    pub fn entries(&self) -> Result<Vec<Registered>, RegistryError> {
        let used = self.read_meta()?.slots_used;
        let mut found = Vec::new();
        for slot in 0..used {
            let entry = self.container(slot)?;
            if entry.generation != 0 {
                let key = ContainerKey { slot, generation: entry.generation };
                found.push(Registered { key, entry, usage: self.read_usage(slot)? });
            }
        }
        Ok(found)
    }

    /// What the loader wrote.
    pub fn read_meta(&self) -> Result<Meta, RegistryError> {
        self.meta.get(&0, 0).map_err(map_error("reading", "meta"))
    }

    pub(super) fn key(&self, hash: &[u8; 32]) -> Result<Option<ContainerKey>, RegistryError> {
        match self.ids.get(hash, 0) {
            Ok(key) => Ok(Some(key)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(source) => Err(map_error("reading", "ids")(source)),
        }
    }

    pub(super) fn container(&self, slot: u32) -> Result<ContainerEntry, RegistryError> {
        self.containers.get(&slot, 0).map_err(map_error("reading", "containers"))
    }

    pub(super) fn set_container(
        &mut self,
        slot: u32,
        entry: &ContainerEntry,
    ) -> Result<(), RegistryError> {
        self.containers.set(slot, entry, 0).map_err(map_error("writing", "containers"))
    }

    pub(super) fn read_usage(&self, slot: u32) -> Result<Usage, RegistryError> {
        self.usage.get(&slot, 0).map_err(map_error("reading", "usage"))
    }

    /// Whether a container's slot may be taken again: it has no task left, and it was deleted or
    /// never came to life.
    pub(super) fn is_over(&self, key: ContainerKey) -> Result<bool, RegistryError> {
        let entry = self.container(key.slot)?;
        if entry.generation != key.generation {
            return Ok(true);
        }
        if entry.flags & (ENTRY_GUARD | ENTRY_DELETING) == ENTRY_GUARD {
            return Ok(false);
        }
        let idle = self.read_usage(key.slot)?.tasks <= 0;
        let old = now_ns().saturating_sub(entry.created_ns) > ABANDONED_NS;
        Ok(idle && (entry.flags & ENTRY_DELETING != 0 || old))
    }

    /// Labels this process as the runtime, and makes sure that the programs see it so.
    pub(super) fn enter_launching(&self, key: ContainerKey) -> Result<(), RegistryError> {
        // Before Linux 6.2 the programs may miss a label for a moment; they confirm the one that
        // they have seen.
        for _ in 0..100 {
            self.set_own_label(&TaskLabel { key, state: STATE_LAUNCHING, ..TaskLabel::default() })?;
            statfs("/")
                .map_err(|errno| RegistryError::Io { path: "/".into(), source: errno.into() })?;
            if self.own_label()?.is_some_and(|label| label.flags & LABEL_SEEN != 0) {
                return Ok(());
            }
        }
        Err(RegistryError::NotAnswering)
    }

    pub(super) fn own_label(&self) -> Result<Option<TaskLabel>, RegistryError> {
        task_storage::label(self.labels.as_fd(), own_pidfd()?.as_fd())
            .map_err(|source| RegistryError::Label { action: "read", source })
    }

    /// Labels this process as granting a container something, `GRANT_*`.
    pub(super) fn label_for_grant(
        &self,
        key: ContainerKey,
        grant: u32,
    ) -> Result<(), RegistryError> {
        self.set_own_label(&TaskLabel { key, state: STATE_GRANT, grant, ..TaskLabel::default() })
    }

    /// The label of a process' main thread; `Ok(None)`: it has none, or there is no such process.
    pub fn label_of(&self, pid: i32) -> Result<Option<TaskLabel>, RegistryError> {
        let read = |source| RegistryError::Label { action: "read", source };
        match task_storage::pidfd(pid) {
            Ok(task) => task_storage::label(self.labels.as_fd(), task.as_fd()).map_err(read),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            Err(error) => Err(read(error)),
        }
    }

    fn set_own_label(&self, label: &TaskLabel) -> Result<(), RegistryError> {
        task_storage::set_label(self.labels.as_fd(), own_pidfd()?.as_fd(), label)
            .map_err(|source| RegistryError::Label { action: "set", source })
    }

    /// Takes this process' label away: it was labelled for a container that will not start.
    pub fn clear_own_label(&self) -> Result<(), RegistryError> {
        task_storage::clear_label(self.labels.as_fd(), own_pidfd()?.as_fd())
            .map_err(|source| RegistryError::Label { action: "cleared", source })
    }
}

fn own_pidfd() -> Result<OwnedFd, RegistryError> {
    task_storage::pidfd(std::process::id().cast_signed())
        .map_err(|source| RegistryError::Label { action: "found", source })
}

pub(super) fn now_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| {
        time.tv_sec().cast_unsigned() * 1_000_000_000 + time.tv_nsec().cast_unsigned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_by_root_and_id() {
        let hash = |root: &str, id| id_hash(Path::new(root), id);
        assert_ne!(hash("/run/runc", "a"), hash("/run/crun", "a"));
        assert_ne!(hash("/run/runc", "a"), hash("/run/runc", "b"));
        assert_ne!(hash("/run/runc/a", "b"), hash("/run/runc", "a/b"));
        assert_eq!(
            hash("/var/run/docker/runtime-runc/moby", "a"),
            hash("/run/docker/runtime-runc/moby", "a")
        );
    }
}
