//! Files: one is opened only through a mount that the container was given.
//!
//! | hook | what for |
//! |---|---|
//! | capable (in `creds`) | CAP_DAC_READ_SEARCH: open_by_handle_at reaches any file of a volume's file system through the volume's mount |
//! | file_open | every open but O_PATH: files, directories, devices, executables, reopened descriptors |
//!
//! The mount decides, not the path: a leaked directory descriptor, a working directory, `/proc/1/root` or a symlink lead to
//! a mount of the host whatever they are called.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use lockc_core::{
    abi::{FileId, GIVEN_MOUNT, GivenKey, Hook},
    rules::Rule,
};

use crate::{
    kernel::{self, Obj, follow, load},
    kernel_log, label,
    maps::GIVEN,
    pseudo,
    verdict::{self, About, EACCES, EPERM, Judged},
};

/// include/uapi/linux/capability.h
pub const CAP_DAC_READ_SEARCH: i32 = 2;

/// include/linux/stat.h
const S_IFMT: u16 = 0o170_000;
const S_IFCHR: u16 = 0o020_000;

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
    let verdict = if who.has(Rule::Files) { judge_mount(&who, file, Hook::FileOpen) } else { 0 };
    if verdict != 0 {
        return verdict;
    }
    let inode = follow(file, &kernel::FILE_INODE);
    if inode.is_null() {
        return pseudo::judge(&who, file);
    }
    let mode: u16 = load(inode, &kernel::INODE_MODE);
    if mode & S_IFMT == S_IFCHR {
        let device: u32 = load(inode, &kernel::INODE_RDEV);
        if device == kernel_log::DEV_KMSG && who.has(Rule::KernelLog) {
            return verdict::deny(&who, Rule::KernelLog, Hook::FileOpen, about(file), EPERM);
        }
        return 0;
    }
    pseudo::judge(&who, file)
}

#[inline(always)]
pub fn about(file: Obj) -> About {
    let dentry = follow(file, &kernel::FILE_PATH_DENTRY);
    let id = verdict::mount_root(follow(file, &kernel::FILE_PATH_MNT));
    About { dentry: dentry.addr(), file: id, arg: u64::from(load::<u32>(file, &kernel::FILE_MODE)) }
}

/// Whether the file's mount is one that the container was given.
#[inline(always)]
pub fn judge_mount(who: &Judged, file: Obj, hook: Hook) -> i32 {
    let mnt = follow(file, &kernel::FILE_PATH_MNT);
    if let Some(entry) = who.entry {
        let root = verdict::mount_root(mnt);
        if root.ino == entry.rootfs.ino && root.dev == entry.rootfs.dev {
            return 0;
        }
        if given(who, root) || given(who, FileId { ino: 0, ..root }) {
            return 0;
        }
        // sysfs and cgroup have superblocks shared with the host; `pseudo` judges them by their own entries.
        if pseudo::is_shared(mnt) {
            return 0;
        }
        match mount_ns(mnt) {
            Ok(MNT_NS_INTERNAL) => return 0,
            Ok(_) => {}
            Err(_) => verdict::error(hook),
        }
    }
    verdict::deny(who, Rule::Files, hook, about(file), EACCES)
}

#[inline(always)]
fn given(who: &Judged, id: FileId) -> bool {
    let key = GivenKey { key: who.key, id };
    // SAFETY: the value is copied at once.
    matches!(unsafe { GIVEN.get(key) }, Some(kind) if *kind == GIVEN_MOUNT)
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
