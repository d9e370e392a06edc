//! Paths: what is done to a file without opening it, by the mount that the path leads through.
//!
//! | hook | what for |
//! |---|---|
//! | path_mknod, path_mkdir, path_rmdir, path_unlink, path_rename, path_link, path_symlink | entries of directories; cgroups (by `cgroups`) |
//! | path_truncate, path_chmod, path_chown | truncate(2), modes, owners |
//! | path_chroot, path_notify | chroot(2); inotify, fanotify and dnotify |
//! | inode_getattr | stat(2) and its like |
//!
//! Descriptors opened with O_PATH come here too.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use lockc_core::{abi::Hook, rules::Rule};

use crate::{
    cgroups, devices,
    files::{self, Place},
    kernel::{self, Obj, follow},
    pseudo, self_protection,
    verdict::{self, About, EACCES},
};

#[inline(always)]
fn check(path: *const u8, earlier: i32, hook: Hook) -> i32 {
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::subject_to(Rule::Files) else {
        return 0;
    };
    let path = Obj(path);
    let mnt = follow(path, &kernel::PATH_MNT);
    if files::is_granted(&who, &Place::of(mnt), hook) {
        return 0;
    }
    let dentry = follow(path, &kernel::PATH_DENTRY);
    let about = About { dentry: dentry.addr(), file: verdict::mount_root(mnt), arg: 0 };
    verdict::deny(&who, Rule::Files, hook, about, EACCES)
}

/// Checks a change of the entry `dentry` in a directory, or (null) of what the path names itself:
/// lockc's pins before every task.
#[inline(always)]
fn change(path: *const u8, dentry: *const u8, earlier: i32, hook: Hook) -> i32 {
    let verdict = check(path, earlier, hook);
    if verdict != 0 {
        return verdict;
    }
    // Modes and owners are checked where every file system has them, in inode_setattr.
    let verdict = if dentry.is_null() { 0 } else { cgroups::check_change(Obj(path), hook) };
    if verdict != 0 { verdict } else { self_protection::check(Obj(path), Obj(dentry)) }
}

/// `int path_mknod(const struct path *dir, struct dentry *dentry, umode_t mode, unsigned int dev)`:
/// new regular files too.
#[lsm(hook = "path_mknod")]
pub fn path_mknod(ctx: LsmContext) -> i32 {
    let verdict = change(ctx.arg(0), ctx.arg(1), ctx.arg(4), Hook::PathMknod);
    if verdict != 0 {
        return verdict;
    }
    let Some(who) = verdict::confined() else {
        return 0;
    };
    let mode: u32 = ctx.arg(2);
    devices::check_mknod(&who, ctx.arg(1), mode as u16, ctx.arg(3))
}

/// `int path_mkdir(const struct path *dir, struct dentry *dentry, umode_t mode)`
#[lsm(hook = "path_mkdir")]
pub fn path_mkdir(ctx: LsmContext) -> i32 {
    change(ctx.arg(0), ctx.arg(1), ctx.arg(3), Hook::PathMkdir)
}

/// `int path_rmdir(const struct path *dir, struct dentry *dentry)`
#[lsm(hook = "path_rmdir")]
pub fn path_rmdir(ctx: LsmContext) -> i32 {
    change(ctx.arg(0), ctx.arg(1), ctx.arg(2), Hook::PathRmdir)
}

/// `int path_unlink(const struct path *dir, struct dentry *dentry)`
#[lsm(hook = "path_unlink")]
pub fn path_unlink(ctx: LsmContext) -> i32 {
    change(ctx.arg(0), ctx.arg(1), ctx.arg(2), Hook::PathUnlink)
}

/// `int path_symlink(const struct path *dir, struct dentry *dentry, const char *old_name)`
#[lsm(hook = "path_symlink")]
pub fn path_symlink(ctx: LsmContext) -> i32 {
    change(ctx.arg(0), ctx.arg(1), ctx.arg(3), Hook::PathSymlink)
}

/// `int path_truncate(const struct path *path)`
#[lsm(hook = "path_truncate")]
pub fn path_truncate(ctx: LsmContext) -> i32 {
    check(ctx.arg(0), ctx.arg(1), Hook::PathTruncate)
}

/// `int path_chmod(const struct path *path, umode_t mode)`
#[lsm(hook = "path_chmod")]
pub fn path_chmod(ctx: LsmContext) -> i32 {
    change(ctx.arg(0), core::ptr::null(), ctx.arg(2), Hook::PathChmod)
}

/// `int path_chown(const struct path *path, kuid_t uid, kgid_t gid)`
#[lsm(hook = "path_chown")]
pub fn path_chown(ctx: LsmContext) -> i32 {
    change(ctx.arg(0), core::ptr::null(), ctx.arg(3), Hook::PathChown)
}

/// `int path_chroot(const struct path *path)`
#[lsm(hook = "path_chroot")]
pub fn path_chroot(ctx: LsmContext) -> i32 {
    check(ctx.arg(0), ctx.arg(1), Hook::PathChroot)
}

/// `int path_notify(const struct path *path, u64 mask, unsigned int obj_type)`
#[lsm(hook = "path_notify")]
pub fn path_notify(ctx: LsmContext) -> i32 {
    check(ctx.arg(0), ctx.arg(3), Hook::PathNotify)
}

/// `int path_rename(const struct path *old_dir, struct dentry *old_dentry, const struct path
/// *new_dir, struct dentry *new_dentry, unsigned int flags)`: the kernel wants both in one mount.
#[lsm(hook = "path_rename")]
pub fn path_rename(ctx: LsmContext) -> i32 {
    change(ctx.arg(0), ctx.arg(1), ctx.arg(5), Hook::PathRename)
}

/// `int path_link(struct dentry *old_dentry, const struct path *new_dir, struct dentry
/// *new_dentry)`: the kernel wants both in one mount.
#[lsm(hook = "path_link")]
pub fn path_link(ctx: LsmContext) -> i32 {
    change(ctx.arg(1), ctx.arg(0), ctx.arg(3), Hook::PathLink)
}

/// `int inode_getattr(const struct path *path)`
#[lsm(hook = "inode_getattr")]
pub fn inode_getattr(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(1);
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::confined() else {
        return 0;
    };
    let path = Obj(ctx.arg::<*const u8>(0));
    let (mnt, dentry) = (follow(path, &kernel::PATH_MNT), follow(path, &kernel::PATH_DENTRY));
    let place = Place::of(mnt);
    if who.has(Rule::Files)
        && !files::is_granted(&who, &place, Hook::InodeGetattr)
        && !files::is_stdio(dentry)
    {
        let about = About { dentry: dentry.addr(), file: verdict::mount_root(mnt), arg: 0 };
        let verdict = verdict::deny(&who, Rule::Files, Hook::InodeGetattr, about, EACCES);
        if verdict != 0 {
            return verdict;
        }
    }
    pseudo::check_look(&who, &place, dentry)
}
