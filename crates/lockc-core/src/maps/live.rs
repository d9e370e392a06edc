//! Changing what holds for a container that runs. Every check reads the container's entry, so that
//! a change holds from the next call on; what the container was granted stays granted.

use serde::{Deserialize, Serialize};

use super::{
    error::RegistryError,
    register,
    registry::{Registry, lock},
};
use crate::{
    abi::{
        ContainerEntry, ContainerKey, ENTRY_GUARD, ENTRY_HOOK_MOUNTS, ENTRY_LOOPBACK,
        ENTRY_QUARANTINED, ENTRY_SANDBOX, padded, unpadded,
    },
    rules::{Level, RuleMask},
};

/// The flags that a policy decides.
const FLAGS: u32 = ENTRY_LOOPBACK | ENTRY_HOOK_MOUNTS | ENTRY_QUARANTINED;

/// What holds for a container, as far as it can change while the container runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Its level.
    #[serde(with = "register::level")]
    pub level: Level,
    /// The rules that apply to it.
    #[serde(with = "register::rules")]
    pub rules: RuleMask,
    /// Those of them that only report.
    #[serde(with = "register::rules")]
    pub audited: RuleMask,
    /// `MODE_*` of [`abi`](crate::abi).
    pub mode: u32,
    /// Capabilities that its tasks may use, as bits.
    pub capabilities: u64,
    /// Socket families and netlink protocols, as bits of [`families`](crate::families).
    pub families: u64,
    /// Whether the loopback addresses may be used where the network may not.
    pub loopback: bool,
    /// Whether what root's own hooks mount into it counts as granted.
    pub hook_mounts: bool,
    /// Whether it may execute nothing and use no socket.
    pub quarantined: bool,
    /// Name of the policy.
    pub policy: String,
    /// Where the policy came from.
    pub origin: String,
}

impl Applied {
    /// What an entry says; `None`: its level is unknown.
    pub fn of(entry: &ContainerEntry) -> Option<Self> {
        let text = |bytes| String::from_utf8_lossy(unpadded(bytes)).into_owned();
        Some(Self {
            level: Level::from_raw(entry.level)?,
            rules: RuleMask(entry.rules),
            audited: RuleMask(entry.audited),
            mode: entry.mode,
            capabilities: entry.capabilities,
            families: entry.families,
            loopback: entry.flags & ENTRY_LOOPBACK != 0,
            hook_mounts: entry.flags & ENTRY_HOOK_MOUNTS != 0,
            quarantined: entry.flags & ENTRY_QUARANTINED != 0,
            policy: text(&entry.policy),
            origin: text(&entry.origin),
        })
    }

    fn write(&self, entry: &mut ContainerEntry) {
        let flag = |on: bool, flag: u32| if on { flag } else { 0 };
        entry.level = self.level as u32;
        entry.rules = self.rules.0;
        entry.audited = self.audited.0;
        entry.mode = self.mode;
        entry.capabilities = self.capabilities;
        entry.families = self.families;
        entry.flags = entry.flags & !FLAGS
            | flag(self.loopback, ENTRY_LOOPBACK)
            | flag(self.hook_mounts, ENTRY_HOOK_MOUNTS)
            | flag(self.quarantined, ENTRY_QUARANTINED);
        entry.policy = padded(self.policy.as_bytes());
        entry.origin = padded(self.origin.as_bytes());
    }
}

impl Registry {
    /// Applies something else to a running container. `decide` is given what holds now, and is
    /// asked under the lock: nobody changes it in between.
    ///
    /// # Errors
    ///
    /// Those of `decide`; where the container is gone, runs on a kernel of its own, or stands for
    /// others.
    pub fn apply<E: From<RegistryError>>(
        &mut self,
        key: ContainerKey,
        decide: impl FnOnce(&Applied) -> Result<Applied, E>,
    ) -> Result<Applied, E> {
        let _lock = lock()?;
        let mut entry = self.container(key.slot)?;
        let gone = || RegistryError::NotRegistered { id: format!("slot {}", key.slot) };
        if entry.generation != key.generation {
            return Err(gone().into());
        }
        if entry.flags & (ENTRY_GUARD | ENTRY_SANDBOX) != 0 {
            let id = String::from_utf8_lossy(unpadded(&entry.id)).into_owned();
            return Err(RegistryError::Unreachable { id }.into());
        }
        let next = decide(&Applied::of(&entry).ok_or_else(gone)?)?;
        next.write(&mut entry);
        self.set_container(key.slot, &entry)?;
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{ENTRY_CGROUPS, MODE_ENFORCE};

    #[test]
    fn what_is_applied_is_what_the_entry_says() {
        let entry = ContainerEntry {
            generation: 7,
            level: Level::Baseline as u32,
            rules: Level::Baseline.rules().0,
            flags: ENTRY_LOOPBACK | ENTRY_CGROUPS,
            capabilities: 5,
            policy: padded(b"web"),
            origin: padded(b"the default"),
            ..ContainerEntry::default()
        };
        let before = Applied::of(&entry).unwrap();
        assert!(before.loopback && !before.quarantined && before.mode == MODE_ENFORCE);
        let mut same = entry;
        before.write(&mut same);
        assert_eq!(same, entry);
        let mut changed = entry;
        Applied { quarantined: true, loopback: false, ..before.clone() }.write(&mut changed);
        assert_eq!(changed.flags, ENTRY_QUARANTINED | ENTRY_CGROUPS);
    }
}
