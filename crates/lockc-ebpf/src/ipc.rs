//! System V IPC and POSIX message queues, where a container shares the IPC namespace of the host.
//!
//! | hook | what for |
//! |---|---|
//! | shm_alloc_security, sem_alloc_security, msg_queue_alloc_security | an object belongs to the container that creates it |
//! | shm_free_security, sem_free_security, msg_queue_free_security | the kernel frees an object: its owner goes with it |
//! | ipc_permission | every use of an object, and finding it by its key |
//! | shm_shmctl, sem_semctl, msg_queue_msgctl | what asks for no permission: *_STAT_ANY, IPC_SET, IPC_RMID, SHM_LOCK |
//! | inode_create, inode_unlink | a queue belongs to the container that creates it; mq_unlink |
//! | inode_setattr (in `inodes`) | modes and owners of queues |
//! | file_open (in `files`) | queues; the lists in /proc/sysvipc; limits in /proc/sys |
//!
//! Containers of a pod, or `--ipc container:X`, share a namespace on purpose: nothing is checked in
//! one that is not the host's. There, the map knows an object by the address of its `struct
//! kern_ipc_perm`, from its creation by a container until the kernel frees it. One that is not in
//! the map is the host's.
//!
//! A POSIX queue is a file that keeps its dentry for life. Both mq_open and open(O_CREAT) ask
//! inode_create about the dentry before the queue is there, so the map of queues knows who created
//! the one at an address last. A creation that fails leaves an entry; the next at the address
//! replaces it.

use aya_ebpf::{helpers::bpf_probe_read_kernel, macros::lsm, programs::LsmContext};
use lockc_core::{
    abi::{ContainerKey, Hook},
    rules::Rule,
};

use crate::{
    files,
    kernel::{self, Obj, follow, load},
    label,
    maps::{IPC_OWNERS, QUEUE_OWNERS},
    processes, pseudo,
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
    let namespaces = follow(label::current(), &kernel::TASK_NSPROXY);
    load::<u32>(follow(namespaces, &kernel::NSPROXY_IPC_NS), &kernel::IPC_NS_NUMBER) == HOSTS_NUMBER
}

/// Notes who creates an object. Without a label it is the host's.
#[inline(always)]
fn created(object: u64, earlier: i32, hook: Hook) -> i32 {
    if earlier != 0 {
        return earlier;
    }
    // SAFETY: null or a live cell of the storage.
    let Some(label) = (unsafe { label::of(label::current()).as_ref() }) else {
        return 0;
    };
    if !is_in_hosts_namespace() {
        return 0;
    }
    let key = label.key;
    // The map has room for more objects than a namespace may have (`IPCMNI`,
    // include/linux/ipc_namespace.h).
    if IPC_OWNERS.insert(object, key, 0).is_err() {
        verdict::error(hook);
        return -ENOMEM;
    }
    0
}

#[inline(always)]
fn freed(object: u64, hook: Hook) -> i32 {
    if owner(object).is_some() && IPC_OWNERS.remove(object).is_err_and(|error| error != -ENOENT) {
        verdict::error(hook);
    }
    0
}

#[inline(always)]
fn owner(object: u64) -> Option<ContainerKey> {
    // SAFETY: the value is copied at once.
    unsafe { IPC_OWNERS.get(object) }.copied()
}

/// Checks a use of an object: its own container may, and containers of the same policy.
#[inline(always)]
fn check(object: u64, earlier: i32, hook: Hook, arg: u64) -> i32 {
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::subject_to(Rule::Ipc) else {
        return 0;
    };
    // Without an object the call asks for limits and totals of the namespace (IPC_INFO, SHM_INFO).
    if object == 0 || !is_in_hosts_namespace() {
        return 0;
    }
    if is_shared(&who, owner(object)) {
        return 0;
    }
    verdict::deny(&who, Rule::Ipc, hook, About::number(arg), EACCES)
}

/// Whether a container may use what belongs to `owner`: itself, or a container of the same policy.
#[inline(always)]
fn is_shared(who: &Subject, owner: Option<ContainerKey>) -> bool {
    owner.is_some_and(|owner| owner == who.key || processes::has_same_policy(who, owner))
}

