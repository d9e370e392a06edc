//! Types that cross from user space into the kernel through pinned maps.
//!
//! Every change of a layout or of a meaning raises [`ABI_VERSION`]: loader, wrapper and command refuse maps of another
//! version instead of misreading them.

mod hook;

pub use hook::Hook;

/// Version of everything in this module.
pub const ABI_VERSION: u32 = 5;

/// How many containers can be registered at a time; a slot is taken again once its container and tasks are gone.
pub const MAX_CONTAINERS: u32 = 16_384;

/// How many mount roots, superblocks and sockets all containers together can be given.
pub const MAX_GIVEN: u32 = 1 << 20;

/// Handle to a container: the slot of its entry and the generation that the entry had when the handle was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct ContainerKey {
    /// Index into `containers` and `usage`.
    pub slot: u32,
    /// Never 0 in a valid handle, never the same twice for one slot (until 2^32 registrations).
    pub generation: u32,
}

/// [`TaskLabel::state`]: the wrapper asks for a file's kernel identity with `fstatfs(2)`.
pub const STATE_IDENTIFY: u32 = 1;
/// [`TaskLabel::state`]: the runtime, setting up a container or joining it; not judged.
pub const STATE_SETUP: u32 = 2;
/// [`TaskLabel::state`]: the container's own; judged.
pub const STATE_CONFINED: u32 = 3;

/// [`TaskLabel::flags`]: the base root and mount namespace are recorded.
pub const LABEL_HAS_BASE: u32 = 1;
/// [`TaskLabel::flags`]: the kernel counted this task in `usage`.
pub const LABEL_COUNTED: u32 = 2;
/// [`TaskLabel::flags`]: `seen` holds an answer.
pub const LABEL_SEEN: u32 = 4;

/// Kernel identity of a file or of a mount's root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FileId {
    /// `i_ino`; 0 stands for the whole superblock.
    pub ino: u64,
    /// `s_dev` of the superblock, in the kernel's own encoding (not that of `stat(2)`).
    pub dev: u32,
    /// Always 0.
    pub pad: u32,
}

/// What a task carries in task-local storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TaskLabel {
    /// The container.
    pub key: ContainerKey,
    /// `STATE_*`.
    pub state: u32,
    /// `LABEL_*`.
    pub flags: u32,
    /// Root directory of the runtime when it was executed: the host's, or that of the engine's own container.
    pub base_root: FileId,
    /// Address of the runtime's mount namespace; compared, never followed.
    pub base_mnt_ns: u64,
    /// Answer to [`STATE_IDENTIFY`].
    pub seen: FileId,
}

/// [`ContainerEntry::mode`]: denials are enforced.
pub const MODE_ENFORCE: u32 = 0;
/// [`ContainerEntry::mode`]: denials are only reported.
pub const MODE_AUDIT: u32 = 1;

/// [`ContainerEntry::flags`]: the engine asked for deletion; the slot is free once the last task is gone.
pub const ENTRY_DELETING: u32 = 1;
/// [`ContainerEntry::flags`]: stands for every container that a runtime starts without the wrapper. What they are given
/// is not known: every mount in a task's own mount namespace is.
pub const ENTRY_GUARD: u32 = 2;
/// [`ContainerEntry::flags`]: without network, the loopback addresses of IPv4 may be used all the same.
pub const ENTRY_LOOPBACK: u32 = 4;
/// [`ContainerEntry::flags`]: it has a volume into which the host may mount more.
pub const ENTRY_PROPAGATION: u32 = 8;
/// [`ContainerEntry::flags`]: it runs on a kernel of its own, into which the host's programs cannot see.
pub const ENTRY_SANDBOX: u32 = 16;
/// [`ContainerEntry::flags`]: its policy admitted devices, sockets or directories of the host beyond its level.
pub const ENTRY_POLICY_GRANTS: u32 = 128;

/// Bytes of a container's id that are kept for messages.
pub const ID_LEN: usize = 64;
/// Bytes of a policy's name that are kept for messages.
pub const POLICY_LEN: usize = 32;
/// Bytes of a level's origin that are kept for messages.
pub const ORIGIN_LEN: usize = 48;

