//! Processes: a confined task reaches only confined tasks of its own container, or of a PID
//! namespace that it shares. There it may trace (ptrace and similar calls) only tasks that may do
//! no more than itself.
//!
//! A launching task is out of reach too: it holds the runtime's descriptors inside the container's
//! namespaces.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use lockc_core::{
    abi::Hook,
    fields::{Cred, File, Task},
    pointers::{ProbePtr, Ptr},
    rules::Rule,
};

use crate::{
    files,
    hook::{Check, lsm},
    label,
    reach::{self, TaskAccess, pid_namespace},
    verdict::{self, About, EPERM},
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

/// Checks a signal to a task, or a change of how it runs.
#[inline(always)]
fn check_signal(check: &Check, target: Ptr<Task>, arg: u64) -> i32 {
    if !reach::reaches(check.who, target, TaskAccess::Signal) {
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
        if reach::reaches(check.who, child, TaskAccess::ActAs) {
            reach::visit(check.who, child);
            return 0;
        }
        if mode & PTRACE_MODE_NOAUDIT != 0 {
            return verdict::quietly(check.who, Rule::Process, EPERM);
        }
        check.deny(About::number(u64::from(mode)), EPERM)
    }

    /// kill(2) and similar calls.
    fn task_kill(target: Ptr<Task>, _info, signal: i32, _cred) -> rule Process |check| {
        check_signal(&check, target, signal as u64)
    }

    /// Setting limits.
    fn task_setrlimit(target: Ptr<Task>, resource: u32, _new_rlim) -> rule Process |check| {
        check_signal(&check, target, u64::from(resource))
    }

    /// sched_setscheduler(2), sched_setaffinity(2) and similar calls.
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
