//! Files: one is opened only through a mount that the container was granted.
//!
//! | hook | what for |
//! |---|---|
//! | capable (in `creds`) | CAP_DAC_READ_SEARCH: open_by_handle_at reaches any file of a volume's file system through the volume's mount |
//! | file_open | every open but O_PATH: files, directories, devices, executables, reopened descriptors |
//! | file_receive | descriptors that come over a socket or by pidfd_getfd |
//!
//! The mount decides, not the path: a leaked directory descriptor, a working directory,
//! `/proc/1/root` or a symlink lead to a mount of the host whatever they are called. What needs no
//! open file is in `paths` and `inodes`; what is open before the container's first instruction is
//! in `descriptors`. Nothing is checked when an open file is used.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use lockc_core::{
    abi::{
        ContainerEntry, ENTRY_GUARD, ENTRY_HOOK_MOUNTS, ENTRY_PROPAGATION, GRANT_MOUNT,
        GRANT_PROPAGATING, GRANT_SUPERBLOCK, GrantKey, Hook,
    },
    rules::Rule,
};

use crate::{
    creds, devices, families, inodes, ipc,
    kernel::{self, Obj, follow, load},
    label,
    maps::GRANTS,
    processes, pseudo, tags,
    verdict::{self, About, EACCES, EPERM, Subject},
};

/// include/uapi/linux/capability.h
pub const CAP_DAC_READ_SEARCH: i32 = 2;

/// include/linux/stat.h
pub const S_IFMT: u16 = 0o170_000;
pub const S_IFCHR: u16 = 0o020_000;
pub const S_IFBLK: u16 = 0o060_000;
pub const S_IFDIR: u16 = 0o040_000;
pub const S_IFREG: u16 = 0o100_000;
pub const S_IFIFO: u16 = 0o010_000;
pub const S_IFSOCK: u16 = 0o140_000;

/// `MNT_NS_INTERNAL`, fs/mount.h: `ERR_PTR(-EINVAL)`. Mounts of the kernel's own, which no path
/// leads to: pipes, memfds, anonymous inodes, and the layers below an overlayfs.
pub const MNT_NS_INTERNAL: u64 = -22i64 as u64;

/// `int file_open(struct file *file)`
#[lsm(hook = "file_open")]
pub fn file_open(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(1);
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::confined() else {
        return 0;
    };
    let file = Obj(ctx.arg::<*const u8>(0));
    let inode = follow(file, &kernel::FILE_INODE);
    let mode: u16 = if inode.is_null() { 0 } else { load(inode, &kernel::INODE_MODE) };
    let place = Place::of(follow(file, &kernel::FILE_PATH_MNT));
    if who.has(Rule::Files) && !creds::is_interpreter(file) {
        let verdict = check_file(&who, file, &place, Hook::FileOpen, mode & S_IFMT == S_IFCHR);
        if verdict != 0 {
            return verdict;
        }
    }
    if matches!(mode & S_IFMT, S_IFCHR | S_IFBLK) {
        let device: u32 = load(inode, &kernel::INODE_RDEV);
        return devices::check_open(&who, file, mode & S_IFMT == S_IFBLK, device);
    }
    if place.magic == pseudo::PROC_SUPER_MAGIC || place.magic == ipc::MQUEUE_MAGIC {
        let verdict = ipc::check_open(&who, file, place.magic);
        if verdict != 0 {
            return verdict;
        }
    }
    pseudo::check(&who, file, &place)
}

/// `int file_receive(struct file *file)`
#[lsm(hook = "file_receive")]
pub fn file_receive(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(1);
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::confined() else {
        return 0;
    };
    let file = Obj(ctx.arg::<*const u8>(0));
    if who.has(Rule::Files) {
        let place = Place::of(follow(file, &kernel::FILE_PATH_MNT));
        let verdict = check_file(&who, file, &place, Hook::FileReceive, true);
        if verdict != 0 {
            return verdict;
        }
    }
    families::check_received(&who, file)
}

#[inline(always)]
pub fn about(file: Obj) -> About {
    let dentry = follow(file, &kernel::FILE_PATH_DENTRY);
    let id = verdict::mount_root(follow(file, &kernel::FILE_PATH_MNT));
    About { dentry: dentry.addr(), file: id, arg: u64::from(load::<u32>(file, &kernel::FILE_MODE)) }
}

/// A mount, and what most hooks ask of it.
pub struct Place {
    pub mnt: Obj,
    pub sb: Obj,
    /// The magic number of its file system.
    pub magic: u64,
}

impl Place {
    #[inline(always)]
    pub fn of(mnt: Obj) -> Self {
        let sb = follow(mnt, &kernel::VFSMOUNT_SB);
        Self { mnt, sb, magic: load(sb, &kernel::SB_MAGIC) }
    }
}

/// Checks a file by its mount; `stdio`: what the runtime left as standard input, output or error is
/// allowed too.
#[inline(always)]
fn check_file(who: &Subject, file: Obj, place: &Place, hook: Hook, stdio: bool) -> i32 {
    if is_granted(who, place, hook) || (stdio && is_stdio(follow(file, &kernel::FILE_PATH_DENTRY)))
    {
        return 0;
    }
    verdict::deny(who, Rule::Files, hook, about(file), EACCES)
}

