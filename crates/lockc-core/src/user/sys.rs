//! The only unsafe code of user space: what neither aya nor nix wraps.
//!
//! - plain-old-data marks for the types of [`abi`](crate::abi), which aya wants for map keys and
//!   values;
//! - task storage from user space: `bpf(2)` with a pidfd as the key
//!   (kernel/bpf/bpf_task_storage.c);
//! - fork(2), and memory that parent and child share;
//! - what Rust's runtime changed before `main` ([`startup`]), and a program that runs as a child
//!   ([`child`]).

pub mod child;
pub mod startup;

use std::{
    fs, io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    ptr::NonNull,
};

use crate::abi::{
    ContainerEntry, ContainerKey, Event, FileId, GrantKey, KeyOwner, KeyPlace, Meta, NameKey,
    NameRule, ProgramKey, ReadKey, ReadSet, SocketName, SocketNameKey, TaskLabel, Usage,
};

macro_rules! pod {
    ($($type:ty),*) => {$(
        // SAFETY: repr(C) of integers and arrays of them, without padding (sizes are asserted in `abi`): every bit
        // pattern is a value.
        unsafe impl aya::Pod for $type {}
    )*};
}

pod!(
    ContainerEntry,
    ContainerKey,
    Event,
    FileId,
    GrantKey,
    KeyOwner,
    KeyPlace,
    Meta,
    NameKey,
    NameRule,
    ProgramKey,
    ReadKey,
    ReadSet,
    SocketName,
    SocketNameKey,
    TaskLabel,
    Usage
);

/// `enum bpf_cmd`, include/uapi/linux/bpf.h.
#[derive(Clone, Copy)]
enum Command {
    Lookup = 1,
    Update = 2,
    Delete = 3,
}

/// The part of `union bpf_attr` for `BPF_MAP_*_ELEM`.
#[repr(C)]
struct ElementAttr {
    map_fd: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

fn element(
    command: Command,
    map: BorrowedFd<'_>,
    task: BorrowedFd<'_>,
    value: u64,
) -> io::Result<()> {
    let key: i32 = task.as_raw_fd();
    let attr = ElementAttr {
        map_fd: map.as_raw_fd().cast_unsigned(),
        pad: 0,
        key: (&raw const key) as u64,
        value,
        flags: 0,
    };
    // SAFETY: the kernel reads `attr` and the key, and reads or writes one value of the map; all of
    // them live until the call returns.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_int, &raw const attr, size_of_val(&attr))
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A pidfd of this process' main thread.
pub fn own_pidfd() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that the kernel has just made for us (always close-on-exec).
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// The label of a task; `Ok(None)`: it has none. `map` must be `task_labels`.
pub fn label(map: BorrowedFd<'_>, task: BorrowedFd<'_>) -> io::Result<Option<TaskLabel>> {
    let mut label = TaskLabel::default();
    match element(Command::Lookup, map, task, (&raw mut label) as u64) {
        Ok(()) => Ok(Some(label)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sets the label of a task. `map` must be `task_labels`.
pub fn set_label(map: BorrowedFd<'_>, task: BorrowedFd<'_>, label: &TaskLabel) -> io::Result<()> {
    element(Command::Update, map, task, std::ptr::from_ref(label) as u64)
}

/// Takes the label of a task away. `map` must be `task_labels`.
pub fn clear_label(map: BorrowedFd<'_>, task: BorrowedFd<'_>) -> io::Result<()> {
    element(Command::Delete, map, task, 0)
}

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
        // SAFETY: as in `write`; a copy of plain bytes.
        let page = unsafe { self.0.as_ptr().read_volatile() };
        page.into_iter().take_while(|byte| *byte != 0).collect()
    }
}
