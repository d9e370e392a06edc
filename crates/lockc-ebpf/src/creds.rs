//! Rights: whose credentials the kernel asks about, capabilities when they are used, becoming root.
//!
//! | hook | what for |
//! |---|---|
//! | capable | CAP_SYS_ADMIN: fsopen, fspick, fsmount, open_tree(CLONE), mount_setattr, unshare and setns of mount namespaces have no other hook (seen on 6.1 to 7.2); CAP_SYSLOG; CAP_DAC_READ_SEARCH; all that the container may not have |
//! | userns_create | a new user namespace comes with every capability in it |
//! | bprm_creds_from_file | set-uid programs and file capabilities, under `restricted` |
//! | task_fix_setuid | becoming root, under `restricted` |

use aya_ebpf::{macros::lsm, programs::LsmContext};
use lockc_core::{abi::Hook, rules::Rule};

use crate::{
    files,
    kernel::{self, Obj, follow, load},
    kernel_log, label,
    verdict::{self, About, EPERM},
};

/// include/uapi/linux/capability.h
const CAP_SYS_ADMIN: i32 = 21;
const CAP_BPF: i32 = 39;
/// What only changes the kernel or tells about it, or takes the host down: SYS_MODULE, SYS_RAWIO, SYS_PACCT, SYS_BOOT,
/// SYS_TIME, AUDIT_CONTROL, MAC_OVERRIDE, MAC_ADMIN, PERFMON, BPF. For most of what they allow there is no other hook:
/// adjtimex, acct, ioperm, iopl, reboot.
const KERNEL: u64 =
    1 << 16 | 1 << 17 | 1 << 20 | 1 << 22 | 1 << 25 | 1 << 30 | 1 << 32 | 1 << 33 | 1 << 38 | 1 << CAP_BPF;
/// `CAP_OPT_NOAUDIT`, include/linux/security.h (6.1): the caller only asks and fails silently.
const CAP_OPT_NOAUDIT: u32 = 2;

/// Whether these credentials are the kernel's own, in which it acts in the current task's name for a moment: overlayfs
/// with the mounter's to write its layers, the firmware loader with init's.
///
/// They are not the task's, and are those of the initial user namespace with CAP_SYS_ADMIN. io_uring overrides
/// credentials too, but with those of a task of the same container, which has no such right unless its policy says so.
#[inline(always)]
pub fn are_kernels_own(cred: Obj) -> bool {
    if cred.addr() == follow(label::current(), &kernel::TASK_REAL_CRED).addr() {
        return false;
    }
    let effective: u64 = load(cred, &kernel::CRED_EFFECTIVE);
    effective >> CAP_SYS_ADMIN & 1 != 0 && is_initial(follow(cred, &kernel::CRED_USER_NS))
}

/// Whether the kernel works in the current task's name with its own credentials.
#[inline(always)]
pub fn kernel_at_work() -> bool {
    are_kernels_own(follow(label::current(), &kernel::TASK_CRED))
}

/// `__FMODE_EXEC`, include/linux/fs.h: the kernel opens the file in order to execute it; open(2) cannot say so.
const FMODE_EXEC: u32 = 0x20;

/// Whether the kernel opens the interpreter of a binfmt_misc entry with the flag `F`, which it opened when the host's root
/// registered it: for an exec, and with the credentials of that moment instead of the task's (fs/open.c,
/// `file_clone_open`).
#[inline(always)]
pub fn is_interpreter(file: Obj) -> bool {
    if load::<u32>(file, &kernel::FILE_FLAGS) & FMODE_EXEC == 0 {
        return false;
    }
    let cred = follow(file, &kernel::FILE_CRED);
    cred.addr() != follow(label::current(), &kernel::TASK_CRED).addr() && are_kernels_own(cred)
}

/// Whether the current task has CAP_BPF, or CAP_SYS_ADMIN which implies it, in the initial user namespace.
#[inline(always)]
pub fn has_bpf() -> bool {
    let cred = follow(label::current(), &kernel::TASK_CRED);
    let effective: u64 = load(cred, &kernel::CRED_EFFECTIVE);
    effective & (1 << CAP_SYS_ADMIN | 1 << CAP_BPF) != 0 && is_initial(follow(cred, &kernel::CRED_USER_NS))
}

