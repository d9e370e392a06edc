//! Files: one is used only through a mount that the container was given.
//!
//! | hook | what for |
//! |---|---|
//! | capable (in `creds`) | CAP_DAC_READ_SEARCH: open_by_handle_at reaches any file of a volume's file system through the volume's mount |
//! | file_open | every open but O_PATH: files, directories, devices, executables, reopened descriptors |
//! | file_receive | descriptors that come over a socket, by pidfd_getfd or from a seccomp agent |
//! | file_permission, mmap_file, file_ioctl, file_ioctl_compat, file_lock, file_truncate | use of descriptors that were open before the container's first exec |
//!
//! The mount decides, not the path: a leaked directory descriptor, a working directory, `/proc/1/root` or a symlink lead to
//! a mount of the host whatever they are called. What needs no open file is in `paths` and `inodes`.

use aya_ebpf::{bindings::BPF_NOEXIST, helpers::bpf_probe_read_kernel, macros::lsm, programs::LsmContext};
use lockc_core::{
    abi::{
        ContainerKey, ENTRY_GUARD, ENTRY_PROPAGATION, FileId, GIVEN_MOUNT, GIVEN_PROPAGATING, GIVEN_STDIO, GivenKey,
        Hook,
    },
    rules::Rule,
};

use crate::{
    devices,
    kernel::{self, Obj, follow, load},
    label,
    maps::GIVEN,
    processes, pseudo,
    verdict::{self, About, EACCES, Judged},
};

/// include/uapi/linux/capability.h
pub const CAP_DAC_READ_SEARCH: i32 = 2;

/// include/linux/stat.h
pub const S_IFMT: u16 = 0o170_000;
pub const S_IFCHR: u16 = 0o020_000;
pub const S_IFBLK: u16 = 0o060_000;
const S_IFREG: u16 = 0o100_000;
const S_IFDIR: u16 = 0o040_000;

/// `MNT_NS_INTERNAL`, fs/mount.h: `ERR_PTR(-EINVAL)`. Mounts of the kernel's own, which no path leads to: pipes, memfds,
/// anonymous inodes, and the layers below an overlayfs.
const MNT_NS_INTERNAL: u64 = -22i64 as u64;

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
    if who.has(Rule::Files) {
        let verdict = judge_file(&who, file, Hook::FileOpen, mode & S_IFMT == S_IFCHR);
        if verdict != 0 {
            return verdict;
        }
    }
    if matches!(mode & S_IFMT, S_IFCHR | S_IFBLK) {
        let device: u32 = load(inode, &kernel::INODE_RDEV);
        return devices::judge_open(&who, file, mode & S_IFMT == S_IFBLK, device);
    }
    pseudo::judge(&who, file)
}

/// `int file_receive(struct file *file)`
#[lsm(hook = "file_receive")]
pub fn file_receive(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(1);
    if earlier != 0 {
        return earlier;
    }
    match verdict::judged(Rule::Files) {
        Some(who) => judge_file(&who, Obj(ctx.arg::<*const u8>(0)), Hook::FileReceive, true),
        None => 0,
    }
}

/// `int file_permission(struct file *file, int mask)`: read, write, getdents and their like, so all that is cheap comes
/// first.
#[lsm(hook = "file_permission")]
pub fn file_permission(ctx: LsmContext) -> i32 {
    judge_use(Obj(ctx.arg::<*const u8>(0)), ctx.arg(2), Hook::FilePermission)
}

/// `int mmap_file(struct file *file, unsigned long reqprot, unsigned long prot, unsigned long flags)`
#[lsm(hook = "mmap_file")]
pub fn mmap_file(ctx: LsmContext) -> i32 {
    let file = Obj(ctx.arg::<*const u8>(0));
    // Anonymous memory.
    if file.is_null() { ctx.arg(4) } else { judge_use(file, ctx.arg(4), Hook::MmapFile) }
}

/// `int file_ioctl(struct file *file, unsigned int cmd, unsigned long arg)`
#[lsm(hook = "file_ioctl")]
pub fn file_ioctl(ctx: LsmContext) -> i32 {
    let verdict = judge_use(Obj(ctx.arg::<*const u8>(0)), ctx.arg(3), Hook::FileIoctl);
    if verdict != 0 { verdict } else { processes::judge_ioctl(ctx.arg(1), Hook::FileIoctl) }
}

