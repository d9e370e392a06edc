//! Attempts at System V IPC and POSIX message queues: those of others, and a container's own.

use std::io;

use crate::{number, sys};

pub fn attempt(name: &str, args: &[&str]) -> Option<io::Result<String>> {
    Some(match (name, args) {
        ("ipc-make", [key]) => make(key).map(|ids| ids.map(|id| id.to_string()).join(" ")),
        ("ipc-try", [key, ids @ ..]) => try_all(key, ids),
        ("ipc-own", [key]) => own(key),
        ("queue-make", [name]) => queue(name, true).map(|()| "made".into()),
        ("queue-try", [name]) => queue(name, false).map(|()| "received".into()),
        ("queue-remove", [name]) => remove_queue(name).map(|()| "removed".into()),
        _ => return None,
    })
}

/// include/uapi/linux/ipc.h, shm.h, sem.h, msg.h
const CREATE: usize = 0o1000;
const NOWAIT: usize = 0o4000;
const RMID: usize = 0;
const SET: usize = 1;
const STAT: usize = 2;
const SHM_LOCK: usize = 11;
const SHM_UNLOCK: usize = 12;
const SHM_STAT: usize = 13;
const SHM_STAT_ANY: usize = 15;
const SHM_RDONLY: usize = 0o10000;
const GETVAL: usize = 12;
const SETVAL: usize = 16;
const SEM_STAT_ANY: usize = 20;
const MSG_STAT_ANY: usize = 13;
const MSG_COPY: usize = 0o40000;

/// Longer than every structure that the kernel writes.
type Buffer = [u64; 64];

/// A message: its type and text.
#[repr(C)]
struct Message {
    kind: i64,
    text: [u8; 8],
}

/// Shared memory, a semaphore and a message queue with a message in it, under one key.
fn make(key: &str) -> io::Result<[usize; 3]> {
    let key = number(key)?;
    let shm = sys::call(libc::SYS_shmget, &[key, 4096, CREATE | 0o666])?;
    let sem = sys::call(libc::SYS_semget, &[key, 1, CREATE | 0o666])?;
    sys::call(libc::SYS_semctl, &[sem, 0, SETVAL, 1])?;
    let msg = sys::call(libc::SYS_msgget, &[key, CREATE | 0o666])?;
    let message = Message { kind: 1, text: *b"a secret" };
    sys::call(libc::SYS_msgsnd, &[msg, (&raw const message) as usize, message.text.len(), NOWAIT])?;
    Ok([shm, sem, msg])
}

/// A call, its arguments, and what it is called.
type Call = (&'static str, libc::c_long, Vec<usize>);

/// Every use of the objects of a key, those that destroy them last.
fn calls(
    key: usize,
    [shm, sem, msg]: [usize; 3],
    buffer: &mut Buffer,
    message: &mut Message,
) -> Vec<Call> {
    let (buffer, message) = (buffer.as_mut_ptr() as usize, (&raw mut *message) as usize);
    vec![
        ("shmget", libc::SYS_shmget, vec![key, 0, 0]),
        ("semget", libc::SYS_semget, vec![key, 0, 0]),
        ("msgget", libc::SYS_msgget, vec![key, 0]),
        ("shmget for use", libc::SYS_shmget, vec![key, 1, 0o600]),
        ("shmat", libc::SYS_shmat, vec![shm, 0, 0]),
        ("shmat to read", libc::SYS_shmat, vec![shm, 0, SHM_RDONLY]),
        ("shmctl STAT", libc::SYS_shmctl, vec![shm, STAT, buffer]),
        ("shmctl SHM_STAT", libc::SYS_shmctl, vec![shm, SHM_STAT, buffer]),
        ("shmctl SHM_STAT_ANY", libc::SYS_shmctl, vec![shm, SHM_STAT_ANY, buffer]),
        ("shmctl SHM_LOCK", libc::SYS_shmctl, vec![shm, SHM_LOCK, 0]),
        ("shmctl SHM_UNLOCK", libc::SYS_shmctl, vec![shm, SHM_UNLOCK, 0]),
        ("semctl GETVAL", libc::SYS_semctl, vec![sem, 0, GETVAL, 0]),
        ("semctl SETVAL", libc::SYS_semctl, vec![sem, 0, SETVAL, 1]),
        ("semctl STAT", libc::SYS_semctl, vec![sem, 0, STAT, buffer]),
        ("semctl SEM_STAT_ANY", libc::SYS_semctl, vec![sem, 0, SEM_STAT_ANY, buffer]),
        ("msgctl STAT", libc::SYS_msgctl, vec![msg, STAT, buffer]),
        ("msgctl MSG_STAT_ANY", libc::SYS_msgctl, vec![msg, MSG_STAT_ANY, buffer]),
        ("msgrcv MSG_COPY", libc::SYS_msgrcv, vec![msg, message, 8, 0, MSG_COPY | NOWAIT]),
        ("msgrcv", libc::SYS_msgrcv, vec![msg, message, 8, 0, NOWAIT]),
        ("msgsnd", libc::SYS_msgsnd, vec![msg, message, 8, NOWAIT]),
        // What was read before stands in the buffer: nothing changes.
        ("msgctl STAT", libc::SYS_msgctl, vec![msg, STAT, buffer]),
        ("msgctl SET", libc::SYS_msgctl, vec![msg, SET, buffer]),
        ("shmctl STAT", libc::SYS_shmctl, vec![shm, STAT, buffer]),
        ("shmctl SET", libc::SYS_shmctl, vec![shm, SET, buffer]),
        ("shmctl RMID", libc::SYS_shmctl, vec![shm, RMID, 0]),
        ("semctl RMID", libc::SYS_semctl, vec![sem, 0, RMID, 0]),
        ("msgctl RMID", libc::SYS_msgctl, vec![msg, RMID, 0]),
    ]
}

/// Whether a call answered that there is no such thing, which proves nothing: not compiled in, or
/// not locked in memory.
fn is_elsewhere(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::ENOMSG | libc::EINVAL | libc::ENOMEM))
}

