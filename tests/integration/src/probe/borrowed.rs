//! Attempts at letting the kernel act in the task's name with other rights: upcalls for keys,
//! signals that are sent later, credentials that io_uring keeps.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{number, sys, usage};

pub fn attempt(name: &str, args: &[&str]) -> Option<io::Result<String>> {
    Some(match (name, args) {
        ("request-key", [kind, description]) => request_key(kind, description),
        ("answer-key", [key]) => answer_key(key),
        ("set-owner", [pid, how]) => set_owner(pid, how),
        ("limits", [pid]) => limits(pid),
        ("uring-xattr", [how, path]) => uring_xattr(how, path),
        ("set-fsuid", [uid]) => set_fsuid(uid),
        ("is-root-group", []) if nix::unistd::getegid().as_raw() == 0 => Ok("root's group".into()),
        ("is-root-group", []) => Err(io::Error::from_raw_os_error(libc::EPERM)),
        _ => return None,
    })
}

/// include/uapi/linux/keyctl.h
const PROCESS_KEYRING: i32 = -2;
const INSTANTIATE: usize = 12;
const ASSUME_AUTHORITY: usize = 16;

/// Without such a key the kernel asks `/sbin/request-key` of the host.
fn request_key(kind: &str, description: &str) -> io::Result<String> {
    let (kind, description) = (sys::text(kind)?, sys::text(description)?);
    let args = [
        kind.as_ptr() as usize,
        description.as_ptr() as usize,
        c"it".as_ptr() as usize,
        PROCESS_KEYRING as usize,
    ];
    sys::call(libc::SYS_request_key, &args).map(|key| format!("key {key}"))
}

/// What `/sbin/request-key` of the host does.
fn answer_key(key: &str) -> io::Result<String> {
    let key = number(key)?;
    sys::call(libc::SYS_keyctl, &[ASSUME_AUTHORITY, key])?;
    sys::call(libc::SYS_keyctl, &[INSTANTIATE, key, c"answer".as_ptr() as usize, 6, 0])
        .map(|_| "answered".into())
}

/// Lets another process get the signals of a socket.
fn set_owner(pid: &str, how: &str) -> io::Result<String> {
    const SETOWN: usize = 8;
    const SETOWN_EX: usize = 15;
    const FIOSETOWN: usize = 0x8901;
    const SIOCSPGRP: usize = 0x8902;
    let pid = if pid == "self" { std::process::id() as usize } else { number(pid)? };
    let socket =
        sys::open(libc::SYS_socket, &[libc::AF_UNIX as usize, libc::SOCK_STREAM as usize, 0])?;
    let fd = socket.as_raw_fd() as usize;
    let owner = pid as i32;
    // `struct f_owner_ex`, include/uapi/asm-generic/fcntl.h: F_OWNER_PID is 1.
    let extended = [1i32, owner];
    let address = (&raw const owner) as usize;
    match how {
        "fcntl" => sys::call(libc::SYS_fcntl, &[fd, SETOWN, pid]),
        "fcntl-group" => sys::call(libc::SYS_fcntl, &[fd, SETOWN, -(pid as isize) as usize]),
        "fcntl-ex" => sys::call(libc::SYS_fcntl, &[fd, SETOWN_EX, extended.as_ptr() as usize]),
        "ioctl" => sys::call(libc::SYS_ioctl, &[fd, FIOSETOWN, address]),
        "ioctl-group" => sys::call(libc::SYS_ioctl, &[fd, SIOCSPGRP, address]),
        _ => return Err(usage(how)),
    }
    .map(|_| "set".into())
}

fn limits(pid: &str) -> io::Result<String> {
    let mut limit = [0u64; 2];
    let args = [number(pid)?, libc::RLIMIT_NOFILE as usize, 0, limit.as_mut_ptr() as usize];
    sys::call(libc::SYS_prlimit64, &args).map(|_| format!("{limit:?}"))
}

fn set_fsuid(uid: &str) -> io::Result<String> {
    let uid = number(uid)?;
    sys::call(libc::SYS_setfsuid, &[uid])?;
    // The call returns the one before: asked for an impossible one it changes nothing.
    let now = sys::call(libc::SYS_setfsuid, &[usize::MAX])?;
    if now == uid {
        Ok(format!("fsuid {now}"))
    } else {
        Err(io::Error::from_raw_os_error(libc::EPERM))
    }
}