/// `int file_ioctl_compat(struct file *file, unsigned int cmd, unsigned long arg)`
#[lsm(hook = "file_ioctl_compat")]
pub fn file_ioctl_compat(ctx: LsmContext) -> i32 {
    let verdict = judge_use(Obj(ctx.arg::<*const u8>(0)), ctx.arg(3), Hook::FileIoctlCompat);
    if verdict != 0 { verdict } else { processes::judge_ioctl(ctx.arg(1), Hook::FileIoctlCompat) }
}

/// `int file_truncate(struct file *file)`
#[lsm(hook = "file_truncate")]
pub fn file_truncate(ctx: LsmContext) -> i32 {
    judge_use(Obj(ctx.arg::<*const u8>(0)), ctx.arg(1), Hook::FileTruncate)
}

/// `int file_lock(struct file *file, unsigned int cmd)`
#[lsm(hook = "file_lock")]
pub fn file_lock(ctx: LsmContext) -> i32 {
    judge_use(Obj(ctx.arg::<*const u8>(0)), ctx.arg(2), Hook::FileLock)
}

/// Judges the use of an open directory or regular file. Pipes, sockets and terminals are handed to a container on
/// purpose.
#[inline(always)]
fn judge_use(file: Obj, earlier: i32, hook: Hook) -> i32 {
    if earlier != 0 {
        return earlier;
    }
    let inode = follow(file, &kernel::FILE_INODE);
    if inode.is_null() || !matches!(load::<u16>(inode, &kernel::INODE_MODE) & S_IFMT, S_IFREG | S_IFDIR) {
        return 0;
    }
    match verdict::judged(Rule::Files) {
        Some(who) => judge_file(&who, file, hook, true),
        None => 0,
    }
}

#[inline(always)]
pub fn about(file: Obj) -> About {
    let dentry = follow(file, &kernel::FILE_PATH_DENTRY);
    let id = verdict::mount_root(follow(file, &kernel::FILE_PATH_MNT));
    About { dentry: dentry.addr(), file: id, arg: u64::from(load::<u32>(file, &kernel::FILE_MODE)) }
}

/// Judges a file by its mount; `stdio`: what the runtime left as standard input, output or error is allowed too.
#[inline(always)]
pub fn judge_file(who: &Judged, file: Obj, hook: Hook, stdio: bool) -> i32 {
    let mnt = follow(file, &kernel::FILE_PATH_MNT);
    if is_given(who, mnt, hook) || (stdio && is_stdio(who, follow(file, &kernel::FILE_PATH_DENTRY), mnt)) {
        return 0;
    }
    verdict::deny(who, Rule::Files, hook, about(file), EACCES)
}

/// Whether a mount is one that the container was given.
#[inline(always)]
pub fn is_given(who: &Judged, mnt: Obj, hook: Hook) -> bool {
    let Some(entry) = who.entry else {
        return false;
    };
    // Pinned maps and programs, lockc's among them: no container's, whatever somebody mounts into it.
    if pseudo::is_bpffs(mnt) {
        return false;
    }
    let root = verdict::mount_root(mnt);
    if root.ino == entry.rootfs.ino && root.dev == entry.rootfs.dev {
        return true;
    }
    if given(who, root) || given(who, FileId { ino: 0, ..root }) {
        return true;
    }
    // sysfs and cgroup have superblocks shared with the host; `pseudo` judges them by their own entries.
    if pseudo::is_shared(mnt) {
        return true;
    }
    match mount_ns(mnt) {
        Ok(MNT_NS_INTERNAL) => return true,
        // Nobody said what it is given.
        Ok(namespace) if entry.flags & ENTRY_GUARD != 0 => return namespace == own_mount_ns(),
        Ok(namespace) if entry.flags & ENTRY_PROPAGATION != 0 && namespace == own_mount_ns() => {
            match is_propagated(who, mnt) {
                Ok(propagated) => return propagated,
                Err(_) => verdict::error(hook),
            }
        }
        Ok(_) => {}
        Err(_) => verdict::error(hook),
    }
    false
}

