//! The maps. All are pinned by the loader and outlive the programs, so that an upgrade keeps labels
//! and containers.

use core::{ffi::c_void, marker::PhantomData, ptr};

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, bpf_map_type},
    btf_maps::{Array, HashMap},
    macros::btf_map,
};
use lockc_core::abi::{
    self, ContainerEntry, ContainerKey, Denial, DenialKey, DenialRing, ERROR_SITES, EndedContainer,
    GrantKey, KeyOwner, KeyPlace, LOG_ENTRIES, LogEntry, MAX_ALL_KEYS, MAX_CONTAINERS, MAX_DENIALS,
    MAX_ENDED, MAX_GRANTS, MAX_IPC_OBJECTS, MAX_QUEUES, MAX_READ_SETS, MAX_READS, MAX_SOCKET_NAMES,
    Meta, NameKey, NameRule, ObjectTag, ProgramKey, ReadKey, ReadSet, SocketName, SocketNameKey,
    TaskLabel, Usage,
};

const NO_PREALLOC: usize = BPF_F_NO_PREALLOC as usize;

/// Local storage on a task or socket. aya-ebpf has no type for tasks, and its type for sockets
/// serves only sock_addr programs. The order of the fields is what libbpf-style BTF map definitions
/// want.
#[repr(C)]
pub struct Storage<T, const TYPE: usize> {
    r#type: *const [i32; TYPE],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; NO_PREALLOC],
    _value: PhantomData<T>,
}

// SAFETY: the fields only describe the map to the loader; nothing dereferences them.
unsafe impl<T, const TYPE: usize> Sync for Storage<T, TYPE> {}

impl<T, const TYPE: usize> Storage<T, TYPE> {
    const fn new() -> Self {
        Self {
            r#type: ptr::null(),
            key: ptr::null(),
            value: ptr::null(),
            max_entries: ptr::null(),
            map_flags: ptr::null(),
            _value: PhantomData,
        }
    }

    #[inline(always)]
    pub fn as_ptr(&self) -> *mut c_void {
        ptr::from_ref(self).cast_mut().cast()
    }
}

const TASK_STORAGE: usize = bpf_map_type::BPF_MAP_TYPE_TASK_STORAGE as usize;
const SK_STORAGE: usize = bpf_map_type::BPF_MAP_TYPE_SK_STORAGE as usize;

/// Which container a task belongs to, and whether it is being set up or confined.
#[btf_map(name = "task_labels")]
pub static TASK_LABELS: Storage<TaskLabel, TASK_STORAGE> = Storage::new();

/// Which container created a unix socket.
#[btf_map(name = "sock_labels")]
pub static SOCK_LABELS: Storage<ContainerKey, SK_STORAGE> = Storage::new();

/// Which object an inode is, by its address, from when something is granted until the inode is
/// freed.
#[btf_map(name = "tags")]
pub static TAGS: HashMap<u64, ObjectTag, { MAX_GRANTS as usize }, NO_PREALLOC> = HashMap::new();

/// The last tag that was granted out.
#[btf_map(name = "sequence")]
pub static SEQUENCE: Array<u64, 1> = Array::new();

/// Labels once more, by the address of the task, for kernels whose task storage may fail on
/// contention; a task that is in here is never taken for the host's. Removed in task_free.
#[btf_map(name = "shadow")]
pub static SHADOW: HashMap<u64, TaskLabel, { 1 << 18 }, NO_PREALLOC> = HashMap::new();

/// Which container created a key, by the key's address.
#[btf_map(name = "keys")]
pub static KEYS: HashMap<u64, KeyOwner, { MAX_ALL_KEYS as usize }, NO_PREALLOC> = HashMap::new();

/// The addresses of a container's keys, by place.
#[btf_map(name = "key_places")]
pub static KEY_PLACES: HashMap<KeyPlace, u64, { MAX_ALL_KEYS as usize }, NO_PREALLOC> =
    HashMap::new();

/// Which container created a System V object in the host's IPC namespace, by its address until it
/// is freed.
#[btf_map(name = "ipc_owners")]
pub static IPC_OWNERS: HashMap<u64, ContainerKey, { MAX_IPC_OBJECTS as usize }, NO_PREALLOC> =
    HashMap::new();

