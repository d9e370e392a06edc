//! procfs, sysfs and cgroup files, by their own dentries inside of that file system, wherever and however it is mounted.
//!
//! What may be read or written stands in the map `names`, which the loader fills from `lockc_core::user::names`: the
//! entries of a directory by name, at most three levels deep. What a policy lets its containers read beyond it stands in
//! the map `reads`, one set of names for all containers that may read the same. What is in neither is denied.

use aya_ebpf::helpers::{bpf_probe_read_kernel, generated::bpf_probe_read_kernel_str};
use lockc_core::{
    abi::{
        Hook, NAME_LEN, NAME_READ, NAME_SUBTREE, NAME_WRITE, NODE_PROC, NODE_SYS, NameKey, NameRule, READ_DEPTH,
        READ_NAME_LEN, ReadKey,
    },
    rules::Rule,
};

use crate::{
    files,
    kernel::{self, Obj, follow, load},
    maps::{NAMES, READS},
    processes,
    verdict::{self, About, EACCES, Judged},
};

/// include/uapi/linux/magic.h
const PROC_SUPER_MAGIC: u64 = 0x9fa0;
const SYSFS_MAGIC: u64 = 0x6265_6572;
const CGROUP_SUPER_MAGIC: u64 = 0x0027_e0eb;
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

/// include/linux/fs.h
const FMODE_WRITE: u32 = 2;

/// Deeper files than this do not exist in procfs and sysfs; one that does is denied.
const MAX_DEPTH: usize = 24;

#[inline(always)]
fn magic(mnt: Obj) -> u64 {
    load(follow(mnt, &kernel::VFSMOUNT_SB), &kernel::SB_MAGIC)
}

/// Whether the mount is of a bpffs.
#[inline(always)]
pub fn is_bpffs(mnt: Obj) -> bool {
    magic(mnt) == BPF_FS_MAGIC
}

/// Whether a superblock is one of those that are judged by name.
#[inline(always)]
pub fn is_pseudo(sb: Obj) -> bool {
    rule_of(load(sb, &kernel::SB_MAGIC)).is_some()
}

#[inline(always)]
fn rule_of(magic: u64) -> Option<Rule> {
    match magic {
        PROC_SUPER_MAGIC => Some(Rule::Procfs),
        SYSFS_MAGIC | CGROUP_SUPER_MAGIC | CGROUP2_SUPER_MAGIC => Some(Rule::Sysfs),
        _ => None,
    }
}

/// Judges a change of mode, owner or times: in procfs and sysfs they are the host's.
#[inline(always)]
pub fn judge_attributes(dentry: Obj) -> i32 {
    let sb = follow(dentry, &kernel::DENTRY_SB);
    let Some(rule) = rule_of(load(sb, &kernel::SB_MAGIC)) else {
        return 0;
    };
    match verdict::judged(rule) {
        Some(who) => verdict::deny(&who, rule, Hook::InodeSetattr, About::dentry(dentry.addr()), EACCES),
        None => 0,
    }
}

/// Whether the superblock may be one that the host uses too.
#[inline(always)]
pub fn is_shared(mnt: Obj) -> bool {
    matches!(magic(mnt), SYSFS_MAGIC | CGROUP_SUPER_MAGIC | CGROUP2_SUPER_MAGIC)
}

/// Judges a file of procfs, sysfs or cgroupfs; allows any other.
#[inline(always)]
pub fn judge(who: &Judged, file: Obj) -> i32 {
    let mnt = follow(file, &kernel::FILE_PATH_MNT);
    let (rule, root) = match magic(mnt) {
        PROC_SUPER_MAGIC => (Rule::Procfs, NODE_PROC),
        SYSFS_MAGIC => (Rule::Sysfs, NODE_SYS),
        CGROUP_SUPER_MAGIC | CGROUP2_SUPER_MAGIC => (Rule::Sysfs, 0),
        _ => return 0,
    };
    if !who.has(rule) {
        return 0;
    }
    let mode: u32 = load(file, &kernel::FILE_MODE);
    let writes = mode & FMODE_WRITE != 0;
    let allowed = if root == 0 {
        // The container's own view of its cgroups: through a mount in its namespace, and not to be written.
        !writes && files::mount_ns(mnt) == Ok(files::own_mount_ns())
    } else {
        // One array for both: the program's stack is nearly used up (a call rounds it up to 32 bytes).
        match top(follow(file, &kernel::FILE_PATH_DENTRY).addr()) {
            Ok(top) => in_table(&top, root, writes) || (!writes && in_reads(who, &top, root)),
            Err(_) => {
                verdict::error(Hook::FileOpen);
                false
            }
        }
    };
    if allowed { 0 } else { verdict::deny(who, rule, Hook::FileOpen, files::about(file), EACCES) }
}

/// The topmost dentries on the way to `dentry`, topmost first; 0 where there is none.
#[inline(always)]
fn top(dentry: u64) -> Result<[u64; READ_DEPTH], i32> {
    let mut top = [0u64; READ_DEPTH];
    let mut at = dentry;
    for _ in 0..MAX_DEPTH {
        let parent: u64 = kernel::read(at, &kernel::DENTRY_PARENT)?;
        if parent == at {
            return Ok(top);
        }
        for index in (1..READ_DEPTH).rev() {
            top[index] = top[index - 1];
        }
        top[0] = at;
        at = parent;
    }
    Err(-1)
}