/// Whether a file is what the runtime left as standard input, output or error at the container's first exec.
#[inline(always)]
pub fn is_stdio(who: &Judged, dentry: Obj, mnt: Obj) -> bool {
    let id = verdict::identity(dentry, follow(mnt, &kernel::VFSMOUNT_SB));
    kind_of(who, id) == GIVEN_STDIO
}

/// Remembers standard input, output and error of the current task, which is about to become confined.
#[inline(always)]
pub fn remember_stdio(key: ContainerKey) {
    for fd in 0..3u64 {
        match stdio_identity(fd) {
            // A file that is given as a mount stays that.
            Ok(Some(id)) => drop(GIVEN.insert(GivenKey { key, id }, GIVEN_STDIO, u64::from(BPF_NOEXIST))),
            Ok(None) => {}
            Err(_) => verdict::error(Hook::BprmCommittedCreds),
        }
    }
}

#[inline(always)]
fn stdio_identity(fd: u64) -> Result<Option<FileId>, i32> {
    let files: u64 = kernel::read(label::current().addr(), &kernel::TASK_FILES)?;
    let table: u64 = kernel::read(files, &kernel::FILES_FDT)?;
    let array: u64 = kernel::read(table, &kernel::FDT_FD)?;
    // The smallest table has room for 64 (fs/file.c, `NR_OPEN_DEFAULT`).
    // SAFETY: the helper checks the address.
    let file: u64 = unsafe { bpf_probe_read_kernel((array + fd * 8) as *const u64) }?;
    if file == 0 {
        return Ok(None);
    }
    let dentry: u64 = kernel::read(file, &kernel::FILE_PATH_DENTRY)?;
    verdict::identity_at(dentry).map(Some)
}

#[inline(always)]
pub fn given(who: &Judged, id: FileId) -> bool {
    is_mount(kind_of(who, id))
}

/// Whether that value of `given` is a mount's.
#[inline(always)]
pub fn is_mount(kind: u32) -> bool {
    matches!(kind, GIVEN_MOUNT | GIVEN_PROPAGATING)
}

/// Mounts on mounts below a propagating volume that are looked through.
const MAX_NESTED: usize = 4;

/// Whether a mount came from the host into a volume that lets it (`rslave`, `rshared`) while the container ran. It is
/// remembered then, for the hooks that are not told the mount.
#[inline(always)]
fn is_propagated(who: &Judged, mnt: Obj) -> Result<bool, i32> {
    let vfsmount = kernel::offset(&kernel::MOUNT_VFSMOUNT) as u64;
    let mut mount = mnt.addr().wrapping_sub(vfsmount);
    for _ in 0..MAX_NESTED {
        let parent: u64 = kernel::read(mount, &kernel::MOUNT_PARENT)?;
        if parent == mount {
            break;
        }
        let root = kernel::read::<u64>(parent.wrapping_add(vfsmount), &kernel::VFSMOUNT_ROOT)?;
        if kind_of(who, verdict::identity_at(root)?) == GIVEN_PROPAGATING {
            let key = GivenKey { key: who.key, id: verdict::mount_root(mnt) };
            // Where the map is full it is looked for again.
            let _ = GIVEN.insert(key, GIVEN_MOUNT, u64::from(BPF_NOEXIST));
            return Ok(true);
        }
        mount = parent;
    }
    Ok(false)
}

/// How the container was given something; 0: it was not.
#[inline(always)]
pub fn kind_of(who: &Judged, id: FileId) -> u32 {
    let key = GivenKey { key: who.key, id };
    // SAFETY: the value is copied at once.
    unsafe { GIVEN.get(key) }.copied().unwrap_or(0)
}

/// The address of the namespace that a mount is in; `mnt` is embedded in a `struct mount`.
#[inline(always)]
pub fn mount_ns(mnt: Obj) -> Result<u64, i32> {
    let mount = mnt.addr().wrapping_sub(kernel::offset(&kernel::MOUNT_VFSMOUNT) as u64);
    kernel::read::<u64>(mount, &kernel::MOUNT_NS)
}

/// The address of the current task's mount namespace.
#[inline(always)]
pub fn own_mount_ns() -> u64 {
    let nsproxy = follow(label::current(), &kernel::TASK_NSPROXY);
    follow(nsproxy, &kernel::NSPROXY_MNT_NS).addr()
}
