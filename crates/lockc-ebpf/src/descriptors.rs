//! Descriptors that are open at the container's first exec. Each is checked once, at that exec,
//! whoever opened it. The exec fails if the container was not granted one of them.
//!
//! Descriptors with close-on-exec are not checked. The engine chooses the standard streams, which
//! may be anything but a directory, or a socket of the network for a container without network:
//! splice(2) calls no security module. Pipes, terminals, unnamed pairs of sockets and listening
//! sockets (`podman --preserve-fds`, socket activation) are passed on purpose. Files of procfs,
//! sysfs and cgroup are not, wherever they are mounted. Of the kernel's anonymous files only those
//! in [`HARMLESS`] are allowed; the rest is denied, for example io_uring, bpf, perf events, pidfds
//! and namespaces.
//!
//! A hook that root's policy trusts (`hook_mounts`) may have files that the runtime left open to it
//! for reading on a mount that is not the host's: runc 1.3 leaves its own program open, on an
//! overlay that is mounted nowhere, to a `createContainer` hook, which executes a program of the
//! host in the container's root.

use lockc_core::{
    abi::{ARG_DESCRIPTOR, ContainerKey, ENTRY_HOOK_MOUNTS, Hook, STATE_LAUNCHING},
    fields::{Binprm, Dentry, File, MntNamespace},
    pointers::{ProbePtr, Ptr},
    rules::Rule,
};

use crate::{
    devices, files,
    hook::lsm,
    kernel_log, label, launch,
    linux::{FMODE_WRITE, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFMT, S_IFREG, S_IFSOCK},
    mount_view, pseudo, sockets, tags,
    verdict::{self, About, EACCES, Subject},
};

/// Words of the bitmaps of open descriptors that are looked at; a larger table stops the exec, and
/// so does a descriptor above the first word that is left open.
const MAX_WORDS: u64 = 16;

/// include/uapi/linux/magic.h
const ANON_INODE_FS_MAGIC: u64 = 0x0904_1934;
const TMPFS_MAGIC: u64 = 0x0102_1994;
const HUGETLBFS_MAGIC: u64 = 0x9584_58f6;

/// A table of descriptors.
type FileTable = ProbePtr<ProbePtr<File>>;

/// Anonymous files that show and change nothing of the host's (fs/eventfd.c, fs/eventpoll.c,
/// fs/timerfd.c, fs/signalfd.c), by the first eight bytes of their names.
const HARMLESS: [[u8; 8]; 4] = [*b"[eventfd", *b"[eventpo", *b"[timerfd", *b"[signalf"];

/// A verdict about a descriptor: it passes, or the number of the rule that denies it plus one.
type DenyingRule = u32;
const PASSES: DenyingRule = 0;

#[inline(always)]
const fn denied_by(rule: Rule) -> DenyingRule {
    rule as u32 + 1
}

/// Whether the container is under the rule of a verdict. What only reports would stand before what
/// denies.
#[inline(always)]
fn applies(who: &Subject, rule: DenyingRule) -> bool {
    who.entry.is_none_or(|entry| entry.enforced().0 >> (rule - 1) & 1 != 0)
}

lsm! {
    /// Once for each exec, before its file and interpreters are looked at.
    fn bprm_creds_for_exec(bprm: Ptr<Binprm>) -> verdict {
        // SAFETY: null or a live cell of the storage, written only by this task and by user space
        // before the exec.
        let Some(label) = (unsafe { label::for_task(label::current()).as_mut() }) else {
            return 0;
        };
        if label.state != STATE_LAUNCHING || launch::stays(label) {
            return 0;
        }
        let who = Subject::for_container(label.key);
        // Stale labels stop in `bprm_check_security`: the verifier need not follow them in here.
        if who.entry.is_none() {
            return 0;
        }
        let host = if is_hooks(&who, bprm.file()) {
            ProbePtr::new(label.base_mnt_ns)
        } else {
            ProbePtr::NULL
        };
        match check(&who, host, &mut label.stdio) {
            Some((rule, about)) => verdict::deny(&who, rule, HOOK, about, EACCES),
            None => 0,
        }
    }
}