/// Whether a mount is one that the container was granted.
#[inline(always)]
pub fn is_granted(who: &Subject, place: &Place, hook: Hook) -> bool {
    let Some(entry) = who.entry else {
        return false;
    };
    let &Place { mnt, sb, magic } = place;
    // Pinned maps and programs, lockc's among them: no container's, whatever somebody mounts into
    // it.
    if magic == pseudo::BPF_FS_MAGIC {
        return false;
    }
    let root = tags::root(mnt);
    if tags::is_root_of(root, who.key.slot) || is_tagged(who, entry, sb, root) {
        return true;
    }
    match mount_ns(mnt) {
        Ok(MNT_NS_INTERNAL) => true,
        // The kernel's own mount of the queues of an IPC namespace, for mq_open: `ipc` decides.
        Ok(0) if magic == ipc::MQUEUE_MAGIC => true,
        Ok(namespace) if namespace == own_mount_ns() => is_own_mount(who, mnt, hook),
        Ok(_) => is_visited(who, mnt),
        Err(_) => {
            verdict::error(hook);
            false
        }
    }
}

/// Whether a mount in the current task's own mount namespace is the container's although it was not
/// granted. A function of its own: few mounts come this far.
#[inline(never)]
fn is_own_mount(who: &Subject, mnt: Obj, hook: Hook) -> bool {
    let Some(entry) = who.entry else {
        return false;
    };
    let magic = pseudo::magic(mnt);
    // sysfs and cgroup have superblocks shared with the host; `pseudo` checks them by their own
    // entries. Nobody said what a guarded container is granted; a policy may say that a
    // runtime's hooks mount what they like.
    if pseudo::is_shared(magic) || entry.flags & (ENTRY_GUARD | ENTRY_HOOK_MOUNTS) != 0 {
        return true;
    }
    // The container makes mounts of its own: what it mounts is within what it has.
    if !who.has(Rule::Mount) && inodes::leads_to_granted(who, follow(mnt, &kernel::VFSMOUNT_ROOT)) {
        return true;
    }
    if entry.flags & ENTRY_PROPAGATION != 0 {
        match is_propagated(who, mnt, tags::root(mnt)) {
            Ok(propagated) => return propagated,
            Err(_) => verdict::error(hook),
        }
    }
    false
}

/// Whether a mount in another mount namespace was granted to a container that the current task was
/// let act as. A function of its own, as above.
#[inline(never)]
fn is_visited(who: &Subject, mnt: Obj) -> bool {
    match processes::visited(who) {
        Some(Subject { key, mode, entry: Some(entry) }) => {
            let other = Subject { key, mode, entry: Some(entry) };
            is_tagged(&other, entry, follow(mnt, &kernel::VFSMOUNT_SB), tags::root(mnt))
        }
        _ => false,
    }
}

/// Whether the mount at an address, that of a descriptor which was left open, is one that the
/// container was granted, as far as its tags tell.
#[inline(always)]
pub fn is_granted_at_launch(who: &Subject, mnt: u64) -> Result<bool, i32> {
    let Some(entry) = who.entry else {
        return Ok(false);
    };
    let inode = |dentry: u64| kernel::read::<u64>(dentry, &kernel::DENTRY_INODE);
    let sb: u64 = kernel::read(mnt, &kernel::VFSMOUNT_SB)?;
    let root = inode(kernel::read(mnt, &kernel::VFSMOUNT_ROOT)?)?;
    // SAFETY: null or a live cell of the map.
    if let Some(object) = unsafe { tags::at(root).as_ref() }
        && (object.tag == entry.rootfs
            || object.owner == who.key
            || kind_of(who, object.tag) & (GRANT_MOUNT | GRANT_SUPERBLOCK) != 0)
    {
        return Ok(true);
    }
    let top = inode(kernel::read(sb, &kernel::SB_ROOT)?)?;
    // SAFETY: as above.
    if let Some(object) = unsafe { tags::at(top).as_ref() }
        && (object.owner == who.key || kind_of(who, object.tag) & GRANT_SUPERBLOCK != 0)
    {
        return Ok(true);
    }
    Ok(entry.flags & (ENTRY_GUARD | ENTRY_HOOK_MOUNTS) != 0 && ns_of_mount(mnt)? == own_mount_ns())
}

/// Whether the root of a mount, or its superblock as a whole, was granted.
#[inline(always)]
fn is_tagged(who: &Subject, entry: &ContainerEntry, sb: Obj, root: Obj) -> bool {
    // SAFETY: null or a live cell of the map.
    if let Some(object) = unsafe { tags::of(root).as_ref() }
        && (object.granted == who.key
            || object.owner == who.key
            || object.tag == entry.rootfs
            || kind_of(who, object.tag) & (GRANT_MOUNT | GRANT_SUPERBLOCK) != 0)
    {
        return true;
    }
    is_superblock_granted(who, sb, root)
}