#[inline(always)]
fn name_of(dentry: u64, node: u32) -> Result<NameKey, i32> {
    let name: u64 = kernel::read(dentry, &kernel::DENTRY_NAME)?;
    let mut key = NameKey { node, name: [0; NAME_LEN] };
    // SAFETY: the helper checks the address and writes at most NAME_LEN bytes.
    let length = unsafe { bpf_probe_read_kernel_str(key.name.as_mut_ptr().cast(), NAME_LEN as u32, name as *const _) };
    // A name that fills the buffer may have been cut: no entry of the table is that long.
    if length <= 0 || length >= NAME_LEN as i64 { Err(-1) } else { Ok(key) }
}

#[inline(always)]
fn look_up(key: &NameKey) -> NameRule {
    // SAFETY: the value is copied at once.
    unsafe { NAMES.get(key) }.copied().unwrap_or_default()
}

#[inline(always)]
fn in_table(top: &[u64; READ_DEPTH], root: u32, writes: bool) -> bool {
    let need = if writes { NAME_WRITE } else { NAME_READ };
    if top[0] == 0 {
        // The root directory itself may be listed.
        return !writes;
    }
    let Ok(first) = name_of(top[0], root) else {
        return false;
    };
    if root == NODE_PROC && first.name[0].is_ascii_digit() {
        return in_task(top, writes);
    }
    let rule = look_up(&first);
    if top[1] == 0 {
        return rule.flags & need != 0;
    }
    let below = if rule.flags & NAME_SUBTREE != 0 { rule.flags } else { 0 };
    if rule.node == 0 {
        return below & need != 0;
    }
    let Ok(second) = name_of(top[1], rule.node) else {
        return below & need != 0;
    };
    let rule = look_up(&second);
    if rule.flags == 0 && rule.node == 0 {
        return below & need != 0;
    }
    if top[2] == 0 {
        return rule.flags & need != 0;
    }
    let below = if rule.flags & NAME_SUBTREE != 0 { rule.flags } else { 0 };
    if rule.node == 0 {
        return below & need != 0;
    }
    let Ok(third) = name_of(top[2], rule.node) else {
        return below & need != 0;
    };
    let rule = look_up(&third);
    if rule.flags == 0 { below & need != 0 } else { rule.flags & need != 0 }
}

/// Whether an entry below /proc/N may be opened: `top` begins with that directory. Most of what tells of a task's own
/// (memory, descriptors, environment) is judged where the kernel asks for ptrace access. The rest may be read of every task
/// in sight, as ps does, but for what tells of its namespaces; it is written only of tasks within reach.
#[inline(always)]
fn in_task(top: &[u64; READ_DEPTH], writes: bool) -> bool {
    if !writes {
        let Ok(name) = below_task(top[1]).and_then(|name| if name == *b"task" { below_task(top[3]) } else { Ok(name) })
        else {
            return false;
        };
        // net, mounts, mountinfo, mountstats, limits.
        if !matches!(&name, b"net\0" | b"moun" | b"limi") {
            return true;
        }
    }
    match processes::is_neighbours(top[0]) {
        Ok(within) => within,
        Err(_) => {
            verdict::error(Hook::FileOpen);
            false
        }
    }
}

/// The first bytes of a name; zeros where there is none.
#[inline(always)]
fn below_task(dentry: u64) -> Result<[u8; 4], i32> {
    if dentry == 0 {
        return Ok([0; 4]);
    }
    let name: u64 = kernel::read(dentry, &kernel::DENTRY_NAME)?;
    // SAFETY: the helper checks the address; a name's buffer is longer than this.
    unsafe { bpf_probe_read_kernel(name as *const [u8; 4]) }
}

/// Whether the policy of the container lets it read the file, or a directory above it.
#[inline(always)]
fn in_reads(who: &Judged, top: &[u64; READ_DEPTH], root: u32) -> bool {
    let Some(entry) = who.entry else {
        return false;
    };
    if entry.reads == 0 {
        return false;
    }
    let mut node = entry.reads.wrapping_add(root - NODE_PROC);
    for at in *top {
        if at == 0 {
            return false;
        }
        let Ok(key) = read_key(at, node) else {
            return false;
        };
        // SAFETY: the value is copied at once.
        let Some(rule) = (unsafe { READS.get(&key) }).copied() else {
            return false;
        };
        if rule.flags & NAME_READ != 0 {
            return true;
        }
        node = rule.node;
    }
    false
}

#[inline(always)]
fn read_key(dentry: u64, node: u32) -> Result<ReadKey, i32> {
    let name: u64 = kernel::read(dentry, &kernel::DENTRY_NAME)?;
    let mut key = ReadKey { node, name: [0; READ_NAME_LEN] };
    // SAFETY: the helper checks the address and writes at most READ_NAME_LEN bytes.
    let length =
        unsafe { bpf_probe_read_kernel_str(key.name.as_mut_ptr().cast(), READ_NAME_LEN as u32, name as *const _) };
    // As in `name_of`.
    if length <= 0 || length >= READ_NAME_LEN as i64 { Err(-1) } else { Ok(key) }
}
