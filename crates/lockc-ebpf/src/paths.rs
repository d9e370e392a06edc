//! Paths: calls on a file without opening it, also through descriptors of O_PATH, checked by the
//! mount that the path leads through.

use lockc_core::{
    abi::Hook,
    fields::{Dentry, Path},
    pointers::Ptr,
    rules::Rule,
};

use crate::{
    cgroups, devices, files, granted,
    hook::{Check, lsm},
    mount_view::MountView,
    pseudo, self_protection,
    verdict::{self, About, EACCES},
};

/// Checks a path for a task under the rule `files`.
#[inline(always)]
fn check_path(check: &Check, path: Ptr<Path>) -> i32 {
    let mnt = path.mnt();
    if files::is_granted(check.who, &MountView::new(mnt), check.hook) {
        return 0;
    }
    let dentry = path.dentry().probe();
    check.deny(About { dentry, file: verdict::mount_root(mnt), arg: 0 }, EACCES)
}

/// Checks a change of the entry `dentry` in a directory, or (null) of what the path names itself:
/// lockc's pins for every task.
#[inline(always)]
fn change(path: Ptr<Path>, dentry: Ptr<Dentry>, hook: Hook) -> i32 {
    let verdict = match verdict::subject_to(Rule::Files) {
        Some(who) => check_path(&Check { who: &who, rule: Rule::Files, hook }, path),
        None => 0,
    };
    if verdict != 0 {
        return verdict;
    }
    // Modes and owners are checked where every file system has them, in inode_setattr.
    let verdict = if dentry.is_null() { 0 } else { cgroups::check_change(path, hook) };
    if verdict != 0 { verdict } else { self_protection::check(path, dentry) }
}

lsm! {
    /// mknod(2), and new regular files.
    fn path_mknod(dir: Ptr<Path>, dentry: Ptr<Dentry>, mode: u32, device: u32) -> verdict {
        let verdict = change(dir, dentry, HOOK);
        if verdict != 0 {
            return verdict;
        }
        let Some(who) = verdict::confined() else {
            return 0;
        };
        devices::check_mknod(&who, dentry.probe(), mode as u16, device)
    }

    /// mkdir(2).
    fn path_mkdir(dir: Ptr<Path>, dentry: Ptr<Dentry>, _mode) -> verdict {
        change(dir, dentry, HOOK)
    }

    /// rmdir(2).
    fn path_rmdir(dir: Ptr<Path>, dentry: Ptr<Dentry>) -> verdict {
        change(dir, dentry, HOOK)
    }

    /// unlink(2).
    fn path_unlink(dir: Ptr<Path>, dentry: Ptr<Dentry>) -> verdict {
        change(dir, dentry, HOOK)
    }

    /// symlink(2).
    fn path_symlink(dir: Ptr<Path>, dentry: Ptr<Dentry>, _old_name) -> verdict {
        change(dir, dentry, HOOK)
    }

    /// rename(2). The kernel wants both in one mount.
    fn path_rename(
        old_dir: Ptr<Path>, old_dentry: Ptr<Dentry>, _new_dir, _new_dentry, _flags
    ) -> verdict {
        change(old_dir, old_dentry, HOOK)
    }

    /// link(2). The kernel wants both in one mount.
    fn path_link(old_dentry: Ptr<Dentry>, new_dir: Ptr<Path>, _new_dentry) -> verdict {
        change(new_dir, old_dentry, HOOK)
    }

    /// truncate(2).
    fn path_truncate(path: Ptr<Path>) -> rule Files |check| {
        check_path(&check, path)
    }

    /// chmod(2).
    fn path_chmod(path: Ptr<Path>, _mode) -> verdict {
        change(path, Ptr::NULL, HOOK)
    }

    /// chown(2).
    fn path_chown(path: Ptr<Path>, _uid, _gid) -> verdict {
        change(path, Ptr::NULL, HOOK)
    }

    /// chroot(2).
    fn path_chroot(path: Ptr<Path>) -> rule Files |check| {
        check_path(&check, path)
    }

    /// A mark of inotify, fanotify or dnotify.
    fn path_notify(path: Ptr<Path>, _mask, _obj_type) -> rule Files |check| {
        check_path(&check, path)
    }

    /// stat(2) and similar calls.
    fn inode_getattr(path: Ptr<Path>) -> confined |who| {
        let (mnt, dentry) = (path.mnt(), path.dentry());
        let mount = MountView::new(mnt);
        if who.has(Rule::Files)
            && !files::is_granted(&who, &mount, HOOK)
            && !granted::is_stdio(dentry)
        {
            let about =
                About { dentry: dentry.probe(), file: verdict::mount_root(mnt), arg: 0 };
            let verdict = verdict::deny(&who, Rule::Files, HOOK, about, EACCES);
            if verdict != 0 {
                return verdict;
            }
        }
        pseudo::check_look(&who, &mount, dentry)
    }
}
