//! Containers and labels in the pinned maps.

use crate::{hooks::Hook, rules::RuleMask};

/// How many containers can be registered at a time; a slot is taken again once its container and
/// tasks are gone.
pub const MAX_CONTAINERS: u32 = 16_384;

/// How many mount roots, superblocks, sockets and devices all containers together can be granted.
pub const MAX_GRANTS: u32 = 1 << 20;

/// Handle to a container: the slot of its entry and the generation that the entry had when the
/// handle was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct ContainerKey {
    /// Index into `containers` and `usage`.
    pub slot: u32,
    /// Never 0 in a valid handle, never the same twice for one slot (until 2^32 registrations).
    pub generation: u32,
}

/// [`TaskLabel::state`]: the wrapper grants the container what it calls `fstatfs(2)` on, as
/// [`TaskLabel::grant`] says.
pub const STATE_GRANT: u32 = 1;
/// [`TaskLabel::state`]: the runtime, setting up a container or joining it; only what it executes
/// is checked.
pub const STATE_LAUNCHING: u32 = 2;
/// [`TaskLabel::state`]: the container's own; checked.
pub const STATE_CONFINED: u32 = 3;

/// [`TaskLabel::flags`]: the base root and mount namespace are recorded.
pub const LABEL_HAS_BASE: u32 = 1;
/// [`TaskLabel::flags`]: the kernel counted this task in `usage`.
pub const LABEL_COUNTED: u32 = 2;
/// [`TaskLabel::flags`]: the programs have seen this label in the wrapper.
pub const LABEL_SEEN: u32 = 4;
/// [`TaskLabel::flags`]: the program that is being executed is the container's; once the exec
/// cannot fail any more, the task is confined.
pub const LABEL_CONFINES: u32 = 8;

/// [`TaskLabel::flags`]: an overlayfs of the container's is asked for its size, and asks its own
/// layer next.
pub const LABEL_ASKS_LAYER: u32 = 16;

/// Answer of `fstatfs(2)` in [`STATE_GRANT`], `EALREADY`: it is granted. The file system itself was
/// not asked.
pub const ANSWER_GRANTED: i32 = 114;
/// Answer of `fstatfs(2)` in [`STATE_GRANT`], `EXDEV`: it is the root directory of the wrapper
/// itself, so that a grant would cover every file of the host.
pub const ANSWER_OWN_ROOT: i32 = 18;
/// Answer of `fstatfs(2)` in [`STATE_GRANT`], `ESTALE`: the overlayfs is made of something that was
/// not granted.
pub const ANSWER_OTHER_LAYERS: i32 = 116;
/// Answer of `fstatfs(2)` in [`STATE_GRANT`], `ENODATA`: the kernel does not tell what an overlayfs
/// is made of.
pub const ANSWER_LAYERS_UNTOLD: i32 = 61;

/// Value of `tags`, whose key is an inode's address: what is known of the inode until the kernel
/// frees it. No other object ever has the same tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ObjectTag {
    /// A number that was granted out once; never 0.
    pub tag: u64,
    /// In the root inode of a superblock that was mounted while a container was being set up: that
    /// container, to which all of the superblock belongs. Generation 0: no container.
    pub owner: ContainerKey,
    /// In the root of a mount that the host made in a granted volume: the tag of that volume;
    /// otherwise 0.
    pub above: u64,
    /// The container that was granted it last, as the root of a mount or as its whole superblock.
    /// Others' grants are in
    /// `grants`.
    pub granted: ContainerKey,
    /// `TAG_*`.
    pub flags: u32,
    /// The slot in `roots` that has this inode, plus 1; 0: none.
    pub root_slot: u32,
}

/// [`ObjectTag::flags`]: a directory whose sockets some container was granted by their names, so
/// that no container may give a socket another name in it.
pub const TAG_SOCKETS: u32 = 1;

