//! Mounts: a container gets all of its mounts from the runtime and changes none of them.
//!
//! | hook | what for |
//! |---|---|
//! | sb_mount | mount(2) in every form: new, bind, move, remount, propagation |
//! | sb_umount | umount(2) |
//! | sb_remount | fsconfig(RECONFIGURE) |
//! | sb_pivotroot | pivot_root(2) |
//! | move_mount | move_mount(2) |
//! | capable | fsopen, fspick, fsmount, open_tree(CLONE), mount_setattr, unshare and setns of mount namespaces have no other hook (seen on 6.1 to 7.2) |

use aya_ebpf::{macros::lsm, programs::LsmContext};
use lockc_core::{abi::Hook, rules::Rule};

use crate::{
    files, kernel, kernel_log, label,
    verdict::{self, About, EPERM},
};

/// include/uapi/linux/capability.h
const CAP_SYS_ADMIN: i32 = 21;
/// `CAP_OPT_NOAUDIT`, include/linux/security.h (6.1): the caller only asks and fails silently.
const CAP_OPT_NOAUDIT: u32 = 2;

#[inline(always)]
fn refuse(earlier: i32, hook: Hook, about: About) -> i32 {
    if earlier != 0 {
        return earlier;
    }
    match verdict::judged(Rule::Mount) {
        Some(who) => verdict::deny(&who, Rule::Mount, hook, about, EPERM),
        None => 0,
    }
}

/// `int sb_mount(const char *dev_name, const struct path *path, const char *type, unsigned long flags, void *data)`
#[lsm(hook = "sb_mount")]
pub fn sb_mount(ctx: LsmContext) -> i32 {
    refuse(ctx.arg(5), Hook::SbMount, About::number(ctx.arg(3)))
}

/// `int sb_umount(struct vfsmount *mnt, int flags)`
#[lsm(hook = "sb_umount")]
pub fn sb_umount(ctx: LsmContext) -> i32 {
    refuse(ctx.arg(2), Hook::SbUmount, About::NOTHING)
}

/// `int sb_remount(struct super_block *sb, void *mnt_opts)`
#[lsm(hook = "sb_remount")]
pub fn sb_remount(ctx: LsmContext) -> i32 {
    refuse(ctx.arg(2), Hook::SbRemount, About::NOTHING)
}

/// `int sb_pivotroot(const struct path *old_path, const struct path *new_path)`
#[lsm(hook = "sb_pivotroot")]
pub fn sb_pivotroot(ctx: LsmContext) -> i32 {
    refuse(ctx.arg(2), Hook::SbPivotroot, About::NOTHING)
}

/// `int move_mount(const struct path *from_path, const struct path *to_path)`
#[lsm(hook = "move_mount")]
pub fn move_mount(ctx: LsmContext) -> i32 {
    refuse(ctx.arg(2), Hook::MoveMount, About::NOTHING)
}

/// `int capable(const struct cred *cred, struct user_namespace *ns, int cap, unsigned int opts)`: asked only for what
/// the task's credentials would allow, in any user namespace.
#[lsm(hook = "capable")]
pub fn capable(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(4);
    if earlier != 0 {
        return earlier;
    }
    let cap: i32 = ctx.arg(2);
    let rule = match cap {
        CAP_SYS_ADMIN => Rule::Mount,
        kernel_log::CAP_SYSLOG => Rule::KernelLog,
        files::CAP_DAC_READ_SEARCH => Rule::Files,
        _ => return 0,
    };
    let Some(who) = verdict::judged(rule) else {
        return 0;
    };
    // The kernel acts in the task's name with credentials of its own (overlayfs with the mounter's, to mark a directory
    // opaque): not the container's doing. None of what this hook guards can be asked for in that way; io_uring, which
    // overrides credentials too, has no operation for it.
    let asking: u64 = ctx.arg(0);
    if kernel::follow(label::current(), &kernel::TASK_REAL_CRED).addr() != asking {
        return 0;
    }
    let opts: u32 = ctx.arg(3);
    if opts & CAP_OPT_NOAUDIT != 0 {
        return verdict::quietly(&who, EPERM);
    }
    verdict::deny(&who, rule, Hook::Capable, About::number(cap as u64), EPERM)
}
