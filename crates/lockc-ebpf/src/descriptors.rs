//! Descriptors that are open at the container's first exec, whoever opened them: each is checked
//! once, there.
//!
//! | hook | what for |
//! |---|---|
//! | bprm_creds_for_exec | every descriptor that the program will have; one that the container was not granted stops the exec |
//!
//! What close-on-exec closes is not looked at. Standard streams are the engine's choice, whatever
//! they are, unless they are directories, or a container without network would have a socket of the
//! network's: splice(2) asks no security module. Pipes, terminals and unnamed pairs of sockets are
//! handed over on purpose, and listening sockets (`podman --preserve-fds`, socket activation).
//! Files of procfs, sysfs and cgroup are not, wherever they are mounted. Of the kernel's anonymous
//! files only those are known to be harmless that are listed here; the rest, io_uring, bpf, perf
//! events, pidfds and namespaces among them, is denied.
//!
//! A hook that root's policy trusts (`hook_mounts`) may have what the runtime left open to it for
//! reading on a mount that is not the host's: runc 1.3 leaves its own program open, on an overlay
//! that is mounted nowhere, to a `createContainer` hook, which executes a program of the host's in
//! the container's root.

use aya_ebpf::{helpers::bpf_probe_read_kernel, macros::lsm, programs::LsmContext};
use lockc_core::{
    abi::{ARG_DESCRIPTOR, ENTRY_HOOK_MOUNTS, Hook, STATE_LAUNCHING},
    rules::Rule,
};

use crate::{
    devices, files,
    kernel::{self, Obj, follow, load},
    kernel_log, label, launch,
    loops::{self, GO_ON, Next, STOP},
    pseudo, sockets, tags,
    verdict::{self, About, EACCES, Subject},
};

const HOOK: Hook = Hook::BprmCredsForExec;

/// Words of the bitmaps of open descriptors that are looked at; a larger table stops the exec, and
/// so does a descriptor above the first word that is left open.
const MAX_WORDS: u64 = 16;

/// include/uapi/linux/magic.h
const ANON_INODE_FS_MAGIC: u64 = 0x0904_1934;
const TMPFS_MAGIC: u64 = 0x0102_1994;
const HUGETLBFS_MAGIC: u64 = 0x9584_58f6;

/// Anonymous files that show and change nothing of the host's (fs/eventfd.c, fs/eventpoll.c,
/// fs/timerfd.c, fs/signalfd.c), by the first eight bytes of their names.
const HARMLESS: [[u8; 8]; 4] = [*b"[eventfd", *b"[eventpo", *b"[timerfd", *b"[signalf"];

/// A verdict about a descriptor: it passes, or the rule (and one more) that stops it.
type Stopped = u32;
const PASSES: Stopped = 0;

#[inline(always)]
const fn stopped(rule: Rule) -> Stopped {
    rule as u32 + 1
}

/// Whether the container is under the rule of a verdict.
#[inline(always)]
fn applies(who: &Subject, rule: Stopped) -> bool {
    who.entry.is_none_or(|entry| entry.rules >> (rule - 1) & 1 != 0)
}

/// `int bprm_creds_for_exec(struct linux_binprm *bprm)`: once for each exec, before its file and
/// interpreters are looked at.
#[lsm(hook = "bprm_creds_for_exec")]
pub fn bprm_creds_for_exec(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(1);
    if earlier != 0 {
        return earlier;
    }
    // SAFETY: null or a live cell of the storage, written only by this task and by user space
    // before the exec.
    let Some(label) = (unsafe { label::of(label::current()).as_mut() }) else {
        return 0;
    };
    if label.state != STATE_LAUNCHING || launch::stays(label) {
        return 0;
    }
    let who = Subject::of(label.key);
    // Stale labels stop in `bprm_check_security`: the verifier need not follow them in here.
    if who.entry.is_none() {
        return 0;
    }
    let file = follow(Obj(ctx.arg::<*const u8>(0)), &kernel::BPRM_FILE);
    let host = if is_hooks(&who, file) { label.base_mnt_ns } else { 0 };
    match check(&who, host, &mut label.stdio) {
        Some((rule, about)) => verdict::deny(&who, rule, HOOK, about, EACCES),
        None => 0,
    }
}

