//! Calls for which the kernel names no mount: the file's ancestors must lead to something that the
//! container was granted.

use lockc_core::{
    abi::{ENTRY_GUARD, Hook},
    fields::{Dentry, Iattr},
    pointers::{ProbePtr, Ptr},
    rules::Rule,
};

use crate::{
    attributes, creds, granted,
    hook::{self, Check, lsm},
    ipc, kernel, pseudo, reach,
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
    granted::is_stdio(dentry)
        || granted::leads_to_granted(who, dentry)
        || leads_to_visited(who, dentry)
}

/// The same of what was granted to a container that the current task was let act as.
#[inline(never)]
fn leads_to_visited(who: &Subject, dentry: Ptr<Dentry>) -> bool {
    reach::visited(who).is_some_and(|other| granted::leads_to_granted(&other, dentry))
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
