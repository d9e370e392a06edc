//! lockc's own pins and maps: what of the host may change them.
//!
//! | hook | what for |
//! |---|---|
//! | bpf_map | a descriptor of one of the maps, by its pin or by its id |
//! | (path_unlink, path_rmdir, path_rename, path_link, path_symlink, path_mkdir, path_mknod, path_chmod, path_chown) | the pins, and the directories in which they are |
//!
//! File permissions make the pins root's. This is about uid 0 without capabilities, such as a
//! service with a bounding set: on 6.12 BPF_OBJ_GET asks it for nothing but the file's mode, even
//! where unprivileged bpf(2) is off. Containers do not come this far unless a policy takes the rule
//! `files` or `kernel` away.

use aya_ebpf::{macros::lsm, programs::LsmContext};

use crate::{
    creds,
    kernel::{self, Obj, follow, load},
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

/// `int bpf_map(struct bpf_map *map, fmode_t fmode)`
#[lsm(hook = "bpf_map")]
pub fn bpf_map(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(2);
    if earlier != 0 {
        return earlier;
    }
    let id: u32 = load(Obj(ctx.arg::<*const u8>(0)), &kernel::BPF_MAP_ID);
    // SAFETY: nothing writes the value after the loader.
    if unsafe { OWN_MAPS.get(id) }.is_some() && !may_change() { -EPERM } else { 0 }
}

/// Checks a change of the entry `dentry` in the directory of `path`, or (null) of what `path` names
/// itself.
#[inline(always)]
pub fn check(path: Obj, dentry: Obj) -> i32 {
    let directory = follow(path, &kernel::PATH_DENTRY);
    let sb = follow(directory, &kernel::DENTRY_SB);
    if u64::from(load::<u32>(sb, &kernel::SB_DEV)) != kernel::offset(&PINS_DEV) as u64 {
        return 0;
    }
    let own = is_within(directory)
        || (!dentry.is_null()
            && (is_pins(dentry) || is_within(follow(dentry, &kernel::DENTRY_PARENT))));
    if own && !may_change() { -EPERM } else { 0 }
}

/// Whether a directory is the one with the pins, or at most two below it.
#[inline(always)]
fn is_within(directory: Obj) -> bool {
    let parent = follow(directory, &kernel::DENTRY_PARENT);
    is_pins(directory) || is_pins(parent) || is_pins(follow(parent, &kernel::DENTRY_PARENT))
}

#[inline(always)]
fn is_pins(dentry: Obj) -> bool {
    let inode = follow(dentry, &kernel::DENTRY_INODE);
    !inode.is_null() && load::<u64>(inode, &kernel::INODE_INO) == kernel::offset(&PINS_INO) as u64
}