/// Checks every descriptor that the program will have, and tags the standard streams. `None`: all
/// of them pass.
#[inline(always)]
fn check(who: &Subject, host: u64, stdio: &mut [u64; 3]) -> Option<(Rule, About)> {
    let mut found = Found { fd: 0, dentry: 0, host };
    let rule = match find(who, stdio, &mut found) {
        PASSES => return None,
        rule if rule == stopped(Rule::Device) => Rule::Device,
        rule if rule == stopped(Rule::KernelLog) => Rule::KernelLog,
        rule if rule == stopped(Rule::Network) => Rule::Network,
        rule if rule == stopped(Rule::UnixSocket) => Rule::UnixSocket,
        rule if rule == stopped(Rule::SocketFamily) => Rule::SocketFamily,
        rule if rule == stopped(Rule::RawSocket) => Rule::RawSocket,
        rule if rule == stopped(Rule::Procfs) => Rule::Procfs,
        rule if rule == stopped(Rule::Sysfs) => Rule::Sysfs,
        _ => Rule::Files,
    };
    Some((rule, About { dentry: found.dentry, ..About::number(found.fd | ARG_DESCRIPTOR) }))
}

/// The descriptor that a verdict is about.
struct Found {
    fd: u64,
    dentry: u64,
    /// The host's mount namespace, where a hook of root's executes a program of the host's; or 0.
    host: u64,
}

/// Whether a program that is executed in the container is the host's, by a hook that may do so.
#[inline(always)]
fn is_hooks(who: &Subject, program: Obj) -> bool {
    let may = who.entry.is_some_and(|entry| entry.flags & ENTRY_HOOK_MOUNTS != 0);
    may && !files::is_granted_at_launch(who, follow(program, &kernel::FILE_PATH_MNT).addr())
        .unwrap_or(true)
}

#[inline(always)]
fn find(who: &Subject, stdio: &mut [u64; 3], found: &mut Found) -> Stopped {
    let table = follow(follow(label::current(), &kernel::TASK_FILES), &kernel::FILES_FDT);
    let words = u64::from(load::<u32>(table, &kernel::FDT_MAX_FDS)) / 64;
    let (open, closed): (u64, u64) =
        (load(table, &kernel::FDT_OPEN_FDS), load(table, &kernel::FDT_CLOSE_ON_EXEC));
    let array: u64 = load(table, &kernel::FDT_FD);
    *stdio = [0; 3];
    for fd in 0..3 {
        // The smallest table has room for 64 (include/linux/fdtable.h, `NR_OPEN_DEFAULT`).
        let Ok(file) = word(array, fd) else {
            return unreadable();
        };
        if file == 0 {
            continue;
        }
        let Ok(inode) = kernel::read::<u64>(file, &kernel::FILE_INODE) else {
            return unreadable();
        };
        // SAFETY: null or a live cell of the map; the descriptor holds the inode.
        stdio[fd as usize] =
            unsafe { tags::make_at(inode).as_ref() }.map_or(0, |object| object.tag);
        let Ok(mode) = kernel::read::<u16>(inode, &kernel::INODE_MODE) else {
            return unreadable();
        };
        let rule = match mode & files::S_IFMT {
            files::S_IFDIR => stopped(Rule::Files),
            files::S_IFSOCK if who.has(Rule::Network) => {
                standard_stream(who, file).unwrap_or_else(|_| unreadable())
            }
            _ => PASSES,
        };
        if rule != PASSES && applies(who, rule) {
            found.fd = fd;
            return rule;
        }
    }
    if words > MAX_WORDS {
        return unreadable();
    }
    for index in 1..MAX_WORDS {
        if index >= words {
            break;
        }
        let (Ok(open), Ok(closed)) = (word(open, index), word(closed, index)) else {
            return unreadable();
        };
        if open & !closed != 0 {
            found.fd = index * 64;
            return stopped(Rule::Files);
        }
    }
    let (Ok(open), Ok(closed)) = (word(open, 0), word(closed, 0)) else {
        return unreadable();
    };
    let left = open & !closed & !7;
    // Next to always nothing is left open.
    if left == 0 { PASSES } else { find_left_open(who, array, left, found) }
}

/// Checks the descriptors whose bits are set; `array` is the address of the table. The loop is
/// either `bpf_loop`, or one round after the other, whichever the kernel's verifier follows in less
/// time: the one costs it minutes on kernels that follow it to its end, the other is more than
/// those that do not will follow at all.
#[inline(always)]
fn find_left_open(who: &Subject, array: u64, left: u64, found: &mut Found) -> Stopped {
    if kernel::offset(&kernel::FOLLOWS_LOOPS) == 0 {
        let mut open = LeftOpen { who, array, left, found, rule: PASSES };
        return if loops::rounds(64, check_bit, &mut open) { open.rule } else { unreadable() };
    }
    for fd in 3..64 {
        if left >> fd & 1 == 0 {
            continue;
        }
        let rule = check_file(who, array + fd * 8, found);
        if rule != PASSES && applies(who, rule) {
            found.fd = fd;
            return rule;
        }
    }
    PASSES
}

/// The descriptors that are left open.
struct LeftOpen<'a> {
    who: &'a Subject,
    array: u64,
    left: u64,
    found: &'a mut Found,
    rule: Stopped,
}

