//! The record of denials in the pinned maps: of each container and rule the newest distinct ones,
//! kept while nobody reads them; and the log, which tells their order.
//!
//! A denial that happens again adds to the count of the one that is there. Every reader sees all
//! of it: nothing is taken out by reading.

use super::containers::{ContainerKey, FileId, ID_LEN, ORIGIN_LEN, POLICY_LEN};
use crate::rules::Rule;

/// Distinct denials that are kept of a container under one rule: a flood under one rule, or in one
/// container, takes no room from others.
pub const KEPT_DENIALS: u32 = 64;

/// Distinct denials that are kept of all containers together.
pub const MAX_DENIALS: u32 = 1 << 16;

/// Entries of the log.
pub const LOG_ENTRIES: u32 = 1 << 13;

/// Between two entries of the log for the same denial, in nanoseconds.
pub const LOG_INTERVAL_NS: u64 = 10_000_000_000;

/// How many containers that are gone keep their denials.
pub const MAX_ENDED: u32 = 256;

/// Names in the path of a denial: the file's and those of the directories above it.
pub const PATH_NAMES: usize = 8;
/// Bytes of each of these names, with the terminating zero; a longer name is cut.
pub const PATH_NAME_LEN: usize = 32;
/// Bytes of the path.
pub const PATH_LEN: usize = PATH_NAMES * PATH_NAME_LEN;

/// What makes a denial another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct DenialKey {
    /// The container.
    pub container: ContainerKey,
    /// [`Rule`](crate::rules::Rule).
    pub rule: u16,
    /// [`Hook`](crate::hooks::Hook).
    pub hook: u16,
    /// `MODE_*` in force.
    pub mode: u32,
    /// A number that [`Argument`](crate::hooks::Argument) of the hook explains.
    pub arg: u64,
    /// A hash of the file: of its inode (of a file that does not exist yet, its directory's), its
    /// name, and the mount's root. It is keyed, so that nobody can choose names with the same hash.
    pub object: u64,
}

/// One distinct denial (or, in audit mode, what would have been one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Denial {
    /// How often it happened.
    pub count: u64,
    /// When it happened first, in nanoseconds of `CLOCK_BOOTTIME`; 0: it is being written.
    pub first_ns: u64,
    /// When it happened last, likewise.
    pub last_ns: u64,
    /// When the log had it last, likewise.
    pub logged_ns: u64,
    /// The root of the mount, if that is known.
    pub file: FileId,
    /// Process and thread in the initial PID namespace when it was last in the log, for the reader
    /// only.
    pub pid: u32,
    /// See `pid`.
    pub tid: u32,
    /// The negative errno that was returned.
    pub errno: i32,
    /// [`Level`](crate::rules::Level) of the container; 0: its entry was gone.
    pub level: u32,
    /// Name of the task, see `pid`.
    pub comm: [u8; 16],
    /// The file's name and those of its parents, nearest first: [`PATH_NAMES`] fields, each padded
    /// with zeros.
    pub path: [u8; PATH_LEN],
}

/// The denials of a container under one rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct DenialRing {
    /// The container.
    pub container: ContainerKey,
    /// [`Rule`](crate::rules::Rule).
    pub rule: u32,
    /// A place below [`KEPT_DENIALS`]; 0 in keys of `denial_counts`.
    pub place: u32,
}

/// An entry of the log: a denial happened for the first time, or again after
/// [`LOG_INTERVAL_NS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LogEntry {
    /// Its number, from 1; the cell is that of the number before, modulo [`LOG_ENTRIES`]. 0: it is
    /// being written.
    pub number: u64,
    /// The denial.
    pub key: DenialKey,
    /// How often it had happened by then.
    pub count: u64,
}

/// Cell of `totals`: entries that were written into the log.
pub const TOTAL_LOGGED: u32 = 0;
/// Cell of `totals`: denials that gave their place to newer ones, with all their repetitions.
pub const TOTAL_REPLACED: u32 = 1;
/// Cell of `totals`: denials that found no room.
pub const TOTAL_LOST: u32 = 2;
/// Cell of `totals`: containers that were written into `ended`; user space only.
pub const TOTAL_ENDED: u32 = 3;
/// Cells of `totals` from here on: denials by rule ([`total_by_rule`]).
const TOTAL_BY_RULE: u32 = 4;
/// Cells of `totals`.
pub const TOTALS: u32 = TOTAL_BY_RULE + 2 * Rule::ALL.len() as u32;

/// The cell of `totals` that counts the denials by a rule: those that were denied, or those in
/// audit mode.
#[inline(always)]
pub const fn total_by_rule(rule: u32, is_audited: bool) -> u32 {
    TOTAL_BY_RULE + 2 * rule + is_audited as u32
}

/// A container that is gone and has denials in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct EndedContainer {
    /// Its key; generation 0: the place is free.
    pub key: ContainerKey,
    /// [`Level`](crate::rules::Level).
    pub level: u32,
    /// `MODE_*`.
    pub mode: u32,
    /// All of its denials.
    pub denials: u64,
    /// When it was registered, in nanoseconds of `CLOCK_BOOTTIME`.
    pub created_ns: u64,
    /// As in [`ContainerEntry`](super::ContainerEntry).
    pub id: [u8; ID_LEN],
    /// Likewise.
    pub policy: [u8; POLICY_LEN],
    /// Likewise.
    pub origin: [u8; ORIGIN_LEN],
}
