//! Keyrings: in a container without its own user namespace, root has the keys of the host's root. A
//! key belongs to the container whose task, or whose runtime, creates it.
//!
//! The map knows a key by its address. An address that is used again belongs to the new creator,
//! because key_alloc sees every key; a key that is not in the map belongs to no container, and is
//! denied. Since 6.12 no hook reports that a key is freed. So each container has a number of
//! places for its keys. A new key takes a place that is empty or whose key is gone; without such a
//! place the key is not created. A container never displaces the keys of another.

use core::ffi::c_void;

use aya_ebpf::bindings::BPF_NOEXIST;
use lockc_core::{
    abi::{ContainerKey, Hook, KeyOwner, KeyPlace, MAX_KEYS},
    fields::{Cred, Key},
    pointers::{ProbePtr, Ptr},
    rules::Rule,
};

use crate::{
    creds,
    hook::{Parameter, lsm},
    label,
    loops::{self, GO_ON, Next, STOP},
    maps::{KEY_PLACES, KEYS},
    verdict::{self, About, EACCES, Subject},
};

/// include/uapi/asm-generic/errno.h: what a kernel without persistent keyrings returns, and what
/// libkrb5 is ready for.
const EOPNOTSUPP: i32 = -95;
/// What the kernel returns when a user has too many keys.
const EDQUOT: i32 = -122;
/// `EEXIST`, as a map returns it.
const EEXIST: i32 = 17;
/// What request_key(2) returns where the host has no program to ask.
const ENOKEY: i32 = -126;

/// `KEY_ALLOC_UID_KEYRING`, include/linux/key.h (6.1): the keyring of a user, whoever makes the
/// kernel create it.
const UID_KEYRING: u64 = 0x10;

/// `KEY_NEED_SEARCH`, include/linux/key.h (5.8 to 7.2).
const KEY_NEED_SEARCH: u32 = 4;

/// Whether a key is one that the kernel itself searches for in the task's name, to verify a
/// signature: its own keyrings, whose names begin with a dot, and the certificates in them. Finding
/// one tells no more than its number.
#[inline(always)]
fn is_kernels_own(key: ProbePtr<Key>) -> bool {
    description(key) == Ok(*b".") || kind_name(key) == Ok(*b"asymmetric")
}

/// The first bytes of a key's description.
#[inline(always)]
fn description<const N: usize>(key: ProbePtr<Key>) -> Result<[u8; N], i32> {
    key.description()?.first()
}

/// The first bytes of the name of a key's type.
#[inline(always)]
fn kind_name<const N: usize>(key: ProbePtr<Key>) -> Result<[u8; N], i32> {
    key.kind()?.name()?.first()
}

/// Whether the kernel allocates the key to hand a request to a program in user space: to the host's
/// `/sbin/request-key` as root, or to a cache of its file systems.
/// security/keys/request_key_auth.c (5.11 to 7.2): every upcall begins with a key of this type.
#[inline(always)]
fn is_upcall(key: ProbePtr<Key>) -> bool {
    kind_name(key) == Ok(*b".request_key_aut")
}

lsm! {
    /// A new key.
    fn key_alloc(key: ProbePtr<Key>, cred: Ptr<Cred>, flags: u64) -> verdict {
        // SAFETY: null or a live cell of the storage.
        let label = unsafe { label::for_task(label::current()).as_ref() };
        let Some(label) = label else {
            forget(key);
            return 0;
        };
        if label::is_confined(label) {
            let who = Subject::for_container(label.key);
            // Where the kernel asks with credentials of its own (NFS id mapping, names of CIFS and
            // AFS servers), the file system that the host mounted decides what is asked, not the
            // container.
            if is_upcall(key) && !creds::kernel_at_work() {
                if who.has(Rule::Keyring) && refuse_upcall(&who) != 0 {
                    return ENOKEY;
                }
            } else if is_persistent(key)
                && creds::is_initial_cred(cred)
                && who.has(Rule::Keyring)
                && refuse_persistent(&who) != 0
            {
                return EOPNOTSUPP;
            }
        }
        if flags & UID_KEYRING != 0 {
            forget(key);
            return 0;
        }
        if own(key, label.key).is_ok() {
            return 0;
        }
        // Without an owner: the creator itself could not use it.
        forget(key);
        let who = Subject::for_container(label.key);
        if !who.has(Rule::Keyring) {
            return 0;
        }
        let about = About::number(EDQUOT.unsigned_abs().into());
        verdict::deny(&who, Rule::Keyring, HOOK, about, EDQUOT)
    }

    /// A use of a key by its number or through a keyring.
    fn key_permission(key: KeyReference, cred: Ptr<Cred>, need: u32) -> rule Keyring |check| {
        let Ok(key) = key.0 else {
            check.error();
            return check.deny(About::NOTHING, EACCES);
        };
        // SAFETY: the value is copied at once.
        let owner: Option<ContainerKey> = unsafe { KEYS.get(key.addr()) }.map(|owner| owner.key);
        if owner == Some(check.who.key) || creds::are_kernels_own(cred) {
            return 0;
        }
        if need == KEY_NEED_SEARCH && owner.is_none() && is_kernels_own(key) {
            return 0;
        }
        check.deny(About::number(u64::from(need)), EACCES)
    }
}

