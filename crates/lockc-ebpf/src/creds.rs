//! Rights: whose credentials the kernel asks about, capabilities when they are used, becoming root.
//!
//! | hook | what for |
//! |---|---|
//! | capable | CAP_SYS_ADMIN: fsopen, fspick, fsmount, open_tree(CLONE), mount_setattr, unshare and setns of mount namespaces have no other hook (seen on 6.1 to 7.2); CAP_SYSLOG; CAP_DAC_READ_SEARCH; all that the container may not have |
//! | userns_create | a new user namespace comes with every capability in it |
//! | bprm_creds_from_file | set-uid and set-gid programs and file capabilities, under `restricted` |
//! | task_fix_setuid, task_fix_setgid | becoming root or root's group, under `restricted` |
//! | uring_override_creds, uring_sqpoll | credentials that io_uring keeps and uses later |

use aya_ebpf::{macros::lsm, programs::LsmContext};
use lockc_core::{
    abi::{Hook, LABEL_CONFINES, STATE_CONFINED, STATE_LAUNCHING},
    rules::Rule,
};

use crate::{
    files,
    kernel::{self, Obj, follow, load},
    kernel_log, label,
    verdict::{self, About, EPERM, Subject},
};

/// include/uapi/linux/capability.h
const CAP_SYS_ADMIN: i32 = 21;
const CAP_SETFCAP: i32 = 31;
const CAP_BPF: i32 = 39;
/// What only changes the kernel or tells about it, or takes the host down: SYS_MODULE, SYS_RAWIO,
/// SYS_PACCT, SYS_BOOT, SYS_TIME, AUDIT_CONTROL, MAC_OVERRIDE, MAC_ADMIN, PERFMON, BPF. For most of
/// what they allow there is no other hook: adjtimex, acct, ioperm, iopl, reboot.
const KERNEL: u64 = 1 << 16
    | 1 << 17
    | 1 << 20
    | 1 << 22
    | 1 << 25
    | 1 << 30
    | 1 << 32
    | 1 << 33
    | 1 << 38
    | 1 << CAP_BPF;
/// `CAP_OPT_NOAUDIT`, include/linux/security.h (6.1): the caller only asks and fails silently.
const CAP_OPT_NOAUDIT: u32 = 2;

/// `PF_IO_WORKER`, include/linux/sched.h (5.12 to 7.2): a thread of io-wq or a polling thread of
/// io_uring.
const PF_IO_WORKER: u32 = 0x10;

/// Whether these credentials are the kernel's own, in which it acts in the current task's name for
/// a moment: overlayfs with the mounter's to write its layers, the firmware loader and the upcalls
/// of file systems with init's.
///
/// They are in force instead of the task's, and are those of the initial user namespace with
/// CAP_SYS_ADMIN. Credentials that are only asked about are never the kernel's: those of a file's
/// opener (`file_ns_capable`) or of another task.
///
/// What else is in force instead of the task's comes from a task of the container, and has
/// CAP_SYS_ADMIN only where the container does. io_uring is the one place where such credentials do
/// something: a personality that could be taken for the kernel's is denied
/// ([`uring_override_creds`]), a polling thread that could bring some too ([`uring_sqpoll`]). A
/// worker uses those that a request was made with; its thread has at least their capabilities,
/// because nothing but exec, which ends the ring, gives a task more. So what the thread could have
/// itself is the container's there. access(2), core dumps and cgroup.procs use credentials of a
/// task's or an opener's, and nothing that they do asks for a capability of `capable`.
#[inline(always)]
pub fn are_kernels_own(cred: Obj) -> bool {
    let task = label::current();
    let real = follow(task, &kernel::TASK_REAL_CRED);
    if cred.addr() == real.addr()
        || cred.addr() != follow(task, &kernel::TASK_CRED).addr()
        || !may_administer(cred)
    {
        return false;
    }
    if load::<u32>(task, &kernel::TASK_FLAGS) & PF_IO_WORKER == 0 {
        return true;
    }
    let own = within_reach(real);
    own >> CAP_SYS_ADMIN & 1 == 0 || within_reach(cred) & !own != 0
}

