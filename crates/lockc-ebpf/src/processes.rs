//! Processes: a confined task reaches only confined tasks of its own container, or of a PID
//! namespace that it shares. What it may take over in there (by ptrace and its like) is no task
//! that may do more than itself.
//!
//! | hook | what for |
//! |---|---|
//! | ptrace_access_check | ptrace, process_vm_*, pidfd_getfd, kcmp, and reads of /proc/<pid>/{mem,environ,root,cwd,fd,ns,…} |
//! | task_kill | signals |
//! | file_fcntl, (file_ioctl) | F_SETOWN and its like: signals that the kernel sends later, whoever causes them |
//! | task_prlimit | reading the limits of other processes |
//! | task_setrlimit, task_setscheduler, task_setnice, task_setioprio, task_movememory | what changes how a task runs |
//!
//! A launching task is out of reach too: it holds the runtime's descriptors inside of the
//! container's namespaces.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, macros::lsm, programs::LsmContext};
use lockc_core::{
    abi::{
        ContainerEntry, ContainerKey, ENTRY_GUARD, ENTRY_LOOPBACK, ENTRY_POLICY_GRANTS,
        ENTRY_PROPAGATION, ENTRY_SANDBOX, Hook, MODE_AUDIT, POLICY_LEN,
    },
    rules::{Rule, RuleMask},
};

use crate::{
    files,
    kernel::{self, Obj},
    label,
    verdict::{self, About, EPERM, Subject},
};

/// include/linux/ptrace.h
const PTRACE_MODE_NOAUDIT: u32 = 4;

/// include/uapi/asm-generic/fcntl.h
const F_SETOWN: u32 = 8;
const F_SETOWN_EX: u32 = 15;
/// include/uapi/asm-generic/sockios.h
const FIOSETOWN: u32 = 0x8901;
const SIOCSPGRP: u32 = 0x8902;

/// `LSM_PRLIMIT_READ`, include/linux/lsm_hooks.h: the old limits are read and no new ones set.
const PRLIMIT_READ_ONLY: u32 = 1;

/// Bytes of `struct upid`: a number and a pointer (include/linux/pid.h; the same from 5.11 to 7.2).
const UPID_SIZE: u64 = 16;

/// The address of the PID namespace that a task is in; 0 for the host's, which makes nobody a
/// neighbour, and where it cannot be read.
#[inline(always)]
fn pid_namespace(task: Obj) -> u64 {
    let Ok(pid) = kernel::read::<u64>(task.addr(), &kernel::TASK_THREAD_PID) else {
        return 0;
    };
    let Ok(level) = kernel::read::<u32>(pid, &kernel::PID_LEVEL) else {
        return 0;
    };
    if level == 0 {
        return 0;
    }
    let number = pid + kernel::offset(&kernel::PID_NUMBERS) as u64 + u64::from(level) * UPID_SIZE;
    kernel::read(number, &kernel::UPID_NS).unwrap_or(0)
}

/// What a task wants of another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// To signal or schedule it.
    Touch,
    /// To act as it, or to read what is its own: its memory, its descriptors, its environment.
    Become,
}

/// Whether the tasks of another container may do nothing that those of this one may not.
#[inline(always)]
fn is_no_looser(who: &Subject, other: ContainerKey) -> bool {
    let (Some(own), Some(other)) = (who.entry, verdict::entry(other)) else {
        return false;
    };
    // Its denials are only reported: it may do everything.
    if other.mode == MODE_AUDIT && own.mode != MODE_AUDIT {
        return false;
    }
    // The loopback addresses are an exception of the rule `network`.
    let loosening =
        if RuleMask(own.rules).has(Rule::Network) { LOOSENING | ENTRY_LOOPBACK } else { LOOSENING };
    RuleMask(other.rules).covers(RuleMask(own.rules))
        && other.capabilities & !own.capabilities == 0
        && other.flags & !own.flags & loosening == 0
        && (other.reads == 0 || other.reads == own.reads)
        && (other.flags & GRANTS == 0 || is_same_policy(own, other))
}

/// Flags of an entry that let a container do more.
const LOOSENING: u32 = ENTRY_GUARD | ENTRY_SANDBOX;

/// Flags of an entry whose container has something of the host's that is comparable only under the
/// same policy.
const GRANTS: u32 = ENTRY_POLICY_GRANTS | ENTRY_PROPAGATION;

/// Whether another container is under the same policy.
#[inline(always)]
pub fn has_same_policy(who: &Subject, other: ContainerKey) -> bool {
    match (who.entry, verdict::entry(other)) {
        (Some(own), Some(other)) => is_same_policy(own, other),
        _ => false,
    }
}

#[inline(always)]
fn is_same_policy(one: &ContainerEntry, other: &ContainerEntry) -> bool {
    // A name that fills its field may have been cut.
    one.policy[POLICY_LEN - 1] == 0 && one.level == other.level && one.policy == other.policy
}

