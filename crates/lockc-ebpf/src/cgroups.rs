//! cgroup file systems: a container reads its own view of them, and manages the cgroups below its
//! own if its runtime allows it.
//!
//! - Files (file_open and inode_getattr, through `pseudo`) are read through a mount of the
//!   container's own, and written below its own cgroup.
//! - cgroups (path_mkdir, path_rmdir and similar hooks) are created and removed below its own.
//! - Modes and owners (inode_setattr, through `pseudo`) change below its own.
//! - clone3(CLONE_INTO_CGROUP) (task_alloc) needs only a descriptor of a cgroup's
//!   directory, and would escape the container's limits.
//!
//! The container's own cgroup is the root of its cgroup namespace. Kernel objects are compared
//! (`struct kernfs_node`), not paths: a descriptor or a mount of the host leads to the same
//! objects, and another cgroup is never among them.

use lockc_core::{
    abi::{ENTRY_CGROUPS, Hook, NODE_CGROUP},
    fields::{Dentry, KernfsNode, Path, SuperBlock, Vfsmount},
    pointers::{ProbePtr, Ptr},
    rules::Rule,
};

use crate::{
    label,
    linux::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, S_IFDIR, S_IFMT},
    loops::{self, GO_ON, Next, STOP},
    mount_view, names,
    verdict::{self, About, EACCES, Subject},
};

/// A cgroup deeper than this below the container's own is not the container's to manage.
const MAX_DEPTH: u32 = 24;

/// include/uapi/linux/sched.h
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// Where a directory is, seen from the container's own cgroup.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CgroupPosition {
    Outside,
    Own,
    Below,
}

/// Whether the runtime lets the container manage the cgroups below its own.
#[inline(always)]
fn manages(who: &Subject) -> bool {
    who.entry.is_some_and(|entry| entry.flags & ENTRY_CGROUPS != 0)
}

/// Whether the mount is of a cgroup file system.
#[inline(always)]
fn is_cgroup(mnt: Ptr<Vfsmount>) -> bool {
    matches!(mnt.sb().magic(), CGROUP_SUPER_MAGIC | CGROUP2_SUPER_MAGIC)
}

#[inline(always)]
fn is_v2(sb: Ptr<SuperBlock>) -> bool {
    sb.magic() == CGROUP2_SUPER_MAGIC
}

/// The node of the current task's own cgroup; an error where that is the root of the hierarchy,
/// which no container manages.
#[inline(always)]
fn own_node() -> Result<ProbePtr<KernfsNode>, i32> {
    let namespace = label::current().nsproxy().cgroup_ns();
    let cgroup = namespace.probe().root_cset()?.cgroup()?;
    if cgroup.level()? == 0 {
        return Err(-1);
    }
    cgroup.node()
}

/// Where a directory is.
#[inline(always)]
fn position(dentry: ProbePtr<Dentry>) -> Result<CgroupPosition, i32> {
    let own = own_node()?;
    if node(dentry)? == own {
        return Ok(CgroupPosition::Own);
    }
    let mut walk = RootWalk { at: dentry, own, found: 0, failed: 0 };
    let walked = loops::rounds(MAX_DEPTH, step, &mut walk);
    match walk {
        RootWalk { failed: 1, .. } => Err(-1),
        RootWalk { found: 1, .. } if walked => Ok(CgroupPosition::Below),
        _ => Ok(CgroupPosition::Outside),
    }
}

/// The node of a directory (fs/kernfs/inode.c, `kernfs_init_inode`: `i_private`).
#[inline(always)]
fn node(dentry: ProbePtr<Dentry>) -> Result<ProbePtr<KernfsNode>, i32> {
    dentry.inode()?.node()
}

/// A walk from a directory to the root of the hierarchy.
struct RootWalk {
    at: ProbePtr<Dentry>,
    own: ProbePtr<KernfsNode>,
    found: u64,
    failed: u64,
}

/// One directory of the walk.
extern "C" fn step(_: u64, walk: &mut RootWalk) -> Next {
    let (Ok(node), Ok(parent)) = (node(walk.at), walk.at.parent()) else {
        walk.failed = 1;
        return STOP;
    };
    if node == walk.own {
        walk.found = 1;
        return STOP;
    }
    if parent == walk.at {
        return STOP;
    }
    walk.at = parent;
    GO_ON
}

/// Whether a file of a cgroup file system may be opened, or (without `writes`) looked at.
#[inline(always)]
pub fn may_use(who: &Subject, mnt: Ptr<Vfsmount>, dentry: ProbePtr<Dentry>, writes: bool) -> bool {
    if mount_view::mount_ns(mnt.probe()) != Ok(mount_view::own_mount_ns()) {
        return false;
    }
    if !writes {
        return true;
    }
    if !manages(who) || !is_v2(mnt.sb()) {
        return false;
    }
    let Ok(directory) = dentry.parent() else {
        return false;
    };
    match position(directory) {
        Ok(CgroupPosition::Below) => true,
        // Its limits belong to whoever made the container: cgroups(7), "delegation containment".
        Ok(CgroupPosition::Own) => names::may_write_in(dentry, NODE_CGROUP),
        _ => false,
    }
}

/// Checks a change of the entries of a directory: a cgroup that is made or removed. Other file
/// systems are allowed.
#[inline(always)]
pub fn check_change(path: Ptr<Path>, hook: Hook) -> i32 {
    let mnt = path.mnt();
    if !is_cgroup(mnt) {
        return 0;
    }
    let Some(who) = verdict::subject_to(Rule::Sysfs) else {
        return 0;
    };
    let dentry = path.dentry().probe();
    let managed = manages(&who)
        && mount_view::mount_ns(mnt.probe()) == Ok(mount_view::own_mount_ns())
        && is_v2(mnt.sb())
        && matches!(position(dentry), Ok(CgroupPosition::Own | CgroupPosition::Below));
    if managed { 0 } else { verdict::deny(&who, Rule::Sysfs, hook, About::dentry(dentry), EACCES) }
}

/// Whether mode and owner of a cgroup's directory or file may be changed: below its own, as an init
/// system does for the managers of its users.
#[inline(always)]
pub fn may_change_attributes(who: &Subject, dentry: Ptr<Dentry>) -> bool {
    manages(who) && is_v2(dentry.sb()) && is_below(dentry.probe())
}

#[inline(always)]
fn is_below(dentry: ProbePtr<Dentry>) -> bool {
    // A file directly in its own cgroup is below it as far as dentries go, and not the container's.
    let Ok(directory) = dentry.parent() else {
        return false;
    };
    let is_directory =
        dentry.inode().and_then(|inode| inode.mode()).is_ok_and(|mode| mode & S_IFMT == S_IFDIR);
    match position(directory) {
        Ok(CgroupPosition::Below) => true,
        Ok(CgroupPosition::Own) => is_directory,
        _ => false,
    }
}

/// Checks the flags of a new task: one that starts in another cgroup leaves the container's limits.
#[inline(always)]
pub fn check_clone(who: &Subject, flags: u64) -> i32 {
    if flags & CLONE_INTO_CGROUP == 0 || !who.has(Rule::Sysfs) || manages(who) {
        return 0;
    }
    verdict::deny(who, Rule::Sysfs, Hook::task_alloc, About::number(flags), EACCES)
}
