//! Keyrings: root's keys are those of the host's root in every container without a user namespace
//! of its own.
//!
//! | hook | what for |
//! |---|---|
//! | key_alloc | a key belongs to the container whose task, or whose runtime, creates it; no upcall for a confined task |
//! | key_permission | every use of a key by its number or through a keyring |
//!
//! The map knows a key by its address. An address that is used again belongs to the new creator,
//! because key_alloc sees every key; a key that is not in the map belongs to no container, and is
//! denied. Since 6.12 no hook tells that a key is freed. So each container has a number of places
//! for its keys; a new key takes one that has none yet or whose key is gone, and where there is
//! none the key is not made. No container's keys are forgotten for those of another.

use aya_ebpf::{
    EbpfContext as _, bindings::BPF_NOEXIST, helpers::bpf_probe_read_kernel, macros::lsm,
    programs::LsmContext,
};
use lockc_core::{
    abi::{ContainerKey, Hook, KeyOwner, KeyPlace, MAX_KEYS},
    rules::Rule,
};

use crate::{
    creds,
    kernel::{self, Obj},
    label,
    loops::{self, GO_ON, Next, STOP},
    maps::{KEY_PLACES, KEYS},
    verdict::{self, About, EACCES, Subject},
};

/// include/uapi/asm-generic/errno.h: what a kernel without persistent keyrings returns, and what
/// libkrb5 is ready for.
const EOPNOTSUPP: i32 = 95;
/// What the kernel returns when a user has too many keys.
const EDQUOT: i32 = 122;
/// `EEXIST`, as a map returns it.
const EEXIST: i32 = 17;
/// What request_key(2) returns where the host has no program to ask.
const ENOKEY: i32 = 126;

/// `KEY_ALLOC_UID_KEYRING`, include/linux/key.h (6.1): the keyring of a user, whoever makes the
/// kernel create it.
const UID_KEYRING: u64 = 0x10;

/// `KEY_NEED_SEARCH`, include/linux/key.h (5.8 to 7.2).
const KEY_NEED_SEARCH: u32 = 4;

/// Whether a key is one that the kernel itself searches for in the task's name, to verify a
/// signature: its own keyrings, whose names begin with a dot, and the certificates in them. Finding
/// one tells no more than its number.
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

/// Whether the kernel allocates the key to hand a request to a program in user space: to the host's
/// `/sbin/request-key` as root, or to a cache of its own file systems.
/// security/keys/request_key_auth.c (5.11 to 7.2): every upcall begins with a key of this type.
#[inline(always)]
fn is_upcall(key: u64) -> bool {
    const NAME: [u8; 16] = *b".request_key_aut";
    kernel::read::<u64>(key, &kernel::KEY_TYPE).and_then(|kind| first(kind, &kernel::KEY_TYPE_NAME))
        == Ok(NAME)
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
    let Some(label) = label else {
        forget(address);
        return 0;
    };
    if label::is_confined(label) {
        let who = Subject::of(label.key);
        // Where the kernel asks with credentials of its own (NFS id mapping, names of CIFS and AFS
        // servers), the file system that the host mounted decides what is asked, not the
        // container.
        if is_upcall(address) && !creds::kernel_at_work() {
            if who.has(Rule::Keyring) && refuse_upcall(&who) != 0 {
                return -ENOKEY;
            }
        } else if is_persistent(address)
            && creds::is_initial_cred(Obj(ctx.arg::<*const u8>(1)))
            && who.has(Rule::Keyring)
            && refuse_persistent(&who) != 0
        {
            return -EOPNOTSUPP;
        }
    }
    if flags & UID_KEYRING != 0 {
        forget(address);
        return 0;
    }
    if own(address, label.key).is_ok() {
        return 0;
    }
    // Nobody's then: the creator itself could not use it.
    forget(address);
    let who = Subject::of(label.key);
    if !who.has(Rule::Keyring) {
        return 0;
    }
    verdict::deny(&who, Rule::Keyring, Hook::KeyAlloc, About::number(EDQUOT as u64), EDQUOT)
}

/// A function of its own, as the next: the verifier of 6.12 must know the errno that is returned.
#[inline(never)]
fn refuse_upcall(who: &Subject) -> i32 {
    verdict::deny(who, Rule::Keyring, Hook::KeyAlloc, About::number(ENOKEY as u64), ENOKEY)
}