#[inline(always)]
fn queue_owner(dentry: Obj) -> Option<ContainerKey> {
    // SAFETY: the value is copied at once.
    unsafe { QUEUE_OWNERS.get(dentry.addr()) }.copied()
}

/// Checks the opening of a message queue, or of a file of procfs that is about the namespace;
/// allows files on any other file system than these two.
#[inline(always)]
pub fn check_open(who: &Subject, file: Obj, magic: u64) -> i32 {
    let dentry = follow(file, &kernel::FILE_PATH_DENTRY);
    let in_procfs = magic == pseudo::PROC_SUPER_MAGIC;
    if (!in_procfs && magic != MQUEUE_MAGIC) || !who.has(Rule::Ipc) || !is_in_hosts_namespace() {
        return 0;
    }
    let allowed = if in_procfs {
        !is_about_namespace(dentry, load(file, &kernel::FILE_MODE))
    } else {
        is_shared(who, queue_owner(dentry))
    };
    if allowed {
        return 0;
    }
    verdict::deny(who, Rule::Ipc, Hook::FileOpen, files::about(file), EACCES)
}

/// Whether a file of procfs lists the objects of the namespace, or is opened to change its limits:
/// of what the map `names` lets be written in `sys/kernel`, all but `hostname` and `domainname`;
/// and `sys/fs/mqueue`.
#[inline(always)]
fn is_about_namespace(dentry: Obj, mode: u32) -> bool {
    const SYSVIPC: u64 = u64::from_ne_bytes(*b"sysvipc\0");
    const KERNEL: u64 = u64::from_ne_bytes(*b"kernel\0\0");
    const MQUEUE: u64 = u64::from_ne_bytes(*b"mqueue\0\0");
    let above = name(follow(dentry, &kernel::DENTRY_PARENT));
    if above == SYSVIPC {
        return true;
    }
    let above = above & 0x00ff_ffff_ffff_ffff;
    mode & pseudo::FMODE_WRITE != 0
        && (above == MQUEUE || (above == KERNEL && !matches!(name(dentry) as u8, b'h' | b'd')))
}

/// The first bytes of a name; 0 where it cannot be read. The memory of a name has more than eight.
#[inline(always)]
fn name(dentry: Obj) -> u64 {
    let text: u64 = load(dentry, &kernel::DENTRY_NAME);
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(text as *const u64) }.unwrap_or(0)
}

#[inline(always)]
fn is_queue(dentry: Obj) -> bool {
    load::<u64>(follow(dentry, &kernel::DENTRY_SB), &kernel::SB_MAGIC) == MQUEUE_MAGIC
}

/// Checks a change of a message queue.
#[inline(always)]
pub fn check_queue(dentry: Obj, hook: Hook) -> i32 {
    if !is_queue(dentry) {
        return 0;
    }
    let Some(who) = verdict::subject_to(Rule::Ipc) else {
        return 0;
    };
    if !is_in_hosts_namespace() || is_shared(&who, queue_owner(dentry)) {
        return 0;
    }
    verdict::deny(&who, Rule::Ipc, hook, About::dentry(dentry.addr()), EACCES)
}

/// Notes who is about to create a queue.
#[inline(always)]
fn note_queue(dentry: Obj) -> i32 {
    // SAFETY: null or a live cell of the storage.
    let label = unsafe { label::of(label::current()).as_ref() };
    let key = label.map(|label| label.key).filter(|_| is_in_hosts_namespace());
    match key {
        Some(key) if QUEUE_OWNERS.insert(dentry.addr(), key, 0).is_err() => {
            verdict::error(Hook::InodeCreate);
            -ENOMEM
        }
        Some(_) => 0,
        None => forget_queue(dentry, Hook::InodeCreate),
    }
}

#[inline(always)]
fn forget_queue(dentry: Obj, hook: Hook) -> i32 {
    if queue_owner(dentry).is_some()
        && QUEUE_OWNERS.remove(dentry.addr()).is_err_and(|error| error != -ENOENT)
    {
        verdict::error(hook);
        return -ENOMEM;
    }
    0
}

