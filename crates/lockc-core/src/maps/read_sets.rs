//! Sets of what containers may read in procfs and sysfs, in the maps `reads` and `read_sets`: one
//! set for all containers that may read the same, found by the number in a container's entry.
//!
//! Numbers are never used twice, so that an entry which outlived its set finds nothing. Sets that
//! no container uses any more are removed when a new one comes, under the lock that serialises
//! registrations.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use aya::maps::MapError;
use sha2::{Digest as _, Sha256};

use super::{
    error::RegistryError,
    registry::{Registry, map_error, removed},
};
use crate::abi::{
    ContainerKey, NAME_READ, NameRule, READ_DEPTH, READ_NAME_LEN, ReadKey, ReadSet, padded,
};

fn key(node: u32, name: &str) -> ReadKey {
    // One byte stays zero: the kernel side takes a name that fills the buffer for one that was cut.
    let name = name.as_bytes();
    ReadKey { node, name: padded(name.get(..READ_NAME_LEN - 1).unwrap_or(name)) }
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
        let set = Set::new(paths);
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
            removed(self.read_sets.remove(&hash), "read_sets")?;
        }
        let lives =
            |node: u32| live.iter().any(|set| (set.first..set.first + set.count).contains(&node));
        let keys: Result<Vec<ReadKey>, MapError> = self.reads.keys().collect();
        for key in
            keys.map_err(map_error("reading", "reads"))?.iter().filter(|key| !lives(key.node))
        {
            removed(self.reads.remove(key), "reads")?;
        }
        Ok(())
    }
}

/// A set of paths as entries of the map `reads`, with numbers from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Set {
    /// What tells it from other sets.
    hash: [u8; 32],
    /// How many numbers it needs.
    count: u32,
    /// Directory, name, and what the kernel side finds.
    entries: Vec<(u32, String, NameRule)>,
}

impl Set {
    /// The set of absolute paths below `/proc` and `/sys`. A path that the kernel side could not
    /// compare is left out: it would stand for another one. Directories 0 and 1 are the roots of
    /// procfs and sysfs.
    fn new(paths: &[PathBuf]) -> Self {
        let mut nodes: BTreeMap<(u32, String), NameRule> = BTreeMap::new();
        let mut hash = Sha256::new();
        let mut count = 2;
        for path in paths.iter().filter(|path| is_comparable(path)) {
            hash.update(path.as_os_str().as_encoded_bytes());
            hash.update([0]);
            let mut node = u32::from(path.starts_with("/sys"));
            let mut names =
                path.iter().skip(2).map(|name| name.to_string_lossy().into_owned()).peekable();
            while let Some(name) = names.next() {
                let rule = nodes.entry((node, name)).or_default();
                if names.peek().is_none() {
                    rule.flags = NAME_READ;
                } else if rule.node == 0 {
                    rule.node = count;
                    count += 1;
                }
                node = rule.node;
            }
        }
        let entries = nodes.into_iter().map(|((node, name), rule)| (node, name, rule)).collect();
        Self { hash: hash.finalize().into(), count, entries }
    }
}

/// Whether the kernel side compares all of the path's names, and every name as a whole.
fn is_comparable(path: &Path) -> bool {
    let names = || path.iter().skip(2);
    (path.starts_with("/proc") || path.starts_with("/sys"))
        && (1..=READ_DEPTH).contains(&names().count())
        && names().all(|name| name.len() < READ_NAME_LEN)
}

#[cfg(test)]
#[path = "read_sets_tests.rs"]
mod tests;
