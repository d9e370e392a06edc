//! Calls for which the kernel names no mount: the file's ancestors must lead to something that the
//! container was granted.

use lockc_core::{
    abi::{
        ENTRY_GUARD, GRANT_HOST_PROGRAMS, GRANT_MOUNT, GRANT_PROPAGATING, GRANT_SUPERBLOCK, Hook,
    },
    fields::{Dentry, Iattr},
    pointers::{ProbePtr, Ptr},
    rules::Rule,
};

use crate::{
    attributes, creds, files,
    hook::{self, Check, lsm},
    ipc, kernel,
    loops::{self, GO_ON, Next, STOP},
    processes, pseudo, tags,
    verdict::{self, About, EACCES, Subject},
};

/// `SB_KERNMOUNT`, include/linux/fs.h: a file system that only the kernel mounts (memfds, pipes,
/// sockets, …).
const SB_KERNMOUNT: u64 = 1 << 22;
/// `ATTR_MODE`, `ATTR_UID`, `ATTR_GID`, include/linux/fs.h
const ATTR_ACCESS: u32 = 7;
/// `ATTR_SIZE`: a truncation, which opening for writing does.
const ATTR_SIZE: u32 = 1 << 3;
/// `ATTR_ATIME`, `ATTR_MTIME`
const ATTR_TIMES: u32 = 3 << 4;
/// A file deeper than this in a volume (or in a root file system that shares its superblock) is
/// denied.
const MAX_DEPTH: u32 = 1024;

/// Checks a file for a task under the rule `files`.
#[inline(always)]
fn check_within(check: &Check, dentry: Ptr<Dentry>) -> i32 {
    if is_within(check.who, dentry) || creds::kernel_at_work() {
        return 0;
    }
    check.deny(About::dentry(dentry.probe()), EACCES)
}

/// Checks a file for any task.
#[inline(always)]
fn check(dentry: Ptr<Dentry>, hook: Hook) -> i32 {
    match verdict::subject_to(Rule::Files) {
        Some(who) => check_within(&Check { who: &who, rule: Rule::Files, hook }, dentry),
        None => 0,
    }
}

/// Whether a file is in something that the container was granted.
#[inline(always)]
pub fn is_within(who: &Subject, dentry: Ptr<Dentry>) -> bool {
    let Some(entry) = who.entry else {
        return false;
    };
    // There is no mount to tell by; what leads here through a path has been checked by one.
    if entry.flags & ENTRY_GUARD != 0 {
        return true;
    }
    let sb = dentry.sb();
    if sb.flags() & SB_KERNMOUNT != 0 || pseudo::is_pseudo(sb) {
        return true;
    }
    files::is_stdio(dentry) || leads_to_granted(who, dentry) || leads_to_visited(who, dentry)
}

/// The same of what was granted to a container that the current task was let act as.
#[inline(never)]
fn leads_to_visited(who: &Subject, dentry: Ptr<Dentry>) -> bool {
    processes::visited(who).is_some_and(|other| leads_to_granted(&other, dentry))
}

/// Whether a file, or a directory above it, is the root of something that the container was
/// granted.
#[inline(always)]
pub fn leads_to_granted(who: &Subject, dentry: Ptr<Dentry>) -> bool {
    leads_to(who, dentry, false, true)
}

/// The same without directories of the host with programs of its own: whether a file's content is
/// the container's. What the runtime mounts is, once it is `attached` somewhere; until then it is
/// the runtime's (runc executes itself from such an overlay).
#[inline(always)]
pub fn is_containers(who: &Subject, dentry: Ptr<Dentry>, attached: bool) -> bool {
    leads_to(who, dentry, true, attached)
}

#[inline(always)]
fn leads_to(who: &Subject, dentry: Ptr<Dentry>, content: bool, owned: bool) -> bool {
    let Some(entry) = who.entry else {
        return false;
    };
    // A superblock may be the container's own, however deep the file lies in it.
    let top = dentry.sb().root().inode();
    // SAFETY: null or a live cell of the map.
    if let Some(object) = unsafe { tags::get(top.probe()).as_ref() }
        && (object.tag == entry.rootfs
            || (owned && object.owner == who.key)
            || files::grant_kind(who, object.tag) & GRANT_SUPERBLOCK != 0)
    {
        return true;
    }
    let mut walk = AncestorWalk { who, at: dentry, content: u64::from(content), found: 0 };
    loops::rounds(MAX_DEPTH, step, &mut walk);
    walk.found != 0
}

/// A walk from a file to the root of its file system.
struct AncestorWalk<'a> {
    who: &'a Subject,
    at: Ptr<Dentry>,
    content: u64,
    found: u64,
}

