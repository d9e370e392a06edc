//! Names in procfs and sysfs that a container may look up, read or write.
//!
//! The map `names`, which the loader fills from `lockc_policy::names`, holds what may be read or
//! written: the entries of a directory by name, at most three levels deep. The map `reads` holds
//! what policies allow their containers to read in addition, with one set of names for all
//! containers that may read the same. Everything else is denied.

use lockc_core::{
    abi::{
        Hook, NAME_LEN, NAME_READ, NAME_SUBTREE, NAME_WRITE, NODE_PROC, NameKey, NameRule,
        READ_DEPTH, READ_NAME_LEN, ReadKey,
    },
    fields::Dentry,
    pointers::ProbePtr,
};

use crate::{
    kernel,
    maps::{NAMES, READS},
    reach,
    verdict::{self, Subject},
};

/// An access beside [`NAME_READ`] and [`NAME_WRITE`]: to attributes or to the target of a link.
const LOOK: u32 = 1 << 31;

/// Deeper files than this do not exist in procfs and sysfs; one that does is denied.
const MAX_DEPTH: usize = 24;

#[inline(always)]
pub fn may_look(who: &Subject, dentry: ProbePtr<Dentry>, root: u32) -> bool {
    may(who, dentry, root, LOOK)
}

/// Whether names allow an access to a file. It calls functions that are not inlined, which share a
/// program's stack.
#[inline(always)]
pub fn may(who: &Subject, dentry: ProbePtr<Dentry>, root: u32, need: u32) -> bool {
    let mut names = [ProbePtr::NULL; READ_DEPTH];
    if topmost(dentry, &mut names) != 0 {
        verdict::error(Hook::file_open);
        return false;
    }
    in_table(&names, root, need)
        || (need != NAME_WRITE && in_reads(who, &names, root, need == LOOK))
}

/// Whether the name of a file in a directory of the table may be written.
#[inline(always)]
pub fn may_write_in(dentry: ProbePtr<Dentry>, node: u32) -> bool {
    let mut key = NameKey { node: 0, name: [0; NAME_LEN] };
    name_of(dentry, node, &mut key) && look_up(&key).flags & NAME_WRITE != 0
}

/// The topmost dentries on the way to `dentry`, topmost first; 0 where there is none. Another
/// result than 0: it could not be read, or is too deep.
#[inline(never)]
fn topmost(dentry: ProbePtr<Dentry>, top: &mut [ProbePtr<Dentry>; READ_DEPTH]) -> i32 {
    let mut names = [ProbePtr::NULL; READ_DEPTH];
    let mut at = dentry;
    for _ in 0..MAX_DEPTH {
        let Ok(parent) = at.parent() else {
            return -1;
        };
        if parent == at {
            return if kernel::forget(&names, top) { 0 } else { -1 };
        }
        for index in (1..READ_DEPTH).rev() {
            names[index] = names[index - 1];
        }
        names[0] = at;
        at = parent;
    }
    -1
}

/// Fills a key; false: the name is in no table.
#[inline(always)]
fn name_of(dentry: ProbePtr<Dentry>, node: u32, key: &mut NameKey) -> bool {
    let Ok(name) = dentry.name() else {
        return false;
    };
    key.node = node;
    key.name = [0; NAME_LEN];
    let length = kernel::read_text(&mut key.name, name);
    // A name that fills the buffer may have been cut: no entry of the table is that long.
    length > 0 && length < NAME_LEN as i64
}

#[inline(always)]
fn look_up(key: &NameKey) -> NameRule {
    // SAFETY: the value is copied at once.
    unsafe { NAMES.get(key) }.copied().unwrap_or_default()
}

/// Whether an entry of the table allows an access. It allows a look at a directory on the way to
/// something that may be read, too.
#[inline(always)]
fn allows(rule: NameRule, need: u32) -> bool {
    if need == LOOK { rule.flags != 0 || rule.node != 0 } else { rule.flags & need != 0 }
}

