//! Descriptors that are open at the container's first exec, whoever opened them: each is judged once, there.
//!
//! | hook | what for |
//! |---|---|
//! | (bprm_check_security) | every descriptor that the program will have; one that the container was not granted stops the exec |
//!
//! What close-on-exec closes is not looked at. Standard streams are the engine's choice, whatever they are, unless they are
//! directories. Pipes, terminals and unnamed pairs of sockets are handed over on purpose, and listening sockets
//! (`podman --preserve-fds`, socket activation). Files of procfs, sysfs and cgroup are not, wherever they are mounted. Of
//! the kernel's anonymous files only those are known to be harmless that are listed here; the rest, io_uring, bpf, perf
//! events, pidfds and namespaces among them, is denied.

use aya_ebpf::helpers::bpf_probe_read_kernel;
use lockc_core::{
    abi::{ARG_DESCRIPTOR, Hook},
    rules::Rule,
};

use crate::{
    devices, files,
    kernel::{self, Obj, follow, load},
    kernel_log, label, pseudo, sockets, tags,
    verdict::{self, About, EACCES, Judged},
};

const HOOK: Hook = Hook::BprmCheckSecurity;

/// `NR_OPEN_DEFAULT`, include/linux/fdtable.h: the table within `files_struct`.
const EMBEDDED: u64 = 64;
/// Words of the bitmaps of a larger table that are looked at: 4,096 descriptors. A larger table stops the exec.
const MAX_WORDS: u64 = 64;
/// Open descriptors in a word of a larger table that are looked at; more stop the exec.
const MAX_IN_WORD: usize = 4;

/// include/uapi/linux/magic.h
const ANON_INODE_FS_MAGIC: u64 = 0x0904_1934;
const TMPFS_MAGIC: u64 = 0x0102_1994;
const HUGETLBFS_MAGIC: u64 = 0x9584_58f6;

/// Anonymous files that show and change nothing of the host's (fs/eventfd.c, fs/eventpoll.c, fs/timerfd.c,
/// fs/signalfd.c), by the first eight bytes of their names.
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
fn applies(who: &Judged, rule: Stopped) -> bool {
    who.entry.is_none_or(|entry| entry.rules >> (rule - 1) & 1 != 0)
}

/// Judges every descriptor that the program will have, and tags the standard streams.
#[inline(always)]
pub fn judge(who: &Judged, stdio: &mut [u64; 3]) -> i32 {
    let mut found = Found { fd: 0, dentry: 0 };
    let rule = match find(who, stdio, &mut found) {
        PASSES => return 0,
        rule if rule == stopped(Rule::Device) => Rule::Device,
        rule if rule == stopped(Rule::KernelLog) => Rule::KernelLog,
        rule if rule == stopped(Rule::Network) => Rule::Network,
        rule if rule == stopped(Rule::UnixSocket) => Rule::UnixSocket,
        rule if rule == stopped(Rule::Procfs) => Rule::Procfs,
        rule if rule == stopped(Rule::Sysfs) => Rule::Sysfs,
        _ => Rule::Files,
    };
    let about = About { dentry: found.dentry, ..About::number(found.fd | ARG_DESCRIPTOR) };
    verdict::deny(who, rule, HOOK, about, EACCES)
}

/// The descriptor that a verdict is about.
struct Found {
    fd: u64,
    dentry: u64,
}

