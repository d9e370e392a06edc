//! The record of denials: reading it, and what remains of a container that is gone.
//!
//! Reading takes nothing out, so that any number of readers see the same.

use aya::maps::{Array, HashMap, MapData, MapError};

use super::{
    container_file,
    error::RegistryError,
    registry::{Registry, array, hash, map_error, removed},
};
use crate::{
    abi::{
        ContainerEntry, ContainerKey, Denial, DenialKey, DenialRing, EndedContainer, KEPT_DENIALS,
        LOG_ENTRIES, LogEntry, MAX_ENDED, TOTAL_ENDED, TOTAL_LOGGED, TOTAL_LOST, TOTAL_REPLACED,
        total_by_rule,
    },
    rules::Rule,
};

/// Open handles of the record.
pub struct Record {
    denials: HashMap<MapData, DenialKey, Denial>,
    log: Array<MapData, LogEntry>,
    totals: Array<MapData, u64>,
    ended: Array<MapData, EndedContainer>,
}

/// What the log says since some entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logged {
    /// Its entries, the oldest first.
    pub entries: Vec<LogEntry>,
    /// Entries that newer ones had replaced before they were read.
    pub lost: u64,
    /// The number of the last one.
    pub last: u64,
}

impl Record {
    /// Opens the pinned maps.
    ///
    /// # Errors
    ///
    /// Where they are not there, or this process may not read them.
    pub fn open() -> Result<Self, RegistryError> {
        Ok(Self {
            denials: hash("denials")?,
            log: array("log")?,
            totals: array("totals")?,
            ended: array("ended")?,
        })
    }

    /// Every denial of the record, in no order.
    ///
    /// # Errors
    ///
    /// Where the map cannot be read.
    pub fn denials(&self) -> Result<Vec<(DenialKey, Denial)>, RegistryError> {
        let keys: Vec<DenialKey> = self.denials.keys().filter_map(Result::ok).collect();
        let mut found = Vec::new();
        for key in keys {
            found.extend(self.denial(&key)?.map(|denial| (key, denial)));
        }
        Ok(found)
    }

    /// One denial; nothing if newer ones have taken its place.
    ///
    /// # Errors
    ///
    /// Where the map cannot be read.
    pub fn denial(&self, key: &DenialKey) -> Result<Option<Denial>, RegistryError> {
        match self.denials.get(key, 0) {
            Ok(denial) => Ok((denial.first_ns != 0).then_some(denial)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(source) => Err(map_error("reading", "denials")(source)),
        }
    }

    /// The number of the log's last entry; 0: there is none.
    ///
    /// # Errors
    ///
    /// Where the map cannot be read.
    pub fn last(&self) -> Result<u64, RegistryError> {
        self.total(TOTAL_LOGGED)
    }

    /// The log's entries after the one of this number.
    ///
    /// # Errors
    ///
    /// Where the maps cannot be read.
    pub fn logged_since(&self, number: u64) -> Result<Logged, RegistryError> {
        let last = self.last()?;
        let first = last.saturating_sub(LOG_ENTRIES.into()).max(number);
        let mut logged = Logged { lost: first - number.min(first), last, entries: Vec::new() };
        for before in first..last {
            let cell = (before % u64::from(LOG_ENTRIES)) as u32;
            let entry = self.log.get(&cell, 0).map_err(map_error("reading", "log"))?;
            if entry.number == before + 1 {
                logged.entries.push(entry);
            } else {
                logged.lost += 1;
            }
        }
        Ok(logged)
    }

    /// Denials that are in the record no more, because newer ones of the same container and rule
    /// took their places; with all their repetitions.
    ///
    /// # Errors
    ///
    /// Where the map cannot be read.
    pub fn replaced(&self) -> Result<u64, RegistryError> {
        self.total(TOTAL_REPLACED)
    }

    /// Denials that found no room in the record.
    ///
    /// # Errors
    ///
    /// Where the map cannot be read.
    pub fn lost(&self) -> Result<u64, RegistryError> {
        self.total(TOTAL_LOST)
    }

    /// All denials by a rule since the programs were loaded first: those that were denied, and
    /// those in audit mode.
    ///
    /// # Errors
    ///
    /// Where the map cannot be read.
    pub fn by_rule(&self, rule: Rule) -> Result<(u64, u64), RegistryError> {
        let total = |is_audited| self.total(total_by_rule(rule as u32, is_audited));
        Ok((total(false)?, total(true)?))
    }

    /// The containers that are gone and whose denials are still in the record.
    ///
    /// # Errors
    ///
    /// Where the map cannot be read.
    pub fn ended(&self) -> Result<Vec<EndedContainer>, RegistryError> {
        let mut found = Vec::new();
        for place in 0..MAX_ENDED {
            let ended = self.ended.get(&place, 0).map_err(map_error("reading", "ended"))?;
            if ended.key.generation != 0 {
                found.push(ended);
            }
        }
        Ok(found)
    }

    fn total(&self, cell: u32) -> Result<u64, RegistryError> {
        self.totals.get(&cell, 0).map_err(map_error("reading", "totals"))
    }

    /// Keeps what is known of a container whose slot is taken from it. It takes the place of the
    /// one that ended longest ago, whose denials are forgotten. The caller holds the lock.
    fn keep(&mut self, ended: &EndedContainer) -> Result<(), RegistryError> {
        let number = self.total(TOTAL_ENDED)?;
        let place = (number % u64::from(MAX_ENDED)) as u32;
        let oldest = self.ended.get(&place, 0).map_err(map_error("reading", "ended"))?;
        if oldest.key.generation != 0 {
            self.forget(oldest.key)?;
        }
        self.ended.set(place, ended, 0).map_err(map_error("writing", "ended"))?;
        self.totals.set(TOTAL_ENDED, number + 1, 0).map_err(map_error("writing", "totals"))
    }

    /// Takes a container's denials out of the record.
    fn forget(&mut self, container: ContainerKey) -> Result<(), RegistryError> {
        container_file::remove(container);
        let mut counts: HashMap<MapData, DenialRing, u64> = hash("denial_counts")?;
        let mut places: HashMap<MapData, DenialRing, DenialKey> = hash("denial_places")?;
        for rule in Rule::ALL {
            let mut at = DenialRing { container, rule: rule as u32, place: 0 };
            let Ok(count) = counts.get(&at, 0) else { continue };
            removed(counts.remove(&at), "denial_counts")?;
            for place in 0..count.min(KEPT_DENIALS.into()) {
                at.place = place as u32;
                if let Ok(key) = places.get(&at, 0) {
                    removed(self.denials.remove(&key), "denials")?;
                    removed(places.remove(&at), "denial_places")?;
                }
            }
        }
        Ok(())
    }
}

impl Registry {
    /// Keeps what is known of a container that gives its slot up, if anything was denied to it.
    /// `Ok(false)`: nothing was.
    pub(super) fn keep_denials(
        &self,
        key: ContainerKey,
        entry: &ContainerEntry,
    ) -> Result<bool, RegistryError> {
        let denials = self.read_usage(key.slot)?.denials;
        if denials == 0 || entry.generation != key.generation {
            return Ok(false);
        }
        Record::open()?.keep(&EndedContainer {
            key,
            level: entry.level,
            mode: entry.mode,
            denials,
            created_ns: entry.created_ns,
            id: entry.id,
            policy: entry.policy,
            origin: entry.origin,
        })?;
        Ok(true)
    }
}