/// Checks every descriptor that the program will have, and tags the standard streams. `None`: all
/// of them pass.
#[inline(always)]
fn check(
    who: &Subject,
    host: ProbePtr<MntNamespace>,
    stdio: &mut [u64; 3],
) -> Option<(Rule, About)> {
    let (entry, dentry) = (ProbePtr::NULL, ProbePtr::NULL);
    let mut found = DeniedDescriptor { key: who.key, fd: 0, entry, dentry, host };
    let rule = match find(who, stdio, &mut found) {
        PASSES => return None,
        rule if rule == denied_by(Rule::Device) => Rule::Device,
        rule if rule == denied_by(Rule::KernelLog) => Rule::KernelLog,
        rule if rule == denied_by(Rule::Network) => Rule::Network,
        rule if rule == denied_by(Rule::UnixSocket) => Rule::UnixSocket,
        rule if rule == denied_by(Rule::SocketFamily) => Rule::SocketFamily,
        rule if rule == denied_by(Rule::RawSocket) => Rule::RawSocket,
        rule if rule == denied_by(Rule::Procfs) => Rule::Procfs,
        rule if rule == denied_by(Rule::Sysfs) => Rule::Sysfs,
        _ => Rule::Files,
    };
    Some((rule, About { dentry: found.dentry, ..About::number(found.fd | ARG_DESCRIPTOR) }))
}

/// The descriptor that a verdict is about.
#[repr(C)]
pub struct DeniedDescriptor {
    key: ContainerKey,
    fd: u64,
    /// Its place in the table.
    entry: FileTable,
    dentry: ProbePtr<Dentry>,
    /// The host's mount namespace, where a hook of root executes a program of the host; or
    /// null.
    host: ProbePtr<MntNamespace>,
}

/// Whether a program that is executed in the container is the host's, by a hook that may do so.
#[inline(always)]
fn is_hooks(who: &Subject, program: Ptr<File>) -> bool {
    let may = who.entry.is_some_and(|entry| entry.flags & ENTRY_HOOK_MOUNTS != 0);
    may && !files::is_granted_at_launch(who, program.mnt().probe()).unwrap_or(true)
}

