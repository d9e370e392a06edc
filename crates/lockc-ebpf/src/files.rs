//! Files: one is opened only through a mount that the container was granted.
//!
//! The mount decides, not the path: a leaked directory descriptor, a working directory,
//! `/proc/1/root` or a symlink lead to a mount of the host whatever they are called. Through a
//! volume's mount open_by_handle_at(2) reaches any file of the volume's file system; it needs
//! CAP_DAC_READ_SEARCH, which `creds` denies.
//!
//! `paths` and `inodes` check what needs no open file; `descriptors` checks what is open before the
//! container's first instruction. Use of an open file is not checked.

use lockc_core::{
    abi::{
        ContainerEntry, ENTRY_GUARD, ENTRY_HOOK_MOUNTS, ENTRY_PROPAGATION, GRANT_MOUNT,
        GRANT_PROPAGATING, GRANT_SUPERBLOCK, GrantKey, Hook,
    },
    fields::{Dentry, File, Inode, MntNamespace, Mount, SuperBlock, Vfsmount},
    pointers::{ProbePtr, Ptr},
    rules::Rule,
};

use crate::{
    creds, devices, families,
    hook::lsm,
    inodes, ipc, label,
    linux::{BPF_FS_MAGIC, PROC_SUPER_MAGIC, S_IFBLK, S_IFCHR, S_IFMT},
    maps::GRANTS,
    processes, pseudo, tags,
    verdict::{self, About, EACCES, EPERM, Subject},
};

/// `MNT_NS_INTERNAL`, fs/mount.h: `ERR_PTR(-EINVAL)`. Mounts of the kernel's own, which no path
/// leads to: pipes, memfds, anonymous inodes, and the layers below an overlayfs.
pub const MNT_NS_INTERNAL: ProbePtr<MntNamespace> = ProbePtr::new(-22i64 as u64);

lsm! {
    /// Every open(2) but one with O_PATH: files, directories, devices, executables, reopened
    /// descriptors.
    fn file_open(file: Ptr<File>) -> confined |who| {
        let inode = file.inode();
        let mode = if inode.is_null() { 0 } else { inode.mode() };
        let mount = MountView::new(file.mnt());
        if who.has(Rule::Files) && !creds::is_interpreter(file) {
            let verdict = check_file(&who, file, &mount, HOOK, mode & S_IFMT == S_IFCHR);
            if verdict != 0 {
                return verdict;
            }
        }
        if matches!(mode & S_IFMT, S_IFCHR | S_IFBLK) {
            return devices::check_open(&who, file, mode & S_IFMT == S_IFBLK, inode.rdev());
        }
        if mount.magic == PROC_SUPER_MAGIC || mount.magic == ipc::MQUEUE_MAGIC {
            let verdict = ipc::check_open(&who, file, mount.magic);
            if verdict != 0 {
                return verdict;
            }
        }
        pseudo::check(&who, file, &mount)
    }

    /// A descriptor that the task receives over a socket or by pidfd_getfd(2).
    fn file_receive(file: Ptr<File>) -> confined |who| {
        if who.has(Rule::Files) {
            let mount = MountView::new(file.mnt());
            let verdict = check_file(&who, file, &mount, HOOK, true);
            if verdict != 0 {
                return verdict;
            }
        }
        families::check_received(&who, file)
    }
}

/// A mount, with what most hooks need of it.
pub struct MountView {
    pub mnt: Ptr<Vfsmount>,
    pub sb: Ptr<SuperBlock>,
    /// The magic number of its file system.
    pub magic: u64,
}

impl MountView {
    #[inline(always)]
    pub fn new(mnt: Ptr<Vfsmount>) -> Self {
        let sb = mnt.sb();
        Self { mnt, sb, magic: sb.magic() }
    }
}

/// Checks a file by its mount; `stdio`: what the runtime left as standard input, output or error is
/// allowed too.
#[inline(always)]
fn check_file(who: &Subject, file: Ptr<File>, mount: &MountView, hook: Hook, stdio: bool) -> i32 {
    if is_granted(who, mount, hook) || (stdio && is_stdio(file.dentry())) {
        return 0;
    }
    verdict::deny(who, Rule::Files, hook, About::file(file), EACCES)
}