/// Whether an entry of the table allows an access to a file below it that has no entry.
#[inline(always)]
fn allows_below(rule: NameRule, need: u32) -> bool {
    let need = if need == LOOK { NAME_READ } else { need };
    rule.flags & NAME_SUBTREE != 0 && rule.flags & need != 0
}

#[inline(never)]
fn in_table(top: &[ProbePtr<Dentry>; READ_DEPTH], root: u32, need: u32) -> bool {
    if top[0].is_null() {
        // The root directory itself may be listed.
        return need != NAME_WRITE;
    }
    // So may the attributes of its entries: `ls -l` reads them, and df those of the mount points of
    // engines' masks.
    if top[1].is_null() && need == LOOK {
        return true;
    }
    let mut key = NameKey { node: 0, name: [0; NAME_LEN] };
    if !name_of(top[0], root, &mut key) {
        return false;
    }
    if root == NODE_PROC && key.name[0].is_ascii_digit() {
        return need == LOOK || in_task(top, need == NAME_WRITE);
    }
    let rule = look_up(&key);
    if top[1].is_null() {
        return allows(rule, need);
    }
    if rule.node == 0 {
        return allows_below(rule, need);
    }
    if !name_of(top[1], rule.node, &mut key) {
        return allows_below(rule, need);
    }
    let (above, rule) = (rule, look_up(&key));
    if rule.flags == 0 && rule.node == 0 {
        return allows_below(above, need);
    }
    if top[2].is_null() {
        return allows(rule, need);
    }
    if rule.node == 0 {
        return allows_below(rule, need);
    }
    if !name_of(top[2], rule.node, &mut key) {
        return allows_below(rule, need);
    }
    let (above, rule) = (rule, look_up(&key));
    if rule.flags == 0 { allows_below(above, need) } else { allows(rule, need) }
}

/// Whether an entry below /proc/N may be opened: `top` begins with that directory. Most of what
/// tells of a task's own (memory, descriptors, environment) is checked where the kernel asks for
/// ptrace access. The rest may be read of every task in sight, as ps does, but for what tells of
/// its namespaces; it is written only of tasks within reach.
#[inline(never)]
fn in_task(top: &[ProbePtr<Dentry>; READ_DEPTH], writes: bool) -> bool {
    if !writes {
        let Ok(name) = below_task(top[1])
            .and_then(|name| if name == *b"task" { below_task(top[3]) } else { Ok(name) })
        else {
            return false;
        };
        // net, mounts, mountinfo, mountstats, limits.
        if !matches!(&name, b"net\0" | b"moun" | b"limi") {
            return true;
        }
    }
    match reach::is_neighbours(top[0]) {
        Ok(within) => within,
        Err(_) => {
            verdict::error(Hook::file_open);
            false
        }
    }
}

/// The first bytes of a name; zeros where there is none.
#[inline(always)]
fn below_task(dentry: ProbePtr<Dentry>) -> Result<[u8; 4], i32> {
    if dentry.is_null() {
        return Ok([0; 4]);
    }
    // A name's buffer is longer than this.
    dentry.name()?.first()
}

/// Whether the policy of the container lets it read the file, or a directory above it; with `look`,
/// also whether the file is a directory on the way to one.
#[inline(never)]
fn in_reads(who: &Subject, top: &[ProbePtr<Dentry>; READ_DEPTH], root: u32, look: bool) -> bool {
    let Some(entry) = who.entry else {
        return false;
    };
    if entry.reads == 0 {
        return false;
    }
    let mut node = entry.reads.wrapping_add(root - NODE_PROC);
    let mut key = ReadKey { node: 0, name: [0; READ_NAME_LEN] };
    for at in top {
        let at = *at;
        if at.is_null() {
            // Every name so far was on the way.
            return look;
        }
        if !read_key(at, node, &mut key) {
            return false;
        }
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
fn read_key(dentry: ProbePtr<Dentry>, node: u32, key: &mut ReadKey) -> bool {
    let Ok(name) = dentry.name() else {
        return false;
    };
    key.node = node;
    key.name = [0; READ_NAME_LEN];
    let length = kernel::read_text(&mut key.name, name);
    // As in `name_of`.
    length > 0 && length < READ_NAME_LEN as i64
}