/// Whether a superblock is the container's as a whole; `root`: an inode that was looked at already.
#[inline(always)]
pub fn is_superblock_granted(who: &Subject, sb: Obj, root: Obj) -> bool {
    let top = tags::top(sb);
    if top.addr() == root.addr() {
        return false;
    }
    // SAFETY: null or a live cell of the map.
    let Some(object) = (unsafe { tags::of(top).as_ref() }) else {
        return false;
    };
    object.owner == who.key || kind_of(who, object.tag) & GRANT_SUPERBLOCK != 0
}

/// Whether a file is what the runtime left as standard input, output or error at the container's
/// first exec.
#[inline(always)]
pub fn is_stdio(dentry: Obj) -> bool {
    // SAFETY: null or a live cell of the storage.
    let Some(label) = (unsafe { label::of(label::current()).as_ref() }) else {
        return false;
    };
    let tag = tags::tag(tags::inode(dentry));
    tag != 0 && (label.stdio[0] == tag || label.stdio[1] == tag || label.stdio[2] == tag)
}

/// Mounts on mounts below a propagating volume that are looked through.
const MAX_NESTED: usize = 4;

/// Whether a mount came from the host into a volume that lets it (`rslave`, `rshared`) while the
/// container ran. Its root remembers the volume, for the hooks that are not told the mount.
#[inline(always)]
fn is_propagated(who: &Subject, mnt: Obj, root: Obj) -> Result<bool, i32> {
    let vfsmount = kernel::offset(&kernel::MOUNT_VFSMOUNT) as u64;
    let mut mount = mnt.addr().wrapping_sub(vfsmount);
    for _ in 0..MAX_NESTED {
        let parent: u64 = kernel::read(mount, &kernel::MOUNT_PARENT)?;
        if parent == mount {
            break;
        }
        let dentry: u64 = kernel::read(parent.wrapping_add(vfsmount), &kernel::VFSMOUNT_ROOT)?;
        let inode: u64 = kernel::read(dentry, &kernel::DENTRY_INODE)?;
        let volume = tags::tag_at(inode);
        if volume != 0 && kind_of(who, volume) & GRANT_PROPAGATING != 0 {
            // SAFETY: null or a live cell of the map; the mount holds the inode.
            if let Some(object) = unsafe { tags::make(root).as_mut() } {
                object.above = volume;
            }
            return Ok(true);
        }
        mount = parent;
    }
    Ok(false)
}

/// How the container was granted a tagged object; 0: it was not.
#[inline(always)]
pub fn kind_of(who: &Subject, tag: u64) -> u32 {
    grant(&GrantKey::tagged(who.key, tag))
}

/// How something was granted; 0: it was not.
#[inline(always)]
pub fn grant(key: &GrantKey) -> u32 {
    // SAFETY: the value is copied at once.
    unsafe { GRANTS.get(key) }.copied().unwrap_or(0)
}

/// The address of the namespace that a mount is in; `mnt` is embedded in a `struct mount`.
#[inline(always)]
pub fn mount_ns(mnt: Obj) -> Result<u64, i32> {
    ns_of_mount(mnt.addr())
}

/// The same of a mount at an address.
#[inline(always)]
pub fn ns_of_mount(mnt: u64) -> Result<u64, i32> {
    let mount = mnt.wrapping_sub(kernel::offset(&kernel::MOUNT_VFSMOUNT) as u64);
    kernel::read::<u64>(mount, &kernel::MOUNT_NS)
}

/// Whether a mount has been attached to another: fsmount(2) makes one that is not.
#[inline(always)]
pub fn is_attached(mnt: Obj) -> Result<bool, i32> {
    let mount = mnt.addr().wrapping_sub(kernel::offset(&kernel::MOUNT_VFSMOUNT) as u64);
    Ok(kernel::read::<u64>(mount, &kernel::MOUNT_PARENT)? != mount)
}

/// The address of the current task's mount namespace.
#[inline(always)]
pub fn own_mount_ns() -> u64 {
    let nsproxy = follow(label::current(), &kernel::TASK_NSPROXY);
    follow(nsproxy, &kernel::NSPROXY_MNT_NS).addr()
}

/// include/uapi/linux/btrfs.h
pub const BTRFS_IOC_SNAP_DESTROY_V2: u32 = 0x5000_943f;
const BTRFS_SUPER_MAGIC: u64 = 0x9123_683e;

/// Denies deleting a btrfs subvolume by the call that takes its number, which may lie outside of
/// every mount of the container's (fs/btrfs/ioctl.c, `btrfs_ioctl_snap_destroy`): with the mount
/// option user_subvol_rm_allowed, the owner may. Deleting one by its name is another call, which
/// stays within the directory that it is made on.
#[inline(always)]
pub fn check_subvolume(file: Obj, hook: Hook) -> i32 {
    let Some(who) = verdict::subject_to(Rule::Files) else {
        return 0;
    };
    let sb = follow(follow(file, &kernel::FILE_PATH_MNT), &kernel::VFSMOUNT_SB);
    if load::<u64>(sb, &kernel::SB_MAGIC) != BTRFS_SUPER_MAGIC {
        return 0;
    }
    verdict::deny(&who, Rule::Files, hook, about(file), EPERM)
}
