//! Files: a confined task opens a file only through a mount that its container was granted.
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
        ENTRY_GUARD, ENTRY_HOOK_MOUNTS, ENTRY_PROPAGATION, GRANT_MOUNT, GRANT_PROPAGATING,
        GRANT_SUPERBLOCK, Hook,
    },
    fields::{File, Inode, Mount, Vfsmount},
    pointers::{ProbePtr, Ptr},
    rules::Rule,
};

use crate::{
    creds, devices, families, granted,
    hook::lsm,
    ipc,
    linux::{BPF_FS_MAGIC, PROC_SUPER_MAGIC, S_IFBLK, S_IFCHR, S_IFMT},
    mount_view::{self, MountView},
    pseudo, reach, tags,
    verdict::{self, About, EACCES, EPERM, Subject},
};

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

/// Checks a file by its mount; `stdio`: what the runtime left as standard input, output or error is
/// allowed too.
#[inline(always)]
fn check_file(who: &Subject, file: Ptr<File>, mount: &MountView, hook: Hook, stdio: bool) -> i32 {
    if is_granted(who, mount, hook) || (stdio && granted::is_stdio(file.dentry())) {
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
    if tags::is_root_of(root, who.key.slot) || granted::is_tagged(who, entry, sb, root) {
        return true;
    }
    match mount_view::mount_ns(mnt.probe()) {
        Ok(namespace) if namespace == mount_view::MNT_NS_INTERNAL => true,
        // The kernel's own mount of the queues of an IPC namespace, for mq_open: `ipc` decides.
        Ok(namespace) if namespace.is_null() && magic == ipc::MQUEUE_MAGIC => true,
        Ok(namespace) if namespace == mount_view::own_mount_ns() => is_own_mount(who, mnt, hook),
        Ok(_) => is_visited(who, mnt),
        Err(_) => {
            verdict::error(hook);
            false
        }
    }
}

/// Whether a mount in the current task's own mount namespace is the container's although it was not
/// granted. A separate function: few mounts come this far.
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
    if !who.has(Rule::Mount) && granted::leads_to_granted(who, mnt.root()) {
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
/// let act as. A separate function, as above.
#[inline(never)]
fn is_visited(who: &Subject, mnt: Ptr<Vfsmount>) -> bool {
    match reach::visited(who) {
        Some(Subject { key, mode, entry: Some(entry) }) => {
            let other = Subject { key, mode, entry: Some(entry) };
            granted::is_tagged(&other, entry, mnt.sb(), mnt.root().inode())
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
            || granted::grant_kind(who, object.tag) & (GRANT_MOUNT | GRANT_SUPERBLOCK) != 0)
    {
        return Ok(true);
    }
    let top = mnt.sb()?.root()?.inode()?;
    // SAFETY: as above.
    if let Some(object) = unsafe { tags::get(top).as_ref() }
        && (object.owner == who.key || granted::grant_kind(who, object.tag) & GRANT_SUPERBLOCK != 0)
    {
        return Ok(true);
    }
    Ok(entry.flags & (ENTRY_GUARD | ENTRY_HOOK_MOUNTS) != 0
        && mount_view::mount_ns(mnt)? == mount_view::own_mount_ns())
}

/// Mounts on mounts below a propagating volume that are looked through.
const MAX_NESTED: usize = 4;

/// Whether a mount came from the host into a volume that allows it (`rslave`, `rshared`) while the
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
        if volume != 0 && granted::grant_kind(who, volume) & GRANT_PROPAGATING != 0 {
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
