//! Tags: which kernel object is which.
//!
//! A tag is a number that is given out once and kept in the storage of an inode, which the kernel frees with the inode.
//! Inode and device numbers would not do: btrfs subvolumes share them, FUSE may number its root 0, and the device number of
//! a superblock that is gone is the next one's.

use core::{ffi::c_void, ptr};

use aya_ebpf::{bindings::BPF_LOCAL_STORAGE_GET_F_CREATE, helpers::generated::bpf_inode_storage_get};
use lockc_core::abi::{ContainerKey, ObjectTag};

use crate::{
    kernel::{self, Obj, follow},
    maps::{SEQUENCE, TAGS},
};

const CREATE: u64 = BPF_LOCAL_STORAGE_GET_F_CREATE as u64;

/// What is kept with an inode, or null. The verifier must know the type of `inode`.
#[inline(always)]
pub fn of(inode: Obj) -> *mut ObjectTag {
    if inode.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: the verifier proves that the map and the inode are what the helper wants.
    unsafe { bpf_inode_storage_get(TAGS.as_ptr(), inode.0 as *mut _, ptr::null_mut(), 0) }.cast()
}

/// The tag of an inode; 0: it has none.
#[inline(always)]
pub fn tag(inode: Obj) -> u64 {
    // SAFETY: null or a live cell of the storage.
    unsafe { of(inode).as_ref() }.map_or(0, |found| found.tag)
}

/// What is kept with an inode, made if it is not there yet; null: the kernel has no memory for it. Somebody must hold the
/// inode: storage that is made while the kernel frees the inode would stay for ever.
#[inline(always)]
pub fn make(inode: Obj) -> *mut ObjectTag {
    let found = of(inode);
    if !found.is_null() || inode.is_null() {
        return found;
    }
    let Some(cell) = SEQUENCE.get_ptr_mut(0) else {
        return ptr::null_mut();
    };
    // SAFETY: a cell of the map, aligned by its type.
    let before = unsafe { kernel::fetch_add(cell, 1) };
    let mut fresh = ObjectTag { tag: before + 1, owner: ContainerKey { slot: 0, generation: 0 }, above: 0 };
    // SAFETY: as in `of`; the initial value is on the stack.
    let made = unsafe {
        bpf_inode_storage_get(TAGS.as_ptr(), inode.0 as *mut _, ptr::from_mut(&mut fresh).cast::<c_void>(), CREATE)
    };
    // Another CPU may have been first: the helper fails then.
    if made.is_null() { of(inode) } else { made.cast() }
}

/// The tag of an inode, made if it has none; 0: the kernel has no memory for it.
#[inline(always)]
pub fn make_tag(inode: Obj) -> u64 {
    // SAFETY: null or a live cell of the storage.
    unsafe { make(inode).as_ref() }.map_or(0, |made| made.tag)
}

/// The inode of a dentry.
#[inline(always)]
pub fn inode(dentry: Obj) -> Obj {
    follow(dentry, &kernel::DENTRY_INODE)
}

/// The inode of a mount's root.
#[inline(always)]
pub fn root(mnt: Obj) -> Obj {
    inode(follow(mnt, &kernel::VFSMOUNT_ROOT))
}

/// The root inode of a superblock.
#[inline(always)]
pub fn top(sb: Obj) -> Obj {
    inode(follow(sb, &kernel::SB_ROOT))
}
