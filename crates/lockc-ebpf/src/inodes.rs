//! What the kernel tells without a mount: the file's ancestors must lead to something that the
//! container was granted.
//!
//! | hook | what for |
//! |---|---|
//! | inode_setattr | utimensat(2); modes and owners in sysfs and procfs |
//! | inode_setxattr, inode_removexattr, inode_getxattr, inode_listxattr | extended attributes |
//! | inode_set_acl, inode_remove_acl, inode_get_acl | POSIX ACLs, which are attributes no longer since 6.2 |
//! | inode_file_getattr, inode_file_setattr | file_getattr(2), file_setattr(2) |
//! | inode_readlink | readlink(2) |

use core::arch::asm;

use aya_ebpf::{EbpfContext as _, macros::lsm, programs::LsmContext};
use lockc_core::{
    abi::{
        ENTRY_GUARD, GRANT_HOST_PROGRAMS, GRANT_MOUNT, GRANT_PROPAGATING, GRANT_SUPERBLOCK, Hook,
    },
    rules::Rule,
};

use crate::{
    attributes, creds, files, ipc,
    kernel::{self, Obj, follow, load},
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

#[inline(always)]
fn check(dentry: Obj, hook: Hook) -> i32 {
    let Some(who) = verdict::subject_to(Rule::Files) else {
        return 0;
    };
    if is_within(&who, dentry) || creds::kernel_at_work() {
        return 0;
    }
    verdict::deny(&who, Rule::Files, hook, About::dentry(dentry.addr()), EACCES)
}

/// Whether a file is in something that the container was granted.
#[inline(always)]
pub fn is_within(who: &Subject, dentry: Obj) -> bool {
    let Some(entry) = who.entry else {
        return false;
    };
    // There is no mount to tell by; what leads here through a path has been checked by one.
    if entry.flags & ENTRY_GUARD != 0 {
        return true;
    }
    let sb = follow(dentry, &kernel::DENTRY_SB);
    if load::<u64>(sb, &kernel::SB_FLAGS) & SB_KERNMOUNT != 0 || pseudo::is_pseudo(sb) {
        return true;
    }
    files::is_stdio(dentry) || leads_to_granted(who, dentry) || leads_to_visited(who, dentry)
}

/// The same of what was granted to a container that the current task was let act as.
#[inline(never)]
fn leads_to_visited(who: &Subject, dentry: Obj) -> bool {
    processes::visited(who).is_some_and(|other| leads_to_granted(&other, dentry))
}

/// Whether a file, or a directory above it, is the root of something that the container was
/// granted.
#[inline(always)]
pub fn leads_to_granted(who: &Subject, dentry: Obj) -> bool {
    leads_to(who, dentry, false, true)
}

/// The same without directories of the host with programs of its own: whether a file's content is
/// the container's. What the runtime mounts is, once it is `attached` somewhere; until then it is
/// the runtime's (runc executes itself from such an overlay).
#[inline(always)]
pub fn is_containers(who: &Subject, dentry: Obj, attached: bool) -> bool {
    leads_to(who, dentry, true, attached)
}

#[inline(always)]
fn leads_to(who: &Subject, dentry: Obj, content: bool, owned: bool) -> bool {
    let Some(entry) = who.entry else {
        return false;
    };
    // A superblock may be the container's own, however deep the file lies in it.
    let top = tags::top(follow(dentry, &kernel::DENTRY_SB));
    // SAFETY: null or a live cell of the map.
    if let Some(object) = unsafe { tags::of(top).as_ref() }
        && (object.tag == entry.rootfs
            || (owned && object.owner == who.key)
            || files::kind_of(who, object.tag) & GRANT_SUPERBLOCK != 0)
    {
        return true;
    }
    let mut way = Way { who, at: dentry, content: u64::from(content), found: 0 };
    loops::rounds(MAX_DEPTH, step, &mut way);
    way.found != 0
}

/// The way from a file to the root of its file system.
struct Way<'a> {
    who: &'a Subject,
    at: Obj,
    content: u64,
    found: u64,
}

/// One directory of the way.
extern "C" fn step(_: u64, way: &mut Way) -> Next {
    let who = way.who;
    // SAFETY: null or a live cell of the map.
    if let (Some(object), Some(entry)) =
        (unsafe { tags::of(tags::inode(way.at)).as_ref() }, who.entry)
    {
        let kind = files::kind_of(who, object.tag);
        let is_root = object.tag == entry.rootfs;
        let is_granted =
            kind & GRANT_MOUNT != 0 && !(way.content != 0 && kind & GRANT_HOST_PROGRAMS != 0);
        let is_propagated =
            object.above != 0 && files::kind_of(who, object.above) & GRANT_PROPAGATING != 0;
        if is_root || is_granted || is_propagated {
            way.found = 1;
            return STOP;
        }
    }
    let parent = follow(way.at, &kernel::DENTRY_PARENT);
    if parent.is_null() || parent.addr() == way.at.addr() {
        return STOP;
    }
    way.at = parent;
    GO_ON
}