/// Whether a task is within reach.
#[inline(always)]
fn reaches(who: &Subject, other: Obj, how: Reach) -> bool {
    // SAFETY: null or a live cell of the storage.
    let Some(label) = (unsafe { label::of(other).as_ref() }) else {
        return false;
    };
    if !label::is_confined(label) {
        return false;
    }
    if label.key == who.key {
        return true;
    }
    // Another container: whoever runs them lets them share a PID namespace, as the containers of a
    // pod do.
    let own = pid_namespace(label::current());
    own != 0 && own == pid_namespace(other) && (how == Reach::Touch || is_no_looser(who, label.key))
}

/// Notes in the current task's label that it was let act as a task of another container: what was
/// granted to that one it may use too, by /proc/N/root, /proc/N/cwd and /proc/N/fd.
#[inline(always)]
fn visit(who: &Subject, other: Obj) {
    // SAFETY: null or live cells of the storage; that of the current task is written by itself
    // only.
    let (own, other) = unsafe { (label::of(label::current()).as_mut(), label::of(other).as_ref()) };
    if let (Some(own), Some(other)) = (own, other)
        && other.key != who.key
    {
        own.visits = other.key;
    }
}

/// The other container that the current task was last let act as, if it would be let still. Whoever
/// gets there has what the other has by its memory and descriptors anyway.
#[inline(always)]
pub fn visited(who: &Subject) -> Option<Subject> {
    // SAFETY: null or a live cell of the storage.
    let label = unsafe { label::of(label::current()).as_ref() }?;
    let other = label.visits;
    (other.generation != 0 && is_no_looser(who, other)).then(|| Subject::of(other))
}

#[inline(always)]
fn check(other: Obj, earlier: i32, hook: Hook, arg: u64) -> i32 {
    if earlier != 0 {
        return earlier;
    }
    match verdict::subject_to(Rule::Process) {
        Some(who) if !reaches(&who, other, Reach::Touch) => {
            verdict::deny(&who, Rule::Process, hook, About::number(arg), EPERM)
        }
        _ => 0,
    }
}

/// `int ptrace_access_check(struct task_struct *child, unsigned int mode)`
#[lsm(hook = "ptrace_access_check")]
pub fn ptrace_access_check(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(2);
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::subject_to(Rule::Process) else {
        return 0;
    };
    let mode: u32 = ctx.arg(1);
    // Reading counts too: the kernel asks no more than that for the links in /proc/N/fd, which open
    // what they lead to.
    let other = Obj(ctx.arg::<*const u8>(0));
    if reaches(&who, other, Reach::Become) {
        visit(&who, other);
        return 0;
    }
    if mode & PTRACE_MODE_NOAUDIT != 0 {
        return verdict::quietly(&who, EPERM);
    }
    verdict::deny(
        &who,
        Rule::Process,
        Hook::PtraceAccessCheck,
        About::number(u64::from(mode)),
        EPERM,
    )
}

/// `int task_kill(struct task_struct *p, struct kernel_siginfo *info, int sig, const struct cred
/// *cred)`
#[lsm(hook = "task_kill")]
pub fn task_kill(ctx: LsmContext) -> i32 {
    let signal: i32 = ctx.arg(2);
    check(Obj(ctx.arg::<*const u8>(0)), ctx.arg(4), Hook::TaskKill, signal as u64)
}

/// `int task_setrlimit(struct task_struct *p, unsigned int resource, struct rlimit *new_rlim)`
#[lsm(hook = "task_setrlimit")]
pub fn task_setrlimit(ctx: LsmContext) -> i32 {
    let resource: u32 = ctx.arg(1);
    check(Obj(ctx.arg::<*const u8>(0)), ctx.arg(3), Hook::TaskSetrlimit, u64::from(resource))
}

/// `int task_setscheduler(struct task_struct *p)`
#[lsm(hook = "task_setscheduler")]
pub fn task_setscheduler(ctx: LsmContext) -> i32 {
    check(Obj(ctx.arg::<*const u8>(0)), ctx.arg(1), Hook::TaskSetscheduler, 0)
}

/// `int task_setnice(struct task_struct *p, int nice)`
#[lsm(hook = "task_setnice")]
pub fn task_setnice(ctx: LsmContext) -> i32 {
    check(Obj(ctx.arg::<*const u8>(0)), ctx.arg(2), Hook::TaskSetnice, 0)
}

/// `int task_setioprio(struct task_struct *p, int ioprio)`
#[lsm(hook = "task_setioprio")]
pub fn task_setioprio(ctx: LsmContext) -> i32 {
    check(Obj(ctx.arg::<*const u8>(0)), ctx.arg(2), Hook::TaskSetioprio, 0)
}

/// `int task_movememory(struct task_struct *p)`
#[lsm(hook = "task_movememory")]
pub fn task_movememory(ctx: LsmContext) -> i32 {
    check(Obj(ctx.arg::<*const u8>(0)), ctx.arg(1), Hook::TaskMovememory, 0)
}

