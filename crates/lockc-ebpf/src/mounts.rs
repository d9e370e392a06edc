//! Mounts: a container gets all of its mounts from the runtime and changes none of them.
//!
//! | hook | what for |
//! |---|---|
//! | sb_mount | mount(2) in every form: new, bind, move, remount, propagation |
//! | sb_umount | umount(2) |
//! | sb_remount | fsconfig(RECONFIGURE) |
//! | sb_pivotroot | pivot_root(2) |
//! | move_mount | move_mount(2) |
//! | capable (in `creds`) | what has no other hook |

use aya_ebpf::{macros::lsm, programs::LsmContext};
use lockc_core::{abi::Hook, rules::Rule};

use crate::verdict::{self, EPERM};

#[inline(always)]
fn refuse(earlier: i32, hook: Hook, arg: u64) -> i32 {
    verdict::refuse(earlier, Rule::Mount, hook, arg, EPERM)
}

/// `int sb_mount(const char *dev_name, const struct path *path, const char *type, unsigned long
/// flags, void *data)`
#[lsm(hook = "sb_mount")]
pub fn sb_mount(ctx: LsmContext) -> i32 {
    refuse(ctx.arg(5), Hook::SbMount, ctx.arg(3))
}

/// `int sb_umount(struct vfsmount *mnt, int flags)`
#[lsm(hook = "sb_umount")]
pub fn sb_umount(ctx: LsmContext) -> i32 {
    refuse(ctx.arg(2), Hook::SbUmount, 0)
}

/// `int sb_remount(struct super_block *sb, void *mnt_opts)`
#[lsm(hook = "sb_remount")]
pub fn sb_remount(ctx: LsmContext) -> i32 {
    refuse(ctx.arg(2), Hook::SbRemount, 0)
}

/// `int sb_pivotroot(const struct path *old_path, const struct path *new_path)`
#[lsm(hook = "sb_pivotroot")]
pub fn sb_pivotroot(ctx: LsmContext) -> i32 {
    refuse(ctx.arg(2), Hook::SbPivotroot, 0)
}

/// `int move_mount(const struct path *from_path, const struct path *to_path)`
#[lsm(hook = "move_mount")]
pub fn move_mount(ctx: LsmContext) -> i32 {
    refuse(ctx.arg(2), Hook::MoveMount, 0)
}
