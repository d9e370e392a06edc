//! procfs, sysfs and cgroup files, by their own dentries inside that file system, wherever and
//! however it is mounted.
//!
//! file_open checks reading, writing and listing; inode_getattr stat(2), also of a directory on the
//! way to something that may be read; inode_readlink links; inode_setattr modes, owners and times,
//! which are the host's. One table serves all of them: a file that cannot be opened has no readable
//! attributes or link target either.
//!
//! `names` tells which files may be read and written.

use lockc_core::{
    abi::{Hook, NAME_READ, NAME_WRITE, NODE_PROC, NODE_SYS},
    fields::{Dentry, File, SuperBlock, Vfsmount},
    pointers::Ptr,
    rules::Rule,
};

use crate::{
    cgroups, granted,
    linux::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, FMODE_WRITE, PROC_SUPER_MAGIC, SYSFS_MAGIC},
    mount_view::MountView,
    names,
    verdict::{self, About, EACCES, Subject},
};

#[inline(always)]
pub fn magic(mnt: Ptr<Vfsmount>) -> u64 {
    mnt.sb().magic()
}

/// Whether a superblock is one of those that are checked by name.
#[inline(always)]
pub fn is_pseudo(sb: Ptr<SuperBlock>) -> bool {
    rule_for(sb.magic()).is_some()
}

#[inline(always)]
pub fn rule_for(magic: u64) -> Option<Rule> {
    match magic {
        PROC_SUPER_MAGIC => Some(Rule::Procfs),
        SYSFS_MAGIC | CGROUP_SUPER_MAGIC | CGROUP2_SUPER_MAGIC => Some(Rule::Sysfs),
        _ => None,
    }
}

/// Checks a change of mode, owner or times: in procfs and sysfs they are the host's.
#[inline(always)]
pub fn check_attributes(dentry: Ptr<Dentry>) -> i32 {
    let sb = dentry.sb();
    let magic = sb.magic();
    let Some(rule) = rule_for(magic) else {
        return 0;
    };
    match verdict::subject_to(rule) {
        Some(who)
            if magic == CGROUP2_SUPER_MAGIC && cgroups::may_change_attributes(&who, dentry) =>
        {
            0
        }
        Some(who) => {
            verdict::deny(&who, rule, Hook::inode_setattr, About::dentry(dentry.probe()), EACCES)
        }
        None => 0,
    }
}

/// Checks a look at the attributes of a file that a path leads to; allows those of other file
/// systems.
#[inline(always)]
pub fn check_look(who: &Subject, mount: &MountView, dentry: Ptr<Dentry>) -> i32 {
    let (rule, root) = match mount.magic {
        PROC_SUPER_MAGIC => (Rule::Procfs, NODE_PROC),
        SYSFS_MAGIC => (Rule::Sysfs, NODE_SYS),
        CGROUP_SUPER_MAGIC | CGROUP2_SUPER_MAGIC => (Rule::Sysfs, 0),
        _ => return 0,
    };
    if !who.has(rule) {
        return 0;
    }
    let allowed = if root == 0 {
        cgroups::may_use(who, mount.mnt, dentry.probe(), false)
    } else {
        names::may_look(who, dentry.probe(), root)
    };
    // What the runtime left as standard input, output or error was handed over on purpose.
    if allowed || granted::is_stdio(dentry) {
        return 0;
    }
    verdict::deny(who, rule, Hook::inode_getattr, About::dentry(dentry.probe()), EACCES)
}

/// Checks reading the target of a link; allows those of other file systems. cgroup file systems
/// have none.
#[inline(always)]
pub fn check_link(dentry: Ptr<Dentry>) -> i32 {
    let (rule, root) = match dentry.sb().magic() {
        PROC_SUPER_MAGIC => (Rule::Procfs, NODE_PROC),
        SYSFS_MAGIC => (Rule::Sysfs, NODE_SYS),
        _ => return 0,
    };
    let Some(who) = verdict::subject_to(rule) else {
        return 0;
    };
    if names::may_look(&who, dentry.probe(), root) {
        return 0;
    }
    verdict::deny(&who, rule, Hook::inode_readlink, About::dentry(dentry.probe()), EACCES)
}

/// Whether superblocks with this magic number may be such that the host uses too.
#[inline(always)]
pub fn is_shared(magic: u64) -> bool {
    matches!(magic, SYSFS_MAGIC | CGROUP_SUPER_MAGIC | CGROUP2_SUPER_MAGIC)
}

/// Checks a file of procfs, sysfs or cgroupfs; allows any other.
#[inline(always)]
pub fn check(who: &Subject, file: Ptr<File>, mount: &MountView) -> i32 {
    let (rule, root) = match mount.magic {
        PROC_SUPER_MAGIC => (Rule::Procfs, NODE_PROC),
        SYSFS_MAGIC => (Rule::Sysfs, NODE_SYS),
        CGROUP_SUPER_MAGIC | CGROUP2_SUPER_MAGIC => (Rule::Sysfs, 0),
        _ => return 0,
    };
    if !who.has(rule) {
        return 0;
    }
    let mode: u32 = file.mode();
    let writes = mode & FMODE_WRITE != 0;
    let allowed = if root == 0 {
        cgroups::may_use(who, mount.mnt, file.dentry().probe(), writes)
    } else {
        let need = if writes { NAME_WRITE } else { NAME_READ };
        names::may(who, file.dentry().probe(), root, need)
    };
    if allowed { 0 } else { verdict::deny(who, rule, Hook::file_open, About::file(file), EACCES) }
}
