//! The pinned maps: opening them, registering a container, labelling this process.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use aya::maps::{Array, HashMap, Map, MapData, MapError};
use nix::{
    fcntl::{Flock, FlockArg},
    sys::statfs::{fstatfs, statfs},
    time::{ClockId, clock_gettime},
};
use sha2::{Digest as _, Sha256};

use super::{error::RegistryError, paths, sys};
use crate::{
    abi::{
        ABI_VERSION, ContainerEntry, ContainerKey, ENTRY_DELETING, FileId, GIVEN_MOUNT, GIVEN_SOCKET, GivenKey,
        LABEL_SEEN, MAX_CONTAINERS, Meta, STATE_IDENTIFY, STATE_SETUP, TaskLabel, Usage,
    },
    hooks::PROGRAMS,
    rules::{Level, RuleMask},
};

/// A slot whose container never had a task is taken again after this long: its `create` failed and nobody deleted it.
const ABANDONED_NS: u64 = 600_000_000_000;

/// Device nodes of the host that runtimes bind into containers that may not create their own
/// (runtime-spec, config-linux.md, "Default Devices").
const DEFAULT_DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// A container that is to be registered.
#[derive(Clone, Debug)]
pub struct NewContainer {
    /// The runtime's state root (`--root`): ids are unique only in it.
    pub root: PathBuf,
    /// The container's id.
    pub id: String,
    /// Its level.
    pub level: Level,
    /// What the kernel enforces.
    pub rules: RuleMask,
    /// `MODE_*` of [`abi`](crate::abi).
    pub mode: u32,
    /// Name of the policy.
    pub policy: String,
    /// Where the level came from.
    pub origin: String,
    /// Root file system.
    pub rootfs: PathBuf,
    /// Sources of bind mounts; the file systems that are mounted below them are given too.
    pub mounts: Vec<PathBuf>,
    /// Unix sockets of the host that the policy names.
    pub sockets: Vec<PathBuf>,
}

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
    labels: OwnedFd,
    containers: Array<MapData, ContainerEntry>,
    usage: Array<MapData, Usage>,
    given: HashMap<MapData, GivenKey, u32>,
    ids: HashMap<MapData, [u8; 32], ContainerKey>,
    meta: Array<MapData, Meta>,
}

/// Opens a pinned map.
pub fn open_map(name: &'static str) -> Result<MapData, RegistryError> {
    let path = Path::new(paths::MAPS).join(name);
    if !path.exists() {
        return Err(RegistryError::NotLoaded { path });
    }
    MapData::from_pin(path).map_err(map_error("opening", name))
}

fn map_error(action: &'static str, map: &'static str) -> impl Fn(MapError) -> RegistryError {
    move |source| RegistryError::Map { action, map, source }
}

fn array<T: aya::Pod>(name: &'static str) -> Result<Array<MapData, T>, RegistryError> {
    Array::try_from(Map::Array(open_map(name)?)).map_err(map_error("opening", name))
}

fn hash<K: aya::Pod, V: aya::Pod>(name: &'static str) -> Result<HashMap<MapData, K, V>, RegistryError> {
    HashMap::try_from(Map::HashMap(open_map(name)?)).map_err(map_error("opening", name))
}

/// Takes the lock that serialises registration, loading and unloading; it is held until the value is dropped.
pub fn lock() -> Result<Flock<File>, RegistryError> {
    let path = Path::new(paths::RUN).join("lock");
    let at = |source| RegistryError::Io { path: path.clone(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(paths::RUN).map_err(at)?;
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(at)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| at(errno.into()))
}

/// What identifies a container in `ids`.
pub fn id_hash(root: &Path, id: &str) -> [u8; 32] {
    use std::os::unix::ffi::OsStrExt as _;
    // `/var/run` is `/run` on every host that engines run on; they write either.
    let root = root.strip_prefix("/var/run").map_or_else(|_| root.to_path_buf(), |rest| Path::new("/run").join(rest));
    let mut hash = Sha256::new();
    hash.update(root.as_os_str().as_bytes());
    hash.update([0]);
    hash.update(id.as_bytes());
    hash.finalize().into()
}

fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    bytes
}

