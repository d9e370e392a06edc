//! Labels of tasks and sockets.

use core::{ffi::c_void, ptr};

use aya_ebpf::{
    bindings::BPF_LOCAL_STORAGE_GET_F_CREATE,
    helpers::generated::{bpf_get_current_task_btf, bpf_sk_storage_get, bpf_task_storage_get},
};
use lockc_core::{
    abi::{ContainerKey, LABEL_COUNTED, LABEL_HAS_BASE, STATE_CONFINED, TaskLabel},
    fields::{Sock, Task},
    pointers::Ptr,
};

use crate::{
    kernel::{STORAGE_MAY_FAIL, setting},
    maps::{SHADOW, SOCK_LABELS, TASK_LABELS},
};

const CREATE: u64 = BPF_LOCAL_STORAGE_GET_F_CREATE as u64;

/// The current task.
#[inline(always)]
pub fn current() -> Ptr<Task> {
    // SAFETY: no arguments; always a task.
    unsafe { Ptr::new(bpf_get_current_task_btf() as *const c_void) }
}

/// Whether task storage may fail on contention. The copy in the shadow map is the one that counts
/// then.
#[inline(always)]
fn may_fail() -> bool {
    setting(&STORAGE_MAY_FAIL) != 0
}

/// The label of a task, or null: the task is the host's.
#[inline(always)]
pub fn for_task(task: Ptr<Task>) -> *mut TaskLabel {
    if may_fail()
        && let Some(label) = SHADOW.get_ptr_mut(task.addr())
    {
        return label;
    }
    // SAFETY: the verifier proves that the map and the task are what the helper wants.
    unsafe { bpf_task_storage_get(TASK_LABELS.as_ptr(), task.as_ptr().cast(), ptr::null_mut(), 0) }
        .cast()
}

/// Copies a label to where it is found even if the storage fails. An error where there is no room.
#[inline(always)]
pub fn remember(task: Ptr<Task>, label: &TaskLabel) -> Result<(), i32> {
    if may_fail() { SHADOW.insert(task.addr(), label, 0) } else { Ok(()) }
}

/// Forgets a task that is being freed: its address may be another task's soon.
#[inline(always)]
pub fn forget(task: Ptr<Task>) {
    if may_fail() {
        // Most tasks are not in there.
        let _ = SHADOW.remove(task.addr());
    }
}

/// Labels a task that has none. An error where the kernel has no memory for it.
#[inline(always)]
pub fn give(task: Ptr<Task>, label: &mut TaskLabel) -> Result<(), i32> {
    remember(task, label)?;
    // SAFETY: as in `for_task`; the initial value is on the stack.
    let made = unsafe {
        bpf_task_storage_get(
            TASK_LABELS.as_ptr(),
            task.as_ptr().cast(),
            ptr::from_mut(label).cast::<c_void>(),
            CREATE,
        )
    };
    if made.is_null() && !may_fail() { Err(-1) } else { Ok(()) }
}

/// Gives `child` a copy of its parent's label. An error where the kernel has no memory for it.
#[inline(always)]
pub fn inherit(child: Ptr<Task>, parent: &TaskLabel) -> Result<(), i32> {
    let mut label = *parent;
    label.flags = (parent.flags & LABEL_HAS_BASE) | LABEL_COUNTED;
    give(child, &mut label)
}

/// Whether the label is that of a confined task.
#[inline(always)]
pub fn is_confined(label: &TaskLabel) -> bool {
    label.state == STATE_CONFINED
}

/// The container that created a socket; null: the host.
#[inline(always)]
pub fn for_sock(sk: Ptr<Sock>) -> *mut ContainerKey {
    // SAFETY: as in `for_task`.
    unsafe { bpf_sk_storage_get(SOCK_LABELS.as_ptr(), sk.as_ptr(), ptr::null_mut(), 0) }.cast()
}

/// Marks a socket as created by a container.
#[inline(always)]
pub fn mark_sock(sk: Ptr<Sock>, key: ContainerKey) -> Result<(), i32> {
    let mut key = key;
    // SAFETY: as in `for_task`; the initial value is on the stack.
    let made = unsafe {
        bpf_sk_storage_get(
            SOCK_LABELS.as_ptr(),
            sk.as_ptr(),
            ptr::from_mut(&mut key).cast::<c_void>(),
            CREATE,
        )
    };
    if made.is_null() { Err(-1) } else { Ok(()) }
}
