//! The wrapper's only unsafe code: what nix does not wrap.
//!
//! - fork(2), and memory that parent and child share;
//! - descriptors that are kept, taken over or left open;
//! - what Rust's runtime changed before `main` ([`startup`]), and a program that runs as a child
//!   ([`child`]).

pub mod child;
pub mod startup;

use std::{
    fs, io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    ptr::NonNull,
};

/// Forks this process; `Ok(None)` in the child, which is killed when its parent ends.
///
/// # Errors
///
/// Where the process has more than one thread: the child of such a one could wait for ever for a
/// lock that no thread of its own holds.
pub fn fork() -> io::Result<Option<nix::unistd::Pid>> {
    // `.`, `..` and a directory a thread (fs/proc/base.c, proc_task_getattr).
    if fs::metadata("/proc/self/task")?.nlink() != 3 {
        return Err(io::Error::other("a process with several threads cannot be forked"));
    }
    let parent = nix::unistd::getpid();
    // SAFETY: the process has one thread.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { child } => Ok(Some(child)),
        nix::unistd::ForkResult::Child => {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
            // It may have ended before.
            if nix::unistd::getppid() != parent {
                std::process::exit(1);
            }
            Ok(None)
        }
    }
}

/// Closes every descriptor but the standard streams and `kept`, which gets the number 3. For a
/// child that has just been forked and uses nothing else any more.
pub fn keep_only(kept: OwnedFd) -> io::Result<OwnedFd> {
    // SAFETY: no pointers. Whoever owns another descriptor in this process does not use it any
    // more.
    unsafe {
        if kept.as_raw_fd() != 3 && libc::dup3(kept.as_raw_fd(), 3, libc::O_CLOEXEC) < 0 {
            return Err(io::Error::last_os_error());
        }
        if libc::syscall(libc::SYS_close_range, 4, u32::MAX, 0) < 0 {
            return Err(io::Error::last_os_error());
        }
        // Closed, or the very descriptor that is returned.
        std::mem::forget(kept);
        Ok(OwnedFd::from_raw_fd(3))
    }
}

/// Takes a descriptor that came over a socket.
pub fn received(fd: i32) -> OwnedFd {
    // SAFETY: the kernel has just made it for the caller, who owns it from here on.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The number from which on the socket of the child that looks at the host gets its own: above what
/// engines pass on purpose (`--preserve-fds`), within the smallest table of descriptors (64).
pub const LEFT_OPEN_FROM: i32 = 48;

/// Leaves a copy of a descriptor open, with a number of at least `from`, for the program that this
/// process executes. Returns the number.
pub fn leave_open(fd: &OwnedFd, from: i32) -> io::Result<i32> {
    // SAFETY: no pointers.
    let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD, from) };
    if copy < 0 { Err(io::Error::last_os_error()) } else { Ok(copy) }
}

/// A page that parent and child share: the child notes what it is about to do, the parent reads it
/// when the child does not answer. A note that is being written while it is read may be mixed of
/// two.
#[derive(Debug)]
pub struct Note(NonNull<[u8; Self::SIZE]>);

impl Note {
    /// Bytes of the page.
    const SIZE: usize = 4096;

    /// An empty note.
    pub fn new() -> io::Result<Self> {
        // SAFETY: a new mapping; nothing else knows its address.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                Self::SIZE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(page.cast())
            .map(Self)
            .ok_or_else(|| io::Error::other("mmap returned no address"))
    }

    /// Replaces the note; what does not fit is cut.
    pub fn write(&self, text: &[u8]) {
        let length = text.len().min(Self::SIZE - 1);
        // SAFETY: within the page, which lives as long as the process; no reference into it exists.
        unsafe {
            let page = self.0.as_ptr().cast::<u8>();
            std::ptr::copy_nonoverlapping(text.as_ptr(), page, length);
            page.add(length).write_volatile(0);
        }
    }

    /// What the note says.
    pub fn read(&self) -> Vec<u8> {
        let page = self.0.as_ptr().cast::<u8>();
        // SAFETY: as in `write`; a copy of a plain byte.
        let bytes = (0..Self::SIZE).map(|at| unsafe { page.add(at).read_volatile() });
        bytes.take_while(|byte| *byte != 0).collect()
    }
}
