//! What containers are granted and what is theirs: mounts, sockets, devices, programs, keys.

use super::containers::ContainerKey;

/// Key of `grants`: what a container is granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct GrantKey {
    /// The container.
    pub key: ContainerKey,
    /// A tag, or the number of a device.
    pub object: u64,
    /// `OBJECT_*`.
    pub kind: u32,
    /// Always 0.
    pub pad: u32,
}

/// [`GrantKey::kind`]: [`GrantKey::object`] is an [`ObjectTag::tag`](super::ObjectTag::tag).
pub const OBJECT_TAG: u32 = 0;
/// [`GrantKey::kind`]: [`GrantKey::object`] is a character device's major number above its minor
/// number.
pub const OBJECT_CHARACTER_DEVICE: u32 = 1;
/// [`GrantKey::kind`]: likewise, a block device's.
pub const OBJECT_BLOCK_DEVICE: u32 = 2;

impl GrantKey {
    /// The key of a tagged object.
    #[inline(always)]
    pub const fn tagged(key: ContainerKey, tag: u64) -> Self {
        Self { key, object: tag, kind: OBJECT_TAG, pad: 0 }
    }

    /// The key of a device; `minor` may be [`ANY_MINOR`].
    #[inline(always)]
    pub const fn device(key: ContainerKey, block: bool, major: u32, minor: u32) -> Self {
        let kind = if block { OBJECT_BLOCK_DEVICE } else { OBJECT_CHARACTER_DEVICE };
        Self { key, object: (major as u64) << 32 | minor as u64, kind, pad: 0 }
    }
}

/// Bit of a value of `grants`: a mount's root; files that are reached through such a mount may be
/// opened.
pub const GRANT_MOUNT: u32 = 1;
/// Bit of a value of `grants`: the root of a superblock; files of it may be opened through every
/// mount.
pub const GRANT_SUPERBLOCK: u32 = 2;
/// Bit of a value of `grants`: a mount's root below which the host may mount more while the
/// container runs.
pub const GRANT_PROPAGATING: u32 = 4;
/// Bit of a value of `grants`: a unix socket of the host that the policy names.
pub const GRANT_SOCKET: u32 = 8;
/// Bit of a value of `grants`: a device that may be opened and made.
pub const GRANT_DEVICE: u32 = 16;
/// Bit of a value of `grants`: a directory of the host with programs that the host's own root uses,
/// so that a hook which executes them executes nothing of the container's.
pub const GRANT_HOST_PROGRAMS: u32 = 32;
/// Bit of a value of `grants`: a directory; the sockets in it that `socket_names` names may be
/// connected to. The answer is in [`TaskLabel::stdio`](super::TaskLabel::stdio): the directory's
/// tag.
pub const GRANT_SOCKETS: u32 = 64;
/// Bit of a value of `grants`: a directory that an overlayfs of the container's may show, and does
/// not change.
pub const GRANT_LOWER: u32 = 128;
/// Bit of a value of `grants`: a directory that an overlayfs of the container's may change.
pub const GRANT_UPPER: u32 = 256;
/// Only in [`TaskLabel::grant`](super::TaskLabel::grant), beside others: it is granted only where
/// the kernel side can tell what an overlayfs is made of.
pub const GRANT_IF_TOLD: u32 = 1 << 28;
/// Only in [`TaskLabel::grant`](super::TaskLabel::grant): an overlayfs, which must be made of
/// granted directories alone. Nothing is granted.
pub const GRANT_OVERLAY: u32 = 1 << 29;
/// Only in [`TaskLabel::grant`](super::TaskLabel::grant): the container's root file system, which
/// goes into its entry.
pub const GRANT_ROOT: u32 = 1 << 31;

/// Only in [`TaskLabel::grant`](super::TaskLabel::grant): a program to be guarded; the answer is in
/// [`TaskLabel::stdio`](super::TaskLabel::stdio): the inode's number, and the device below the
/// generation.
pub const GRANT_PROGRAM: u32 = 1 << 30;