impl Registry {
    /// Opens the pinned maps.
    ///
    /// # Errors
    ///
    /// Where a map or the link of a program is missing, or the programs are of another ABI version. All of them mean that
    /// nothing may start.
    pub fn open() -> Result<Self, RegistryError> {
        let meta: Array<MapData, Meta> = array("meta")?;
        let found = meta.get(&0, 0).map_err(map_error("reading", "meta"))?.abi;
        if found != ABI_VERSION {
            return Err(RegistryError::Abi { found, wanted: ABI_VERSION });
        }
        for program in PROGRAMS {
            let path = Path::new(paths::LINKS).join(program.name);
            if !path.exists() {
                return Err(RegistryError::NotLoaded { path });
            }
        }
        let labels = open_map("task_labels")?
            .fd()
            .as_fd()
            .try_clone_to_owned()
            .map_err(|source| RegistryError::Io { path: Path::new(paths::MAPS).join("task_labels"), source })?;
        Ok(Self {
            labels,
            containers: array("containers")?,
            usage: array("usage")?,
            given: hash("given")?,
            ids: hash("ids")?,
            meta,
        })
    }

    /// Registers a container and labels this process as setting it up.
    ///
    /// # Errors
    ///
    /// Nothing stays registered or labelled then.
    pub fn register(&mut self, new: &NewContainer) -> Result<ContainerKey, RegistryError> {
        let _lock = lock()?;
        let hash = id_hash(&new.root, &new.id);
        if let Some(key) = self.key(&hash)? {
            if !self.is_over(key)? {
                return Err(RegistryError::AlreadyRegistered { id: new.id.clone() });
            }
            self.reclaim(&[key])?;
        }
        let key = self.take_slot()?;
        let result = self.fill(key, hash, new);
        if result.is_err() {
            // The first error is the one to report.
            let _ = self.clear_own_label();
            let _ = self.reclaim(&[key]);
        }
        result.map(|()| key)
    }

    /// Labels this process as setting up a task of a registered container (`exec`).
    pub fn join(&self, root: &Path, id: &str) -> Result<ContainerKey, RegistryError> {
        let (key, _) = self.entry(root, id)?.ok_or_else(|| RegistryError::NotRegistered { id: id.to_owned() })?;
        self.enter_setup(key)?;
        Ok(key)
    }

    /// The entry of a container; `Ok(None)`: it is not registered.
    pub fn entry(&self, root: &Path, id: &str) -> Result<Option<(ContainerKey, ContainerEntry)>, RegistryError> {
        let Some(key) = self.key(&id_hash(root, id))? else {
            return Ok(None);
        };
        let entry = self.container(key.slot)?;
        Ok((entry.generation == key.generation).then_some((key, entry)))
    }

    /// Notes that the engine deletes the container. Its tasks, if any survive, stay confined; the slot is taken again when
    /// the last one is gone. `Ok(false)`: it is not registered.
    pub fn mark_deleting(&mut self, root: &Path, id: &str) -> Result<bool, RegistryError> {
        let _lock = lock()?;
        let Some((key, mut entry)) = self.entry(root, id)? else {
            return Ok(false);
        };
        entry.flags |= ENTRY_DELETING;
        self.set_container(key.slot, &entry)?;
        Ok(true)
    }

    /// Every registered container, those included that were deleted and still have a task.
    pub fn containers(&self) -> Result<Vec<Registered>, RegistryError> {
        let used = self.read_meta()?.slots_used;
        let mut found = Vec::new();
        for slot in 0..used {
            let entry = self.container(slot)?;
            let key = ContainerKey { slot, generation: entry.generation };
            if entry.generation != 0 && !self.is_over(key)? {
                found.push(Registered { key, entry, usage: self.read_usage(slot)? });
            }
        }
        Ok(found)
    }

    /// What the loader wrote.
    pub fn read_meta(&self) -> Result<Meta, RegistryError> {
        self.meta.get(&0, 0).map_err(map_error("reading", "meta"))
    }

