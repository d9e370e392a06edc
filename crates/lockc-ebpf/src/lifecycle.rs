//! The life of a label: a child inherits its parent's label or is not created; the label is removed
//! with the task.

use lockc_core::{
    abi::{LABEL_COUNTED, STATE_CONFINED},
    fields::Task,
    pointers::Ptr,
};

use crate::{
    cgroups,
    hook::lsm,
    label,
    verdict::{self, ENOMEM, Subject},
};

lsm! {
    /// A new task, before anybody can see it.
    fn task_alloc(child: Ptr<Task>, clone_flags: u64) -> verdict {
        // SAFETY: null or a live cell of the storage.
        let Some(parent) = (unsafe { label::for_task(label::current()).as_ref() }) else {
            return 0;
        };
        if parent.state == STATE_CONFINED {
            let who = Subject::for_container(parent.key);
            let verdict = cgroups::check_clone(&who, clone_flags);
            if verdict != 0 {
                return verdict;
            }
        }
        // While an upgrade replaces the programs, the old and the new one both run. Any other label
        // that is there already is that of a task which had this address before (in `shadow`): it
        // is replaced. SAFETY: as above.
        let there = unsafe { label::for_task(child).as_ref() };
        if there.is_some_and(|there| {
            there.key == parent.key
                && there.state == parent.state
                && there.flags & LABEL_COUNTED != 0
        }) {
            return 0;
        }
        // Fails closed: a child without a label would be taken for the host's.
        if label::inherit(child, parent).is_err() {
            verdict::error(HOOK);
            label::forget(child);
            return -ENOMEM;
        }
        verdict::count_tasks(parent.key, 1);
        0
    }

    /// The kernel frees a task.
    fn task_free(task: Ptr<Task>) -> void {
        // SAFETY: null or a live cell of the storage.
        if let Some(label) = unsafe { label::for_task(task).as_mut() } {
            if label.flags & LABEL_COUNTED != 0 {
                label.flags &= !LABEL_COUNTED;
                verdict::count_tasks(label.key, -1);
            }
            label::forget(task);
        }
    }
}
