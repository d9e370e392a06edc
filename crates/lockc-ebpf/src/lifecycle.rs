//! Labels live and die with tasks.
//!
//! | hook | what for |
//! |---|---|
//! | task_alloc | every child gets its parent's label, or is not created |
//! | task_free | count of live tasks |

use aya_ebpf::{macros::lsm, programs::LsmContext};
use lockc_core::abi::{Hook, LABEL_COUNTED, STATE_CONFINED};

use crate::{
    cgroups,
    kernel::Obj,
    label,
    verdict::{self, ENOMEM, Subject},
};

/// `int task_alloc(struct task_struct *task, unsigned long clone_flags)`
#[lsm(hook = "task_alloc")]
pub fn task_alloc(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(2);
    if earlier != 0 {
        return earlier;
    }
    let child = Obj(ctx.arg::<*const u8>(0));
    // SAFETY: null or a live cell of the storage.
    let Some(parent) = (unsafe { label::of(label::current()).as_ref() }) else {
        return 0;
    };
    if parent.state == STATE_CONFINED {
        let verdict = cgroups::check_clone(&Subject::of(parent.key), ctx.arg(1));
        if verdict != 0 {
            return verdict;
        }
    }
    // While an upgrade replaces the programs, the old and the new one both run. Any other label
    // that is there already is that of a task which had this address before (in `shadow`): it
    // is replaced. SAFETY: as above.
    let there = unsafe { label::of(child).as_ref() };
    if there.is_some_and(|there| {
        there.key == parent.key && there.state == parent.state && there.flags & LABEL_COUNTED != 0
    }) {
        return 0;
    }
    // Fails closed: a child without a label would be taken for the host's.
    if label::inherit(child, parent).is_err() {
        verdict::error(Hook::TaskAlloc);
        label::forget(child);
        return -ENOMEM;
    }
    verdict::count_tasks(parent.key, 1);
    0
}

/// `void task_free(struct task_struct *task)`
#[lsm(hook = "task_free")]
pub fn task_free(ctx: LsmContext) -> i32 {
    let task = Obj(ctx.arg::<*const u8>(0));
    // SAFETY: null or a live cell of the storage.
    if let Some(label) = unsafe { label::of(task).as_mut() } {
        if label.flags & LABEL_COUNTED != 0 {
            label.flags &= !LABEL_COUNTED;
            verdict::count_tasks(label.key, -1);
        }
        label::forget(task);
    }
    0
}