#[inline(never)]
fn refuse_persistent(who: &Subject) -> i32 {
    verdict::deny(who, Rule::Keyring, Hook::KeyAlloc, About::number(EOPNOTSUPP as u64), EOPNOTSUPP)
}

/// Whether the kernel makes a keyring that all of a user's sessions have, or the register of those
/// (security/keys/persistent.c): in the initial user namespace they are the host's.
#[inline(always)]
fn is_persistent(key: u64) -> bool {
    let Ok(name) = first::<12>(key, &kernel::KEY_DESCRIPTION) else {
        return false;
    };
    name == *b"_persistent." || name == *b".persistent_"
}

/// Forgets the owner of the key at that address.
#[inline(always)]
fn forget(address: u64) {
    // Most keys are not in there.
    let _ = KEYS.remove(address);
}

/// A new key that looks for a place.
struct Search {
    key: ContainerKey,
    address: u64,
    /// 1: it has one.
    found: u64,
}

/// Makes the key a container's. An error where it has too many, or all containers together.
#[inline(always)]
fn own(address: u64, key: ContainerKey) -> Result<(), i32> {
    let mut search = Search { key, address, found: 0 };
    let searched = loops::rounds(MAX_KEYS, try_place, &mut search);
    if searched && search.found == 1 { Ok(()) } else { Err(EDQUOT) }
}

/// Takes a place if it is free, the first one, so that a container with few keys has few entries.
extern "C" fn try_place(place: u64, search: &mut Search) -> Next {
    let (key, address) = (search.key, search.address);
    let at = KeyPlace { slot: key.slot, place: place as u32 };
    if is_taken(&at, key) {
        return GO_ON;
    }
    match KEY_PLACES.insert(at, address, u64::from(BPF_NOEXIST)) {
        Ok(()) => {}
        // Another CPU was first.
        Err(error) if error == -EEXIST => return GO_ON,
        Err(_) => return STOP,
    }
    if let Ok(kind) = kernel::read(address, &kernel::KEY_TYPE)
        && KEYS.insert(address, KeyOwner { key, place: place as u32, pad: 0, kind }, 0).is_ok()
    {
        search.found = 1;
    }
    STOP
}

/// Whether a live key of the container has the place; where not, it has none afterwards. The kernel
/// clears a key when it frees it (security/keys/gc.c): its count of users is 0 then, and what else
/// uses the memory later has no pointer to that type there. Another key in it has passed key_alloc.
#[inline(always)]
fn is_taken(at: &KeyPlace, key: ContainerKey) -> bool {
    // SAFETY: the value is copied at once.
    let Some(address) = (unsafe { KEY_PLACES.get(at) }).copied() else {
        return false;
    };
    // SAFETY: as above.
    if let Some(owner) = (unsafe { KEYS.get(address) }).copied()
        && owner.place == at.place
        && owner.key.slot == at.slot
    {
        // An earlier container of the slot is gone; its keys belong to no container.
        if owner.key == key
            && kernel::read::<u32>(address, &kernel::KEY_USAGE).unwrap_or(0) != 0
            && kernel::read::<u64>(address, &kernel::KEY_TYPE) == Ok(owner.kind)
        {
            return true;
        }
        forget(address);
    }
    let _ = KEY_PLACES.remove(at);
    false
}

/// `int key_permission(key_ref_t key_ref, const struct cred *cred, enum key_need_perm need_perm)`
#[lsm(hook = "key_permission")]
pub fn key_permission(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(3);
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::subject_to(Rule::Keyring) else {
        return 0;
    };
    // The reference is a pointer with a flag in its lowest bit, on which the verifier allows no
    // arithmetic. SAFETY: the context is readable.
    let Ok(reference) = (unsafe { bpf_probe_read_kernel::<u64>(ctx.as_ptr().cast()) }) else {
        verdict::error(Hook::KeyPermission);
        return verdict::deny(&who, Rule::Keyring, Hook::KeyPermission, About::NOTHING, EACCES);
    };
    // SAFETY: the value is copied at once.
    let owner: Option<ContainerKey> = unsafe { KEYS.get(reference & !1) }.map(|owner| owner.key);
    if owner == Some(who.key) || creds::are_kernels_own(Obj(ctx.arg::<*const u8>(1))) {
        return 0;
    }
    let need: u32 = ctx.arg(2);
    if need == KEY_NEED_SEARCH && owner.is_none() && is_kernels_own(reference & !1) {
        return 0;
    }
    verdict::deny(&who, Rule::Keyring, Hook::KeyPermission, About::number(u64::from(need)), EACCES)
}
