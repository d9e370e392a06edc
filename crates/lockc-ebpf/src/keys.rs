//! Keyrings: root's keys are those of the host's root in every container without a user namespace of its own.
//!
//! | hook | what for |
//! |---|---|
//! | key_alloc | a key belongs to the container whose task, or whose runtime, creates it; no upcall for a confined task |
//! | key_permission | every use of a key by its number or through a keyring |
//!
//! The map knows a key by its address. An address that is used again is the new creator's, because key_alloc sees every
//! key; one that was pushed out of the map is nobody's, and denied.

use aya_ebpf::{EbpfContext as _, helpers::bpf_probe_read_kernel, macros::lsm, programs::LsmContext};
use lockc_core::{
    abi::{ContainerKey, Hook},
    rules::Rule,
};

use crate::{
    creds,
    kernel::{self, Obj},
    label,
    maps::KEYS,
    verdict::{self, About, EACCES, Judged},
};

/// include/uapi/asm-generic/errno.h: what request_key(2) returns where the host has no program to ask.
const ENOKEY: i32 = 126;

/// `KEY_ALLOC_UID_KEYRING`, include/linux/key.h (6.1): the keyring of a user, whoever makes the kernel create it.
const UID_KEYRING: u64 = 0x10;

/// `KEY_NEED_SEARCH`, include/linux/key.h (5.8 to 7.2).
const KEY_NEED_SEARCH: u32 = 4;

/// Whether a key is one that the kernel itself searches for in the task's name, to verify a signature: its own keyrings,
/// whose names begin with a dot, and the certificates in them. Finding one tells no more than its number.
#[inline(always)]
fn is_kernels_own(key: u64) -> bool {
    first(key, &kernel::KEY_DESCRIPTION) == Ok(*b".") || is_asymmetric(key)
}

#[inline(always)]
fn is_asymmetric(key: u64) -> bool {
    kernel::read::<u64>(key, &kernel::KEY_TYPE).and_then(|kind| first(kind, &kernel::KEY_TYPE_NAME))
        == Ok(*b"asymmetric")
}

/// The first bytes of the text that a field points to.
#[inline(always)]
fn first<const N: usize>(of: u64, field: &u64) -> Result<[u8; N], i32> {
    let text: u64 = kernel::read(of, field)?;
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(text as *const [u8; N]) }
}

/// Whether the kernel allocates the key to hand a request to a program in user space: to the host's `/sbin/request-key`
/// as root, or to a cache of its own file systems. security/keys/request_key_auth.c (5.11 to 7.2): every upcall begins
/// with a key of this type.
#[inline(always)]
fn is_upcall(key: u64) -> bool {
    const NAME: [u8; 16] = *b".request_key_aut";
    kernel::read::<u64>(key, &kernel::KEY_TYPE).and_then(|kind| first(kind, &kernel::KEY_TYPE_NAME)) == Ok(NAME)
}

/// `int key_alloc(struct key *key, const struct cred *cred, unsigned long flags)`
#[lsm(hook = "key_alloc")]
pub fn key_alloc(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(3);
    if earlier != 0 {
        return earlier;
    }
    let address: u64 = ctx.arg(0);
    let flags: u64 = ctx.arg(2);
    // SAFETY: null or a live cell of the storage.
    let label = unsafe { label::of(label::current()).as_ref() };
    match label {
        // Where the kernel asks with credentials of its own (NFS id mapping, names of CIFS and AFS servers), the file
        // system that the host mounted decides what is asked, not the container.
        Some(label) if label::is_confined(label) && is_upcall(address) && !creds::kernel_at_work() => {
            let who = Judged::of(label.key);
            if who.has(Rule::Keyring) {
                return verdict::deny(&who, Rule::Keyring, Hook::KeyAlloc, About::NOTHING, ENOKEY);
            }
        }
        Some(label) if flags & UID_KEYRING == 0 => {
            if KEYS.insert(address, label.key, 0).is_err() {
                verdict::error(Hook::KeyAlloc);
            }
        }
        // Most keys are not in there.
        _ => drop(KEYS.remove(address)),
    }
    0
}

/// `int key_permission(key_ref_t key_ref, const struct cred *cred, enum key_need_perm need_perm)`
#[lsm(hook = "key_permission")]
pub fn key_permission(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(3);
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::judged(Rule::Keyring) else {
        return 0;
    };
    // The reference is a pointer with a flag in its lowest bit, on which the verifier allows no arithmetic.
    // SAFETY: the context is readable.
    let Ok(reference) = (unsafe { bpf_probe_read_kernel::<u64>(ctx.as_ptr().cast()) }) else {
        verdict::error(Hook::KeyPermission);
        return verdict::deny(&who, Rule::Keyring, Hook::KeyPermission, About::NOTHING, EACCES);
    };
    // SAFETY: the value is copied at once.
    let owner: Option<ContainerKey> = unsafe { KEYS.get(reference & !1) }.copied();
    if owner == Some(who.key) || creds::are_kernels_own(Obj(ctx.arg::<*const u8>(1))) {
        return 0;
    }
    let need: u32 = ctx.arg(2);
    if need == KEY_NEED_SEARCH && owner.is_none() && is_kernels_own(reference & !1) {
        return 0;
    }
    verdict::deny(&who, Rule::Keyring, Hook::KeyPermission, About::number(u64::from(need)), EACCES)
}