/// Whether a mount is one that the container was granted.
#[inline(always)]
pub fn is_granted(who: &Subject, mount: &MountView, hook: Hook) -> bool {
    let Some(entry) = who.entry else {
        return false;
    };
    let &MountView { mnt, sb, magic } = mount;
    // Pinned maps and programs, lockc's among them, are no container's, whatever is mounted into
    // it.
    if magic == BPF_FS_MAGIC {
        return false;
    }
    let root = mnt.root().inode();
    if tags::is_root_of(root, who.key.slot) || is_tagged(who, entry, sb, root) {
        return true;
    }
    match mount_ns(mnt.probe()) {
        Ok(namespace) if namespace == MNT_NS_INTERNAL => true,
        // The kernel's own mount of the queues of an IPC namespace, for mq_open: `ipc` decides.
        Ok(namespace) if namespace.is_null() && magic == ipc::MQUEUE_MAGIC => true,
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
fn is_own_mount(who: &Subject, mnt: Ptr<Vfsmount>, hook: Hook) -> bool {
    let Some(entry) = who.entry else {
        return false;
    };
    let magic = pseudo::magic(mnt);
    // sysfs and cgroup have superblocks shared with the host; `pseudo` checks them by their own
    // entries. Grants of a guarded container are not
    // known; a policy may let a runtime's hooks mount anything.
    if pseudo::is_shared(magic) || entry.flags & (ENTRY_GUARD | ENTRY_HOOK_MOUNTS) != 0 {
        return true;
    }
    // The container makes mounts of its own: what it mounts is within what it has.
    if !who.has(Rule::Mount) && inodes::leads_to_granted(who, mnt.root()) {
        return true;
    }
    if entry.flags & ENTRY_PROPAGATION != 0 {
        match is_propagated(who, mnt, mnt.root().inode()) {
            Ok(propagated) => return propagated,
            Err(_) => verdict::error(hook),
        }
    }
    false
}

/// Whether a mount in another mount namespace was granted to a container that the current task was
/// let act as. A function of its own, as above.
#[inline(never)]
fn is_visited(who: &Subject, mnt: Ptr<Vfsmount>) -> bool {
    match processes::visited(who) {
        Some(Subject { key, mode, entry: Some(entry) }) => {
            let other = Subject { key, mode, entry: Some(entry) };
            is_tagged(&other, entry, mnt.sb(), mnt.root().inode())
        }
        _ => false,
    }
}

/// Whether the mount at an address, that of a descriptor which was left open, is one that the
/// container was granted, as far as its tags tell.
#[inline(always)]
pub fn is_granted_at_launch(who: &Subject, mnt: ProbePtr<Vfsmount>) -> Result<bool, i32> {
    let Some(entry) = who.entry else {
        return Ok(false);
    };
    let root = mnt.root()?.inode()?;
    // SAFETY: null or a live cell of the map.
    if let Some(object) = unsafe { tags::get(root).as_ref() }
        && (object.tag == entry.rootfs
            || object.owner == who.key
            || grant_kind(who, object.tag) & (GRANT_MOUNT | GRANT_SUPERBLOCK) != 0)
    {
        return Ok(true);
    }
    let top = mnt.sb()?.root()?.inode()?;
    // SAFETY: as above.
    if let Some(object) = unsafe { tags::get(top).as_ref() }
        && (object.owner == who.key || grant_kind(who, object.tag) & GRANT_SUPERBLOCK != 0)
    {
        return Ok(true);
    }
    Ok(entry.flags & (ENTRY_GUARD | ENTRY_HOOK_MOUNTS) != 0 && mount_ns(mnt)? == own_mount_ns())
}

/// Whether the root of a mount, or its superblock as a whole, was granted.
#[inline(always)]
fn is_tagged(who: &Subject, entry: &ContainerEntry, sb: Ptr<SuperBlock>, root: Ptr<Inode>) -> bool {
    // SAFETY: null or a live cell of the map.
    if let Some(object) = unsafe { tags::get(root.probe()).as_ref() }
        && (object.granted == who.key
            || object.owner == who.key
            || object.tag == entry.rootfs
            || grant_kind(who, object.tag) & (GRANT_MOUNT | GRANT_SUPERBLOCK) != 0)
    {
        return true;
    }
    is_superblock_granted(who, sb, root)
}

/// Whether a superblock is the container's as a whole; `root`: an inode that was looked at already.
#[inline(always)]
pub fn is_superblock_granted(who: &Subject, sb: Ptr<SuperBlock>, root: Ptr<Inode>) -> bool {
    let top = sb.root().inode();
    if top == root {
        return false;
    }
    // SAFETY: null or a live cell of the map.
    let Some(object) = (unsafe { tags::get(top.probe()).as_ref() }) else {
        return false;
    };
    object.owner == who.key || grant_kind(who, object.tag) & GRANT_SUPERBLOCK != 0
}

/// Whether a file is what the runtime left as standard input, output or error at the container's
/// first exec.
#[inline(always)]
pub fn is_stdio(dentry: Ptr<Dentry>) -> bool {
    // SAFETY: null or a live cell of the storage.
    let Some(label) = (unsafe { label::for_task(label::current()).as_ref() }) else {
        return false;
    };
    let tag = tags::tag(dentry.inode().probe());
    tag != 0 && (label.stdio[0] == tag || label.stdio[1] == tag || label.stdio[2] == tag)
}

/// Mounts on mounts below a propagating volume that are looked through.
const MAX_NESTED: usize = 4;

/// Whether a mount came from the host into a volume that lets it (`rslave`, `rshared`) while the
/// container ran. Its root remembers the volume, for the hooks that are not told the mount.
#[inline(always)]
fn is_propagated(who: &Subject, mnt: Ptr<Vfsmount>, root: Ptr<Inode>) -> Result<bool, i32> {
    let mut mount = mnt.probe().container::<Mount>();
    for _ in 0..MAX_NESTED {
        let parent = mount.parent()?;
        if parent == mount {
            break;
        }
        let volume = tags::tag(parent.vfsmount().root()?.inode()?);
        if volume != 0 && grant_kind(who, volume) & GRANT_PROPAGATING != 0 {
            // SAFETY: null or a live cell of the map; the mount holds the inode.
            if let Some(object) = unsafe { tags::make(root.probe()).as_mut() } {
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
pub fn grant_kind(who: &Subject, tag: u64) -> u32 {
    grant(&GrantKey::tagged(who.key, tag))
}

/// How something was granted; 0: it was not.
#[inline(always)]
pub fn grant(key: &GrantKey) -> u32 {
    // SAFETY: the value is copied at once.
    unsafe { GRANTS.get(key) }.copied().unwrap_or(0)
}

/// The namespace that a mount is in.
#[inline(always)]
pub fn mount_ns(mnt: ProbePtr<Vfsmount>) -> Result<ProbePtr<MntNamespace>, i32> {
    mnt.container::<Mount>().ns()
}

/// Whether a mount has been attached to another: fsmount(2) makes one that is not.
#[inline(always)]
pub fn is_attached(mnt: Ptr<Vfsmount>) -> Result<bool, i32> {
    let mount = mnt.probe().container::<Mount>();
    Ok(mount.parent()? != mount)
}

/// The current task's mount namespace.
#[inline(always)]
pub fn own_mount_ns() -> ProbePtr<MntNamespace> {
    label::current().nsproxy().mnt_ns().probe()
}

/// include/uapi/linux/btrfs.h
pub const BTRFS_IOC_SNAP_DESTROY_V2: u32 = 0x5000_943f;
const BTRFS_SUPER_MAGIC: u64 = 0x9123_683e;

/// Denies deleting a btrfs subvolume by the call that takes its number, which may lie outside of
/// every mount of the container's (fs/btrfs/ioctl.c, `btrfs_ioctl_snap_destroy`): with the mount
/// option user_subvol_rm_allowed, the owner may. Deleting one by its name is another call, which
/// stays within the directory that it is made on.
#[inline(always)]
pub fn check_subvolume(file: Ptr<File>, hook: Hook) -> i32 {
    let Some(who) = verdict::subject_to(Rule::Files) else {
        return 0;
    };
    if file.mnt().sb().magic() != BTRFS_SUPER_MAGIC {
        return 0;
    }
    verdict::deny(&who, Rule::Files, hook, About::file(file), EPERM)
}
