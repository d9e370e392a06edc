//! Registers a container: its slot, its grants, and the label of the process that becomes the
//! runtime.
//!
//! The grants are opened first ([`Held`]). Only this step accesses file systems, which may
//! not respond. [`Registry::register`] takes the lock and accesses none.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use aya::maps::{Array, HashMap as BpfHashMap, MapData};
use nix::{errno::Errno, sys::statfs::fstatfs};
use serde::{Deserialize, Serialize};

use super::{
    container_file,
    error::RegistryError,
    held::Held,
    registry::{self, Registry, array, hash, id_hash, lock, map_error, now_ns, removed},
};
use crate::{
    abi::{
        ANSWER_GRANTED, ANSWER_LAYERS_UNTOLD, ANSWER_OTHER_LAYERS, ANSWER_OWN_ROOT, ANY_MINOR,
        ContainerEntry, ContainerKey, ENTRY_CGROUPS, ENTRY_DELETING, ENTRY_HOOK_MOUNTS,
        ENTRY_LOOPBACK, ENTRY_POLICY_GRANTS, ENTRY_PROPAGATION, ENTRY_SANDBOX, GRANT_DEVICE,
        GRANT_PROGRAM, GRANT_SOCKETS, GrantKey, GrantedDevice, KeyOwner, KeyPlace, MAX_CONTAINERS,
        ProgramKey, SOCKET_NAMES, SocketName, SocketNameKey, Usage, padded,
    },
    rules::{Level, RuleMask},
};

/// A container that is to be registered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewContainer {
    /// The runtime's state root (`--root`): ids are unique only in it.
    pub root: PathBuf,
    /// The container's id.
    pub id: String,
    /// Its level.
    #[serde(with = "level")]
    pub level: Level,
    /// The rules that apply to it.
    #[serde(with = "rules")]
    pub rules: RuleMask,
    /// Those of them that only report.
    #[serde(with = "rules")]
    pub audited: RuleMask,
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
    /// Whether what root's own hooks mount into it counts as granted.
    pub hook_mounts: bool,
    /// Whether its policy admitted devices, sockets or directories of the host beyond its level.
    pub policy_grants: bool,
    /// Name of the policy.
    pub policy: String,
    /// Where the level came from.
    pub origin: String,
    /// Whether the host may mount more into one of its volumes while it runs.
    pub propagates: bool,
    /// Whether it manages what is below its own cgroup.
    pub cgroups: bool,
    /// What may be read in procfs and sysfs beyond what every container may, as
    /// admission resolved it on this host.
    pub reads: Vec<PathBuf>,
    /// Socket families and netlink protocols that the policy names, as bits of
    /// [`families`](crate::families).
    pub families: u64,
    /// Devices beyond those of every container.
    pub devices: Vec<GrantedDevice>,
    /// What is known of it, for [`container_file::read`].
    pub about: String,
}

/// A level by its name.
pub(super) mod level {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    use crate::rules::Level;

    pub fn serialize<S: Serializer>(level: &Level, to: S) -> Result<S::Ok, S::Error> {
        level.name().serialize(to)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Level, D::Error> {
        Level::from_name(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("no level"))
    }
}

/// Rules by their bits.
pub(super) mod rules {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::rules::RuleMask;

    pub fn serialize<S: Serializer>(rules: &RuleMask, to: S) -> Result<S::Ok, S::Error> {
        rules.0.serialize(to)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<RuleMask, D::Error> {
        u64::deserialize(from).map(RuleMask)
    }
}

/// What sockets are called that containers are granted in a directory.
fn socket_names() -> Result<aya::maps::HashMap<MapData, SocketNameKey, SocketName>, RegistryError> {
    registry::hash("socket_names")
}

impl Registry {
    /// Registers a container that is granted what is held, and labels this process as setting it
    /// up.
    ///
    /// # Errors
    ///
    /// Nothing stays registered or labelled then.
    pub fn register(
        &mut self,
        new: &NewContainer,
        held: &[Held],
    ) -> Result<ContainerKey, RegistryError> {
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
        let result = self.fill(key, hash, new, held);
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
        // Each pass over `grants` serves many slots; one that is free is taken without.
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
        // The root of whoever had the slot.
        let mut roots: Array<MapData, u64> = array("roots")?;
        roots.set(slot, 0, 0).map_err(map_error("writing", "roots"))?;
        Ok(ContainerKey { slot, generation: meta.generation })
    }

    fn fill(
        &mut self,
        key: ContainerKey,
        hash: [u8; 32],
        new: &NewContainer,
        held: &[Held],
    ) -> Result<(), RegistryError> {
        self.usage.set(key.slot, Usage::default(), 0).map_err(map_error("writing", "usage"))?;
        let flag = |on: bool, flag: u32| if on { flag } else { 0 };
        let entry = ContainerEntry {
            generation: key.generation,
            level: new.level as u32,
            mode: new.mode,
            flags: flag(new.loopback, ENTRY_LOOPBACK)
                | flag(new.propagates, ENTRY_PROPAGATION)
                | flag(new.sandboxed, ENTRY_SANDBOX)
                | flag(new.hook_mounts, ENTRY_HOOK_MOUNTS)
                | flag(new.cgroups, ENTRY_CGROUPS)
                | flag(new.policy_grants, ENTRY_POLICY_GRANTS),
            rules: new.rules.0,
            audited: new.audited.0,
            capabilities: new.capabilities,
            root_uid: new.root_uid,
            reads: self.read_set(&new.reads)?,
            families: new.families,
            created_ns: now_ns(),
            id_hash: hash,
            id: padded(new.id.as_bytes()),
            policy: padded(new.policy.as_bytes()),
            origin: padded(new.origin.as_bytes()),
            ..ContainerEntry::default()
        };
        self.set_container(key.slot, &entry)?;
        self.grant(key, held)?;
        for device in &new.devices {
            let key = GrantKey::device(
                key,
                device.block,
                device.major,
                device.minor.unwrap_or(ANY_MINOR),
            );
            self.grants.insert(key, GRANT_DEVICE, 0).map_err(map_error("writing", "grants"))?;
        }
        self.ids.insert(hash, key, 0).map_err(map_error("writing", "ids"))?;
        // A container without a name is no reason not to start it.
        let _ = container_file::write(key, &new.about);
        self.enter_launching(key)
    }

