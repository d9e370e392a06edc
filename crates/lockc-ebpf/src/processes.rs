//! Processes: a confined task reaches only confined tasks of its own container, or of a PID namespace that it shares.
//! What it may take over in there (by ptrace and its like) is no task that may do more than itself.
//!
//! | hook | what for |
//! |---|---|
//! | ptrace_access_check | ptrace, process_vm_*, pidfd_getfd, kcmp, and reads of /proc/<pid>/{mem,environ,root,cwd,fd,ns,…} |
//! | task_kill | signals |
//! | task_setrlimit, task_setscheduler, task_setnice, task_setioprio, task_movememory | what changes how a task runs |
//!
//! A task in setup is out of reach too: it holds the runtime's descriptors inside of the container's namespaces.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use lockc_core::{
    abi::{ContainerKey, Hook},
    rules::{Rule, RuleMask},
};

use crate::{
    kernel::{self, Obj},
    label,
    verdict::{self, About, EPERM, Judged},
};

/// include/linux/ptrace.h
const PTRACE_MODE_ATTACH: u32 = 2;
const PTRACE_MODE_NOAUDIT: u32 = 4;

/// Bytes of `struct upid`: a number and a pointer (include/linux/pid.h; the same from 5.11 to 7.2).
const UPID_SIZE: u64 = 16;

/// The address of the PID namespace that a task is in; 0 for the host's, which makes nobody a neighbour, and where it
/// cannot be read.
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
    /// To see, signal or schedule it.
    Touch,
    /// To act as it: its memory, its descriptors.
    Become,
}

/// Whether the tasks of another container may do nothing that those of this one may not.
#[inline(always)]
fn is_no_looser(who: &Judged, other: ContainerKey) -> bool {
    match (who.entry, verdict::entry(other)) {
        (Some(own), Some(other)) => {
            RuleMask(other.rules).covers(RuleMask(own.rules)) && other.capabilities & !own.capabilities == 0
        }
        _ => false,
    }
}

/// Whether a task is within reach.
#[inline(always)]
fn reaches(who: &Judged, other: Obj, how: Reach) -> bool {
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
    // Another container: whoever runs them lets them share a PID namespace, as the containers of a pod do.
    let own = pid_namespace(label::current());
    own != 0 && own == pid_namespace(other) && (how == Reach::Touch || is_no_looser(who, label.key))
}

#[inline(always)]
fn judge(other: Obj, earlier: i32, hook: Hook, arg: u64) -> i32 {
    if earlier != 0 {
        return earlier;
    }
    match verdict::judged(Rule::Process) {
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
    let Some(who) = verdict::judged(Rule::Process) else {
        return 0;
    };
    let mode: u32 = ctx.arg(1);
    let how = if mode & PTRACE_MODE_ATTACH != 0 { Reach::Become } else { Reach::Touch };
    if reaches(&who, Obj(ctx.arg::<*const u8>(0)), how) {
        return 0;
    }
    if mode & PTRACE_MODE_NOAUDIT != 0 {
        return verdict::quietly(&who, EPERM);
    }
    verdict::deny(&who, Rule::Process, Hook::PtraceAccessCheck, About::number(u64::from(mode)), EPERM)
}

/// `int task_kill(struct task_struct *p, struct kernel_siginfo *info, int sig, const struct cred *cred)`
#[lsm(hook = "task_kill")]
pub fn task_kill(ctx: LsmContext) -> i32 {
    let signal: i32 = ctx.arg(2);
    judge(Obj(ctx.arg::<*const u8>(0)), ctx.arg(4), Hook::TaskKill, signal as u64)
}

/// `int task_setrlimit(struct task_struct *p, unsigned int resource, struct rlimit *new_rlim)`
#[lsm(hook = "task_setrlimit")]
pub fn task_setrlimit(ctx: LsmContext) -> i32 {
    let resource: u32 = ctx.arg(1);
    judge(Obj(ctx.arg::<*const u8>(0)), ctx.arg(3), Hook::TaskSetrlimit, u64::from(resource))
}

/// `int task_setscheduler(struct task_struct *p)`
#[lsm(hook = "task_setscheduler")]
pub fn task_setscheduler(ctx: LsmContext) -> i32 {
    judge(Obj(ctx.arg::<*const u8>(0)), ctx.arg(1), Hook::TaskSetscheduler, 0)
}

/// `int task_setnice(struct task_struct *p, int nice)`
#[lsm(hook = "task_setnice")]
pub fn task_setnice(ctx: LsmContext) -> i32 {
    judge(Obj(ctx.arg::<*const u8>(0)), ctx.arg(2), Hook::TaskSetnice, 0)
}

/// `int task_setioprio(struct task_struct *p, int ioprio)`
#[lsm(hook = "task_setioprio")]
pub fn task_setioprio(ctx: LsmContext) -> i32 {
    judge(Obj(ctx.arg::<*const u8>(0)), ctx.arg(2), Hook::TaskSetioprio, 0)
}

/// `int task_movememory(struct task_struct *p)`
#[lsm(hook = "task_movememory")]
pub fn task_movememory(ctx: LsmContext) -> i32 {
    judge(Obj(ctx.arg::<*const u8>(0)), ctx.arg(1), Hook::TaskMovememory, 0)
}