    fn key(&self, hash: &[u8; 32]) -> Result<Option<ContainerKey>, RegistryError> {
        match self.ids.get(hash, 0) {
            Ok(key) => Ok(Some(key)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(source) => Err(map_error("reading", "ids")(source)),
        }
    }

    fn container(&self, slot: u32) -> Result<ContainerEntry, RegistryError> {
        self.containers.get(&slot, 0).map_err(map_error("reading", "containers"))
    }

    fn set_container(&mut self, slot: u32, entry: &ContainerEntry) -> Result<(), RegistryError> {
        self.containers.set(slot, entry, 0).map_err(map_error("writing", "containers"))
    }

    fn read_usage(&self, slot: u32) -> Result<Usage, RegistryError> {
        self.usage.get(&slot, 0).map_err(map_error("reading", "usage"))
    }

    /// Whether a container's slot may be taken again: it has no task left, and it was deleted or never came to life.
    fn is_over(&self, key: ContainerKey) -> Result<bool, RegistryError> {
        let entry = self.container(key.slot)?;
        if entry.generation != key.generation {
            return Ok(true);
        }
        let idle = self.read_usage(key.slot)?.tasks <= 0;
        let old = now_ns().saturating_sub(entry.created_ns) > ABANDONED_NS;
        Ok(idle && (entry.flags & ENTRY_DELETING != 0 || old))
    }

    /// Finds a slot and writes its new generation, so that no stale handle matches it.
    fn take_slot(&mut self) -> Result<ContainerKey, RegistryError> {
        let mut meta = self.read_meta()?;
        let mut free = None;
        let mut over = Vec::new();
        for slot in 0..meta.slots_used {
            let generation = self.container(slot)?.generation;
            let key = ContainerKey { slot, generation };
            if generation == 0 {
                free = Some(slot);
                break;
            } else if self.is_over(key)? {
                over.push(key);
            }
        }
        // Each pass over `given` serves many slots; one that is free is taken without.
        let slot = match free {
            Some(slot) => slot,
            None if over.len() >= 64 || (meta.slots_used == MAX_CONTAINERS && !over.is_empty()) => {
                self.reclaim(&over)?;
                over[0].slot
            }
            None if meta.slots_used < MAX_CONTAINERS => {
                meta.slots_used += 1;
                meta.slots_used - 1
            }
            None => return Err(RegistryError::Full),
        };
        meta.generation = meta.generation.wrapping_add(1).max(1);
        self.meta.set(0, meta, 0).map_err(map_error("writing", "meta"))?;
        Ok(ContainerKey { slot, generation: meta.generation })
    }

    fn fill(&mut self, key: ContainerKey, hash: [u8; 32], new: &NewContainer) -> Result<(), RegistryError> {
        self.usage.set(key.slot, Usage::default(), 0).map_err(map_error("writing", "usage"))?;
        let mut entry = ContainerEntry {
            generation: key.generation,
            level: new.level as u32,
            mode: new.mode,
            rules: new.rules.0,
            created_ns: now_ns(),
            id_hash: hash,
            id: padded(&new.id),
            policy: padded(&new.policy),
            origin: padded(&new.origin),
            ..ContainerEntry::default()
        };
        self.set_container(key.slot, &entry)?;

        let table = MountTable::read()?;
        entry.rootfs = self.identify(key, &new.rootfs)?;
        for path in table.below(&new.rootfs) {
            self.give(key, &path, GIVEN_MOUNT)?;
        }
        for source in &new.mounts {
            self.give(key, source, GIVEN_MOUNT)?;
            for path in table.below(source) {
                // A file system that went away, or one whose mount point root may not enter (FUSE), is not given.
                match self.give(key, &path, GIVEN_MOUNT) {
                    Ok(()) | Err(RegistryError::Identity { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        for device in DEFAULT_DEVICES.map(Path::new).into_iter().filter(|path| path.exists()) {
            self.give(key, device, GIVEN_MOUNT)?;
        }
        for socket in &new.sockets {
            self.give(key, socket, GIVEN_SOCKET)?;
        }
        self.set_container(key.slot, &entry)?;
        self.ids.insert(hash, key, 0).map_err(map_error("writing", "ids"))?;
        self.enter_setup(key)
    }

    fn give(&mut self, key: ContainerKey, path: &Path, kind: u32) -> Result<(), RegistryError> {
        let id = self.identify(key, path)?;
        self.given.insert(GivenKey { key, id }, kind, 0).map_err(map_error("writing", "given"))
    }

    /// The kernel's own identity of a path: `stat(2)` encodes devices differently, and for overlayfs and btrfs it tells
    /// another device or inode than the kernel compares.
    fn identify(&self, key: ContainerKey, path: &Path) -> Result<FileId, RegistryError> {
        let at = |source: io::Error| RegistryError::Identity { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_PATH).open(path).map_err(at)?;
        self.set_own_label(key, STATE_IDENTIFY)?;
        fstatfs(&file).map_err(|errno| at(errno.into()))?;
        let label = self.own_label()?.filter(|label| label.flags & LABEL_SEEN != 0);
        label.map(|label| label.seen).ok_or(RegistryError::NotAnswering)
    }

    /// Labels this process as the runtime, and makes sure that the programs see it so.
    fn enter_setup(&self, key: ContainerKey) -> Result<(), RegistryError> {
        // Before Linux 6.2 the programs may miss a label for a moment; they confirm the one that they have seen.
        for _ in 0..100 {
            self.set_own_label(key, STATE_SETUP)?;
            statfs("/").map_err(|errno| RegistryError::Io { path: "/".into(), source: errno.into() })?;
            if self.own_label()?.is_some_and(|label| label.flags & LABEL_SEEN != 0) {
                return Ok(());
            }
        }
        Err(RegistryError::NotAnswering)
    }

    fn own_label(&self) -> Result<Option<TaskLabel>, RegistryError> {
        sys::label(self.labels.as_fd(), own_pidfd()?.as_fd())
            .map_err(|source| RegistryError::Label { action: "read", source })
    }

    fn set_own_label(&self, key: ContainerKey, state: u32) -> Result<(), RegistryError> {
        let label = TaskLabel { key, state, ..TaskLabel::default() };
        sys::set_label(self.labels.as_fd(), own_pidfd()?.as_fd(), &label)
            .map_err(|source| RegistryError::Label { action: "set", source })
    }

    /// Takes this process' label away: it was labelled for a container that will not start.
    pub fn clear_own_label(&self) -> Result<(), RegistryError> {
        sys::clear_label(self.labels.as_fd(), own_pidfd()?.as_fd())
            .map_err(|source| RegistryError::Label { action: "cleared", source })
    }

    /// Frees slots. A task that still has one of these labels is denied everything from then on.
    fn reclaim(&mut self, keys: &[ContainerKey]) -> Result<(), RegistryError> {
        for key in keys {
            let entry = self.container(key.slot)?;
            if self.key(&entry.id_hash)? == Some(*key) {
                self.ids.remove(&entry.id_hash).map_err(map_error("writing", "ids"))?;
            }
            self.set_container(key.slot, &ContainerEntry::default())?;
        }
        let stale: Vec<GivenKey> =
            self.given.keys().filter_map(Result::ok).filter(|given| keys.contains(&given.key)).collect();
        for given in stale {
            match self.given.remove(&given) {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(source) => return Err(map_error("writing", "given")(source)),
            }
        }
        Ok(())
    }
}

fn own_pidfd() -> Result<OwnedFd, RegistryError> {
    sys::own_pidfd().map_err(|source| RegistryError::Label { action: "found", source })
}

fn now_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .map_or(0, |time| time.tv_sec().cast_unsigned() * 1_000_000_000 + time.tv_nsec().cast_unsigned())
}

/// The mounts of this process' namespace.
struct MountTable(Vec<PathBuf>);

impl MountTable {
    fn read() -> Result<Self, RegistryError> {
        let mounts = procfs::process::Process::myself().and_then(|own| own.mountinfo()).map_err(|error| {
            RegistryError::Io { path: "/proc/self/mountinfo".into(), source: io::Error::other(error) }
        })?;
        Ok(Self(mounts.into_iter().map(|mount| mount.mount_point).collect()))
    }

    /// Mount points below a directory, which a recursive bind mount brings along.
    fn below(&self, path: &Path) -> Vec<PathBuf> {
        let Ok(path) = path.canonicalize() else {
            return Vec::new();
        };
        self.0.iter().filter(|point| point.starts_with(&path) && **point != path).cloned().collect()
    }
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
        assert_eq!(hash("/var/run/docker/runtime-runc/moby", "a"), hash("/run/docker/runtime-runc/moby", "a"));
    }

    #[test]
    fn mounts_below_are_found_by_component() {
        let table = MountTable(["/", "/tmp", "/tmp/a", "/tmpfs"].map(PathBuf::from).to_vec());
        assert_eq!(table.below(Path::new("/tmp")), [PathBuf::from("/tmp/a")]);
    }

    #[test]
    fn texts_are_cut() {
        assert_eq!(padded::<4>("abcdef"), *b"abcd");
        assert_eq!(padded::<4>("ab"), *b"ab\0\0");
    }
}