/// How many names of sockets all containers together can be granted.
pub const MAX_SOCKET_NAMES: u32 = 1 << 17;
/// How many names of sockets a container can be granted in one directory.
pub const SOCKET_NAMES: u32 = 16;
/// Bytes of a socket's name; it is in a path of at most 108 (`struct sockaddr_un`).
pub const SOCKET_NAME_LEN: usize = 112;

/// Key of `socket_names`: sockets in a directory that a container is granted with
/// [`GRANT_SOCKETS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct SocketNameKey {
    /// The container.
    pub key: ContainerKey,
    /// Tag of the directory.
    pub directory: u64,
    /// From 0 without a gap, below [`SOCKET_NAMES`].
    pub index: u32,
    /// Always 0.
    pub pad: u32,
}

/// Value of `socket_names`: the beginning and the end of a name, or a whole name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SocketName {
    /// The beginning, padded with zeros.
    pub head: [u64; SOCKET_NAME_LEN / 8],
    /// All ones where the name must equal `head`; all over for a whole name, the zeros behind it
    /// included.
    pub mask: [u64; SOCKET_NAME_LEN / 8],
    /// The end, padded with zeros.
    pub tail: [u64; SOCKET_NAME_LEN / 8],
    /// Bytes of the end.
    pub tail_len: u32,
    /// Bytes of the name at least.
    pub least: u32,
}

/// Stands for every minor number in [`GrantKey::device`]; the kernel's have 20 bits
/// (include/linux/kdev_t.h).
pub const ANY_MINOR: u32 = u32::MAX;

/// Key of `guard`: a program of the host's that starts containers.
///
/// Inode and device number, and the generation that the file system gave the inode. A tag would not
/// do: the kernel may drop the inode of a program that nobody executes, and the guard would be off.
/// Another file with the same numbers would only be guarded too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct ProgramKey {
    /// `i_ino`.
    pub ino: u64,
    /// `s_dev`.
    pub dev: u32,
    /// `i_generation`.
    pub generation: u32,
}

/// Whether a character device is in every container: null, zero, full, random, urandom, tty, ptmx
/// (runtime-spec, config-linux.md, "Default Devices"), and the terminals of devpts (majors 136 to
/// 143, include/uapi/linux/major.h).
///
/// 5:1 is not: it is the host's console, whoever opens it. What a container finds at `/dev/console`
/// is a terminal of devpts, which its runtime mounts there.
#[inline(always)]
pub const fn is_default_device(major: u32, minor: u32) -> bool {
    matches!((major, minor), (1, 3 | 5 | 7 | 8 | 9) | (5, 0 | 2) | (136..=143, _))
}

/// How many keys a container can have at a time; the kernel's own limit for users other than root
/// is 200.
pub const MAX_KEYS: u32 = 1024;

/// How many keys all containers together can have.
pub const MAX_ALL_KEYS: u32 = 1 << 18;

/// Value of `keys`: whose a key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct KeyOwner {
    /// The container whose task, or whose runtime, created it.
    pub key: ContainerKey,
    /// Its place among the container's keys.
    pub place: u32,
    /// Always 0.
    pub pad: u32,
    /// Address of its type; compared, never followed.
    pub kind: u64,
}

/// Key of `key_places`: a place among the keys of the containers that use a slot one after another.
/// The value is the address of the key that took it last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct KeyPlace {
    /// The container's slot.
    pub slot: u32,
    /// Below [`MAX_KEYS`].
    pub place: u32,
}

/// How many System V objects of containers there can be in the host's IPC namespace: more than it
/// may have of the three kinds (`IPCMNI`, include/linux/ipc_namespace.h), but where the kernel was
/// booted with `ipcmni_extend`.
pub const MAX_IPC_OBJECTS: u32 = 1 << 17;

/// How many message queues of containers there can be in the host's IPC namespace;
/// `fs.mqueue.queues_max` is 256 by default.
pub const MAX_QUEUES: u32 = 1 << 16;

/// A device that a container may open and make nodes of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "maps", derive(serde::Serialize, serde::Deserialize))]
pub struct GrantedDevice {
    /// A block device; otherwise a character device.
    pub block: bool,
    /// 12 bits.
    pub major: u32,
    /// 20 bits; `None`: every one.
    pub minor: Option<u32>,
}
