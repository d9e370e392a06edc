//! The record of denials, and its log ([`lockc_core::abi::Denial`]).

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid,
        generated::{bpf_ktime_get_boot_ns, bpf_probe_read_kernel_str},
    },
};
use lockc_core::{
    abi::{
        Denial, DenialKey, DenialRing, FileId, KEPT_DENIALS, LOG_ENTRIES, LOG_INTERVAL_NS,
        LogEntry, MODE_AUDIT, PATH_NAME_LEN, PATH_NAMES, TOTAL_LOGGED, TOTAL_LOST, TOTAL_REPLACED,
        total_by_rule,
    },
    fields::Dentry,
    pointers::ProbePtr,
};

use crate::{
    kernel::{self, fetch_add},
    maps::{BLANK, DENIAL_COUNTS, DENIAL_PLACES, DENIALS, LOG, TOTALS},
};

/// A random number that the loader chose: the key of the hash of objects.
#[unsafe(no_mangle)]
pub static RECORD_KEY: u64 = 0;

/// What is denied.
#[repr(C)]
pub struct Denied {
    /// All of it but the object.
    pub key: DenialKey,
    /// The root of the file's mount.
    pub file: FileId,
    /// The file, or null.
    pub dentry: ProbePtr<Dentry>,
    /// The negative errno.
    pub errno: i32,
    /// The container's level.
    pub level: u32,
}

/// Notes a denial.
///
/// The symbol is global, so that the verifier checks it once for each program and not again for
/// each path that leads to it (kernel/bpf/verifier.c, 6.1: `do_check_subprogs`). It therefore knows
/// nothing of the argument but its size.
///
/// # Safety
///
/// `denied` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn note_denial(denied: *const Denied) -> u32 {
    // SAFETY: by the caller; the verifier wants the check for null.
    if let Some(denied) = unsafe { denied.as_ref() } {
        note(denied);
    }
    0
}

#[inline(always)]
fn note(denied: &Denied) {
    // SAFETY: only reads the clock.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let mut key = denied.key;
    count(total_by_rule(key.rule.into(), key.mode == MODE_AUDIT), 1);
    key.object = object(denied);
    let found = DENIALS.get_ptr_mut(&key).or_else(|| add(&key, denied, now));
    let Some(denial) = found else {
        count(TOTAL_LOST, 1);
        return;
    };
    // SAFETY: a cell of the map. Other CPUs write the same times.
    unsafe {
        let happened = fetch_add(&raw mut (*denial).count, 1) + 1;
        (*denial).last_ns = now;
        let logged = (*denial).logged_ns;
        if logged != 0 && now - logged < LOG_INTERVAL_NS {
            return;
        }
        (*denial).logged_ns = now;
        let ids = bpf_get_current_pid_tgid();
        ((*denial).pid, (*denial).tid) = ((ids >> 32) as u32, ids as u32);
        if let Ok(comm) = bpf_get_current_comm() {
            (*denial).comm = comm;
        }
        log(&key, happened);
    }
}

/// Adds a denial that is not there; nothing if there is no room.
#[inline(always)]
fn add(key: &DenialKey, denied: &Denied, now: u64) -> Option<*mut Denial> {
    let blank = BLANK.get(0)?;
    let is_new = DENIALS.insert(key, blank, u64::from(BPF_NOEXIST)).is_ok();
    let denial = DENIALS.get_ptr_mut(key)?;
    // Another CPU was first.
    if !is_new {
        return Some(denial);
    }
    // SAFETY: a cell of the map, which readers pass over until it has a time.
    unsafe {
        (*denial).file = denied.file;
        (*denial).errno = denied.errno;
        (*denial).level = denied.level;
        let path = (&raw mut (*denial).path).cast::<u8>();
        each_name(denied.dentry, |index, name| {
            let to = path.add(index * PATH_NAME_LEN);
            bpf_probe_read_kernel_str(to.cast(), PATH_NAME_LEN as u32, name.addr() as *const _);
        });
        (&raw mut (*denial).first_ns).write_volatile(now);
    }
    if take_place(key) {
        return Some(denial);
    }
    // Without a place no newer one would ever replace it.
    let _ = DENIALS.remove(key);
    None
}

