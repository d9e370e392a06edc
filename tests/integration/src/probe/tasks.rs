//! Attempts at other tasks: tracing, their memory, descriptors and namespaces, signals.

use std::io;
use std::os::fd::AsRawFd;

use crate::{files, number, sys, usage, ways};

pub fn attempt(name: &str, args: &[&str]) -> Option<io::Result<String>> {
    Some(match (name, args) {
        ("kill", [pid, signal]) => number(pid)
            .and_then(|pid| ways::signal(pid as i32, number(signal)? as i32))
            .map(|()| "signalled".into()),
        ("pidfd-kill", [pid, signal]) => pidfd_kill(pid, signal),
        ("prlimit", [pid]) => prlimit(pid),
        ("affinity", [pid]) => affinity(pid),
        ("nice", [pid]) => number(pid)
            .and_then(|pid| {
                sys::call(libc::SYS_setpriority, &[libc::PRIO_PROCESS as usize, pid, 1])
            })
            .map(|_| "set".into()),
        // Best effort, level 4: what every task has (include/uapi/linux/ioprio.h).
        ("ionice", [pid]) => number(pid)
            .and_then(|pid| sys::call(libc::SYS_ioprio_set, &[1, pid, 2 << 13 | 4]))
            .map(|_| "set".into()),
        ("ptrace", [pid]) => ptrace(pid),
        ("vm-read", [pid]) => vm_read(pid),
        ("pidfd-getfd", [pid, fd]) => pidfd_getfd(pid, fd),
        ("setns", [pid, kind]) => setns(pid, kind),
        ("sleep", [seconds]) => number(seconds).map(|seconds| {
            std::thread::sleep(std::time::Duration::from_secs(seconds as u64));
            "slept".into()
        }),
        ("own-child", []) => own_child(),
        _ => return None,
    })
}

fn seize(pid: usize) -> io::Result<()> {
    sys::call(libc::SYS_ptrace, &[libc::PTRACE_SEIZE as usize, pid, 0, 0]).map(|_| ())
}

fn ptrace(pid: &str) -> io::Result<String> {
    // The tracer's exit detaches.
    seize(number(pid)?).map(|()| "attached".into())
}

/// Debugging one's own child is ordinary work.
fn own_child() -> io::Result<String> {
    let Some(child) = sys::fork()? else {
        std::thread::sleep(std::time::Duration::from_secs(5));
        sys::exit(0);
    };
    let result = seize(child as usize).and_then(|()| vm_read(&child.to_string()));
    ways::signal(child, libc::SIGKILL)?;
    sys::wait(child)?;
    result
}

/// Reads at address 0: EFAULT means that the access was granted.
fn vm_read(pid: &str) -> io::Result<String> {
    let mut byte = [0u8; 8];
    let local = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: byte.len() };
    let remote = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: byte.len() };
    let args = [number(pid)?, (&raw const local) as usize, 1, (&raw const remote) as usize, 1, 0];
    match sys::call(libc::SYS_process_vm_readv, &args) {
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Ok("access granted".into()),
        other => other.map(|_| "read".into()),
    }
}

fn pidfd_getfd(pid: &str, fd: &str) -> io::Result<String> {
    let task = sys::open(libc::SYS_pidfd_open, &[number(pid)?, 0])?;
    sys::open(libc::SYS_pidfd_getfd, &[task.as_raw_fd() as usize, number(fd)?, 0])
        .map(|_| "taken".into())
}

fn pidfd_kill(pid: &str, signal: &str) -> io::Result<String> {
    let task = sys::open(libc::SYS_pidfd_open, &[number(pid)?, 0])?;
    let args = [task.as_raw_fd() as usize, number(signal)?, 0, 0];
    sys::call(libc::SYS_pidfd_send_signal, &args).map(|_| "signalled".into())
}

/// Writes a limit that does not limit.
fn prlimit(pid: &str) -> io::Result<String> {
    let limit = [1u64 << 20; 2];
    let args = [number(pid)?, libc::RLIMIT_SIGPENDING as usize, limit.as_ptr() as usize, 0];
    sys::call(libc::SYS_prlimit64, &args).map(|_| "set".into())
}

fn affinity(pid: &str) -> io::Result<String> {
    let processors = [u64::MAX; 16];
    let args = [number(pid)?, size_of_val(&processors), processors.as_ptr() as usize];
    sys::call(libc::SYS_sched_setaffinity, &args).map(|_| "set".into())
}

fn setns(pid: &str, kind: &str) -> io::Result<String> {
    let flag = match kind {
        "mnt" => libc::CLONE_NEWNS,
        "net" => libc::CLONE_NEWNET,
        "uts" => libc::CLONE_NEWUTS,
        _ => return Err(usage(kind)),
    };
    let namespace = files::open(&format!("/proc/{}/ns/{kind}", number(pid)?), libc::O_RDONLY)?;
    sys::call(libc::SYS_setns, &[namespace.as_raw_fd() as usize, flag as usize])
        .map(|_| "joined".into())
}
