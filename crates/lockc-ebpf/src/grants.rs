//! Grants: records what a container may use while the container is set up.
//!
//! The wrapper calls fstatfs(2) on an object to grant it. A file system that the runtime mounts
//! belongs to the container without that.

use lockc_core::{
    abi::{
        ANSWER_GRANTED, ANSWER_LAYERS_UNTOLD, ANSWER_OTHER_LAYERS, ANSWER_OWN_ROOT, ContainerKey,
        GRANT_HOST_PROGRAMS, GRANT_IF_TOLD, GRANT_MOUNT, GRANT_OVERLAY, GRANT_PROGRAM, GRANT_ROOT,
        GRANT_SOCKETS, GRANT_SUPERBLOCK, GrantKey, Hook, LABEL_ASKS_LAYER, LABEL_HAS_BASE,
        LABEL_SEEN, STATE_CONFINED, STATE_GRANT, STATE_LAUNCHING, TAG_SOCKETS, TaskLabel,
    },
    fields::{Dentry, SuperBlock},
    pointers::Ptr,
    rules::Rule,
};

use crate::{
    hook::lsm,
    inodes, label, launch,
    linux::BPF_FS_MAGIC,
    maps::{CONTAINERS, GRANTS},
    overlay, tags,
    verdict::{self, About, EACCES, ENOMEM, Subject},
};

lsm! {
    /// statfs(2) and fstatfs(2), by which the wrapper grants.
    fn sb_statfs(dentry: Ptr<Dentry>) -> verdict {
        // SAFETY: null or a live cell of the storage, written only by this task and by user space
        // while it waits.
        let Some(label) = (unsafe { label::for_task(label::current()).as_mut() }) else {
            return 0;
        };
        if label.state == STATE_GRANT {
            // Whatever is denied, the file system is not asked: it may never answer.
            return -grant(label, dentry);
        }
        if label.state == STATE_CONFINED {
            return check_layer(label, dentry);
        }
        // Once: what the runtime asks later, from within the container's namespaces, must not move
        // the base.
        if label.state != STATE_LAUNCHING || label.flags & LABEL_HAS_BASE != 0 {
            return 0;
        }
        // The wrapper makes sure that the label will be found and that its root is known, before it
        // executes the runtime.
        let (root, mnt_ns) = launch::location();
        label.base_root = tags::make_tag(root.probe());
        label.base_mnt_ns = mnt_ns;
        label.flags |= LABEL_SEEN | LABEL_HAS_BASE;
        let copy = *label;
        if copy.base_root == 0 || label::remember(label::current(), &copy).is_err() {
            label.flags &= !(LABEL_SEEN | LABEL_HAS_BASE);
            verdict::error(HOOK);
        }
        0
    }

    /// mount(2) of a file system, or fsmount(2).
    fn sb_kern_mount(sb: Ptr<SuperBlock>) -> verdict {
        // SAFETY: null or a live cell of the storage.
        let Some(label) = (unsafe { label::for_task(label::current()).as_ref() }) else {
            return 0;
        };
        let key = label.key;
        // A container that may mount owns what it mounts.
        let owns = match label.state {
            // An overlay of something that was not checked, whoever exchanged it, is not the
            // container's; nor is the one from which runc executes itself.
            STATE_LAUNCHING => {
                !overlay::is_overlay(sb)
                    || !overlay::is_told()
                    || overlay::is_granted(&key, sb)
                    || !checks_files(key)
            }
            STATE_CONFINED => {
                !Subject::for_container(key).has(Rule::Mount) && is_instance(sb)
            }
            _ => false,
        };
        if owns && own(key, sb).is_err() {
            // Fails closed: a container that could not use what it was granted had better not
            // start.
            verdict::error(HOOK);
            return -ENOMEM;
        }
        0
    }
}

/// Checks what a container that may mount asks the size of. overlayfs asks it of each directory
/// that it is mounted of (fs/overlayfs/super.c, `ovl_check_namelen`, 5.11 to 7.2), and nothing else
/// tells of those: an overlay of a directory that was not granted would be the container's own.
/// Asked itself, it asks its own upper layer, which passes once.
#[inline(always)]
fn check_layer(label: &mut TaskLabel, dentry: Ptr<Dentry>) -> i32 {
    let who = Subject::for_container(label.key);
    if who.has(Rule::Mount) || !who.has(Rule::Files) {
        return 0;
    }
    let asked = label.flags & LABEL_ASKS_LAYER != 0;
    label.flags &= !LABEL_ASKS_LAYER;
    if !asked && !inodes::is_within(&who, dentry) {
        let about = About::dentry(dentry.probe());
        let verdict = verdict::deny(&who, Rule::Files, Hook::sb_statfs, about, EACCES);
        if verdict != 0 {
            return verdict;
        }
    }
    if overlay::is_overlay(dentry.sb()) {
        label.flags |= LABEL_ASKS_LAYER;
    }
    0
}