/// One directory of the walk.
extern "C" fn step(_: u64, walk: &mut AncestorWalk) -> Next {
    let who = walk.who;
    // SAFETY: null or a live cell of the map.
    if let (Some(object), Some(entry)) =
        (unsafe { tags::get(walk.at.inode().probe()).as_ref() }, who.entry)
    {
        let kind = files::grant_kind(who, object.tag);
        let is_root = object.tag == entry.rootfs;
        let is_granted =
            kind & GRANT_MOUNT != 0 && !(walk.content != 0 && kind & GRANT_HOST_PROGRAMS != 0);
        let is_propagated =
            object.above != 0 && files::grant_kind(who, object.above) & GRANT_PROPAGATING != 0;
        if is_root || is_granted || is_propagated {
            walk.found = 1;
            return STOP;
        }
    }
    let parent = walk.at.parent();
    if parent.is_null() || parent == walk.at {
        return STOP;
    }
    walk.at = parent;
    GO_ON
}

lsm! {
    /// utimensat(2); modes and owners in sysfs and procfs. Since 6.5 or so there is an idmap before
    /// the other parameters.
    fn inode_setattr(context @ ..) -> verdict {
        // The loader has written it before the verifier looks, which so follows only the branch
        // that this kernel takes.
        // SAFETY: the kernel's context; the verifier checks that there is such a parameter.
        let (dentry, attr): (Ptr<Dentry>, Ptr<Iattr>) = unsafe {
            if kernel::setting(&kernel::SETATTR_HAS_IDMAP) != 0 {
                (hook::parameter_at::<1, _>(context), hook::parameter_at::<2, _>(context))
            } else {
                (hook::parameter_at::<0, _>(context), hook::parameter_at::<1, _>(context))
            }
        };
        let valid = attr.valid();
        if valid & ATTR_SIZE != 0 || valid & (ATTR_ACCESS | ATTR_TIMES) == 0 {
            return 0;
        }
        let verdict = ipc::check_queue(dentry, HOOK);
        if verdict != 0 {
            return verdict;
        }
        let verdict = pseudo::check_attributes(dentry);
        // Modes and owners have been checked by the mount, in path_chmod and path_chown.
        if verdict != 0 || valid & ATTR_ACCESS != 0 { verdict } else { check(dentry, HOOK) }
    }

    /// Setting an extended attribute.
    fn inode_setxattr(_idmap, dentry: Ptr<Dentry>, name: ProbePtr<u8>, ..) -> verdict {
        let verdict = attributes::check_set(dentry, name);
        if verdict != 0 { verdict } else { check(dentry, HOOK) }
    }

    /// Removing an extended attribute.
    fn inode_removexattr(_idmap, dentry: Ptr<Dentry>, name: ProbePtr<u8>, ..) -> verdict {
        let verdict = attributes::check_remove(dentry, name);
        if verdict != 0 { verdict } else { check(dentry, HOOK) }
    }

    /// Reading an extended attribute.
    fn inode_getxattr(dentry: Ptr<Dentry>, ..) -> rule Files |check| {
        check_within(&check, dentry)
    }

    /// Listing extended attributes.
    fn inode_listxattr(dentry: Ptr<Dentry>, ..) -> rule Files |check| {
        check_within(&check, dentry)
    }

    /// readlink(2).
    fn inode_readlink(dentry: Ptr<Dentry>, ..) -> verdict {
        let verdict = pseudo::check_link(dentry);
        if verdict != 0 { verdict } else { check(dentry, HOOK) }
    }

    /// Setting a POSIX ACL, which is no extended attribute any more since 6.2.
    fn inode_set_acl(_idmap, dentry: Ptr<Dentry>, ..) -> rule Files |check| {
        check_within(&check, dentry)
    }

    /// Removing a POSIX ACL.
    fn inode_remove_acl(_idmap, dentry: Ptr<Dentry>, ..) -> rule Files |check| {
        check_within(&check, dentry)
    }

    /// Reading a POSIX ACL.
    fn inode_get_acl(_idmap, dentry: Ptr<Dentry>, ..) -> rule Files |check| {
        check_within(&check, dentry)
    }

    /// file_getattr(2).
    fn inode_file_getattr(dentry: Ptr<Dentry>, ..) -> rule Files |check| {
        check_within(&check, dentry)
    }

    /// file_setattr(2).
    fn inode_file_setattr(dentry: Ptr<Dentry>, ..) -> rule Files |check| {
        check_within(&check, dentry)
    }
}
