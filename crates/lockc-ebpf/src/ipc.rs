//! System V IPC and POSIX message queues, where a container shares the IPC namespace of the host.
//!
//! Containers of a pod, or `--ipc container:X`, share a namespace on purpose: nothing is checked in
//! one that is not the host's. In the host's, an object belongs to the container that creates it:
//! the map has the address of its `struct kern_ipc_perm` until the kernel frees it. One that is not
//! in the map is the host's.
//!
//! A POSIX queue is a file that keeps its dentry for life. Both mq_open and open(O_CREAT) call
//! inode_create with the dentry before the queue is there, so the map of queues knows who created
//! the one at an address last. A failed creation leaves an entry; the next creation at the address
//! replaces it. file_open checks opening queues, the lists in /proc/sysvipc and the limits in
//! /proc/sys; inode_setattr checks modes and owners of queues.

use lockc_core::{
    abi::{ContainerKey, Hook},
    fields::{Dentry, File, KernIpcPerm},
    pointers::{ProbePtr, Ptr},
    rules::Rule,
};

use crate::{
    hook::{Check, lsm},
    label,
    linux::{FMODE_WRITE, PROC_SUPER_MAGIC},
    maps::{IPC_OWNERS, QUEUE_OWNERS},
    reach,
    verdict::{self, About, EACCES, ENOMEM, Subject},
};

/// `PROC_IPC_INIT_INO`, include/linux/proc_ns.h (5.11 to 7.2): the number of the namespace that the
/// kernel boots with. It is never freed, and no other gets its number.
const HOSTS_NUMBER: u32 = 0xefff_ffff;
/// `MQUEUE_MAGIC`, ipc/mqueue.c.
pub const MQUEUE_MAGIC: u64 = 0x1980_0202;
/// `ENOENT`, as a map returns it.
const ENOENT: i32 = 2;

/// Whether the current task uses the IPC namespace of the host. Every IPC system call acts in that
/// of its caller.
#[inline(always)]
fn is_in_hosts_namespace() -> bool {
    label::current().nsproxy().ipc_ns().inum() == HOSTS_NUMBER
}

/// Notes who creates an object. Without a label it is the host's.
#[inline(always)]
fn created(object: ProbePtr<KernIpcPerm>, hook: Hook) -> i32 {
    // SAFETY: null or a live cell of the storage.
    let Some(label) = (unsafe { label::for_task(label::current()).as_ref() }) else {
        return 0;
    };
    if !is_in_hosts_namespace() {
        return 0;
    }
    let key = label.key;
    // The map has room for more objects than a namespace may have (`IPCMNI`,
    // include/linux/ipc_namespace.h).
    if IPC_OWNERS.insert(object.addr(), key, 0).is_err() {
        verdict::error(hook);
        return -ENOMEM;
    }
    0
}

#[inline(always)]
fn freed(object: ProbePtr<KernIpcPerm>, hook: Hook) {
    let forget = || IPC_OWNERS.remove(object.addr());
    if owner(object).is_some() && forget().is_err_and(|error| error != -ENOENT) {
        verdict::error(hook);
    }
}

#[inline(always)]
fn owner(object: ProbePtr<KernIpcPerm>) -> Option<ContainerKey> {
    // SAFETY: the value is copied at once.
    unsafe { IPC_OWNERS.get(object.addr()) }.copied()
}

/// Checks a use of an object: its own container may, and containers of the same policy.
#[inline(always)]
fn check_use(check: &Check, object: ProbePtr<KernIpcPerm>, arg: u64) -> i32 {
    // Without an object the call asks for limits and totals of the namespace (IPC_INFO, SHM_INFO).
    if object.is_null() || !is_in_hosts_namespace() {
        return 0;
    }
    if is_shared(check.who, owner(object)) {
        return 0;
    }
    check.deny(About::number(arg), EACCES)
}

/// Whether a container may use what belongs to `owner`: itself, or a container of the same policy.
#[inline(always)]
fn is_shared(who: &Subject, owner: Option<ContainerKey>) -> bool {
    owner.is_some_and(|owner| owner == who.key || reach::has_same_policy(who, owner))
}

#[inline(always)]
fn queue_owner(dentry: Ptr<Dentry>) -> Option<ContainerKey> {
    // SAFETY: the value is copied at once.
    unsafe { QUEUE_OWNERS.get(dentry.addr()) }.copied()
}

/// Checks the opening of a message queue, or of a file of procfs that is about the namespace;
/// allows files on any other file system than these two.
#[inline(always)]
pub fn check_open(who: &Subject, file: Ptr<File>, magic: u64) -> i32 {
    let dentry = file.dentry();
    let in_procfs = magic == PROC_SUPER_MAGIC;
    if (!in_procfs && magic != MQUEUE_MAGIC) || !who.has(Rule::Ipc) || !is_in_hosts_namespace() {
        return 0;
    }
    let allowed = if in_procfs {
        !is_about_namespace(dentry, file.mode())
    } else {
        is_shared(who, queue_owner(dentry))
    };
    if allowed {
        return 0;
    }
    verdict::deny(who, Rule::Ipc, Hook::file_open, About::file(file), EACCES)
}

