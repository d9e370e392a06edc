//! Which tasks, and which containers, a confined task reaches: those of its own container, and of a
//! PID namespace that it shares.

use lockc_core::{
    abi::{
        ContainerEntry, ContainerKey, ENTRY_GUARD, ENTRY_LOOPBACK, ENTRY_POLICY_GRANTS,
        ENTRY_PROPAGATION, ENTRY_QUARANTINED, ENTRY_SANDBOX, MODE_AUDIT, POLICY_LEN,
    },
    fields::{Dentry, Pid, PidNamespace, ProcInode, Task},
    pointers::{ProbePtr, Ptr},
    rules::{Rule, RuleMask},
};

use crate::{
    label, mount_view,
    verdict::{self, Subject},
};

/// Bytes of `struct upid`: a number and a pointer (include/linux/pid.h; the same from 5.11 to 7.2).
const UPID_SIZE: u64 = 16;

/// The namespace at a level of a process ID; level 0 is the host's.
#[inline(always)]
fn namespace_at(pid: ProbePtr<Pid>, level: u32) -> Result<ProbePtr<PidNamespace>, i32> {
    pid.numbers().byte_add(u64::from(level) * UPID_SIZE).ns()
}

/// The PID namespace that a task is in; null for the host's, in which no container is a neighbour,
/// and where it cannot be read.
#[inline(always)]
pub fn pid_namespace(task: Ptr<Task>) -> ProbePtr<PidNamespace> {
    let Ok(pid) = task.probe().thread_pid() else {
        return ProbePtr::NULL;
    };
    let Ok(level) = pid.level() else {
        return ProbePtr::NULL;
    };
    if level == 0 {
        return ProbePtr::NULL;
    }
    namespace_at(pid, level).unwrap_or(ProbePtr::NULL)
}

/// What a task does to another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TaskAccess {
    /// Signals or schedules it.
    Signal,
    /// Acts as it, or reads its memory, its descriptors, its environment.
    ActAs,
}

/// Whether the tasks of another container may do nothing that those of this one may not.
#[inline(always)]
fn is_no_looser(who: &Subject, other: ContainerKey) -> bool {
    let (Some(own), Some(other)) = (who.entry, verdict::entry(other)) else {
        return false;
    };
    // Its denials are only reported: it may do everything.
    if other.mode == MODE_AUDIT && own.mode != MODE_AUDIT {
        return false;
    }
    // The loopback addresses are an exception of the rule `network`.
    let rules = own.enforced();
    let loosening = if rules.has(Rule::Network) { LOOSENING | ENTRY_LOOPBACK } else { LOOSENING };
    other.enforced().covers(rules)
        && own.flags & !other.flags & ENTRY_QUARANTINED == 0
        && other.capabilities & !own.capabilities == 0
        && other.flags & !own.flags & loosening == 0
        && (other.reads == 0 || other.reads == own.reads)
        && (other.flags & GRANTS == 0 || is_same_policy(own, other))
}

/// Flags of an entry that let a container do more.
const LOOSENING: u32 = ENTRY_GUARD | ENTRY_SANDBOX;

/// Flags of an entry whose container has something of the host that is comparable only under the
/// same policy.
const GRANTS: u32 = ENTRY_POLICY_GRANTS | ENTRY_PROPAGATION;

/// Whether another container is under the same policy.
#[inline(always)]
pub fn has_same_policy(who: &Subject, other: ContainerKey) -> bool {
    match (who.entry, verdict::entry(other)) {
        (Some(own), Some(other)) => is_same_policy(own, other),
        _ => false,
    }
}

#[inline(always)]
fn is_same_policy(one: &ContainerEntry, other: &ContainerEntry) -> bool {
    // A name that fills its field may have been cut.
    one.policy[POLICY_LEN - 1] == 0 && one.level == other.level && one.policy == other.policy
}

/// Whether a task is within reach.
#[inline(always)]
pub fn reaches(who: &Subject, other: Ptr<Task>, access: TaskAccess) -> bool {
    // SAFETY: null or a live cell of the storage.
    let Some(label) = (unsafe { label::for_task(other).as_ref() }) else {
        return false;
    };
    if !label::is_confined(label) {
        return false;
    }
    if label.key == who.key {
        return true;
    }
    // Another container: whoever runs them lets them share a PID namespace, as the containers of a
    // pod do.
    let own = pid_namespace(label::current());
    !own.is_null()
        && own == pid_namespace(other)
        && (access == TaskAccess::Signal || is_no_looser(who, label.key))
}

/// Notes in the current task's label that it was let act as a task of another container: what was
/// granted to that one it may use too, by /proc/N/root, /proc/N/cwd and /proc/N/fd.
#[inline(always)]
pub fn visit(who: &Subject, other: Ptr<Task>) {
    // SAFETY: null or live cells of the storage; that of the current task is written by itself
    // only.
    let (own, other) =
        unsafe { (label::for_task(label::current()).as_mut(), label::for_task(other).as_ref()) };
    if let (Some(own), Some(other)) = (own, other)
        && other.key != who.key
    {
        own.visits = other.key;
    }
}

/// The other container that the current task was last let act as, if it would be let still. Whoever
/// gets there has what the other has by its memory and descriptors anyway.
#[inline(always)]
pub fn visited(who: &Subject) -> Option<Subject> {
    // SAFETY: null or a live cell of the storage.
    let label = unsafe { label::for_task(label::current()).as_ref() }?;
    let other = label.visits;
    (other.generation != 0 && is_no_looser(who, other)).then(|| Subject::for_container(other))
}

/// Whether the entries below a directory /proc/N are those of a task that this one may touch: one
/// in its PID namespace, or (in the host's, or through a procfs that is not its own) one in its
/// mount namespace.
#[inline(always)]
pub fn is_neighbours(directory: ProbePtr<Dentry>) -> Result<bool, i32> {
    let pid = directory.inode()?.container::<ProcInode>().pid()?;
    let own = label::current().probe().thread_pid()?;
    if pid == own {
        return Ok(true);
    }
    let level = own.level()?;
    if level != 0 && pid.level()? >= level && namespace_at(pid, level)? == namespace_at(own, level)?
    {
        return Ok(true);
    }
    let link = pid.first_task()?;
    if link.is_null() {
        return Ok(false);
    }
    let nsproxy = link.container::<Task>().nsproxy()?;
    Ok(!nsproxy.is_null() && nsproxy.mnt_ns()? == mount_view::own_mount_ns())
}
