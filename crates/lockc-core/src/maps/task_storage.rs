//! Task storage from user space, and the marks that aya wants: what neither aya nor nix wraps.
//!
//! - plain-old-data marks for the types of [`abi`](crate::abi), which aya requires for map keys and
//!   values;
//! - `bpf(2)` on task storage, with a pidfd as the key (kernel/bpf/bpf_task_storage.c, Linux 6.12).

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

use crate::abi::{
    ContainerEntry, ContainerKey, Denial, DenialKey, DenialRing, EndedContainer, FileId, GrantKey,
    KeyOwner, KeyPlace, LogEntry, Meta, NameKey, NameRule, ProgramKey, ReadKey, ReadSet,
    SocketName, SocketNameKey, TaskLabel, Usage,
};

macro_rules! pod {
    ($($type:ty),*) => {$(
        // SAFETY: repr(C) of integers and arrays of them, without padding (sizes are asserted in
        // `abi`): every bit pattern is a value.
        unsafe impl aya::Pod for $type {}
    )*};
}

pod!(
    ContainerEntry,
    ContainerKey,
    Denial,
    DenialKey,
    DenialRing,
    EndedContainer,
    FileId,
    GrantKey,
    KeyOwner,
    KeyPlace,
    LogEntry,
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

/// A pidfd of a process' main thread.
pub fn pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
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