    /// Grants what is held: the program on `sb_statfs` answers in the file system's place.
    fn grant(&self, key: ContainerKey, held: &[Held]) -> Result<(), RegistryError> {
        let mut labelled = None;
        let mut named: HashMap<u64, u32> = HashMap::new();
        for object in held {
            if labelled != Some(object.grant) {
                self.label_for_grant(key, object.grant)?;
                labelled = Some(object.grant);
            }
            match fstatfs(&object.file).map_err(|errno| errno as i32) {
                Err(ANSWER_GRANTED) if object.grant == GRANT_SOCKETS => {
                    self.name_sockets(key, object, &mut named)?
                }
                Err(ANSWER_GRANTED) => {}
                Err(ANSWER_OWN_ROOT) => {
                    return Err(RegistryError::OwnRoot { path: object.path.clone() });
                }
                Err(ANSWER_OTHER_LAYERS) => {
                    return Err(RegistryError::OtherLayers { path: object.path.clone() });
                }
                Err(ANSWER_LAYERS_UNTOLD) => {
                    return Err(RegistryError::LayersUntold { path: object.path.clone() });
                }
                Err(errno) if errno == Errno::ENOMEM as i32 => return Err(RegistryError::NoRoom),
                _ => return Err(RegistryError::NotAnswering),
            }
        }
        Ok(())
    }

    /// Adds what the sockets are called that are granted in a directory; `named`: how many there
    /// are in each already.
    fn name_sockets(
        &self,
        key: ContainerKey,
        object: &Held,
        named: &mut HashMap<u64, u32>,
    ) -> Result<(), RegistryError> {
        let label = self.own_label()?.ok_or(RegistryError::NotAnswering)?;
        let directory = label.stdio[0];
        let index = named.entry(directory).or_default();
        let too_many = || RegistryError::SocketNames { path: object.path.clone() };
        let sockets = object.sockets.ok_or_else(too_many)?;
        if *index >= SOCKET_NAMES {
            return Err(too_many());
        }
        let at = SocketNameKey { key, directory, index: *index, pad: 0 };
        socket_names()?.insert(at, sockets, 0).map_err(map_error("writing", "socket_names"))?;
        *index += 1;
        Ok(())
    }

    /// A program as the kernel side compares it: `stat(2)` encodes devices differently, and for
    /// overlayfs and btrfs it tells another device or inode.
    pub(super) fn identify(
        &self,
        key: ContainerKey,
        program: &Path,
    ) -> Result<ProgramKey, RegistryError> {
        let held = Held::open(program, GRANT_PROGRAM)?;
        self.grant(key, &[held])?;
        let label = self.own_label()?.ok_or(RegistryError::NotAnswering)?;
        let [ino, numbers, _] = label.stdio;
        Ok(ProgramKey { ino, dev: numbers as u32, generation: (numbers >> 32) as u32 })
    }

    /// Frees slots. A task that still has one of these labels is denied everything from then on.
    fn reclaim(&mut self, keys: &[ContainerKey]) -> Result<(), RegistryError> {
        for key in keys {
            let entry = self.container(key.slot)?;
            if self.key(&entry.id_hash)? == Some(*key) {
                self.ids.remove(&entry.id_hash).map_err(map_error("writing", "ids"))?;
            }
            // A record that cannot be kept keeps no container from starting.
            if !self.keep_denials(*key, &entry).unwrap_or(false) {
                container_file::remove(*key);
            }
            container_file::remove_applied(*key);
            self.set_container(key.slot, &ContainerEntry::default())?;
        }
        let stale: Vec<GrantKey> = self
            .grants
            .keys()
            .filter_map(Result::ok)
            .filter(|grant| keys.contains(&grant.key))
            .collect();
        for grant in stale {
            removed(self.grants.remove(&grant), "grants")?;
        }
        let mut names = socket_names()?;
        let stale: Vec<SocketNameKey> =
            names.keys().filter_map(Result::ok).filter(|name| keys.contains(&name.key)).collect();
        for name in stale {
            removed(names.remove(&name), "socket_names")?;
        }
        forget_keys(keys)
    }
}

/// Forgets the keys of containers that are gone, so that these take no room from others. A key that
/// the kernel makes at the same address meanwhile may be forgotten with them: nobody can use it
/// then.
fn forget_keys(gone: &[ContainerKey]) -> Result<(), RegistryError> {
    let mut keys: BpfHashMap<MapData, u64, KeyOwner> = hash("keys")?;
    let mut places: BpfHashMap<MapData, KeyPlace, u64> = hash("key_places")?;
    let stale: Vec<u64> = keys
        .iter()
        .filter_map(Result::ok)
        .filter(|(_, owner)| gone.contains(&owner.key))
        .map(|(address, _)| address)
        .collect();
    for address in stale {
        removed(keys.remove(&address), "keys")?;
    }
    let is_gone = |place: &KeyPlace| gone.iter().any(|key| key.slot == place.slot);
    let stale: Vec<KeyPlace> = places.keys().filter_map(Result::ok).filter(is_gone).collect();
    for place in stale {
        removed(places.remove(&place), "key_places")?;
    }
    Ok(())
}
