//! What an overlayfs is made of: directories, which the kernel looked up when it was mounted.
//!
//! The options of a mount name them by path, and a path may lead elsewhere by the time that
//! somebody mounts. So the directories that the wrapper checked are granted by descriptor, and are
//! compared with what the superblock holds.

use lockc_core::abi::{ContainerKey, GRANT_LOWER, GRANT_UPPER, GrantKey};

use crate::{
    kernel::{self, Obj, load, offset, read},
    loops::{self, GO_ON, Next, STOP},
    maps::GRANTS,
    tags,
};

/// include/uapi/linux/magic.h
const OVERLAYFS_SUPER_MAGIC: u64 = 0x794c_7630;

/// More than the kernel allows lower directories (fs/overlayfs/params.h, `OVL_MAX_STACK`: 500).
const MOST: u32 = 512;

/// Whether a superblock is an overlayfs.
#[inline(always)]
pub fn is(sb: Obj) -> bool {
    load::<u64>(sb, &kernel::SB_MAGIC) == OVERLAYFS_SUPER_MAGIC
}

/// Whether the kernel tells what an overlayfs is made of.
#[inline(always)]
pub fn is_told() -> bool {
    offset(&kernel::OVL_LAYER_SIZE) != 0
}

/// The layers that are looked at.
struct Layers {
    key: ContainerKey,
    array: u64,
    other: u64,
}

/// Whether an overlayfs is made of directories alone that the container was granted for it: the
/// upper and the work directory to be changed, the others to be shown. False where the kernel does
/// not tell.
#[inline(never)]
pub fn is_granted(key: &ContainerKey, sb: Obj) -> bool {
    let info = load::<u64>(sb, &kernel::SB_FS_INFO);
    let (Ok(count), Ok(array), Ok(work)) = (
        read::<u32>(info, &kernel::OVL_NUMLAYER),
        read::<u64>(info, &kernel::OVL_LAYERS),
        read::<u64>(info, &kernel::OVL_WORKBASEDIR),
    ) else {
        return false;
    };
    if !is_told() || count == 0 || count > MOST || (work != 0 && !has(*key, work, GRANT_UPPER)) {
        return false;
    }
    let mut layers = Layers { key: *key, array, other: 0 };
    loops::rounds(count, layer, &mut layers) && layers.other == 0
}

/// One layer. The first is the upper directory, or nothing.
extern "C" fn layer(index: u64, layers: &mut Layers) -> Next {
    let at = layers.array + index * offset(&kernel::OVL_LAYER_SIZE) as u64;
    let wanted = if index == 0 { GRANT_UPPER } else { GRANT_LOWER | GRANT_UPPER };
    let granted = match read::<u64>(at, &kernel::OVL_LAYER_MNT) {
        Ok(0) => index == 0,
        Ok(mnt) => {
            read::<u64>(mnt, &kernel::VFSMOUNT_ROOT).is_ok_and(|root| has(layers.key, root, wanted))
        }
        Err(_) => false,
    };
    if granted {
        return GO_ON;
    }
    layers.other = 1;
    STOP
}

/// Whether a container was granted a directory in one of these ways.
#[inline(always)]
fn has(key: ContainerKey, dentry: u64, wanted: u32) -> bool {
    let Ok(inode) = read::<u64>(dentry, &kernel::DENTRY_INODE) else {
        return false;
    };
    let tag = tags::tag_at(inode);
    // SAFETY: the value is copied at once.
    tag != 0
        && unsafe { GRANTS.get(GrantKey::tagged(key, tag)) }.is_some_and(|kind| kind & wanted != 0)
}