#[inline(always)]
fn find(who: &Judged, stdio: &mut [u64; 3], found: &mut Found) -> Stopped {
    let files = follow(label::current(), &kernel::TASK_FILES);
    let table = follow(files, &kernel::FILES_FDT);
    let size: u32 = load(table, &kernel::FDT_MAX_FDS);
    let (open, closed): (u64, u64) = (load(table, &kernel::FDT_OPEN_FDS), load(table, &kernel::FDT_CLOSE_ON_EXEC));
    *stdio = [0; 3];
    if u64::from(size) > EMBEDDED {
        return find_in_large(who, found);
    }
    let (Ok(open), Ok(closed)) = (word(open, 0), word(closed, 0)) else {
        return unreadable();
    };
    for fd in 0..3 {
        if open >> fd & 1 != 0 {
            let file = embedded(files, fd);
            let inode = follow(file, &kernel::FILE_INODE);
            stdio[fd as usize] = tags::make_tag(inode);
            if is_directory(inode) && who.has(Rule::Files) {
                found.fd = fd;
                return stopped(Rule::Files);
            }
        }
    }
    let left = open & !closed & !7;
    // Next to always nothing is left open.
    if left == 0 {
        return PASSES;
    }
    for fd in 3..EMBEDDED {
        if left >> fd & 1 == 0 {
            continue;
        }
        let file = embedded(files, fd);
        let rule = judge_file(who, file);
        if rule != PASSES && applies(who, rule) {
            found.fd = fd;
            found.dentry = follow(file, &kernel::FILE_PATH_DENTRY).addr();
            return rule;
        }
    }
    PASSES
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

/// The file of a descriptor in the table within `files_struct`: at a constant place, so that the verifier knows its type.
#[inline(always)]
fn embedded(files: Obj, fd: u64) -> Obj {
    let at = files.0.wrapping_add(kernel::offset(&kernel::FILES_FD_ARRAY)).wrapping_add(fd as usize * 8);
    // SAFETY: the verifier proves the load.
    Obj(unsafe { core::ptr::read_volatile(at.cast::<*const u8>()) })
}

#[inline(always)]
fn is_directory(inode: Obj) -> bool {
    !inode.is_null() && load::<u16>(inode, &kernel::INODE_MODE) & files::S_IFMT == files::S_IFDIR
}

/// Judges one descriptor.
#[inline(never)]
fn judge_file(who: &Judged, file: Obj) -> Stopped {
    let inode = follow(file, &kernel::FILE_INODE);
    if inode.is_null() {
        return PASSES;
    }
    let mode: u16 = load(inode, &kernel::INODE_MODE);
    match mode & files::S_IFMT {
        files::S_IFIFO => return PASSES,
        files::S_IFSOCK => return judge_socket(who, load(file, &kernel::FILE_PRIVATE_DATA)),
        kind @ (files::S_IFCHR | files::S_IFBLK) => {
            return judge_device(who, kind == files::S_IFBLK, load(inode, &kernel::INODE_RDEV));
        }
        _ => {}
    }
    let mnt = follow(file, &kernel::FILE_PATH_MNT);
    let magic = pseudo::magic(mnt);
    let harmless = if magic == ANON_INODE_FS_MAGIC {
        is_harmless(follow(file, &kernel::FILE_PATH_DENTRY))
    } else if files::mount_ns(mnt) == Ok(files::MNT_NS_INTERNAL) {
        // memfds; the rest of what only the kernel mounts is namespaces, pidfds and the like.
        matches!(magic, TMPFS_MAGIC | HUGETLBFS_MAGIC)
    } else if let Some(rule) = pseudo::rule_of(magic) {
        return stopped(rule);
    } else {
        files::is_granted_at_launch(who, mnt)
    };
    if harmless { PASSES } else { stopped(Rule::Files) }
}

#[inline(always)]
fn judge_device(who: &Judged, block: bool, device: u32) -> Stopped {
    if !block && device == kernel_log::DEV_KMSG {
        stopped(Rule::KernelLog)
    } else if devices::is_granted(who, block, device) {
        PASSES
    } else {
        stopped(Rule::Device)
    }
}

#[inline(always)]
fn judge_socket(who: &Judged, socket: u64) -> Stopped {
    match sockets::left_open(who, socket) {
        Ok(None) => PASSES,
        Ok(Some(rule)) => stopped(rule),
        Err(_) => unreadable(),
    }
}

/// Whether an anonymous file is one of those that are known to be harmless.
#[inline(always)]
fn is_harmless(dentry: Obj) -> bool {
    let Ok(name) = kernel::read::<u64>(dentry.addr(), &kernel::DENTRY_NAME) else {
        return false;
    };
    // SAFETY: the helper checks the address; a shorter name is followed by other bytes of the kernel's.
    let first = unsafe { bpf_probe_read_kernel::<u64>(name as *const u64) };
    first.is_ok_and(|first| HARMLESS.iter().any(|name| u64::from_ne_bytes(*name) == first))
}

/// Judges a table that was once larger than what `files_struct` has room for. The type of its files is not known to the
/// verifier, so that no tag can be read: only what needs none may be left open.
#[inline(never)]
fn find_in_large(who: &Judged, found: &mut Found) -> Stopped {
    let table = follow(follow(label::current(), &kernel::TASK_FILES), &kernel::FILES_FDT);
    let size = u64::from(load::<u32>(table, &kernel::FDT_MAX_FDS));
    let (open, closed): (u64, u64) = (load(table, &kernel::FDT_OPEN_FDS), load(table, &kernel::FDT_CLOSE_ON_EXEC));
    let array: u64 = load(table, &kernel::FDT_FD);
    if size > MAX_WORDS * 64 {
        return unreadable();
    }
    for index in 0..MAX_WORDS {
        if index * 64 >= size {
            break;
        }
        let (Ok(open), Ok(closed)) = (word(open, index), word(closed, index)) else {
            return unreadable();
        };
        let mut left = open & !closed;
        if index == 0 {
            left &= !7;
        }
        for _ in 0..MAX_IN_WORD {
            if left == 0 {
                break;
            }
            let bit = lowest(left);
            left &= left - 1;
            let Ok(file) = word(array, index * 64 + bit) else {
                return unreadable();
            };
            let rule = judge_untyped(who, file);
            if rule != PASSES && applies(who, rule) {
                found.fd = index * 64 + bit;
                found.dentry = kernel::read(file, &kernel::FILE_PATH_DENTRY).unwrap_or(0);
                return rule;
            }
        }
        if left != 0 {
            return stopped(Rule::Files);
        }
    }
    PASSES
}

/// The number of the lowest bit that is set: BPF has no instruction for it.
#[inline(always)]
fn lowest(word: u64) -> u64 {
    let alone = word & word.wrapping_neg();
    let mut number = 0;
    for (shift, mask) in [
        (32, 0xffff_ffff_0000_0000),
        (16, 0xffff_0000_ffff_0000),
        (8, 0xff00_ff00_ff00_ff00),
        (4, 0xf0f0_f0f0_f0f0_f0f0),
        (2, 0xcccc_cccc_cccc_cccc),
        (1, 0xaaaa_aaaa_aaaa_aaaa_u64),
    ] {
        if alone & mask != 0 {
            number += shift;
        }
    }
    number
}

#[inline(never)]
fn judge_untyped(who: &Judged, file: u64) -> Stopped {
    let Ok(inode) = kernel::read::<u64>(file, &kernel::FILE_INODE) else {
        return unreadable();
    };
    let Ok(mode) = kernel::read::<u16>(inode, &kernel::INODE_MODE) else {
        return unreadable();
    };
    match mode & files::S_IFMT {
        files::S_IFIFO => PASSES,
        files::S_IFSOCK => match kernel::read(file, &kernel::FILE_PRIVATE_DATA) {
            Ok(socket) => judge_socket(who, socket),
            Err(_) => unreadable(),
        },
        kind @ (files::S_IFCHR | files::S_IFBLK) => match kernel::read(inode, &kernel::INODE_RDEV) {
            Ok(device) => judge_device(who, kind == files::S_IFBLK, device),
            Err(_) => unreadable(),
        },
        _ => stopped(Rule::Files),
    }
}
