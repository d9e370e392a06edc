//! Names in procfs, sysfs and cgroup file systems that may be read or written.

/// [`NameKey::node`] of procfs' root directory.
pub const NODE_PROC: u32 = 1;
/// [`NameKey::node`] of sysfs' root directory.
pub const NODE_SYS: u32 = 2;
/// [`NameKey::node`] of the cgroup that is the container's own, in `names`.
pub const NODE_CGROUP: u32 = 3;
/// Bytes of a name in `names`; a longer name is in no table.
pub const NAME_LEN: usize = 28;

/// Key of `names`: an entry of a directory in procfs or sysfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct NameKey {
    /// Number of the directory; `NODE_*` or given out by the loader.
    pub node: u32,
    /// The name, padded with zeros.
    pub name: [u8; NAME_LEN],
}

/// [`NameRule::flags`]: this entry itself may be read (a directory: listed).
pub const NAME_READ: u32 = 1;
/// [`NameRule::flags`]: it may be written.
pub const NAME_WRITE: u32 = 2;
/// [`NameRule::flags`]: everything below has the same flags.
pub const NAME_SUBTREE: u32 = 4;

/// Value of `names`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct NameRule {
    /// `NAME_*`.
    pub flags: u32,
    /// Number of this directory for the look-up of the next name; 0 where the table ends.
    pub node: u32,
}

/// Names between the root of procfs or sysfs and what a policy lets its containers read, at most.
pub const READ_DEPTH: usize = 12;
/// Bytes of a name in `reads`; a longer name is in no set.
pub const READ_NAME_LEN: usize = 44;
/// How many names all sets in `reads` together can have.
pub const MAX_READS: u32 = 1 << 16;
/// How many sets there can be at a time: one for all containers that may read the same.
pub const MAX_READ_SETS: u32 = 4096;

/// Key of `reads`: an entry of a directory in procfs or sysfs, in one set of what may be read. Its
/// value is a [`NameRule`]; nothing in there may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct ReadKey {
    /// Number of the directory in its set; never the same in two sets.
    pub node: u32,
    /// The name, padded with zeros.
    pub name: [u8; READ_NAME_LEN],
}

/// Value of `read_sets`: the numbers that one set has in `reads`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ReadSet {
    /// The first, that of procfs' root directory.
    pub first: u32,
    /// How many.
    pub count: u32,
}