/// A registered container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct ContainerEntry {
    /// 0 in a free slot.
    pub generation: u32,
    /// [`Level`](crate::rules::Level).
    pub level: u32,
    /// `MODE_*`.
    pub mode: u32,
    /// `ENTRY_*`.
    pub flags: u32,
    /// Bits of [`RuleMask`](crate::rules::RuleMask).
    pub rules: u64,
    /// Capabilities that its tasks may use, as bits (include/uapi/linux/capability.h).
    pub capabilities: u64,
    /// The kernel's number of the container's uid 0; another than 0 in a user namespace of its own.
    pub root_uid: u32,
    /// What its policy lets it read beyond the table `names`: [`ReadKey::node`] of procfs' root directory, and the next
    /// number for that of sysfs; 0: nothing.
    pub reads: u32,
    /// Root of the container's root file system.
    pub rootfs: FileId,
    /// When it was registered, in nanoseconds of `CLOCK_BOOTTIME`.
    pub created_ns: u64,
    /// The container's key in `ids`.
    pub id_hash: [u8; 32],
    /// The id, cut at [`ID_LEN`] bytes, padded with zeros.
    pub id: [u8; ID_LEN],
    /// Name of the policy, cut and padded likewise.
    pub policy: [u8; POLICY_LEN],
    /// Where the level came from, cut and padded likewise (`annotation org.lockc.policy`, …).
    pub origin: [u8; ORIGIN_LEN],
}

impl Default for ContainerEntry {
    fn default() -> Self {
        Self {
            generation: 0,
            level: 0,
            mode: MODE_ENFORCE,
            flags: 0,
            rules: 0,
            capabilities: 0,
            root_uid: 0,
            reads: 0,
            rootfs: FileId { ino: 0, dev: 0, pad: 0 },
            created_ns: 0,
            id_hash: [0; 32],
            id: [0; ID_LEN],
            policy: [0; POLICY_LEN],
            origin: [0; ORIGIN_LEN],
        }
    }
}

/// Key of `given`: what a container was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct GivenKey {
    /// The container.
    pub key: ContainerKey,
    /// A mount's root, a whole superblock (`ino` 0), or a socket's inode.
    pub id: FileId,
}

/// Value of `given`: a mount root or superblock; files in it may be opened.
pub const GIVEN_MOUNT: u32 = 1;
/// Value of `given`: a unix socket of the host that the policy names.
pub const GIVEN_SOCKET: u32 = 2;
/// Value of `given`: a device that may be opened and made; its key is a [`device_id`].
pub const GIVEN_DEVICE: u32 = 3;
/// Value of `given`: a file that the runtime left as standard input, output or error.
pub const GIVEN_STDIO: u32 = 4;

/// Value of `given`: a mount root below which the host may mount more while the container runs.
pub const GIVEN_PROPAGATING: u32 = 5;

/// [`FileId::dev`] of character devices in `given`: no superblock has this number.
const CHARACTER_DEVICES: u32 = u32::MAX;
/// [`FileId::dev`] of block devices in `given`.
const BLOCK_DEVICES: u32 = u32::MAX - 1;
/// Stands for every minor number in a [`device_id`]; the kernel's have 20 bits (include/linux/kdev_t.h).
pub const ANY_MINOR: u32 = u32::MAX;

/// The key of a device in `given`.
#[inline(always)]
pub const fn device_id(block: bool, major: u32, minor: u32) -> FileId {
    let dev = if block { BLOCK_DEVICES } else { CHARACTER_DEVICES };
    FileId { ino: (major as u64) << 32 | minor as u64, dev, pad: 0 }
}

/// Whether a character device is in every container: null, zero, full, random, urandom, tty, console, ptmx
/// (runtime-spec, config-linux.md, "Default Devices"), and the terminals of devpts (majors 136 to 143,
/// include/uapi/linux/major.h).
#[inline(always)]
pub const fn is_default_device(major: u32, minor: u32) -> bool {
    matches!((major, minor), (1, 3 | 5 | 7 | 8 | 9) | (5, 0..=2) | (136..=143, _))
}

/// Live tasks of a slot, counted by the kernel side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Usage {
    /// Labelled children alive; never below 0 in a correct count.
    pub tasks: i64,
    /// Denials since the slot was taken.
    pub denials: u64,
}

