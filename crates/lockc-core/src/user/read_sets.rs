//! Sets of what containers may read in procfs and sysfs, in the maps `reads` and `read_sets`: one
//! set for all containers that may read the same, found by the number in a container's entry.
//!
//! Numbers are never used twice, so that an entry which outlived its set finds nothing. Sets that
//! no container uses any more are removed when a new one comes, under the lock that serialises
//! registrations.

use std::{collections::BTreeSet, path::PathBuf};

use aya::maps::MapError;

use super::{
    error::RegistryError,
    reads::Set,
    registry::{Registry, map_error},
};
use crate::abi::{ContainerKey, NameRule, READ_NAME_LEN, ReadKey, ReadSet};

fn key(node: u32, name: &str) -> ReadKey {
    let mut key = ReadKey { node, name: [0; READ_NAME_LEN] };
    // One byte stays zero: the kernel side takes a name that fills the buffer for one that was cut.
    for (to, from) in key.name.iter_mut().take(READ_NAME_LEN - 1).zip(name.bytes()) {
        *to = from;
    }
    key
}

fn gone(result: Result<(), MapError>, map: &'static str) -> Result<(), RegistryError> {
    match result {
        Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
        Err(source) => Err(map_error("writing", map)(source)),
    }
}

impl Registry {
    /// The number of the set of these paths, which is made if there is none; 0 for none. The caller
    /// holds the lock.
    ///
    /// # Errors
    ///
    /// Where there is no room: the container must not start with less than its policy says, nor
    /// with more.
    pub(super) fn read_set(&mut self, paths: &[PathBuf]) -> Result<u32, RegistryError> {
        if paths.is_empty() {
            return Ok(0);
        }
        let set = Set::of(paths);
        match self.read_sets.get(&set.hash, 0) {
            Ok(there) => return Ok(there.first),
            Err(MapError::KeyNotFound) => {}
            Err(source) => return Err(map_error("reading", "read_sets")(source)),
        }
        self.collect_read_sets()?;
        let mut meta = self.read_meta()?;
        let first = meta.nodes_used.checked_add(1).ok_or(RegistryError::NoReads)?;
        meta.nodes_used = meta.nodes_used.checked_add(set.count).ok_or(RegistryError::NoReads)?;
        self.meta.set(0, meta, 0).map_err(map_error("writing", "meta"))?;
        for (node, name, rule) in &set.entries {
            // 0 ends a way, whatever the first number is.
            let next = if rule.node == 0 { 0 } else { first + rule.node };
            let rule = NameRule { node: next, ..*rule };
            self.reads
                .insert(key(first + node, name), rule, 0)
                .map_err(map_error("writing", "reads"))?;
        }
        let numbers = ReadSet { first, count: set.count };
        self.read_sets.insert(set.hash, numbers, 0).map_err(map_error("writing", "read_sets"))?;
        Ok(first)
    }

    /// Removes the sets that no container uses, and what an interrupted registration left.
    fn collect_read_sets(&mut self) -> Result<(), RegistryError> {
        let mut used = BTreeSet::new();
        for slot in 0..self.read_meta()?.slots_used {
            let entry = self.container(slot)?;
            let key = ContainerKey { slot, generation: entry.generation };
            if entry.reads != 0 && !self.is_over(key)? {
                used.insert(entry.reads);
            }
        }
        let mut live = Vec::new();
        let mut dead = Vec::new();
        for item in self.read_sets.iter() {
            let (hash, set) = item.map_err(map_error("reading", "read_sets"))?;
            if used.contains(&set.first) { live.push(set) } else { dead.push(hash) }
        }
        for hash in dead {
            gone(self.read_sets.remove(&hash), "read_sets")?;
        }
        let lives =
            |node: u32| live.iter().any(|set| (set.first..set.first + set.count).contains(&node));
        let keys: Result<Vec<ReadKey>, MapError> = self.reads.keys().collect();
        for key in
            keys.map_err(map_error("reading", "reads"))?.iter().filter(|key| !lives(key.node))
        {
            gone(self.reads.remove(key), "reads")?;
        }
        Ok(())
    }
}
