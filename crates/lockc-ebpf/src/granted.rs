//! What a container was granted, according to its tags and grants: by inode, by superblock, by the
//! directories above a file.

use lockc_core::{
    abi::{
        ContainerEntry, GRANT_HOST_PROGRAMS, GRANT_MOUNT, GRANT_PROPAGATING, GRANT_SUPERBLOCK,
        GrantKey,
    },
    fields::{Dentry, Inode, SuperBlock},
    pointers::Ptr,
};

use crate::{
    label,
    loops::{self, GO_ON, Next, STOP},
    maps::GRANTS,
    tags,
    verdict::Subject,
};

/// A file deeper than this in a volume (or in a root file system that shares its superblock) is
/// denied.
const MAX_DEPTH: u32 = 1024;

/// How something was granted; 0: it was not.
#[inline(always)]
pub fn grant(key: &GrantKey) -> u32 {
    // SAFETY: the value is copied at once.
    unsafe { GRANTS.get(key) }.copied().unwrap_or(0)
}

/// How the container was granted a tagged object; 0: it was not.
#[inline(always)]
pub fn grant_kind(who: &Subject, tag: u64) -> u32 {
    grant(&GrantKey::tagged(who.key, tag))
}

/// Whether the root of a mount, or its superblock as a whole, was granted.
#[inline(always)]
pub fn is_tagged(
    who: &Subject,
    entry: &ContainerEntry,
    sb: Ptr<SuperBlock>,
    root: Ptr<Inode>,
) -> bool {
    // SAFETY: null or a live cell of the map.
    if let Some(object) = unsafe { tags::get(root.probe()).as_ref() }
        && (object.granted == who.key
            || object.owner == who.key
            || object.tag == entry.rootfs
            || grant_kind(who, object.tag) & (GRANT_MOUNT | GRANT_SUPERBLOCK) != 0)
    {
        return true;
    }
    is_superblock_granted(who, sb, root)
}

/// Whether a superblock is the container's as a whole; `root`: an inode that was looked at already.
#[inline(always)]
pub fn is_superblock_granted(who: &Subject, sb: Ptr<SuperBlock>, root: Ptr<Inode>) -> bool {
    let top = sb.root().inode();
    if top == root {
        return false;
    }
    // SAFETY: null or a live cell of the map.
    let Some(object) = (unsafe { tags::get(top.probe()).as_ref() }) else {
        return false;
    };
    object.owner == who.key || grant_kind(who, object.tag) & GRANT_SUPERBLOCK != 0
}

/// Whether a file is what the runtime left as standard input, output or error at the container's
/// first exec.
#[inline(always)]
pub fn is_stdio(dentry: Ptr<Dentry>) -> bool {
    // SAFETY: null or a live cell of the storage.
    let Some(label) = (unsafe { label::for_task(label::current()).as_ref() }) else {
        return false;
    };
    let tag = tags::tag(dentry.inode().probe());
    tag != 0 && (label.stdio[0] == tag || label.stdio[1] == tag || label.stdio[2] == tag)
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
            || grant_kind(who, object.tag) & GRANT_SUPERBLOCK != 0)
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
        let kind = grant_kind(who, object.tag);
        let is_root = object.tag == entry.rootfs;
        let is_granted =
            kind & GRANT_MOUNT != 0 && !(walk.content != 0 && kind & GRANT_HOST_PROGRAMS != 0);
        let is_propagated =
            object.above != 0 && grant_kind(who, object.above) & GRANT_PROPAGATING != 0;
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