/// Whether the credentials have CAP_SYS_ADMIN in the initial user namespace.
#[inline(always)]
fn may_administer(cred: Obj) -> bool {
    let effective: u64 = load(cred, &kernel::CRED_EFFECTIVE);
    effective >> CAP_SYS_ADMIN & 1 != 0 && is_initial(follow(cred, &kernel::CRED_USER_NS))
}

/// Whether the credentials are of the initial user namespace.
#[inline(always)]
pub fn is_initial_cred(cred: Obj) -> bool {
    is_initial(follow(cred, &kernel::CRED_USER_NS))
}

/// The capabilities that a task with these credentials has or could get by an exec.
#[inline(always)]
fn within_reach(cred: Obj) -> u64 {
    load::<u64>(cred, &kernel::CRED_PERMITTED) | load::<u64>(cred, &kernel::CRED_BOUNDING)
}

/// The rule under which credentials that could be taken for the kernel's are refused: the first
/// that the container has of those that do not check the kernel itself.
#[inline(always)]
fn borrowing(who: &Subject) -> Option<Rule> {
    [Rule::Capability, Rule::Mount, Rule::Kernel, Rule::Files, Rule::Keyring]
        .into_iter()
        .find(|rule| who.has(*rule))
}

/// `int uring_override_creds(const struct cred *new)`: a request names a personality.
#[lsm(hook = "uring_override_creds")]
pub fn uring_override_creds(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(1);
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::confined() else {
        return 0;
    };
    let new = Obj(ctx.arg::<*const u8>(0));
    if new.addr() == follow(label::current(), &kernel::TASK_REAL_CRED).addr()
        || !may_administer(new)
    {
        return 0;
    }
    match borrowing(&who) {
        Some(rule) => verdict::deny(&who, rule, Hook::UringOverrideCreds, About::NOTHING, EPERM),
        None => 0,
    }
}

/// `int uring_sqpoll(void)`: the thread may be one that another thread of the process made with
/// fewer capabilities.
#[lsm(hook = "uring_sqpoll")]
pub fn uring_sqpoll(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(0);
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::confined() else {
        return 0;
    };
    if !may_administer(follow(label::current(), &kernel::TASK_CRED)) {
        return 0;
    }
    match borrowing(&who) {
        Some(rule) => verdict::deny(&who, rule, Hook::UringSqpoll, About::NOTHING, EPERM),
        None => 0,
    }
}

/// Whether the kernel works in the current task's name with its own credentials.
#[inline(always)]
pub fn kernel_at_work() -> bool {
    are_kernels_own(follow(label::current(), &kernel::TASK_CRED))
}

/// `__FMODE_EXEC`, include/linux/fs.h: the kernel opens the file in order to execute it; open(2)
/// cannot say so.
const FMODE_EXEC: u32 = 0x20;

/// Whether the kernel opens the interpreter of a binfmt_misc entry with the flag `F`, which it
/// opened when the host's root registered it: for an exec, and with the credentials of that moment
/// instead of the task's (fs/open.c, `file_clone_open`).
#[inline(always)]
pub fn is_interpreter(file: Obj) -> bool {
    if load::<u32>(file, &kernel::FILE_FLAGS) & FMODE_EXEC == 0 {
        return false;
    }
    let cred = follow(file, &kernel::FILE_CRED);
    cred.addr() != follow(label::current(), &kernel::TASK_CRED).addr() && may_administer(cred)
}

/// Whether the current task has CAP_BPF, or CAP_SYS_ADMIN which implies it, in the initial user
/// namespace.
#[inline(always)]
pub fn has_bpf() -> bool {
    let cred = follow(label::current(), &kernel::TASK_CRED);
    let effective: u64 = load(cred, &kernel::CRED_EFFECTIVE);
    effective & (1 << CAP_SYS_ADMIN | 1 << CAP_BPF) != 0
        && is_initial(follow(cred, &kernel::CRED_USER_NS))
}

