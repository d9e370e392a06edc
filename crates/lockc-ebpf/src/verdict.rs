//! Which tasks are checked, and what a denial does. Every program decides through here.

use core::arch::asm;

use lockc_core::{
    abi::{
        ContainerEntry, ContainerKey, DenialKey, ENTRY_QUARANTINED, FileId, Hook, MODE_AUDIT,
        MODE_ENFORCE, STATE_CONFINED,
    },
    fields::{Dentry, File, Vfsmount},
    pointers::{ProbePtr, Ptr},
    rules::{Level, Rule, RuleMask},
};

use crate::{
    label,
    maps::{CONTAINERS, ERRORS, USAGE},
    record::{self, Denied},
};

// Negative, as programs return them: the verifier does not follow a negation, and wants to know
// what a program returns.
pub const EPERM: i32 = -1;
pub const EACCES: i32 = -13;

pub const ENOMEM: i32 = 12;

/// A confined task that a rule applies to.
pub struct Subject {
    pub key: ContainerKey,
    pub mode: u32,
    /// `None`: the label is stale (its container's entry is gone); everything that is checked is
    /// denied.
    pub entry: Option<&'static ContainerEntry>,
}

/// What a denial is about, for the record.
#[derive(Clone, Copy)]
pub struct About {
    /// A file, or null.
    pub dentry: ProbePtr<Dentry>,
    pub file: FileId,
    pub arg: u64,
}

impl About {
    pub const NOTHING: Self =
        Self { dentry: ProbePtr::NULL, file: FileId { ino: 0, dev: 0, pad: 0 }, arg: 0 };

    #[inline(always)]
    pub fn number(arg: u64) -> Self {
        Self { arg, ..Self::NOTHING }
    }

    #[inline(always)]
    pub fn dentry(dentry: ProbePtr<Dentry>) -> Self {
        Self { dentry, ..Self::NOTHING }
    }

    /// An open file.
    #[inline(always)]
    pub fn file(file: Ptr<File>) -> Self {
        // In this order: with the mount first, the verifier of Linux 7.2 walks through half as many
        // instructions more in `file_open`.
        let dentry = file.dentry().probe();
        let id = mount_root(file.mnt());
        Self { dentry, file: id, arg: u64::from(file.mode()) }
    }
}

/// The entry that a key still names.
#[inline(always)]
pub fn entry(key: ContainerKey) -> Option<&'static ContainerEntry> {
    // Slots are only written whole by user space; a torn read shows another generation or a
    // stricter mask for a moment.
    let entry = CONTAINERS.get(key.slot)?;
    // The lifetime of an array's cell is that of the map, which outlives the programs.
    (entry.generation == key.generation && key.generation != 0).then_some(entry)
}

/// The current task, if it is confined.
#[inline(always)]
pub fn confined() -> Option<Subject> {
    let label = label::for_task(label::current());
    // SAFETY: null or a live cell of the storage.
    let label = unsafe { label.as_ref() }?;
    (label.state == STATE_CONFINED).then(|| Subject::for_container(label.key))
}

/// The current task, if it is confined and its container is under `rule`.
#[inline(always)]
pub fn subject_to(rule: Rule) -> Option<Subject> {
    confined().filter(|who| who.has(rule))
}

impl Subject {
    /// A task of that container, confined or about to be.
    #[inline(always)]
    pub fn for_container(key: ContainerKey) -> Self {
        match entry(key) {
            Some(entry) => Self { key, mode: entry.mode, entry: Some(entry) },
            // Refuse rather than fail open.
            None => Self { key, mode: MODE_ENFORCE, entry: None },
        }
    }

    /// Whether the container is under `rule`; a stale label is under every rule.
    #[inline(always)]
    pub fn has(&self, rule: Rule) -> bool {
        match self.entry {
            Some(entry) => RuleMask(entry.rules).has(rule),
            None => true,
        }
    }

    /// Whether its level is privileged: only the administrator can say so.
    #[inline(always)]
    pub fn is_privileged(&self) -> bool {
        self.entry.is_some_and(|entry| entry.level == Level::Privileged as u32)
    }

    /// Whether the administrator has put the container under quarantine.
    #[inline(always)]
    pub fn is_quarantined(&self) -> bool {
        self.entry.is_none_or(|entry| entry.flags & ENTRY_QUARANTINED != 0)
    }

    /// Whether the container may use a capability.
    #[inline(always)]
    pub fn may_use(&self, cap: i32) -> bool {
        match self.entry {
            Some(entry) => entry.capabilities >> (cap as u32 & 63) & 1 != 0,
            None => false,
        }
    }
}

/// Denies (in audit mode: only reports), and notes it in the record.
#[inline(always)]
pub fn deny(who: &Subject, rule: Rule, hook: Hook, about: About, errno: i32) -> i32 {
    let mode = mode(who, rule);
    report(who, rule, mode, hook, about, errno);
    verdict(mode, errno)
}

/// Denies without a record, where the kernel only asks what would be allowed.
#[inline(always)]
pub fn quietly(who: &Subject, rule: Rule, errno: i32) -> i32 {
    verdict(mode(who, rule), errno)
}

#[inline(always)]
fn verdict(mode: u32, errno: i32) -> i32 {
    if mode == MODE_AUDIT { 0 } else { errno }
}

/// The mode of the container, or audit mode where only this rule is audited.
#[inline(always)]
fn mode(who: &Subject, rule: Rule) -> u32 {
    match who.entry {
        Some(entry) if RuleMask(entry.audited).has(rule) => MODE_AUDIT,
        _ => who.mode,
    }
}

#[inline(always)]
fn report(who: &Subject, rule: Rule, mode: u32, hook: Hook, about: About, errno: i32) {
    if let Some(usage) = USAGE.get_ptr_mut(who.key.slot) {
        // SAFETY: a cell of the map.
        atomic_add(unsafe { &raw mut (*usage).denials }.cast(), 1);
    }
    let key = DenialKey {
        container: who.key,
        rule: rule as u16,
        hook: hook as u16,
        mode,
        arg: about.arg,
        object: 0,
    };
    let level = who.entry.map_or(0, |entry| entry.level);
    let (file, dentry) = (about.file, about.dentry);
    let denied = Denied { key, file, dentry, errno, level };
    // SAFETY: valid.
    unsafe { record::note_denial(&raw const denied) };
}

/// Counts an internal error of a hook.
#[inline(always)]
pub fn error(hook: Hook) {
    if let Some(cell) = ERRORS.get_ptr_mut(hook as u32) {
        atomic_add(cell.cast(), 1);
    }
}

/// Other CPUs count in the same cell. Rust has no atomic arithmetic for this target.
#[inline(always)]
fn atomic_add(cell: *mut i64, change: i64) {
    // SAFETY: the callers pass a cell of a map, aligned by its type; the verifier checks it once
    // more.
    unsafe {
        asm!("lock *(u64 *)({cell} + 0) += {change}", cell = in(reg) cell, change = in(reg) change)
    }
}

/// Adds to a container's count of tasks.
#[inline(always)]
pub fn count_tasks(key: ContainerKey, change: i64) {
    if let Some(usage) = USAGE.get_ptr_mut(key.slot) {
        // SAFETY: a cell of the map.
        atomic_add(unsafe { &raw mut (*usage).tasks }, change);
    }
}

/// Numbers of a mount's root, for the record.
#[inline(always)]
pub fn mount_root(mnt: Ptr<Vfsmount>) -> FileId {
    let inode = mnt.root().inode();
    let ino = if inode.is_null() { 0 } else { inode.ino() };
    FileId { ino, dev: mnt.sb().dev(), pad: 0 }
}
