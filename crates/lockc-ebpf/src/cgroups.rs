//! cgroup file systems: a container reads its own view of them, and manages the cgroups below its
//! own where its runtime lets it.
//!
//! | hook | what for |
//! |---|---|
//! | file_open, inode_getattr (by `pseudo`) | files: read through a mount of the container's own, written below its own cgroup |
//! | path_mkdir, path_rmdir and their like (in `paths`) | cgroups: made and removed below its own |
//! | inode_setattr (by `pseudo`) | modes and owners below its own |
//! | task_alloc (in `lifecycle`) | clone3(CLONE_INTO_CGROUP), which needs no more than a descriptor of a cgroup's directory |
//!
//! The container's own cgroup is the root of its cgroup namespace. Kernel objects are compared
//! (`struct kernfs_node`), not paths: a descriptor or a mount of the host's leads to the same
//! objects, and another cgroup is never among them.

use lockc_core::{
    abi::{ENTRY_CGROUPS, Hook, NODE_CGROUP},
    rules::Rule,
};

use crate::{
    files,
    kernel::{self, Obj, follow, load},
    label,
    loops::{self, GO_ON, Next, STOP},
    pseudo,
    verdict::{self, About, EACCES, Subject},
};

/// include/uapi/linux/magic.h
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;
/// A cgroup deeper than this below the container's own is not the container's to manage.
const MAX_DEPTH: u32 = 24;

/// include/uapi/linux/sched.h
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// Whether a directory is the container's own cgroup, or below it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Own,
    Below,
}

/// Whether the runtime lets the container manage what is below its own cgroup.
#[inline(always)]
fn manages(who: &Subject) -> bool {
    who.entry.is_some_and(|entry| entry.flags & ENTRY_CGROUPS != 0)
}

#[inline(always)]
fn is_v2(sb: Obj) -> bool {
    load::<u64>(sb, &kernel::SB_MAGIC) == CGROUP2_SUPER_MAGIC
}

/// The `struct kernfs_node` of the current task's own cgroup; an error where that is the root of
/// the hierarchy, which is nobody's to manage.
#[inline(always)]
fn own_node() -> Result<u64, i32> {
    let namespace =
        follow(follow(label::current(), &kernel::TASK_NSPROXY), &kernel::NSPROXY_CGROUP_NS);
    let set: u64 = kernel::read(namespace.addr(), &kernel::CGROUP_NS_ROOT)?;
    let cgroup: u64 = kernel::read(set, &kernel::CSS_SET_CGROUP)?;
    if kernel::read::<i32>(cgroup, &kernel::CGROUP_LEVEL)? == 0 {
        return Err(-1);
    }
    kernel::read(cgroup, &kernel::CGROUP_NODE)
}

/// Where the directory at `dentry` is.
#[inline(always)]
fn place(dentry: u64) -> Result<Place, i32> {
    let own = own_node()?;
    if node(dentry)? == own {
        return Ok(Place::Own);
    }
    let mut way = Way { at: dentry, own, found: 0, failed: 0 };
    let walked = loops::rounds(MAX_DEPTH, step, &mut way);
    match way {
        Way { failed: 1, .. } => Err(-1),
        Way { found: 1, .. } if walked => Ok(Place::Below),
        _ => Ok(Place::Outside),
    }
}

/// The `struct kernfs_node` of a directory (fs/kernfs/inode.c, `kernfs_init_inode`: `i_private`).
#[inline(always)]
fn node(dentry: u64) -> Result<u64, i32> {
    let inode: u64 = kernel::read(dentry, &kernel::DENTRY_INODE)?;
    kernel::read(inode, &kernel::INODE_PRIVATE)
}

/// The way from a directory to the root of the hierarchy.
struct Way {
    at: u64,
    own: u64,
    found: u64,
    failed: u64,
}

/// One directory of the way.
extern "C" fn step(_: u64, way: &mut Way) -> Next {
    let (Ok(node), Ok(parent)) =
        (node(way.at), kernel::read::<u64>(way.at, &kernel::DENTRY_PARENT))
    else {
        way.failed = 1;
        return STOP;
    };
    if node == way.own {
        way.found = 1;
        return STOP;
    }
    if parent == way.at {
        return STOP;
    }
    way.at = parent;
    GO_ON
}

/// Whether a file of a cgroup file system may be opened, or (without `writes`) looked at.
#[inline(always)]
pub fn may_use(who: &Subject, mnt: Obj, dentry: u64, writes: bool) -> bool {
    if files::mount_ns(mnt) != Ok(files::own_mount_ns()) {
        return false;
    }
    if !writes {
        return true;
    }
    if !manages(who) || !is_v2(follow(mnt, &kernel::VFSMOUNT_SB)) {
        return false;
    }
    let Ok(directory) = kernel::read::<u64>(dentry, &kernel::DENTRY_PARENT) else {
        return false;
    };
    match place(directory) {
        Ok(Place::Below) => true,
        // Its limits belong to whoever made the container: cgroups(7), "delegation containment".
        Ok(Place::Own) => pseudo::may_write_in(dentry, NODE_CGROUP),
        _ => false,
    }
}

/// Checks a change of the entries of a directory: a cgroup that is made or removed. Other file
/// systems are allowed.
#[inline(always)]
pub fn check_change(path: Obj, hook: Hook) -> i32 {
    let mnt = follow(path, &kernel::PATH_MNT);
    if !pseudo::is_cgroup(mnt) {
        return 0;
    }
    let Some(who) = verdict::subject_to(Rule::Sysfs) else {
        return 0;
    };
    let dentry = follow(path, &kernel::PATH_DENTRY).addr();
    let managed = manages(&who)
        && files::mount_ns(mnt) == Ok(files::own_mount_ns())
        && is_v2(follow(mnt, &kernel::VFSMOUNT_SB))
        && matches!(place(dentry), Ok(Place::Own | Place::Below));
    if managed { 0 } else { verdict::deny(&who, Rule::Sysfs, hook, About::dentry(dentry), EACCES) }
}

/// Whether mode and owner of a cgroup's directory or file may be changed: below its own, as an init
/// system does for the managers of its users.
#[inline(always)]
pub fn may_change_attributes(who: &Subject, dentry: Obj) -> bool {
    manages(who) && is_v2(follow(dentry, &kernel::DENTRY_SB)) && place_below(dentry)
}

#[inline(always)]
fn place_below(dentry: Obj) -> bool {
    // A file directly in its own cgroup is below it as far as dentries go, and not the container's.
    match kernel::read::<u64>(dentry.addr(), &kernel::DENTRY_PARENT) {
        Ok(directory) => {
            let is_directory = kernel::read::<u64>(dentry.addr(), &kernel::DENTRY_INODE)
                .and_then(|inode| kernel::read::<u16>(inode, &kernel::INODE_MODE))
                .is_ok_and(|mode| mode & files::S_IFMT == files::S_IFDIR);
            match place(directory) {
                Ok(Place::Below) => true,
                Ok(Place::Own) => is_directory,
                _ => false,
            }
        }
        Err(_) => false,
    }
}

/// Checks the flags of a new task: one that starts in another cgroup leaves the container's limits.
#[inline(always)]
pub fn check_clone(who: &Subject, flags: u64) -> i32 {
    if flags & CLONE_INTO_CGROUP == 0 || !who.has(Rule::Sysfs) || manages(who) {
        return 0;
    }
    verdict::deny(who, Rule::Sysfs, Hook::TaskAlloc, About::number(flags), EACCES)
}