/// What works of all uses of somebody's objects, the whole list of which is in procfs.
fn try_all(key: &str, ids: &[&str]) -> io::Result<String> {
    let [shm, sem, msg] = ids else { return Err(crate::usage("three numbers")) };
    let ids = [number(shm)?, number(sem)?, number(msg)?];
    let (mut buffer, mut message) = ([0; 64], Message { kind: 1, text: [0; 8] });
    let mut last = io::Error::from_raw_os_error(libc::ENOSYS);
    let mut done = Vec::new();
    for (name, call, args) in calls(number(key)?, ids, &mut buffer, &mut message) {
        match sys::call(call, &args) {
            Ok(_) => done.push(name.to_owned()),
            Err(error) if is_elsewhere(&error) => {}
            Err(error) => last = error,
        }
    }
    for kind in ["shm", "sem", "msg"] {
        match std::fs::read_to_string(format!("/proc/sysvipc/{kind}")) {
            Ok(text) if text.lines().any(|line| line.split_whitespace().next() == Some(key)) => {
                done.push(format!("/proc/sysvipc/{kind}"));
            }
            Ok(_) => {}
            Err(error) => last = error,
        }
    }
    if done.is_empty() { Err(last) } else { Ok(done.join(", ")) }
}

/// The same with objects of its own, all of which must work.
fn own(key: &str) -> io::Result<String> {
    let ids = make(key)?;
    let (mut buffer, mut message) = ([0; 64], Message { kind: 1, text: [0; 8] });
    for (name, call, args) in calls(number(key)?, ids, &mut buffer, &mut message) {
        match sys::call(call, &args) {
            Err(error) if !is_elsewhere(&error) => {
                return Err(io::Error::new(error.kind(), format!("{name}: {error}")));
            }
            _ => {}
        }
    }
    Ok("all of it".into())
}

/// Opens a POSIX queue, and sends or receives.
fn queue(name: &str, create: bool) -> io::Result<()> {
    let name = sys::text(name)?;
    let flags = libc::O_RDWR | libc::O_NONBLOCK | if create { libc::O_CREAT } else { 0 };
    let fd = sys::call(libc::SYS_mq_open, &[name.as_ptr() as usize, flags as usize, 0o666, 0])?;
    let mut text = [0u8; 8192];
    if create {
        sys::call(libc::SYS_mq_timedsend, &[fd, text.as_ptr() as usize, 5, 1, 0]).map(|_| ())
    } else {
        sys::call(libc::SYS_mq_timedreceive, &[fd, text.as_mut_ptr() as usize, text.len(), 0, 0])
            .map(|_| ())
    }
}

fn remove_queue(name: &str) -> io::Result<()> {
    let name = sys::text(name)?;
    sys::call(libc::SYS_mq_unlink, &[name.as_ptr() as usize]).map(|_| ())
}