#[inline(always)]
fn is_initial(user_ns: Obj) -> bool {
    !user_ns.is_null() && load::<i32>(user_ns, &kernel::USER_NS_LEVEL) == 0
}

/// Whether a user namespace lies below the container's own, which is the host's or one below that.
/// A container that starts deeper (rootless in rootless) has its own one taken for nested.
#[inline(always)]
fn is_nested(who: &Subject, user_ns: Obj) -> bool {
    let own = i32::from(who.entry.is_some_and(|entry| entry.root_uid != 0));
    !user_ns.is_null() && load::<i32>(user_ns, &kernel::USER_NS_LEVEL) > own
}

/// Whether the kernel asks for CAP_SYS_ADMIN in a user namespace that the container made, under a
/// policy without the rule user-namespace: a browser's sandbox makes PID and network namespaces
/// with it.
///
/// Both mount APIs ask for the capability in the user namespace of the task's mount namespace
/// (fs/namespace.c, `may_mount`). Once that is a nested one too, the rule `mount` decides.
#[inline(always)]
fn is_for_own_sandbox(who: &Subject, user_ns: Obj) -> bool {
    if who.has(Rule::UserNamespace) || !is_nested(who, user_ns) {
        return false;
    }
    let nsproxy = follow(label::current(), &kernel::TASK_NSPROXY);
    let mounts = follow(follow(nsproxy, &kernel::NSPROXY_MNT_NS), &kernel::MNT_NS_USER_NS);
    !mounts.is_null() && !is_nested(who, mounts)
}

/// Whether the current task may do what the kernel asks CAP_SYS_ADMIN in that user namespace for.
#[inline(always)]
pub fn may_administer_in(who: &Subject, user_ns: Obj) -> bool {
    let cred = follow(label::current(), &kernel::TASK_CRED);
    !who.has(Rule::Mount)
        && (may_administer(cred)
            || (follow(cred, &kernel::CRED_USER_NS).addr() == user_ns.addr()
                && load::<u64>(cred, &kernel::CRED_EFFECTIVE) >> CAP_SYS_ADMIN & 1 != 0))
}

/// Whether the current task may do what the kernel asks CAP_SETFCAP over a file of that owner for.
/// In a user namespace that the container made, only the caller's own files are surely mapped.
#[inline(always)]
pub fn may_set_file_capabilities(who: &Subject, owner: u32) -> bool {
    let cred = follow(label::current(), &kernel::TASK_CRED);
    if load::<u64>(cred, &kernel::CRED_EFFECTIVE) >> CAP_SETFCAP & 1 == 0 {
        return false;
    }
    if is_nested(who, follow(cred, &kernel::CRED_USER_NS)) {
        return !who.has(Rule::UserNamespace) && load::<u32>(cred, &kernel::CRED_EUID) == owner;
    }
    who.may_use(CAP_SETFCAP)
}

/// `int capable(const struct cred *cred, struct user_namespace *ns, int cap, unsigned int opts)`:
/// asked only for what the credentials would allow, in any user namespace.
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
    if cap == CAP_SYS_ADMIN && is_for_own_sandbox(&who, Obj(ctx.arg::<*const u8>(1))) {
        return 0;
    }
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