/// Which container created a POSIX message queue in the host's IPC namespace, by the address of its
/// dentry.
#[btf_map(name = "queue_owners")]
pub static QUEUE_OWNERS: HashMap<u64, ContainerKey, { MAX_QUEUES as usize }, NO_PREALLOC> =
    HashMap::new();

#[btf_map(name = "containers")]
pub static CONTAINERS: Array<ContainerEntry, { MAX_CONTAINERS as usize }> = Array::new();

#[btf_map(name = "usage")]
pub static USAGE: Array<Usage, { MAX_CONTAINERS as usize }> = Array::new();

/// Addresses of the inodes of the roots of containers' root file systems, by slot, from when they
/// are granted until the inode is freed: the file system that most is opened in needs no look at
/// `tags`.
#[btf_map(name = "roots")]
pub static ROOTS: Array<u64, { MAX_CONTAINERS as usize }> = Array::new();

/// What containers are granted: `GRANT_*`.
#[btf_map(name = "grants")]
pub static GRANTS: HashMap<GrantKey, u32, { MAX_GRANTS as usize }, NO_PREALLOC> = HashMap::new();

/// Programs that start containers without the wrapper, and the entry that stands for those.
#[btf_map(name = "guard")]
pub static GUARD: HashMap<ProgramKey, ContainerKey, 64, NO_PREALLOC> = HashMap::new();

/// SHA-256 of a container's id and state root to its key; user space only.
#[btf_map(name = "ids")]
pub static IDS: HashMap<[u8; 32], ContainerKey, { MAX_CONTAINERS as usize }, NO_PREALLOC> =
    HashMap::new();

/// User space only.
#[btf_map(name = "meta")]
pub static META: Array<Meta, 1> = Array::new();

/// The ids of these maps, written by the loader.
#[btf_map(name = "own_maps")]
pub static OWN_MAPS: HashMap<u32, u32, 32> = HashMap::new();

/// Names of the host's sockets that containers are granted in a directory.
#[btf_map(name = "socket_names")]
pub static SOCKET_NAMES: HashMap<
    SocketNameKey,
    SocketName,
    { MAX_SOCKET_NAMES as usize },
    NO_PREALLOC,
> = HashMap::new();

#[btf_map(name = "names")]
pub static NAMES: HashMap<NameKey, NameRule, 1024, NO_PREALLOC> = HashMap::new();

/// What policies let their containers read beyond `names`, by sets that a container's entry names.
#[btf_map(name = "reads")]
pub static READS: HashMap<ReadKey, NameRule, { MAX_READS as usize }, NO_PREALLOC> = HashMap::new();

/// SHA-256 of a set in `reads` to its numbers; user space only.
#[btf_map(name = "read_sets")]
pub static READ_SETS: HashMap<[u8; 32], ReadSet, { MAX_READ_SETS as usize }, NO_PREALLOC> =
    HashMap::new();

/// The distinct denials of every container, the newest of each rule.
#[btf_map(name = "denials")]
pub static DENIALS: HashMap<DenialKey, Denial, { MAX_DENIALS as usize }, NO_PREALLOC> =
    HashMap::new();

/// Which denial has a place among those of its container and rule.
#[btf_map(name = "denial_places")]
pub static DENIAL_PLACES: HashMap<DenialRing, DenialKey, { MAX_DENIALS as usize }, NO_PREALLOC> =
    HashMap::new();

/// How many distinct denials a container had under a rule.
#[btf_map(name = "denial_counts")]
pub static DENIAL_COUNTS: HashMap<DenialRing, u64, { MAX_DENIALS as usize }, NO_PREALLOC> =
    HashMap::new();

/// An empty denial, from which others are made: it is too large for the stack.
#[btf_map(name = "blank")]
pub static BLANK: Array<Denial, 1> = Array::new();

/// In which order denials happened: each when it is new, and again from time to time.
#[btf_map(name = "log")]
pub static LOG: Array<LogEntry, { LOG_ENTRIES as usize }> = Array::new();

/// `TOTAL_*`.
#[btf_map(name = "totals")]
pub static TOTALS: Array<u64, { abi::TOTALS as usize }> = Array::new();

/// The containers that ended last, of those that have denials; user space only.
#[btf_map(name = "ended")]
pub static ENDED: Array<EndedContainer, { MAX_ENDED as usize }> = Array::new();

/// Internal errors, a cell a hook.
#[btf_map(name = "errors")]
pub static ERRORS: Array<u64, { ERROR_SITES as usize }> = Array::new();