/// Inode and device number of a file, for people who read events. Nothing compares them: both are
/// used again, are equal for different files of btrfs, and 0 on some file systems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FileId {
    /// `i_ino`.
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
    /// Tag of the root directory of the runtime when it was executed: the host's, or that of the
    /// engine's own container.
    pub base_root: u64,
    /// Address of the runtime's mount namespace. That a task is in it only ever loosens what it
    /// may execute of the host's; files of the container's are told by their tags.
    pub base_mnt_ns: u64,
    /// Tags of what was standard input, output and error at the container's first exec; 0: not
    /// known.
    pub stdio: [u64; 3],
    /// In [`STATE_GRANT`]: `GRANT_*` of what is granted next.
    pub grant: u32,
    /// Always 0.
    pub pad: u32,
    /// The other container that the task was last let act as (ptrace and its like); generation 0:
    /// none.
    pub visits: ContainerKey,
}

/// [`ContainerEntry::mode`]: denials are enforced.
pub const MODE_ENFORCE: u32 = 0;
/// [`ContainerEntry::mode`]: denials are only reported.
pub const MODE_AUDIT: u32 = 1;

/// [`ContainerEntry::flags`]: the engine asked for deletion; the slot is free once the last task is
/// gone.
pub const ENTRY_DELETING: u32 = 1;
/// [`ContainerEntry::flags`]: stands for every container that a runtime starts without the wrapper.
/// What they are granted is not known: every mount in a task's own mount namespace is.
pub const ENTRY_GUARD: u32 = 2;
/// [`ContainerEntry::flags`]: without network, the loopback addresses of IPv4 may be used all the
/// same.
pub const ENTRY_LOOPBACK: u32 = 4;
/// [`ContainerEntry::flags`]: it has a volume into which the host may mount more.
pub const ENTRY_PROPAGATION: u32 = 8;
/// [`ContainerEntry::flags`]: it runs on a kernel of its own, into which the host's programs cannot
/// see.
pub const ENTRY_SANDBOX: u32 = 16;
/// [`ContainerEntry::flags`]: what root's own hooks mount into the container counts as granted, and
/// they may execute programs of the host's in its root directory.
pub const ENTRY_HOOK_MOUNTS: u32 = 2048;
/// [`ContainerEntry::flags`]: its runtime mounts its cgroup writable and lets it manage what is
/// below.
pub const ENTRY_CGROUPS: u32 = 512;
/// [`ContainerEntry::flags`]: its policy admitted devices, sockets or directories of the host
/// beyond its level.
pub const ENTRY_POLICY_GRANTS: u32 = 128;

/// [`ContainerEntry::flags`]: it may execute nothing and use no socket until the administrator
/// releases it.
pub const ENTRY_QUARANTINED: u32 = 4096;

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
    /// The rules that apply, as bits of [`RuleMask`](crate::rules::RuleMask).
    pub rules: u64,
    /// Those of them that only report.
    pub audited: u64,
    /// Capabilities that its tasks may use, as bits (include/uapi/linux/capability.h).
    pub capabilities: u64,
    /// The kernel's number of the container's uid 0; another than 0 in a user namespace of its
    /// own.
    pub root_uid: u32,
    /// What its policy lets it read beyond the table `names`: [`ReadKey::node`] of procfs' root
    /// directory, and the next number for that of sysfs; 0: nothing.
    pub reads: u32,
    /// Socket families and netlink protocols that its policy names, as bits of
    /// [`families`](crate::families).
    pub families: u64,
    /// Tag of the root of the container's root file system; 0: not known yet.
    pub rootfs: u64,
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
            audited: 0,
            capabilities: 0,
            root_uid: 0,
            reads: 0,
            families: 0,
            rootfs: 0,
            created_ns: 0,
            id_hash: [0; 32],
            id: [0; ID_LEN],
            policy: [0; POLICY_LEN],
            origin: [0; ORIGIN_LEN],
        }
    }
}

impl ContainerEntry {
    /// The rules that deny, where the mode lets them.
    pub const fn enforced(&self) -> RuleMask {
        RuleMask(self.rules & !self.audited)
    }
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
    /// 1 where the programs can tell what an overlayfs is made of.
    pub layers_told: u32,
    /// Always 0.
    pub pad: u32,
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

/// Cells of `errors`, one a hook.
pub const ERROR_SITES: u32 = 128;

const _: () = assert!(crate::hooks::PROGRAMS.len() <= ERROR_SITES as usize);
