//! Processes: a confined task reaches only confined tasks of its own container, or of a PID
//! namespace that it shares. There it may take over (by ptrace and its like) no task that may do
//! more than itself.
//!
//! A launching task is out of reach too: it holds the runtime's descriptors inside the container's
//! namespaces.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use lockc_core::{
    abi::{
        ContainerEntry, ContainerKey, ENTRY_GUARD, ENTRY_LOOPBACK, ENTRY_POLICY_GRANTS,
        ENTRY_PROPAGATION, ENTRY_SANDBOX, Hook, MODE_AUDIT, POLICY_LEN,
    },
    fields::{Cred, Dentry, File, Pid, PidNamespace, ProcInode, Task},
    pointers::{ProbePtr, Ptr},
    rules::{Rule, RuleMask},
};

use crate::{
    files,
    hook::{Check, lsm},
    label, mount_view,
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

/// The namespace at a level of a process ID; level 0 is the host's.
#[inline(always)]
fn namespace_at(pid: ProbePtr<Pid>, level: u32) -> Result<ProbePtr<PidNamespace>, i32> {
    pid.numbers().byte_add(u64::from(level) * UPID_SIZE).ns()
}

/// The PID namespace that a task is in; null for the host's, in which no container is a neighbour,
/// and where it cannot be read.
#[inline(always)]
fn pid_namespace(task: Ptr<Task>) -> ProbePtr<PidNamespace> {
    let Ok(pid) = task.probe().thread_pid() else {
        return ProbePtr::NULL;
    };
    let Ok(level) = pid.level() else {
        return ProbePtr::NULL;
    };
    if level == 0 {
        return ProbePtr::NULL;
    }
    namespace_at(pid, level).unwrap_or(ProbePtr::NULL)
}

/// What a task does to another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TaskAccess {
    /// Signals or schedules it.
    Signal,
    /// Acts as it, or reads its memory, its descriptors, its environment.
    ActAs,
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
fn reaches(who: &Subject, other: Ptr<Task>, access: TaskAccess) -> bool {
    // SAFETY: null or a live cell of the storage.
    let Some(label) = (unsafe { label::for_task(other).as_ref() }) else {
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
    !own.is_null()
        && own == pid_namespace(other)
        && (access == TaskAccess::Signal || is_no_looser(who, label.key))
}

/// Notes in the current task's label that it was let act as a task of another container: what was
/// granted to that one it may use too, by /proc/N/root, /proc/N/cwd and /proc/N/fd.
#[inline(always)]
fn visit(who: &Subject, other: Ptr<Task>) {
    // SAFETY: null or live cells of the storage; that of the current task is written by itself
    // only.
    let (own, other) =
        unsafe { (label::for_task(label::current()).as_mut(), label::for_task(other).as_ref()) };
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
    let label = unsafe { label::for_task(label::current()).as_ref() }?;
    let other = label.visits;
    (other.generation != 0 && is_no_looser(who, other)).then(|| Subject::for_container(other))
}

/// Checks a signal to a task, or a change of how it runs.
#[inline(always)]
fn check_signal(check: &Check, target: Ptr<Task>, arg: u64) -> i32 {
    if !reaches(check.who, target, TaskAccess::Signal) {
        return check.deny(About::number(arg), EPERM);
    }
    0
}

/// Checks who is to get the signals of a file. The kernel sends them later, for no task, so that
/// only the number tells: in a PID namespace of its own that is a task in it, in the host's it must
/// be the caller.
#[inline(always)]
fn check_owner(hook: Hook, owner: Option<i32>) -> i32 {
    let Some(who) = verdict::subject_to(Rule::Process) else {
        return 0;
    };
    let own = (bpf_get_current_pid_tgid() >> 32) as i32;
    // A negative number is that of a process group: its own, if it leads one.
    let is_own = owner.is_some_and(|owner| owner == 0 || owner == own || owner == -own);
    if is_own || !pid_namespace(label::current()).is_null() {
        return 0;
    }
    verdict::deny(&who, Rule::Process, hook, About::number(owner.unwrap_or(0) as u64), EPERM)
}

/// Checks the ioctls of sockets that do what F_SETOWN does; the owner is in the caller's memory
/// too.
#[inline(always)]
fn check_ioctl(file: Ptr<File>, command: u32, hook: Hook) -> i32 {
    match command {
        FIOSETOWN | SIOCSPGRP => check_owner(hook, None),
        files::BTRFS_IOC_SNAP_DESTROY_V2 => files::check_subvolume(file, hook),
        _ => 0,
    }
}

lsm! {
    /// ptrace(2) and whatever asks for the same access: process_vm_readv(2), pidfd_getfd(2),
    /// kcmp(2), and reads of /proc/N/{mem,environ,root,cwd,fd,ns} and others. Reading counts too:
    /// the kernel asks no more than that for the links in /proc/N/fd, which open what they lead to.
    fn ptrace_access_check(child: Ptr<Task>, mode: u32) -> rule Process |check| {
        if reaches(check.who, child, TaskAccess::ActAs) {
            visit(check.who, child);
            return 0;
        }
        if mode & PTRACE_MODE_NOAUDIT != 0 {
            return verdict::quietly(check.who, EPERM);
        }
        check.deny(About::number(u64::from(mode)), EPERM)
    }

    /// kill(2) and its like.
    fn task_kill(target: Ptr<Task>, _info, signal: i32, _cred) -> rule Process |check| {
        check_signal(&check, target, signal as u64)
    }

    /// Setting limits.
    fn task_setrlimit(target: Ptr<Task>, resource: u32, _new_rlim) -> rule Process |check| {
        check_signal(&check, target, u64::from(resource))
    }

    /// sched_setscheduler(2), sched_setaffinity(2) and their like.
    fn task_setscheduler(target: Ptr<Task>) -> rule Process |check| {
        check_signal(&check, target, 0)
    }

    /// setpriority(2).
    fn task_setnice(target: Ptr<Task>, _nice) -> rule Process |check| {
        check_signal(&check, target, 0)
    }

    /// ioprio_set(2).
    fn task_setioprio(target: Ptr<Task>, _ioprio) -> rule Process |check| {
        check_signal(&check, target, 0)
    }

    /// move_pages(2), migrate_pages(2).
    fn task_movememory(target: Ptr<Task>) -> rule Process |check| {
        check_signal(&check, target, 0)
    }

    /// fcntl(2): F_SETOWN, for signals that the kernel sends later.
    fn file_fcntl(_file, command: u32, arg: u64) -> verdict {
        match command {
            F_SETOWN => check_owner(HOOK, Some(arg as i32)),
            // The owner is in the caller's memory, where another thread may change it after this
            // look.
            F_SETOWN_EX => check_owner(HOOK, None),
            _ => 0,
        }
    }

    /// ioctl(2).
    fn file_ioctl(file: Ptr<File>, command: u32, _arg) -> verdict {
        check_ioctl(file, command, HOOK)
    }

    /// ioctl(2) of 32-bit programs.
    fn file_ioctl_compat(file: Ptr<File>, command: u32, _arg) -> verdict {
        check_ioctl(file, command, HOOK)
    }

    /// prlimit(2). The kernel passes the other task's credentials and not the task. task_setrlimit
    /// checks setting limits; reading those of another process is denied in the host's PID
    /// namespace. Threads share their credentials unless one has changed them.
    fn task_prlimit(cred: ProbePtr<Cred>, other: ProbePtr<Cred>, flags: u32) -> verdict {
        if flags != PRLIMIT_READ_ONLY {
            return 0;
        }
        let Some(who) = verdict::subject_to(Rule::Process) else {
            return 0;
        };
        if cred == other || !pid_namespace(label::current()).is_null() {
            return 0;
        }
        verdict::deny(&who, Rule::Process, HOOK, About::NOTHING, EPERM)
    }
}

/// Whether the entries below a directory /proc/N are those of a task that this one may touch: one
/// in its PID namespace, or (in the host's, or through a procfs that is not its own) one in its
/// mount namespace.
#[inline(always)]
pub fn is_neighbours(directory: ProbePtr<Dentry>) -> Result<bool, i32> {
    let pid = directory.inode()?.container::<ProcInode>().pid()?;
    let own = label::current().probe().thread_pid()?;
    if pid == own {
        return Ok(true);
    }
    let level = own.level()?;
    if level != 0 && pid.level()? >= level && namespace_at(pid, level)? == namespace_at(own, level)?
    {
        return Ok(true);
    }
    let link = pid.first_task()?;
    if link.is_null() {
        return Ok(false);
    }
    let nsproxy = link.container::<Task>().nsproxy()?;
    Ok(!nsproxy.is_null() && nsproxy.mnt_ns()? == mount_view::own_mount_ns())
}
