//! Tags: identities of kernel objects.
//!
//! A tag is a number that is used once. It belongs to an inode, which the map knows by its address
//! for as long as the inode lives: whoever gets the address next has no tag. Inode and device
//! numbers are not unique: btrfs subvolumes share them, FUSE may number its root 0, and a new
//! superblock gets the device number of one that is gone.
//!
//! The storage that the kernel itself keeps with an inode (`BPF_MAP_TYPE_INODE_STORAGE`) would need
//! no hook. It wants a pointer whose type the verifier knows, and since 6.14 the path of a `struct
//! file` is in a union, from which no such pointer comes (kernel/bpf/btf.c, `btf_struct_walk`).

use core::ptr;

use aya_ebpf::bindings::BPF_NOEXIST;
use lockc_core::{
    abi::{ContainerKey, ObjectTag},
    fields::Inode,
    pointers::{ProbePtr, Ptr},
};

use crate::{
    hook::lsm,
    kernel,
    maps::{ROOTS, SEQUENCE, TAGS},
    verdict,
};

/// `ENOENT`, as a map returns it.
const ENOENT: i32 = 2;

/// What is known of an inode, or null.
#[inline(always)]
pub fn get(inode: ProbePtr<Inode>) -> *mut ObjectTag {
    TAGS.get_ptr_mut(inode.addr()).unwrap_or(ptr::null_mut())
}

/// The tag of an inode; 0: it has none.
#[inline(always)]
pub fn tag(inode: ProbePtr<Inode>) -> u64 {
    // SAFETY: null or a live cell of the map.
    unsafe { get(inode).as_ref() }.map_or(0, |found| found.tag)
}

/// What is known of an inode, made if it is not there yet; null: the map is full. Somebody must
/// hold the inode: a tag that is made while the kernel frees the inode would stay for the next one.
#[inline(always)]
pub fn make(inode: ProbePtr<Inode>) -> *mut ObjectTag {
    let found = get(inode);
    if !found.is_null() || inode.is_null() {
        return found;
    }
    let Some(cell) = SEQUENCE.get_ptr_mut(0) else {
        return ptr::null_mut();
    };
    // SAFETY: a cell of the map, aligned by its type.
    let before = unsafe { kernel::fetch_add(cell, 1) };
    let nobody = ContainerKey { slot: 0, generation: 0 };
    let fresh = ObjectTag {
        tag: before + 1,
        owner: nobody,
        above: 0,
        granted: nobody,
        flags: 0,
        root_slot: 0,
    };
    // Another CPU may have been first: its tag counts.
    let _ = TAGS.insert(inode.addr(), fresh, u64::from(BPF_NOEXIST));
    get(inode)
}

/// The tag of an inode, made if it has none; 0: the map is full.
#[inline(always)]
pub fn make_tag(inode: ProbePtr<Inode>) -> u64 {
    // SAFETY: null or a live cell of the map.
    unsafe { make(inode).as_ref() }.map_or(0, |made| made.tag)
}

/// Makes an inode the root of the root file system of the container in a slot. Of several
/// containers with the same one the last has it in `roots`, so that whoever frees it finds the
/// place. The caller holds the inode and the registry's lock.
#[inline(always)]
pub fn set_root(object: &mut ObjectTag, inode: ProbePtr<Inode>, slot: u32) {
    forget_root(object, inode);
    object.root_slot = slot + 1;
    if let Some(cell) = ROOTS.get_ptr_mut(slot) {
        // SAFETY: a cell of the map.
        unsafe { *cell = inode.addr() };
    }
}

#[inline(always)]
fn forget_root(object: &ObjectTag, inode: ProbePtr<Inode>) {
    if let Some(cell) = ROOTS.get_ptr_mut(object.root_slot.wrapping_sub(1)) {
        // SAFETY: a cell of the map. Another address is that of a later container in the slot.
        unsafe {
            if *cell == inode.addr() {
                *cell = 0;
            }
        }
    }
}

/// Whether an inode is the root of the root file system of the container in a slot; false also
/// where only its tag tells.
#[inline(always)]
pub fn is_root_of(inode: Ptr<Inode>, slot: u32) -> bool {
    !inode.is_null() && ROOTS.get(slot).is_some_and(|root| *root == inode.addr())
}

lsm! {
    /// Nobody holds the inode any more (fs/inode.c, `__destroy_inode`).
    fn inode_free_security(inode: ProbePtr<Inode>) -> void {
        // Most inodes have no tag: looking is cheaper than removing.
        // SAFETY: null or a live cell of the map.
        let Some(object) = (unsafe { get(inode).as_ref() }) else {
            return;
        };
        forget_root(object, inode);
        if TAGS.remove(inode.addr()).is_err_and(|error| error != -ENOENT) {
            verdict::error(HOOK);
        }
    }
}