#[inline(always)]
fn is_initial(user_ns: Obj) -> bool {
    !user_ns.is_null() && load::<i32>(user_ns, &kernel::USER_NS_LEVEL) == 0
}

/// `int capable(const struct cred *cred, struct user_namespace *ns, int cap, unsigned int opts)`: asked only for what
/// the credentials would allow, in any user namespace.
#[lsm(hook = "capable")]
pub fn capable(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(4);
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::confined() else {
        return 0;
    };
    let cap: i32 = ctx.arg(2);
    let rule = match cap {
        CAP_SYS_ADMIN if who.has(Rule::Mount) => Rule::Mount,
        kernel_log::CAP_SYSLOG if who.has(Rule::KernelLog) => Rule::KernelLog,
        files::CAP_DAC_READ_SEARCH if who.has(Rule::Files) => Rule::Files,
        _ if KERNEL >> (cap as u32 & 63) & 1 != 0 && who.has(Rule::Kernel) => Rule::Kernel,
        _ => {
            if !who.has(Rule::Capability) || who.may_use(cap) {
                return 0;
            }
            // A user namespace that the policy lets it create comes with capabilities of its own.
            if !who.has(Rule::UserNamespace) && !is_initial(Obj(ctx.arg::<*const u8>(1))) {
                return 0;
            }
            Rule::Capability
        }
    };
    if are_kernels_own(Obj(ctx.arg::<*const u8>(0))) {
        return 0;
    }
    let opts: u32 = ctx.arg(3);
    if opts & CAP_OPT_NOAUDIT != 0 {
        return verdict::quietly(&who, EPERM);
    }
    verdict::deny(&who, rule, Hook::Capable, About::number(cap as u64), EPERM)
}

/// `int userns_create(const struct cred *cred)`
#[lsm(hook = "userns_create")]
pub fn userns_create(ctx: LsmContext) -> i32 {
    verdict::refuse(ctx.arg(1), Rule::UserNamespace, Hook::UsernsCreate, 0, EPERM)
}

/// `int bprm_creds_from_file(struct linux_binprm *bprm, struct file *file)`: the new credentials are computed, the
/// exec can still fail.
#[lsm(hook = "bprm_creds_from_file")]
pub fn bprm_creds_from_file(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(2);
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::judged(Rule::Privilege) else {
        return 0;
    };
    let new = follow(Obj(ctx.arg::<*const u8>(0)), &kernel::BPRM_CRED);
    let old = follow(label::current(), &kernel::TASK_CRED);
    let gained = load::<u64>(new, &kernel::CRED_PERMITTED) & !load::<u64>(old, &kernel::CRED_PERMITTED);
    let euid: u32 = load(new, &kernel::CRED_EUID);
    if gained == 0 && euid == load::<u32>(old, &kernel::CRED_EUID) {
        return 0;
    }
    verdict::deny(&who, Rule::Privilege, Hook::BprmCredsFromFile, About::number(u64::from(euid)), EPERM)
}

/// `int task_fix_setuid(struct cred *new, const struct cred *old, int flags)`
#[lsm(hook = "task_fix_setuid")]
pub fn task_fix_setuid(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(3);
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::judged(Rule::Privilege) else {
        return 0;
    };
    let root = who.entry.map_or(0, |entry| entry.root_uid);
    let becomes_root = is_root(Obj(ctx.arg::<*const u8>(0)), root);
    if !becomes_root || is_root(Obj(ctx.arg::<*const u8>(1)), root) {
        return 0;
    }
    verdict::deny(&who, Rule::Privilege, Hook::TaskFixSetuid, About::number(u64::from(root)), EPERM)
}

/// Whether any of the user ids is the container's root.
#[inline(always)]
fn is_root(cred: Obj, root: u32) -> bool {
    load::<u32>(cred, &kernel::CRED_UID) == root
        || load::<u32>(cred, &kernel::CRED_EUID) == root
        || load::<u32>(cred, &kernel::CRED_SUID) == root
}