/// The one value of `meta`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Meta {
    /// [`ABI_VERSION`] of the loader.
    pub abi: u32,
    /// Generation of the last registration.
    pub generation: u32,
    /// Slots below this one have been used.
    pub slots_used: u32,
    /// Numbers of `reads` up to this one have been used, and are not used again.
    pub nodes_used: u32,
    /// Programs that the loader attached, a bit a [`Hook`]: an older kernel lacks some hooks.
    pub attached: [u64; 2],
    /// The loader's version, padded with zeros.
    pub version: [u8; 32],
}

impl Meta {
    /// Whether the loader attached the program of a hook.
    pub const fn has(&self, hook: Hook) -> bool {
        self.attached[hook as usize / 64] >> (hook as usize % 64) & 1 != 0
    }

    /// Notes that the program of a hook is attached.
    pub const fn add(&mut self, hook: Hook) {
        self.attached[hook as usize / 64] |= 1 << (hook as usize % 64);
    }
}

/// Names in the detail of an event.
pub const DETAIL_NAMES: usize = 4;
/// Bytes of each of these names, with the terminating zero; a longer name is cut.
pub const DETAIL_NAME_LEN: usize = 24;
/// Bytes of the detail in an event.
pub const DETAIL_LEN: usize = DETAIL_NAMES * DETAIL_NAME_LEN;

/// One denial (or, in audit mode, what would have been one), as written into the ring buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub time_ns: u64,
    /// The container.
    pub key: ContainerKey,
    /// [`Rule`](crate::rules::Rule).
    pub rule: u32,
    /// [`Hook`].
    pub hook: u32,
    /// Process and thread in the initial PID namespace, for the reader only.
    pub pid: u32,
    /// See `pid`.
    pub tid: u32,
    /// What was denied, if it is a file.
    pub file: FileId,
    /// A number that explains the hook (capability, socket family, …).
    pub arg: u64,
    /// The negative errno that was returned.
    pub errno: i32,
    /// `MODE_*` in force.
    pub mode: u32,
    /// [`Level`](crate::rules::Level) of the container; 0: its entry is gone.
    pub level: u32,
    /// Always 0.
    pub pad: u32,
    /// From the container's entry, which may be gone when the event is read.
    pub id: [u8; ID_LEN],
    /// Likewise.
    pub policy: [u8; POLICY_LEN],
    /// Likewise.
    pub origin: [u8; ORIGIN_LEN],
    /// Name of the task.
    pub comm: [u8; 16],
    /// The file's name and those of its parents, nearest first: [`DETAIL_NAMES`] fields, each padded with zeros.
    pub detail: [u8; DETAIL_LEN],
}

/// Cells of `errors`: one a hook; the last counts lost events.
pub const ERROR_SITES: u32 = 128;

/// [`NameKey::node`] of procfs' root directory.
pub const NODE_PROC: u32 = 1;
/// [`NameKey::node`] of sysfs' root directory.
pub const NODE_SYS: u32 = 2;
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

/// Key of `reads`: an entry of a directory in procfs or sysfs, in one set of what may be read. Its value is a
/// [`NameRule`]; nothing in there may be written.
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

/// Bytes of a container's id, policy and origin, which stand together in [`ContainerEntry`] and [`Event`].
pub const NAMES_LEN: usize = ID_LEN + POLICY_LEN + ORIGIN_LEN;

const _: () = {
    use core::mem::offset_of;
    assert!(
        offset_of!(ContainerEntry, id).is_multiple_of(8)
            && offset_of!(Event, id).is_multiple_of(8)
            && NAMES_LEN.is_multiple_of(8)
    );
    assert!(offset_of!(ContainerEntry, origin) + ORIGIN_LEN - offset_of!(ContainerEntry, id) == NAMES_LEN);
    assert!(offset_of!(Event, origin) + ORIGIN_LEN - offset_of!(Event, id) == NAMES_LEN);
};

macro_rules! assert_layout {
    ($($type:ty: $size:literal, $align:literal;)*) => {$(
        const _: () = assert!(size_of::<$type>() == $size && align_of::<$type>() == $align);
    )*};
}

assert_layout! {
    ContainerKey: 8, 4;
    FileId: 16, 8;
    TaskLabel: 56, 8;
    ContainerEntry: 240, 8;
    GivenKey: 24, 8;
    Usage: 16, 8;
    Meta: 64, 8;
    Event: 328, 8;
    NameKey: 32, 4;
    NameRule: 8, 4;
    ReadKey: 48, 4;
    ReadSet: 8, 4;
}