/// An argument, read by an instruction of its own: of two branches with different arguments the
/// compiler would make one read at a computed place, which the verifier refuses.
#[inline(always)]
fn argument<const N: usize>(ctx: &LsmContext) -> Obj {
    let value: *const u8;
    // SAFETY: reads a word of the context; the verifier checks that it is an argument.
    unsafe {
        asm!("{value} = *(u64 *)({ctx} + {offset})", value = out(reg) value, ctx = in(reg) ctx.as_ptr(), offset = const N * 8)
    }
    Obj(value)
}

/// `int inode_setattr(struct dentry *dentry, struct iattr *attr)`; since 6.5 or so with an idmap
/// before. The kernel calls no later program once one has denied.
#[lsm(hook = "inode_setattr")]
pub fn inode_setattr(ctx: LsmContext) -> i32 {
    // The loader has written it before the verifier looks, which so follows only the way that this
    // kernel takes.
    let (dentry, attr) = if kernel::offset(&kernel::SETATTR_HAS_IDMAP) != 0 {
        (argument::<1>(&ctx), argument::<2>(&ctx))
    } else {
        (argument::<0>(&ctx), argument::<1>(&ctx))
    };
    let valid: u32 = load(attr, &kernel::IATTR_VALID);
    if valid & ATTR_SIZE != 0 || valid & (ATTR_ACCESS | ATTR_TIMES) == 0 {
        return 0;
    }
    let verdict = ipc::check_queue(dentry, Hook::InodeSetattr);
    if verdict != 0 {
        return verdict;
    }
    let verdict = pseudo::check_attributes(dentry);
    // Modes and owners have been checked by the mount, in path_chmod and path_chown.
    if verdict != 0 || valid & ATTR_ACCESS != 0 {
        verdict
    } else {
        check(dentry, Hook::InodeSetattr)
    }
}

/// `int inode_setxattr(struct mnt_idmap *idmap, struct dentry *dentry, const char *name, const void
/// *value, size_t size, int flags)`
#[lsm(hook = "inode_setxattr")]
pub fn inode_setxattr(ctx: LsmContext) -> i32 {
    let verdict = attributes::check_set(Obj(ctx.arg(1)), ctx.arg(2));
    if verdict != 0 {
        return verdict;
    }
    check(Obj(ctx.arg(1)), Hook::InodeSetxattr)
}

/// `int inode_removexattr(struct mnt_idmap *idmap, struct dentry *dentry, const char *name)`
#[lsm(hook = "inode_removexattr")]
pub fn inode_removexattr(ctx: LsmContext) -> i32 {
    let verdict = attributes::check_remove(Obj(ctx.arg(1)), ctx.arg(2));
    if verdict != 0 {
        return verdict;
    }
    check(Obj(ctx.arg(1)), Hook::InodeRemovexattr)
}

/// `int inode_getxattr(struct dentry *dentry, const char *name)`
#[lsm(hook = "inode_getxattr")]
pub fn inode_getxattr(ctx: LsmContext) -> i32 {
    check(Obj(ctx.arg(0)), Hook::InodeGetxattr)
}

/// `int inode_listxattr(struct dentry *dentry)`
#[lsm(hook = "inode_listxattr")]
pub fn inode_listxattr(ctx: LsmContext) -> i32 {
    check(Obj(ctx.arg(0)), Hook::InodeListxattr)
}

/// `int inode_readlink(struct dentry *dentry)`
#[lsm(hook = "inode_readlink")]
pub fn inode_readlink(ctx: LsmContext) -> i32 {
    let dentry = Obj(ctx.arg(0));
    let verdict = pseudo::check_link(dentry);
    if verdict != 0 { verdict } else { check(dentry, Hook::InodeReadlink) }
}

/// `int inode_set_acl(struct mnt_idmap *idmap, struct dentry *dentry, const char *acl_name, struct
/// posix_acl *kacl)`
#[lsm(hook = "inode_set_acl")]
pub fn inode_set_acl(ctx: LsmContext) -> i32 {
    check(Obj(ctx.arg(1)), Hook::InodeSetAcl)
}

/// `int inode_remove_acl(struct mnt_idmap *idmap, struct dentry *dentry, const char *acl_name)`
#[lsm(hook = "inode_remove_acl")]
pub fn inode_remove_acl(ctx: LsmContext) -> i32 {
    check(Obj(ctx.arg(1)), Hook::InodeRemoveAcl)
}

/// `int inode_get_acl(struct mnt_idmap *idmap, struct dentry *dentry, const char *acl_name)`
#[lsm(hook = "inode_get_acl")]
pub fn inode_get_acl(ctx: LsmContext) -> i32 {
    check(Obj(ctx.arg(1)), Hook::InodeGetAcl)
}

/// `int inode_file_getattr(struct dentry *dentry, struct file_kattr *fa)`
#[lsm(hook = "inode_file_getattr")]
pub fn inode_file_getattr(ctx: LsmContext) -> i32 {
    check(Obj(ctx.arg(0)), Hook::InodeFileGetattr)
}

/// `int inode_file_setattr(struct dentry *dentry, struct file_kattr *fa)`
#[lsm(hook = "inode_file_setattr")]
pub fn inode_file_setattr(ctx: LsmContext) -> i32 {
    check(Obj(ctx.arg(0)), Hook::InodeFileSetattr)
}