/// Gives a denial the place of the oldest of its container and rule. False: there is no room for
/// the place.
#[inline(always)]
fn take_place(key: &DenialKey) -> bool {
    let mut place = DenialRing { container: key.container, rule: u32::from(key.rule), place: 0 };
    if DENIAL_COUNTS.get_ptr_mut(&place).is_none() {
        // Another CPU may be first.
        let _ = DENIAL_COUNTS.insert(&place, 0, u64::from(BPF_NOEXIST));
    }
    let Some(number) = DENIAL_COUNTS.get_ptr_mut(&place) else { return false };
    // SAFETY: a cell of the map, aligned by its type.
    place.place = unsafe { fetch_add(number, 1) } as u32 % KEPT_DENIALS;
    if let Some(old) = DENIAL_PLACES.get_ptr(&place) {
        // SAFETY: a cell of the map.
        let old = unsafe { *old };
        if let Some(denial) = DENIALS.get_ptr(&old) {
            // SAFETY: likewise.
            count(TOTAL_REPLACED, unsafe { (*denial).count });
        }
        let _ = DENIALS.remove(&old);
    }
    DENIAL_PLACES.insert(&place, key, 0).is_ok()
}

/// Writes an entry of the log.
#[inline(always)]
fn log(key: &DenialKey, happened: u64) {
    let Some(logged) = TOTALS.get_ptr_mut(TOTAL_LOGGED) else { return };
    // SAFETY: a cell of the map, aligned by its type.
    let before = unsafe { fetch_add(logged, 1) };
    let Some(entry) = LOG.get_ptr_mut(before as u32 % LOG_ENTRIES) else { return };
    let entry: *mut LogEntry = entry;
    // SAFETY: a cell of the map. Readers compare the number before and after.
    unsafe {
        (&raw mut (*entry).number).write_volatile(0);
        (*entry).key = *key;
        (*entry).count = happened;
        (&raw mut (*entry).number).write_volatile(before + 1);
    }
}

#[inline(always)]
fn count(total: u32, number: u64) {
    if let Some(cell) = TOTALS.get_ptr_mut(total) {
        // SAFETY: a cell of the map, aligned by its type.
        unsafe { fetch_add(cell, number) };
    }
}

/// The hash that tells files apart: by inode and name. What does not exist yet has the inode of its
/// directory.
#[inline(always)]
fn object(denied: &Denied) -> u64 {
    let secret = kernel::setting(&RECORD_KEY);
    let mix = |hash: u64, word: u64| {
        let hash = (hash ^ word).wrapping_mul(secret | 1);
        hash ^ hash >> 29
    };
    let mut hash = mix(mix(secret, denied.file.ino), u64::from(denied.file.dev));
    let dentry = denied.dentry;
    if dentry.is_null() {
        return hash;
    }
    if denied.file.dev == 0 {
        hash = mix(hash, dentry.sb().and_then(|sb| sb.dev()).map_or(0, u64::from));
    }
    let inode = match dentry.inode() {
        Ok(inode) if inode.is_null() => dentry.parent().and_then(|parent| parent.inode()),
        inode => inode,
    };
    hash = mix(hash, inode.and_then(|inode| inode.ino()).unwrap_or(0));
    let mut text = [0_u64; PATH_NAME_LEN / 8];
    if let Ok(name) = dentry.name() {
        kernel::read_text(&mut text, name);
    }
    for word in text {
        hash = mix(hash, word);
    }
    hash
}

/// Calls `with` for the file and the directories above it.
#[inline(always)]
fn each_name(dentry: ProbePtr<Dentry>, mut with: impl FnMut(usize, ProbePtr<u8>)) {
    let mut dentry = dentry;
    let mut index = 0;
    while index < PATH_NAMES && !dentry.is_null() {
        let Ok(name) = dentry.name() else { break };
        with(index, name);
        let Ok(parent) = dentry.parent() else { break };
        if parent == dentry {
            break;
        }
        dentry = parent;
        index += 1;
    }
}
