//! Containers that a runtime starts without the wrapper: `lockc load --guard-runtimes`.
//!
//! The kernel side labels every unlabelled process that executes one of the guarded programs as
//! setting up a container of the one entry that all of them share. What such a container is given
//! is not known, and nothing is refused before it starts: the mounts of its own namespace count as
//! given, and the kernel's rules hold.

use std::path::PathBuf;

use aya::maps::{HashMap, Map, MapData};

use super::{
    error::RegistryError,
    registry::{Registry, lock, map_error, now_ns, open_map},
};
use crate::{
    abi::{ContainerEntry, ContainerKey, ENTRY_DELETING, ENTRY_GUARD, ProgramKey, padded},
    rules::{Level, RuleMask},
};

/// What the entry is called in `lockc status` and events.
pub const GUARD_ID: &str = "without-wrapper";

/// The policy that guarded containers run under.
#[derive(Clone, Copy, Debug)]
pub struct GuardPolicy<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its level.
    pub level: Level,
    /// What the kernel enforces.
    pub rules: RuleMask,
    /// `MODE_*` of [`abi`](crate::abi).
    pub mode: u32,
    /// Capabilities that its tasks may use, as bits.
    pub capabilities: u64,
    /// Socket families and netlink protocols, as bits of [`families`](crate::families).
    pub families: u64,
}

impl Registry {
    /// The entry of containers that are started without the wrapper, if they are guarded.
    pub fn guarded(&self) -> Result<Option<(ContainerKey, ContainerEntry)>, RegistryError> {
        let Some(key) = guard_map()?.iter().filter_map(Result::ok).map(|(_, key)| key).next()
        else {
            return Ok(None);
        };
        let entry = self.container(key.slot)?;
        Ok((entry.generation == key.generation).then_some((key, entry)))
    }

    /// Guards these programs under a policy. Those that do not exist are passed over.
    ///
    /// # Errors
    ///
    /// Where a map cannot be written. The earlier guard holds then, or a part of the new one.
    pub fn guard(
        &mut self,
        programs: &[PathBuf],
        policy: &GuardPolicy<'_>,
    ) -> Result<Vec<PathBuf>, RegistryError> {
        let _lock = lock()?;
        let key = match self.guarded()? {
            Some((key, _)) => key,
            None => self.take_slot()?,
        };
        let entry = ContainerEntry {
            generation: key.generation,
            level: policy.level as u32,
            mode: policy.mode,
            flags: ENTRY_GUARD,
            rules: policy.rules.0,
            capabilities: policy.capabilities,
            families: policy.families,
            created_ns: now_ns(),
            id: padded(GUARD_ID.as_bytes()),
            policy: padded(policy.name.as_bytes()),
            origin: padded(b"--guard-runtimes"),
            ..ContainerEntry::default()
        };
        self.set_container(key.slot, &entry)?;
        let result = self.identities(key, programs);
        self.clear_own_label()?;
        let (found, wanted): (Vec<PathBuf>, Vec<ProgramKey>) = result?.into_iter().unzip();
        let mut map = guard_map()?;
        for id in &wanted {
            map.insert(id, key, 0).map_err(map_error("writing", "guard"))?;
        }
        let stale: Vec<ProgramKey> =
            map.keys().filter_map(Result::ok).filter(|id| !wanted.contains(id)).collect();
        for id in stale {
            map.remove(&id).map_err(map_error("writing", "guard"))?;
        }
        Ok(found)
    }

    /// Those of the programs that exist, as the kernel side knows them.
    fn identities(
        &self,
        key: ContainerKey,
        programs: &[PathBuf],
    ) -> Result<Vec<(PathBuf, ProgramKey)>, RegistryError> {
        let there = programs.iter().filter(|path| path.is_file());
        there.map(|path| Ok((path.clone(), self.identify(key, path)?))).collect()
    }

    /// Guards no program any more. Containers that run stay confined. `Ok(false)`: there was no
    /// guard.
    pub fn unguard(&mut self) -> Result<bool, RegistryError> {
        let _lock = lock()?;
        let Some((key, mut entry)) = self.guarded()? else {
            return Ok(false);
        };
        let mut map = guard_map()?;
        let all: Vec<ProgramKey> = map.keys().filter_map(Result::ok).collect();
        for id in all {
            map.remove(&id).map_err(map_error("writing", "guard"))?;
        }
        entry.flags |= ENTRY_DELETING;
        self.set_container(key.slot, &entry)?;
        Ok(true)
    }
}

fn guard_map() -> Result<HashMap<MapData, ProgramKey, ContainerKey>, RegistryError> {
    HashMap::try_from(Map::HashMap(open_map("guard")?)).map_err(map_error("opening", "guard"))
}