/// `key_ref_t`: a pointer with a flag in its lowest bit. The verifier allows no arithmetic on it,
/// so it is read by probe.
struct KeyReference(Result<ProbePtr<Key>, i32>);

impl Parameter for KeyReference {
    #[inline(always)]
    unsafe fn read(context: *mut c_void, number: usize) -> Self {
        Self(ProbePtr::<u64>::new(context as u64).index(number as u64).read().map(Self::address))
    }

    #[inline(always)]
    fn from_register(value: u64) -> Self {
        Self(Ok(Self::address(value)))
    }
}

impl KeyReference {
    #[inline(always)]
    fn address(value: u64) -> ProbePtr<Key> {
        ProbePtr::new(value & !1)
    }
}

/// A separate function, as the next: the verifier of 6.12 must know the errno that is returned.
#[inline(never)]
fn refuse_upcall(who: &Subject) -> i32 {
    verdict::deny(
        who,
        Rule::Keyring,
        Hook::key_alloc,
        About::number(ENOKEY.unsigned_abs().into()),
        ENOKEY,
    )
}

#[inline(never)]
fn refuse_persistent(who: &Subject) -> i32 {
    verdict::deny(
        who,
        Rule::Keyring,
        Hook::key_alloc,
        About::number(EOPNOTSUPP.unsigned_abs().into()),
        EOPNOTSUPP,
    )
}

/// Whether the kernel makes a keyring that all of a user's sessions have, or the register of those
/// (security/keys/persistent.c): in the initial user namespace they are the host's.
#[inline(always)]
fn is_persistent(key: ProbePtr<Key>) -> bool {
    let Ok(name) = description::<12>(key) else {
        return false;
    };
    name == *b"_persistent." || name == *b".persistent_"
}

/// Forgets the owner of a key.
#[inline(always)]
fn forget(key: ProbePtr<Key>) {
    // Most keys are not in there.
    let _ = KEYS.remove(key.addr());
}

/// The search for a place for a new key.
struct PlaceSearch {
    owner: ContainerKey,
    key: ProbePtr<Key>,
    /// 1: it has one.
    found: u64,
}

/// Makes the key a container's. An error where it has too many, or all containers together.
#[inline(always)]
fn own(key: ProbePtr<Key>, owner: ContainerKey) -> Result<(), i32> {
    let mut search = PlaceSearch { owner, key, found: 0 };
    let searched = loops::rounds(MAX_KEYS, try_place, &mut search);
    if searched && search.found == 1 { Ok(()) } else { Err(EDQUOT) }
}

/// Takes a place if it is free, the first one, so that a container with few keys has few entries.
extern "C" fn try_place(place: u64, search: &mut PlaceSearch) -> Next {
    let (owner, key) = (search.owner, search.key);
    let at = KeyPlace { slot: owner.slot, place: place as u32 };
    if is_taken(&at, owner) {
        return GO_ON;
    }
    match KEY_PLACES.insert(at, key.addr(), u64::from(BPF_NOEXIST)) {
        Ok(()) => {}
        // Another CPU was first.
        Err(error) if error == -EEXIST => return GO_ON,
        Err(_) => return STOP,
    }
    if let Ok(kind) = key.kind() {
        let value = KeyOwner { key: owner, place: place as u32, pad: 0, kind: kind.addr() };
        if KEYS.insert(key.addr(), value, 0).is_ok() {
            search.found = 1;
        }
    }
    STOP
}

/// Whether a live key of the container has the place; where not, it has none afterwards. The kernel
/// clears a key when it frees it (security/keys/gc.c): its count of users is 0 then, and what else
/// uses the memory later has no pointer to that type there. Another key in it has passed key_alloc.
#[inline(always)]
fn is_taken(at: &KeyPlace, container: ContainerKey) -> bool {
    // SAFETY: the value is copied at once.
    let Some(address) = (unsafe { KEY_PLACES.get(at) }).copied() else {
        return false;
    };
    let key = ProbePtr::<Key>::new(address);
    // SAFETY: as above.
    if let Some(owner) = (unsafe { KEYS.get(address) }).copied()
        && owner.place == at.place
        && owner.key.slot == at.slot
    {
        // An earlier container of the slot is gone; its keys belong to no container.
        if owner.key == container
            && key.usage().unwrap_or(0) != 0
            && key.kind().map(ProbePtr::addr) == Ok(owner.kind)
        {
            return true;
        }
        forget(key);
    }
    let _ = KEY_PLACES.remove(at);
    false
}