/// Checks who is to get the signals of a file. The kernel sends them later, in no task's name, so
/// that only the number that is written tells: in a PID namespace of its own that is a task in it,
/// in the host's it must be the caller.
#[inline(always)]
fn check_owner(earlier: i32, hook: Hook, owner: Option<i32>) -> i32 {
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::subject_to(Rule::Process) else {
        return 0;
    };
    let own = (bpf_get_current_pid_tgid() >> 32) as i32;
    // A negative number is that of a process group: its own, if it leads one.
    let is_own = owner.is_some_and(|owner| owner == 0 || owner == own || owner == -own);
    if is_own || pid_namespace(label::current()) != 0 {
        return 0;
    }
    verdict::deny(&who, Rule::Process, hook, About::number(owner.unwrap_or(0) as u64), EPERM)
}

/// `int file_fcntl(struct file *file, unsigned int cmd, unsigned long arg)`
#[lsm(hook = "file_fcntl")]
pub fn file_fcntl(ctx: LsmContext) -> i32 {
    let arg: u64 = ctx.arg(2);
    match ctx.arg::<u32>(1) {
        F_SETOWN => check_owner(ctx.arg(3), Hook::FileFcntl, Some(arg as i32)),
        // The owner is in the caller's memory, where another thread may change it after this look.
        F_SETOWN_EX => check_owner(ctx.arg(3), Hook::FileFcntl, None),
        _ => ctx.arg(3),
    }
}

/// Checks the ioctls of sockets that do what F_SETOWN does; the owner is in the caller's memory
/// too.
#[inline(always)]
fn check_ioctl(file: *const u8, command: u32, earlier: i32, hook: Hook) -> i32 {
    if earlier != 0 {
        return earlier;
    }
    match command {
        FIOSETOWN | SIOCSPGRP => check_owner(0, hook, None),
        files::BTRFS_IOC_SNAP_DESTROY_V2 => files::check_subvolume(Obj(file), hook),
        _ => 0,
    }
}

/// `int file_ioctl(struct file *file, unsigned int cmd, unsigned long arg)`
#[lsm(hook = "file_ioctl")]
pub fn file_ioctl(ctx: LsmContext) -> i32 {
    check_ioctl(ctx.arg(0), ctx.arg(1), ctx.arg(3), Hook::FileIoctl)
}

/// `int file_ioctl_compat(struct file *file, unsigned int cmd, unsigned long arg)`
#[lsm(hook = "file_ioctl_compat")]
pub fn file_ioctl_compat(ctx: LsmContext) -> i32 {
    check_ioctl(ctx.arg(0), ctx.arg(1), ctx.arg(3), Hook::FileIoctlCompat)
}

/// `int task_prlimit(const struct cred *cred, const struct cred *tcred, unsigned int flags)`: the
/// kernel tells the other's credentials and not the task. Whoever sets limits is checked in
/// task_setrlimit; reading those of another process is denied in the host's PID namespace. Threads
/// share their credentials unless one has changed them.
#[lsm(hook = "task_prlimit")]
pub fn task_prlimit(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(3);
    if earlier != 0 || ctx.arg::<u32>(2) != PRLIMIT_READ_ONLY {
        return earlier;
    }
    let Some(who) = verdict::subject_to(Rule::Process) else {
        return 0;
    };
    if ctx.arg::<u64>(0) == ctx.arg::<u64>(1) || pid_namespace(label::current()) != 0 {
        return 0;
    }
    verdict::deny(&who, Rule::Process, Hook::TaskPrlimit, About::NOTHING, EPERM)
}

/// Whether the entries below a directory /proc/N are those of a task that this one may touch: one
/// in its PID namespace, or (in the host's, or through a procfs that is not its own) one in its
/// mount namespace.
#[inline(always)]
pub fn is_neighbours(directory: u64) -> Result<bool, i32> {
    let inode: u64 = kernel::read(directory, &kernel::DENTRY_INODE)?;
    // `struct proc_inode` embeds the inode.
    let proc_inode = inode.wrapping_sub(kernel::offset(&kernel::PROC_INODE_INODE) as u64);
    let pid: u64 = kernel::read(proc_inode, &kernel::PROC_INODE_PID)?;
    let own: u64 = kernel::read(label::current().addr(), &kernel::TASK_THREAD_PID)?;
    if pid == own {
        return Ok(true);
    }
    let level: u32 = kernel::read(own, &kernel::PID_LEVEL)?;
    if level != 0 && kernel::read::<u32>(pid, &kernel::PID_LEVEL)? >= level {
        let number = kernel::offset(&kernel::PID_NUMBERS) as u64 + u64::from(level) * UPID_SIZE;
        if kernel::read::<u64>(pid + number, &kernel::UPID_NS)?
            == kernel::read::<u64>(own + number, &kernel::UPID_NS)?
        {
            return Ok(true);
        }
    }
    // PIDTYPE_PID is the first of the lists and of the links (include/linux/pid_types.h).
    let link: u64 = kernel::read(pid, &kernel::PID_TASKS)?;
    if link == 0 {
        return Ok(false);
    }
    let task = link.wrapping_sub(kernel::offset(&kernel::TASK_PID_LINKS) as u64);
    let nsproxy: u64 = kernel::read(task, &kernel::TASK_NSPROXY)?;
    Ok(nsproxy != 0
        && kernel::read::<u64>(nsproxy, &kernel::NSPROXY_MNT_NS)? == files::own_mount_ns())
}