/// Grants a file to the container of the label; the wrapper holds it by a descriptor. Returns the
/// answer, an errno.
#[inline(always)]
fn grant(label: &mut TaskLabel, dentry: Ptr<Dentry>) -> i32 {
    let (kind, key) = (label.grant, label.key);
    let inode = dentry.inode();
    if inode.is_null() {
        return ENOMEM;
    }
    if kind & GRANT_PROGRAM != 0 {
        let program = launch::program(inode, dentry.sb());
        label.stdio =
            [program.ino, u64::from(program.dev) | u64::from(program.generation) << 32, 0];
        return ANSWER_GRANTED;
    }
    if kind & GRANT_IF_TOLD != 0 && !overlay::is_told() {
        return ANSWER_LAYERS_UNTOLD;
    }
    if kind & GRANT_OVERLAY != 0 {
        let sb = dentry.sb();
        let granted =
            !overlay::is_told() || overlay::is_overlay(sb) && overlay::is_granted(&key, sb);
        return if granted { ANSWER_GRANTED } else { ANSWER_OTHER_LAYERS };
    }
    let mounts = kind & (GRANT_ROOT | GRANT_MOUNT) != 0;
    // Where no rule is about files, a container may have the host's root.
    if mounts && inode == launch::location().0 && Subject::for_container(key).has(Rule::Files) {
        return ANSWER_OWN_ROOT;
    }
    // SAFETY: null or a live cell of the map; the wrapper holds the inode.
    let Some(object) = (unsafe { tags::make(inode.probe()).as_mut() }) else {
        return ENOMEM;
    };
    if kind & GRANT_ROOT != 0 {
        let Some(entry) = CONTAINERS.get_ptr_mut(key.slot) else {
            return ENOMEM;
        };
        // SAFETY: a cell of the map; the slot is the wrapper's, which waits.
        unsafe { (*entry).rootfs = object.tag };
        tags::set_root(object, inode.probe(), key.slot);
        return ANSWER_GRANTED;
    }
    if kind & GRANT_SOCKETS != 0 {
        label.stdio = [object.tag, 0, 0];
        object.flags |= TAG_SOCKETS;
    }
    if add(key, object.tag, kind & !GRANT_IF_TOLD).is_err() {
        return ENOMEM;
    }
    if kind & (GRANT_MOUNT | GRANT_SUPERBLOCK) != 0 {
        object.granted = key;
    }
    ANSWER_GRANTED
}

/// Adds to how a container was granted an object.
#[inline(always)]
fn add(key: ContainerKey, tag: u64, kind: u32) -> Result<(), i32> {
    let key = GrantKey::tagged(key, tag);
    // SAFETY: the value is copied at once.
    let before = unsafe { GRANTS.get(&key) }.copied().unwrap_or(0);
    // What the container has by another way too is not only the host's.
    let host = before == 0 || before & GRANT_HOST_PROGRAMS != 0;
    let kind = if host { kind } else { kind & !GRANT_HOST_PROGRAMS };
    let kept = if kind & GRANT_SOCKETS != 0 { before } else { before & !GRANT_HOST_PROGRAMS };
    GRANTS.insert(&key, kept | kind, 0)
}

/// Whether anything is asked about a container's files.
#[inline(always)]
fn checks_files(key: ContainerKey) -> bool {
    Subject::for_container(key).has(Rule::Files)
}

/// `FS_REQUIRES_DEV`, `FS_BINARY_MOUNTDATA`, `FS_USERNS_MOUNT`, `FS_RENAME_DOES_D_MOVE`,
/// include/linux/fs.h: file systems of disks, of the network, and such that may be mounted in a
/// user namespace.
const INSTANCES: u32 = 1 | 2 | 8 | 1 << 15;
/// include/uapi/linux/magic.h
const HUGETLBFS_MAGIC: u64 = 0x9584_58f6;
const BINFMTFS_MAGIC: u64 = 0x4249_4e4d;

/// Whether a file system that a container mounts is its own. The kernel's (debugfs, tracefs,
/// securityfs, configfs, devtmpfs, pstore) are there once for all: who mounts one mounts the
/// host's. None of them has one of the flags; binfmt_misc has, and what is registered in it the
/// host executes too.
#[inline(always)]
fn is_instance(sb: Ptr<SuperBlock>) -> bool {
    match sb.magic() {
        HUGETLBFS_MAGIC => true,
        BINFMTFS_MAGIC | BPF_FS_MAGIC => false,
        _ => sb.kind().flags() & INSTANCES != 0,
    }
}

/// Makes a container the owner of a superblock. The mark goes away with the superblock, so that
/// nothing is left behind by what a runtime mounts for itself at every exec.
#[inline(always)]
fn own(key: ContainerKey, sb: Ptr<SuperBlock>) -> Result<(), i32> {
    let top = sb.root();
    // SAFETY: null or a live cell of the map; the superblock holds its root.
    let Some(object) = (unsafe { tags::make(top.inode().probe()).as_mut() }) else {
        return Err(-1);
    };
    if object.owner == key {
        return Ok(());
    }
    // Shared with another container that lives, as a pod's queues are: both have a grant.
    if verdict::entry(object.owner).is_some() {
        return add(key, object.tag, GRANT_SUPERBLOCK);
    }
    object.owner = key;
    Ok(())
}
