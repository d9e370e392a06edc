//! The system calls that nothing safe wraps: most of `unsafe` in the probe is here.

use std::ffi::{CString, c_int, c_void};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// `syscall(2)`. Every argument is a number, or the address of something that outlives the call.
pub fn call(number: libc::c_long, args: &[usize]) -> io::Result<usize> {
    let arg = |n: usize| args.get(n).copied().unwrap_or(0);
    // SAFETY: all callers pass numbers and addresses of live, large enough buffers of their own.
    let result = unsafe { libc::syscall(number, arg(0), arg(1), arg(2), arg(3), arg(4), arg(5)) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// A call that returns a new descriptor.
pub fn open(number: libc::c_long, args: &[usize]) -> io::Result<OwnedFd> {
    let fd = call(number, args)?;
    // SAFETY: the kernel has just given this descriptor to this process.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as c_int) })
}

/// A path or name for a system call.
pub fn text(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// `AT_FDCWD` as an argument of [`call`].
pub const CWD: usize = libc::AT_FDCWD as usize;

struct Job<'a> {
    work: &'a mut dyn FnMut(),
}

extern "C" fn run(job: *mut c_void) -> c_int {
    // SAFETY: `cloned` passes its Job and keeps it until the child is gone, as the child shares or
    // copies the memory.
    let job = unsafe { &mut *job.cast::<Job>() };
    (job.work)();
    0
}

/// Runs `work` in a child made by `clone(2)` with `flags` and waits for it. With `CLONE_VM |
/// CLONE_VFORK` it is vfork.
pub fn cloned(flags: c_int, work: &mut dyn FnMut()) -> io::Result<()> {
    let mut stack = vec![0u128; 16 << 10];
    let mut job = Job { work };
    // SAFETY: the stack outlives the child (waited for below, or its own copy), grows down from its
    // end and is aligned.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.len()).cast::<c_void>();
        libc::clone(run, top, flags | libc::SIGCHLD, (&raw mut job).cast())
    };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut status = 0;
    // SAFETY: waits for a child of this process.
    while unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } < 0 {
        let error = io::Error::last_os_error();
        // A child by CLONE_PARENT is not ours to wait for.
        if error.kind() != io::ErrorKind::Interrupted {
            return Ok(());
        }
    }
    Ok(())
}

/// `fork(2)`: true in the child. Only for a process with one thread.
pub fn fork() -> io::Result<Option<i32>> {
    // SAFETY: the probe has no other thread where this is called, so that the child may use
    // everything.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        pid => Ok(Some(pid)),
    }
}

/// Waits for a child and returns whether it exited with 0.
pub fn wait(pid: i32) -> io::Result<bool> {
    let mut status = 0;
    // SAFETY: `status` is writable.
    if unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0)
}

/// Leaves a forked child without running the parent's exit handlers.
pub fn exit(status: i32) -> ! {
    // SAFETY: ends this process.
    unsafe { libc::_exit(status) }
}
