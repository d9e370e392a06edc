//! Registering a container: a slot, what it is given by the kernel's own identity, and the label of the process that will
//! become the runtime.

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use aya::maps::MapError;
use nix::sys::statfs::fstatfs;

use super::{
    error::RegistryError,
    registry::{Registry, id_hash, lock, map_error, now_ns},
};
use crate::{
    abi::{
        ANY_MINOR, ContainerEntry, ContainerKey, ENTRY_DELETING, ENTRY_LOOPBACK, ENTRY_POLICY_GRANTS,
        ENTRY_PROPAGATION, ENTRY_SANDBOX, FileId, GIVEN_DEVICE, GIVEN_MOUNT, GIVEN_PROPAGATING, GIVEN_SOCKET, GivenKey,
        LABEL_SEEN, MAX_CONTAINERS, STATE_IDENTIFY, Usage, device_id,
    },
    rules::{Level, RuleMask},
};

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
    /// Capabilities that its tasks may use, as bits.
    pub capabilities: u64,
    /// The kernel's number of its uid 0.
    pub root_uid: u32,
    /// Whether the loopback addresses may be used where the network may not.
    pub loopback: bool,
    /// Whether it runs on a kernel of its own, so that no rule reaches it.
    pub sandboxed: bool,
    /// Whether its policy admitted devices, sockets or directories of the host beyond its level.
    pub policy_grants: bool,
    /// Name of the policy.
    pub policy: String,
    /// Where the level came from.
    pub origin: String,
    /// Root file system.
    pub rootfs: PathBuf,
    /// Sources of bind mounts; the file systems that are mounted below them are given too.
    pub mounts: Vec<PathBuf>,
    /// Those of them into which the host may mount more while the container runs.
    pub propagating: Vec<PathBuf>,
    /// Unix sockets of the host that the policy names.
    pub sockets: Vec<PathBuf>,
    /// What may be read in procfs and sysfs beyond what every container may, as [`reads::resolve`](super::reads::resolve)
    /// found it.
    pub reads: Vec<PathBuf>,
    /// Devices beyond those of every container.
    pub devices: Vec<GivenDevice>,
}

/// A device that a container may open and make nodes of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenDevice {
    /// A block device; otherwise a character device.
    pub block: bool,
    /// 12 bits.
    pub major: u32,
    /// 20 bits; `None`: every one.
    pub minor: Option<u32>,
}

pub(super) fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    bytes
}

impl Registry {
    /// Registers a container and labels this process as setting it up.
    ///
    /// # Errors
    ///
    /// Nothing stays registered or labelled then.
    pub fn register(&mut self, new: &NewContainer) -> Result<ContainerKey, RegistryError> {
        let _lock = lock()?;
        let hash = id_hash(&new.root, &new.id);
        if let Some(key) = self.key(&hash)? {
            let deleted = self.container(key.slot)?.flags & ENTRY_DELETING != 0;
            match self.read_usage(key.slot)?.tasks {
                ..=0 => self.reclaim(&[key])?,
                // Its last tasks are on their way out, or survived: they keep the old entry.
                _ if deleted => {}
                _ => return Err(RegistryError::AlreadyRegistered { id: new.id.clone() }),
            }
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

    /// Finds a slot and writes its new generation, so that no stale handle matches it.
    pub(super) fn take_slot(&mut self) -> Result<ContainerKey, RegistryError> {
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
            flags: if new.loopback { ENTRY_LOOPBACK } else { 0 }
                | if new.propagating.is_empty() { 0 } else { ENTRY_PROPAGATION }
                | if new.sandboxed { ENTRY_SANDBOX } else { 0 }
                | if new.policy_grants { ENTRY_POLICY_GRANTS } else { 0 },
            rules: new.rules.0,
            capabilities: new.capabilities,
            root_uid: new.root_uid,
            reads: self.read_set(&new.reads)?,
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
            let propagates = new.propagating.contains(source);
            self.give(key, source, if propagates { GIVEN_PROPAGATING } else { GIVEN_MOUNT })?;
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
        for device in &new.devices {
            let id = device_id(device.block, device.major, device.minor.unwrap_or(ANY_MINOR));
            self.given.insert(GivenKey { key, id }, GIVEN_DEVICE, 0).map_err(map_error("writing", "given"))?;
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
    pub(super) fn identify(&self, key: ContainerKey, path: &Path) -> Result<FileId, RegistryError> {
        let at = |source: io::Error| RegistryError::Identity { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_PATH).open(path).map_err(at)?;
        self.set_own_label(key, STATE_IDENTIFY)?;
        fstatfs(&file).map_err(|errno| at(errno.into()))?;
        let label = self.own_label()?.filter(|label| label.flags & LABEL_SEEN != 0);
        label.map(|label| label.seen).ok_or(RegistryError::NotAnswering)
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
