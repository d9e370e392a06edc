//! lockc's own pins and maps: which tasks of the host may change them. bpf_map checks descriptors
//! of the maps; the hooks path_* check the pins and their directories.
//!
//! File permissions restrict the pins to root. These checks are about uid 0 without capabilities,
//! such as a service with a bounding set: on 6.12 BPF_OBJ_GET asks it for nothing but the file's
//! mode, even where unprivileged bpf(2) is off. Containers do not get this far unless a policy
//! removes the `files` or the `kernel` rule.

use lockc_core::{
    fields::{BpfMap, Dentry, Path},
    pointers::Ptr,
};

use crate::{
    creds,
    hook::lsm,
    kernel,
    maps::OWN_MAPS,
    verdict::{self, EPERM},
};

/// `MKDEV` and inode of the directory with the pins, set by the loader.
#[unsafe(no_mangle)]
pub static PINS_DEV: u64 = 0;
/// See [`PINS_DEV`].
#[unsafe(no_mangle)]
pub static PINS_INO: u64 = 0;

/// Whether the current task may change what is lockc's: CAP_BPF in the initial user namespace, and
/// no container but a privileged one.
#[inline(always)]
fn may_change() -> bool {
    !verdict::confined().is_some_and(|who| !who.is_privileged()) && creds::has_bpf()
}

lsm! {
    /// A new descriptor of a map.
    fn bpf_map(map: Ptr<BpfMap>, _fmode) -> verdict {
        // SAFETY: nothing writes the value after the loader.
        if unsafe { OWN_MAPS.get(map.id()) }.is_some() && !may_change() { EPERM } else { 0 }
    }
}

/// Checks a change of the entry `dentry` in the directory of `path`, or (null) of what `path` names
/// itself.
#[inline(always)]
pub fn check(path: Ptr<Path>, dentry: Ptr<Dentry>) -> i32 {
    let directory = path.dentry();
    if u64::from(directory.sb().dev()) != kernel::setting(&PINS_DEV) {
        return 0;
    }
    let own = is_within(directory)
        || (!dentry.is_null() && (is_pins(dentry) || is_within(dentry.parent())));
    if own && !may_change() { EPERM } else { 0 }
}

/// Whether a directory is the one with the pins, or at most two below it.
#[inline(always)]
fn is_within(directory: Ptr<Dentry>) -> bool {
    let parent = directory.parent();
    is_pins(directory) || is_pins(parent) || is_pins(parent.parent())
}

#[inline(always)]
fn is_pins(dentry: Ptr<Dentry>) -> bool {
    let inode = dentry.inode();
    !inode.is_null() && inode.ino() == kernel::setting(&PINS_INO)
}