/// Whether a file of procfs lists the objects of the namespace, or is opened to change its limits:
/// of what the map `names` lets be written in `sys/kernel`, all but `hostname` and `domainname`;
/// and `sys/fs/mqueue`.
#[inline(always)]
fn is_about_namespace(dentry: Ptr<Dentry>, mode: u32) -> bool {
    const SYSVIPC: u64 = u64::from_ne_bytes(*b"sysvipc\0");
    const KERNEL: u64 = u64::from_ne_bytes(*b"kernel\0\0");
    const MQUEUE: u64 = u64::from_ne_bytes(*b"mqueue\0\0");
    let above = name(dentry.parent());
    if above == SYSVIPC {
        return true;
    }
    let above = above & 0x00ff_ffff_ffff_ffff;
    mode & FMODE_WRITE != 0
        && (above == MQUEUE || (above == KERNEL && !matches!(name(dentry) as u8, b'h' | b'd')))
}

/// The first bytes of a name; 0 where it cannot be read. The memory of a name has more than eight.
#[inline(always)]
fn name(dentry: Ptr<Dentry>) -> u64 {
    dentry.name().first().map_or(0, u64::from_ne_bytes)
}

#[inline(always)]
fn is_queue(dentry: Ptr<Dentry>) -> bool {
    dentry.sb().magic() == MQUEUE_MAGIC
}

/// Checks a change of a message queue.
#[inline(always)]
pub fn check_queue(dentry: Ptr<Dentry>, hook: Hook) -> i32 {
    if !is_queue(dentry) {
        return 0;
    }
    let Some(who) = verdict::subject_to(Rule::Ipc) else {
        return 0;
    };
    if !is_in_hosts_namespace() || is_shared(&who, queue_owner(dentry)) {
        return 0;
    }
    verdict::deny(&who, Rule::Ipc, hook, About::dentry(dentry.probe()), EACCES)
}

/// Notes who is about to create a queue.
#[inline(always)]
fn note_queue(dentry: Ptr<Dentry>) -> i32 {
    // SAFETY: null or a live cell of the storage.
    let label = unsafe { label::for_task(label::current()).as_ref() };
    let key = label.map(|label| label.key).filter(|_| is_in_hosts_namespace());
    match key {
        Some(key) if QUEUE_OWNERS.insert(dentry.addr(), key, 0).is_err() => {
            verdict::error(Hook::inode_create);
            -ENOMEM
        }
        Some(_) => 0,
        None => forget_queue(dentry, Hook::inode_create),
    }
}

#[inline(always)]
fn forget_queue(dentry: Ptr<Dentry>, hook: Hook) -> i32 {
    if queue_owner(dentry).is_some()
        && QUEUE_OWNERS.remove(dentry.addr()).is_err_and(|error| error != -ENOENT)
    {
        verdict::error(hook);
        return -ENOMEM;
    }
    0
}

lsm! {
    /// New System V shared memory.
    fn shm_alloc_security(perm: ProbePtr<KernIpcPerm>) -> verdict {
        created(perm, HOOK)
    }

    /// New System V semaphores.
    fn sem_alloc_security(perm: ProbePtr<KernIpcPerm>) -> verdict {
        created(perm, HOOK)
    }

    /// A new System V message queue.
    fn msg_queue_alloc_security(perm: ProbePtr<KernIpcPerm>) -> verdict {
        created(perm, HOOK)
    }

    /// The kernel frees System V shared memory.
    fn shm_free_security(perm: ProbePtr<KernIpcPerm>) -> void {
        freed(perm, HOOK);
    }

    /// The kernel frees System V semaphores.
    fn sem_free_security(perm: ProbePtr<KernIpcPerm>) -> void {
        freed(perm, HOOK);
    }

    /// The kernel frees a System V message queue.
    fn msg_queue_free_security(perm: ProbePtr<KernIpcPerm>) -> void {
        freed(perm, HOOK);
    }

    /// Every use of a System V object, and finding it by its key.
    fn ipc_permission(perm: ProbePtr<KernIpcPerm>, flag: u32) -> rule Ipc |check| {
        check_use(&check, perm, u64::from(flag))
    }

    /// shmctl(2), for SHM_STAT_ANY, IPC_SET, IPC_RMID and SHM_LOCK, which ask for no permission.
    fn shm_shmctl(perm: ProbePtr<KernIpcPerm>, command: u32) -> rule Ipc |check| {
        check_use(&check, perm, u64::from(command))
    }

    /// semctl(2), for SEM_STAT_ANY, IPC_SET and IPC_RMID.
    fn sem_semctl(perm: ProbePtr<KernIpcPerm>, command: u32) -> rule Ipc |check| {
        check_use(&check, perm, u64::from(command))
    }

    /// msgctl(2), for MSG_STAT_ANY, IPC_SET and IPC_RMID.
    fn msg_queue_msgctl(perm: ProbePtr<KernIpcPerm>, command: u32) -> rule Ipc |check| {
        check_use(&check, perm, u64::from(command))
    }

    /// A new regular file, which a POSIX message queue is.
    fn inode_create(_dir, dentry: Ptr<Dentry>, _mode) -> verdict {
        if is_queue(dentry) { note_queue(dentry) } else { 0 }
    }

    /// unlink(2) and mq_unlink(3).
    fn inode_unlink(_dir, dentry: Ptr<Dentry>) -> verdict {
        if !is_queue(dentry) {
            return 0;
        }
        let verdict = check_queue(dentry, HOOK);
        // If the kernel then does not remove the queue, it counts as the host's.
        if verdict != 0 { verdict } else { forget_queue(dentry, HOOK) }
    }
}
