//! The record of denials, with what is known of the containers.

use std::collections::HashMap;

use anyhow::Result;
use lockc_core::{
    abi::ContainerKey,
    maps::{self, Record, Registered, Registry, container_file},
};
use lockc_policy::container_file::ContainerFile;

use crate::denial::{Clock, Denial, Event, Known, explain};

/// The record.
pub struct Records {
    record: Record,
    registry: Registry,
}

/// Where a reader is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Following(u64);

impl Following {
    /// The log's first entry.
    pub const BEGINNING: Self = Self(0);

    /// The place as a number, to go on from there later.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The place of that number. One beyond the log's end is its beginning: lockc was loaded again.
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// What a reader has not seen yet.
#[derive(Clone, Debug)]
pub struct Followed {
    /// Denials: new ones, and those that happen again after some time.
    pub denials: Vec<Denial>,
    /// Entries of the log that newer ones had replaced before they were read.
    pub lost: u64,
}

impl Records {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// Where nothing is loaded, or this process may not read it.
    pub fn open() -> Result<Self> {
        Ok(Self { registry: Registry::open()?, record: Record::open()? })
    }

    /// Everything in the record, the latest last.
    ///
    /// # Errors
    ///
    /// Where a map cannot be read.
    pub fn all(&self) -> Result<Vec<Denial>> {
        let known = self.known()?;
        let clock = Clock::now();
        let mut found = self.record.denials()?;
        found.sort_by_key(|(_, denial)| denial.last_ns);
        let explain =
            |(key, denial)| explain(&Event { key, denial }, known.get(&key.container), &clock);
        Ok(found.into_iter().map(explain).collect())
    }

    /// The end of the log.
    ///
    /// # Errors
    ///
    /// Where it cannot be read.
    pub fn end(&self) -> Result<Following> {
        Ok(Following(self.record.last()?))
    }

    /// What the log has since the reader was here; the reader is at its end then.
    ///
    /// # Errors
    ///
    /// Where a map cannot be read.
    pub fn since(&self, reader: &mut Following) -> Result<Followed> {
        let last = self.record.last()?;
        let mut followed = Followed { denials: Vec::new(), lost: 0 };
        if last == reader.0 {
            return Ok(followed);
        }
        // lockc was unloaded and loaded meanwhile.
        if last < reader.0 {
            reader.0 = 0;
        }
        let logged = self.record.logged_since(reader.0)?;
        let known = self.known()?;
        let clock = Clock::now();
        followed.lost = logged.lost;
        for entry in logged.entries {
            match self.record.denial(&entry.key)? {
                Some(mut denial) => {
                    denial.count = entry.count;
                    let event = Event { key: entry.key, denial };
                    followed.denials.push(explain(&event, known.get(&entry.key.container), &clock));
                }
                None => followed.lost += 1,
            }
        }
        reader.0 = logged.last;
        Ok(followed)
    }

    /// Denials that newer ones of the same container and rule replaced, and those that found no
    /// room; both with their repetitions.
    ///
    /// # Errors
    ///
    /// Where a map cannot be read.
    pub fn missing(&self) -> Result<(u64, u64)> {
        Ok((self.record.replaced()?, self.record.lost()?))
    }

    fn known(&self) -> Result<HashMap<ContainerKey, Known>> {
        let ended = self.record.ended()?.into_iter();
        let ended = ended.map(|it| (it.key, self::known(it.key, &it.id, &it.policy, &it.origin)));
        let live = self.registry.entries()?.into_iter();
        let live = live.map(|Registered { key, entry, .. }| {
            (key, self::known(key, &entry.id, &entry.policy, &entry.origin))
        });
        Ok(ended.chain(live).collect())
    }
}

fn known(key: ContainerKey, id: &[u8], policy: &[u8], origin: &[u8]) -> Known {
    let id = maps::text(id);
    let file = container_file::read(key).and_then(|text| ContainerFile::from_text(&text, &id));
    Known {
        names: file.unwrap_or_default().names,
        policy: maps::text(policy),
        origin: maps::text(origin),
        id,
    }
}