/// A ring of io_uring, mapped (include/uapi/linux/io_uring.h).
struct Ring {
    fd: OwnedFd,
    params: [u32; 30],
    rings: *mut u8,
    entries: *mut [u8; 64],
}

impl Ring {
    /// `IORING_FEAT_SINGLE_MMAP` is in every kernel that has task storage.
    fn new() -> io::Result<Self> {
        const ENTRIES: usize = 0x1000_0000;
        let mut params = [0u32; 30];
        let fd = sys::open(libc::SYS_io_uring_setup, &[4, params.as_mut_ptr() as usize])?;
        let map = |length: usize, offset: usize| {
            let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
            sys::call(
                libc::SYS_mmap,
                &[
                    0,
                    length,
                    protection,
                    libc::MAP_SHARED as usize,
                    fd.as_raw_fd() as usize,
                    offset,
                ],
            )
        };
        let rings = map(4096, 0)? as *mut u8;
        let entries = map(4096, ENTRIES)? as *mut [u8; 64];
        Ok(Self { fd, params, rings, entries })
    }

    fn cell(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: the kernel gave this offset into the page that is mapped at `rings` for as long
        // as the process lives.
        unsafe { AtomicU32::from_ptr(self.rings.add(self.params[offset] as usize).cast()) }
    }

    /// Submits one entry and waits for its result.
    fn run(&self, entry: [u8; 64]) -> io::Result<i32> {
        const GET_EVENTS: usize = 1;
        let (tail, mask) = (self.cell(11), self.cell(12).load(Ordering::Relaxed));
        let at = tail.load(Ordering::Relaxed);
        // SAFETY: the index is below the number of entries, which fit into the mapped page; so does
        // the array of indices.
        unsafe {
            ptr::write_volatile(self.entries.add((at & mask) as usize), entry);
            let array = self.rings.add(self.params[16] as usize).cast::<u32>();
            ptr::write_volatile(array.add((at & mask) as usize), at & mask);
        }
        tail.store(at.wrapping_add(1), Ordering::Release);
        sys::call(
            libc::SYS_io_uring_enter,
            &[self.fd.as_raw_fd() as usize, 1, 1, GET_EVENTS, 0, 0],
        )?;
        let (head, mask) = (self.cell(20), self.cell(22).load(Ordering::Acquire));
        let at = head.load(Ordering::Relaxed);
        // SAFETY: as above; a completion has 16 bytes, the result in the third word.
        let result = unsafe {
            let completions = self.rings.add(self.params[25] as usize).cast::<[i32; 4]>();
            ptr::read_volatile(completions.add((at & mask) as usize))[2]
        };
        head.store(at.wrapping_add(1), Ordering::Release);
        Ok(result)
    }
}

/// Sets an attribute that CAP_SYS_ADMIN lets be set, by a worker of io_uring whose credentials are
/// not those of the request: by a personality, or because the task's have changed since.
fn uring_xattr(how: &str, path: &str) -> io::Result<String> {
    const REGISTER_PERSONALITY: usize = 9;
    const SETXATTR: u8 = 42;
    let ring = Ring::new()?;
    let path = sys::text(path)?;
    let entry = |name: &std::ffi::CStr, personality: u16| {
        let mut entry = [0u8; 64];
        entry[0] = SETXATTR;
        entry[8..16].copy_from_slice(&(c"1".as_ptr() as u64).to_ne_bytes());
        entry[16..24].copy_from_slice(&(name.as_ptr() as u64).to_ne_bytes());
        entry[24..28].copy_from_slice(&1u32.to_ne_bytes());
        entry[42..44].copy_from_slice(&personality.to_ne_bytes());
        entry[48..56].copy_from_slice(&(path.as_ptr() as u64).to_ne_bytes());
        entry
    };
    let mut personality = 0;
    if how == "personality" {
        let args = [ring.fd.as_raw_fd() as usize, REGISTER_PERSONALITY, 0, 0];
        personality = sys::call(libc::SYS_io_uring_register, &args)? as u16;
    } else {
        // The worker is made now, and is kept for a while.
        ring.run(entry(c"user.lockc", 0))?;
    }
    // The same rights in other credentials: since 6.3 setresuid(2) keeps them where no id changes.
    sys::call(libc::SYS_setfsuid, &[1])?;
    sys::call(libc::SYS_setfsuid, &[0])?;
    let result = ring.run(entry(c"trusted.lockc", personality))?;
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok("set".into()) }
}
