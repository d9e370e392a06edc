//! The layers of an overlayfs: directories that the kernel looked up at mount time.
//!
//! The options of a mount name them by path, which may lead elsewhere by the time of the mount. So
//! the wrapper grants the directories that it checked by descriptor, and this module compares
//! them with those that the superblock holds.

use lockc_core::{
    abi::{ContainerKey, GRANT_LOWER, GRANT_UPPER, GrantKey},
    fields::{Dentry, OvlLayer, SuperBlock},
    pointers::{ProbePtr, Ptr},
};

use crate::{
    kernel::{self, setting},
    loops::{self, GO_ON, Next, STOP},
    maps::GRANTS,
    tags,
};

/// include/uapi/linux/magic.h
const OVERLAYFS_SUPER_MAGIC: u64 = 0x794c_7630;

/// More than the kernel allows lower directories (fs/overlayfs/params.h, `OVL_MAX_STACK`: 500).
const MAX_LAYERS: u32 = 512;

/// Whether a superblock is an overlayfs.
#[inline(always)]
pub fn is_overlay(sb: Ptr<SuperBlock>) -> bool {
    sb.magic() == OVERLAYFS_SUPER_MAGIC
}

/// Whether the kernel tells what an overlayfs is made of.
#[inline(always)]
pub fn is_told() -> bool {
    setting(&kernel::OVL_LAYER_SIZE) != 0
}

/// A loop over the layers of an overlayfs.
struct LayerWalk {
    key: ContainerKey,
    layers: ProbePtr<OvlLayer>,
    /// 1: one of them was not granted.
    found_other: u64,
}

/// Whether an overlayfs is made of directories alone that the container was granted for it: the
/// upper and the work directory to be changed, the others to be shown. False where the kernel does
/// not tell.
#[inline(never)]
pub fn is_granted(key: &ContainerKey, sb: Ptr<SuperBlock>) -> bool {
    let overlay = sb.overlay();
    let (Ok(count), Ok(layers), Ok(work)) =
        (overlay.layer_count(), overlay.layers(), overlay.workbasedir())
    else {
        return false;
    };
    let is_work_granted = || work.is_null() || has(*key, work, GRANT_UPPER);
    if !is_told() || count == 0 || count > MAX_LAYERS || !is_work_granted() {
        return false;
    }
    let mut walk = LayerWalk { key: *key, layers, found_other: 0 };
    loops::rounds(count, check_layer, &mut walk) && walk.found_other == 0
}

/// One layer. The first is the upper directory, or nothing.
extern "C" fn check_layer(index: u64, walk: &mut LayerWalk) -> Next {
    let layer = walk.layers.byte_add(index * setting(&kernel::OVL_LAYER_SIZE));
    let wanted = if index == 0 { GRANT_UPPER } else { GRANT_LOWER | GRANT_UPPER };
    let granted = match layer.mnt() {
        Ok(mnt) if mnt.is_null() => index == 0,
        Ok(mnt) => mnt.root().is_ok_and(|root| has(walk.key, root, wanted)),
        Err(_) => false,
    };
    if granted {
        return GO_ON;
    }
    walk.found_other = 1;
    STOP
}

/// Whether a container was granted a directory in one of these ways.
#[inline(always)]
fn has(key: ContainerKey, dentry: ProbePtr<Dentry>, wanted: u32) -> bool {
    let Ok(inode) = dentry.inode() else {
        return false;
    };
    let tag = tags::tag(inode);
    // SAFETY: the value is copied at once.
    tag != 0
        && unsafe { GRANTS.get(GrantKey::tagged(key, tag)) }.is_some_and(|kind| kind & wanted != 0)
}