/// `int bprm_creds_from_file(struct linux_binprm *bprm, struct file *file)`: the new credentials
/// are computed, the exec can still fail.
#[lsm(hook = "bprm_creds_from_file")]
pub fn bprm_creds_from_file(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(2);
    if earlier != 0 {
        return earlier;
    }
    // SAFETY: null or a live cell of the storage.
    let Some(label) = (unsafe { label::of(label::current()).as_ref() }) else {
        return 0;
    };
    // The container's first program, which `bprm_check_security` has just let turn the task into
    // the container's.
    let first = label.state == STATE_LAUNCHING && label.flags & LABEL_CONFINES != 0;
    if label.state != STATE_CONFINED && !first {
        return 0;
    }
    let who = Subject::of(label.key);
    if !who.has(Rule::Privilege) {
        return 0;
    }
    let new = follow(Obj(ctx.arg::<*const u8>(0)), &kernel::BPRM_CRED);
    let old = follow(label::current(), &kernel::TASK_CRED);
    let euid: u32 = load(new, &kernel::CRED_EUID);
    // What root has after its first exec, the engine chose: all that is in the bounding set.
    let root = who.entry.map_or(0, |entry| entry.root_uid);
    let gained = if first && load::<u32>(old, &kernel::CRED_EUID) == root {
        0
    } else {
        load::<u64>(new, &kernel::CRED_PERMITTED) & !load::<u64>(old, &kernel::CRED_PERMITTED)
    };
    let egid: u32 = load(new, &kernel::CRED_EGID);
    let other_group = egid != load::<u32>(old, &kernel::CRED_EGID);
    if gained == 0 && euid == load::<u32>(old, &kernel::CRED_EUID) && !other_group {
        return 0;
    }
    // For the event: the user, and the group plus one where it is another.
    let group = if other_group { u64::from(egid) + 1 } else { 0 };
    let about = About::number(u64::from(euid) | group << 32);
    verdict::deny(&who, Rule::Privilege, Hook::BprmCredsFromFile, about, EPERM)
}

/// `int task_fix_setuid(struct cred *new, const struct cred *old, int flags)`
#[lsm(hook = "task_fix_setuid")]
pub fn task_fix_setuid(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(3);
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::subject_to(Rule::Privilege) else {
        return 0;
    };
    let root = who.entry.map_or(0, |entry| entry.root_uid);
    let becomes_root = is_root(Obj(ctx.arg::<*const u8>(0)), root);
    if !becomes_root || is_root(Obj(ctx.arg::<*const u8>(1)), root) {
        return 0;
    }
    verdict::deny(&who, Rule::Privilege, Hook::TaskFixSetuid, About::number(u64::from(root)), EPERM)
}

/// `int task_fix_setgid(struct cred *new, const struct cred *old, int flags)`: only a holder of
/// CAP_SETGID gets a group that is none of its own.
#[lsm(hook = "task_fix_setgid")]
pub fn task_fix_setgid(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(3);
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::subject_to(Rule::Privilege) else {
        return 0;
    };
    // Engines map users and groups alike (/etc/subuid, /etc/subgid); where they do not, a group
    // that is not root's on the host is no gain.
    let root = who.entry.map_or(0, |entry| entry.root_uid);
    let becomes_root = is_roots_group(Obj(ctx.arg::<*const u8>(0)), root);
    if !becomes_root || is_roots_group(Obj(ctx.arg::<*const u8>(1)), root) {
        return 0;
    }
    verdict::deny(&who, Rule::Privilege, Hook::TaskFixSetgid, About::number(u64::from(root)), EPERM)
}

/// Whether any of the group ids is that of the container's root.
#[inline(always)]
fn is_roots_group(cred: Obj, root: u32) -> bool {
    load::<u32>(cred, &kernel::CRED_GID) == root
        || load::<u32>(cred, &kernel::CRED_EGID) == root
        || load::<u32>(cred, &kernel::CRED_SGID) == root
        || load::<u32>(cred, &kernel::CRED_FSGID) == root
}

/// Whether any of the user ids is the container's root.
#[inline(always)]
fn is_root(cred: Obj, root: u32) -> bool {
    load::<u32>(cred, &kernel::CRED_UID) == root
        || load::<u32>(cred, &kernel::CRED_EUID) == root
        || load::<u32>(cred, &kernel::CRED_SUID) == root
        || load::<u32>(cred, &kernel::CRED_FSUID) == root
}