/// Checks the descriptor of one bit.
extern "C" fn check_bit(bit: u64, open: &mut LeftOpen) -> Next {
    if open.left >> (bit & 63) & 1 == 0 {
        return GO_ON;
    }
    let who = open.who;
    let rule = check_file(who, open.array + bit * 8, open.found);
    if rule == PASSES || !applies(who, rule) {
        return GO_ON;
    }
    (open.found.fd, open.rule) = (bit, rule);
    STOP
}

/// The rule by which a standard stream that is a socket is denied to a container without network:
/// splice(2), and before 6.5 sendfile(2), ask no security module. Sockets of the unix family are
/// the engine's choice, the journal's among them.
#[inline(never)]
fn standard_stream(who: &Subject, file: u64) -> Result<Stopped, i32> {
    let socket: u64 = kernel::read(file, &kernel::FILE_PRIVATE_DATA)?;
    Ok(sockets::standard_stream(who, socket)?.map_or(PASSES, stopped))
}

#[inline(always)]
fn unreadable() -> Stopped {
    verdict::error(HOOK);
    stopped(Rule::Files)
}

/// A word of a bitmap of descriptors, or an entry of a table.
#[inline(always)]
fn word(array: u64, index: u64) -> Result<u64, i32> {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel((array + index * 8) as *const u64) }
}

/// Checks one descriptor; `entry` is the address of its entry in the table.
#[inline(never)]
fn check_file(who: &Subject, entry: u64, found: &mut Found) -> Stopped {
    word(entry, 0).and_then(|file| try_file(who, file, found)).unwrap_or_else(|_| unreadable())
}

#[inline(always)]
fn try_file(who: &Subject, file: u64, found: &mut Found) -> Result<Stopped, i32> {
    let inode: u64 = kernel::read(file, &kernel::FILE_INODE)?;
    let mode: u16 = kernel::read(inode, &kernel::INODE_MODE)?;
    let dentry: u64 = kernel::read(file, &kernel::FILE_PATH_DENTRY)?;
    found.dentry = dentry;
    match mode & files::S_IFMT {
        files::S_IFIFO => return Ok(PASSES),
        files::S_IFSOCK => {
            return check_socket(who, kernel::read(file, &kernel::FILE_PRIVATE_DATA)?);
        }
        kind @ (files::S_IFCHR | files::S_IFBLK) => {
            return Ok(check_device(
                who,
                kind == files::S_IFBLK,
                kernel::read(inode, &kernel::INODE_RDEV)?,
            ));
        }
        _ => {}
    }
    let mnt: u64 = kernel::read(file, &kernel::FILE_PATH_MNT)?;
    let sb: u64 = kernel::read(mnt, &kernel::VFSMOUNT_SB)?;
    let magic: u64 = kernel::read(sb, &kernel::SB_MAGIC)?;
    let harmless = if magic == ANON_INODE_FS_MAGIC {
        is_harmless(dentry)?
    } else if files::ns_of_mount(mnt)? == files::MNT_NS_INTERNAL {
        // memfds; the rest of what only the kernel mounts is namespaces, pidfds and the like.
        matches!(magic, TMPFS_MAGIC | HUGETLBFS_MAGIC)
    } else if let Some(rule) = pseudo::rule_of(magic) {
        return Ok(stopped(rule));
    } else {
        files::is_granted_at_launch(who, mnt)?
            || found.host != 0
                && mode & files::S_IFMT == files::S_IFREG
                && files::ns_of_mount(mnt)? != found.host
                && kernel::read::<u32>(file, &kernel::FILE_MODE)? & pseudo::FMODE_WRITE == 0
    };
    Ok(if harmless { PASSES } else { stopped(Rule::Files) })
}

#[inline(always)]
fn check_device(who: &Subject, block: bool, device: u32) -> Stopped {
    if !block && device == kernel_log::DEV_KMSG {
        stopped(Rule::KernelLog)
    } else if devices::is_granted(who, block, device) {
        PASSES
    } else {
        stopped(Rule::Device)
    }
}

#[inline(always)]
fn check_socket(who: &Subject, socket: u64) -> Result<Stopped, i32> {
    Ok(sockets::left_open(who, socket)?.map_or(PASSES, stopped))
}

/// Whether an anonymous file is one of those that are known to be harmless.
#[inline(always)]
fn is_harmless(dentry: u64) -> Result<bool, i32> {
    let name: u64 = kernel::read(dentry, &kernel::DENTRY_NAME)?;
    // SAFETY: the helper checks the address; a shorter name is followed by other bytes of the
    // kernel's.
    let first = unsafe { bpf_probe_read_kernel::<u64>(name as *const u64) }?;
    Ok(HARMLESS.iter().any(|name| u64::from_ne_bytes(*name) == first))
}