/// `int shm_alloc_security(struct kern_ipc_perm *perm)`
#[lsm(hook = "shm_alloc_security")]
pub fn shm_alloc_security(ctx: LsmContext) -> i32 {
    created(ctx.arg(0), ctx.arg(1), Hook::ShmAllocSecurity)
}

/// `int sem_alloc_security(struct kern_ipc_perm *perm)`
#[lsm(hook = "sem_alloc_security")]
pub fn sem_alloc_security(ctx: LsmContext) -> i32 {
    created(ctx.arg(0), ctx.arg(1), Hook::SemAllocSecurity)
}

/// `int msg_queue_alloc_security(struct kern_ipc_perm *perm)`
#[lsm(hook = "msg_queue_alloc_security")]
pub fn msg_queue_alloc_security(ctx: LsmContext) -> i32 {
    created(ctx.arg(0), ctx.arg(1), Hook::MsgQueueAllocSecurity)
}

/// `void shm_free_security(struct kern_ipc_perm *perm)`
#[lsm(hook = "shm_free_security")]
pub fn shm_free_security(ctx: LsmContext) -> i32 {
    freed(ctx.arg(0), Hook::ShmFreeSecurity)
}

/// `void sem_free_security(struct kern_ipc_perm *perm)`
#[lsm(hook = "sem_free_security")]
pub fn sem_free_security(ctx: LsmContext) -> i32 {
    freed(ctx.arg(0), Hook::SemFreeSecurity)
}

/// `void msg_queue_free_security(struct kern_ipc_perm *perm)`
#[lsm(hook = "msg_queue_free_security")]
pub fn msg_queue_free_security(ctx: LsmContext) -> i32 {
    freed(ctx.arg(0), Hook::MsgQueueFreeSecurity)
}

/// `int ipc_permission(struct kern_ipc_perm *ipcp, short flag)`
#[lsm(hook = "ipc_permission")]
pub fn ipc_permission(ctx: LsmContext) -> i32 {
    let flag: u32 = ctx.arg(1);
    check(ctx.arg(0), ctx.arg(2), Hook::IpcPermission, u64::from(flag))
}

/// `int shm_shmctl(struct kern_ipc_perm *perm, int cmd)`
#[lsm(hook = "shm_shmctl")]
pub fn shm_shmctl(ctx: LsmContext) -> i32 {
    let command: u32 = ctx.arg(1);
    check(ctx.arg(0), ctx.arg(2), Hook::ShmShmctl, u64::from(command))
}

/// `int sem_semctl(struct kern_ipc_perm *perm, int cmd)`
#[lsm(hook = "sem_semctl")]
pub fn sem_semctl(ctx: LsmContext) -> i32 {
    let command: u32 = ctx.arg(1);
    check(ctx.arg(0), ctx.arg(2), Hook::SemSemctl, u64::from(command))
}

/// `int msg_queue_msgctl(struct kern_ipc_perm *perm, int cmd)`
#[lsm(hook = "msg_queue_msgctl")]
pub fn msg_queue_msgctl(ctx: LsmContext) -> i32 {
    let command: u32 = ctx.arg(1);
    check(ctx.arg(0), ctx.arg(2), Hook::MsgQueueMsgctl, u64::from(command))
}

/// `int inode_create(struct inode *dir, struct dentry *dentry, umode_t mode)`: a regular file; a
/// queue is one.
#[lsm(hook = "inode_create")]
pub fn inode_create(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(3);
    let dentry = Obj(ctx.arg::<*const u8>(1));
    if earlier != 0 || !is_queue(dentry) { earlier } else { note_queue(dentry) }
}

/// `int inode_unlink(struct inode *dir, struct dentry *dentry)`
#[lsm(hook = "inode_unlink")]
pub fn inode_unlink(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(2);
    let dentry = Obj(ctx.arg::<*const u8>(1));
    if earlier != 0 || !is_queue(dentry) {
        return earlier;
    }
    let verdict = check_queue(dentry, Hook::InodeUnlink);
    // If the kernel then does not remove the queue, it counts as the host's.
    if verdict != 0 { verdict } else { forget_queue(dentry, Hook::InodeUnlink) }
}