#[inline(always)]
fn find(who: &Subject, stdio: &mut [u64; 3], found: &mut DeniedDescriptor) -> DenyingRule {
    let table = label::current().files().fdt();
    let words = u64::from(table.max_fds()) / 64;
    let (open, closed) = (table.open_fds(), table.close_on_exec());
    let files = table.files();
    *stdio = [0; 3];
    for fd in 0..3 {
        // The smallest table has room for 64 (include/linux/fdtable.h, `NR_OPEN_DEFAULT`).
        let Ok(file) = files.index(fd).read() else {
            return unreadable();
        };
        if file.is_null() {
            continue;
        }
        let Ok(inode) = file.inode() else {
            return unreadable();
        };
        // SAFETY: null or a live cell of the map; the descriptor holds the inode.
        stdio[fd as usize] = unsafe { tags::make(inode).as_ref() }.map_or(0, |object| object.tag);
        let Ok(mode) = inode.mode() else {
            return unreadable();
        };
        let rule = match mode & S_IFMT {
            S_IFDIR => denied_by(Rule::Files),
            S_IFSOCK if who.has(Rule::Network) => {
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
        let (Ok(open), Ok(closed)) = (open.index(index).read(), closed.index(index).read()) else {
            return unreadable();
        };
        if open & !closed != 0 {
            found.fd = index * 64;
            return denied_by(Rule::Files);
        }
    }
    let (Ok(open), Ok(closed)) = (open.read(), closed.read()) else {
        return unreadable();
    };
    // Next to always nothing is left open.
    let left = open & !closed & !7;
    for fd in 3..64 {
        if left >> fd & 1 == 0 {
            continue;
        }
        found.entry = files.index(fd);
        // SAFETY: valid.
        let rule = unsafe { check_descriptor(found) };
        if rule != PASSES && applies(who, rule) {
            found.fd = fd;
            return rule;
        }
    }
    PASSES
}

/// The rule by which a standard stream that is a socket is denied to a container without network:
/// splice(2), and before 6.5 sendfile(2), ask no security module. Sockets of the unix family are
/// the engine's choice, the journal's among them.
#[inline(never)]
fn standard_stream(who: &Subject, file: ProbePtr<File>) -> Result<DenyingRule, i32> {
    Ok(sockets::standard_stream(who, file.socket()?)?.map_or(PASSES, denied_by))
}

#[inline(always)]
fn unreadable() -> DenyingRule {
    verdict::error(Hook::bprm_creds_for_exec);
    denied_by(Rule::Files)
}

/// Checks one descriptor by its entry in the table. A global symbol, as
/// [`note_denial`](crate::record::note_denial) is: the verifier follows it once and not for each
/// descriptor.
///
/// # Safety
///
/// `found` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn check_descriptor(found: *mut DeniedDescriptor) -> DenyingRule {
    // SAFETY: by the caller; the verifier wants the check for null.
    let Some(found) = (unsafe { found.as_mut() }) else { return unreadable() };
    let who = Subject::for_container(found.key);
    let file = found.entry.read();
    file.and_then(|file| try_file(&who, file, found)).unwrap_or_else(|_| unreadable())
}

#[inline(always)]
fn try_file(
    who: &Subject,
    file: ProbePtr<File>,
    found: &mut DeniedDescriptor,
) -> Result<DenyingRule, i32> {
    let inode = file.inode()?;
    let mode = inode.mode()?;
    let dentry = file.dentry()?;
    found.dentry = dentry;
    match mode & S_IFMT {
        S_IFIFO => return Ok(PASSES),
        S_IFSOCK => {
            return Ok(sockets::left_open(who, file.socket()?)?.map_or(PASSES, denied_by));
        }
        kind @ (S_IFCHR | S_IFBLK) => {
            return Ok(check_device(who, kind == S_IFBLK, inode.rdev()?));
        }
        _ => {}
    }
    let mnt = file.mnt()?;
    let magic = mnt.sb()?.magic()?;
    let harmless = if magic == ANON_INODE_FS_MAGIC {
        is_harmless(dentry)?
    } else if mount_view::mount_ns(mnt)? == mount_view::MNT_NS_INTERNAL {
        // memfds; the rest of what only the kernel mounts is namespaces, pidfds and the like.
        matches!(magic, TMPFS_MAGIC | HUGETLBFS_MAGIC)
    } else if let Some(rule) = pseudo::rule_for(magic) {
        return Ok(denied_by(rule));
    } else {
        files::is_granted_at_launch(who, mnt)?
            || !found.host.is_null()
                && mode & S_IFMT == S_IFREG
                && mount_view::mount_ns(mnt)? != found.host
                && file.mode()? & FMODE_WRITE == 0
    };
    Ok(if harmless { PASSES } else { denied_by(Rule::Files) })
}

#[inline(always)]
fn check_device(who: &Subject, block: bool, device: u32) -> DenyingRule {
    if !block && device == kernel_log::DEV_KMSG {
        denied_by(Rule::KernelLog)
    } else if devices::is_granted(who, block, device) {
        PASSES
    } else {
        denied_by(Rule::Device)
    }
}

/// Whether an anonymous file is one of those that are known to be harmless.
#[inline(always)]
fn is_harmless(dentry: ProbePtr<Dentry>) -> Result<bool, i32> {
    // Other bytes of the kernel follow a shorter name.
    let first = u64::from_ne_bytes(dentry.name()?.first()?);
    Ok(HARMLESS.iter().any(|name| u64::from_ne_bytes(*name) == first))
}
