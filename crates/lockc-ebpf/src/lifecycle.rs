//! Identity: labels are inherited, setup turns into confined, and the kernel learns what a container was given.
//!
//! | hook | what for |
//! |---|---|
//! | task_alloc | every child gets its parent's label, or is not created |
//! | task_free | count of live tasks |
//! | bprm_committed_creds | the container's own first exec confines |
//! | bprm_check_security | that exec is of a file that the container was given |
//! | sb_statfs | the wrapper asks for the kernel's identity of a path |
//! | sb_kern_mount | what the runtime mounts belongs to the container |

use aya_ebpf::{macros::lsm, programs::LsmContext};
use lockc_core::{
    abi::{
        FileId, GIVEN_MOUNT, GivenKey, Hook, LABEL_COUNTED, LABEL_HAS_BASE, LABEL_SEEN, STATE_CONFINED, STATE_IDENTIFY,
        STATE_SETUP, TaskLabel,
    },
    rules::Rule,
};

use crate::{
    cgroups, files,
    kernel::{self, Obj, follow, load},
    label,
    maps::{GIVEN, GUARD},
    verdict::{self, ENOMEM, Judged},
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
        let verdict = cgroups::judge_clone(&Judged::of(parent.key), ctx.arg(1));
        if verdict != 0 {
            return verdict;
        }
    }
    // While an upgrade replaces the programs, the old and the new one both run.
    if !label::of(child).is_null() {
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

/// Where the current task is: its root directory and its mount namespace.
#[inline(always)]
fn place() -> (FileId, u64) {
    let task = label::current();
    let fs = follow(task, &kernel::TASK_FS);
    let mnt = follow(fs, &kernel::FS_ROOT_MNT);
    let root = follow(fs, &kernel::FS_ROOT_DENTRY);
    let sb = follow(mnt, &kernel::VFSMOUNT_SB);
    let mnt_ns = follow(follow(task, &kernel::TASK_NSPROXY), &kernel::NSPROXY_MNT_NS);
    (verdict::identity(root, sb), mnt_ns.addr())
}

/// Whether a task in setup has left the runtime's root and mount namespace: what it executes is the container's.
#[inline(always)]
fn is_inside(label: &TaskLabel) -> bool {
    let (root, mnt_ns) = place();
    let moved = root.ino != label.base_root.ino || root.dev != label.base_root.dev;
    moved && mnt_ns != label.base_mnt_ns
}

/// Labels a process of the host's that executes a guarded runtime, as the wrapper would have labelled itself.
#[inline(always)]
fn guard(task: Obj, bprm: Obj) {
    let dentry = follow(follow(bprm, &kernel::BPRM_FILE), &kernel::FILE_PATH_DENTRY);
    let Ok(program) = verdict::identity_at(dentry.addr()) else {
        return;
    };
    // SAFETY: the value is copied at once.
    let Some(key) = (unsafe { GUARD.get(program) }).copied() else {
        return;
    };
    let (base_root, base_mnt_ns) = place();
    let flags = LABEL_HAS_BASE;
    let mut label = TaskLabel { key, state: STATE_SETUP, flags, base_root, base_mnt_ns, seen: FileId::default() };
    if label::give(task, &mut label).is_err() {
        verdict::error(Hook::BprmCommittedCreds);
    }
}

/// `void bprm_committed_creds(struct linux_binprm *bprm)`: after the point of no return, so a failed exec changes nothing.
#[lsm(hook = "bprm_committed_creds")]
pub fn bprm_committed_creds(ctx: LsmContext) -> i32 {
    let task = label::current();
    // SAFETY: null or a live cell of the storage, written only by this task and by user space before the exec.
    let Some(label) = (unsafe { label::of(task).as_mut() }) else {
        guard(task, Obj(ctx.arg::<*const u8>(0)));
        return 0;
    };
    if label.state != STATE_SETUP {
        return 0;
    }
    if label.flags & LABEL_HAS_BASE == 0 {
        // The wrapper executes the real runtime.
        let (root, mnt_ns) = place();
        label.base_root = root;
        label.base_mnt_ns = mnt_ns;
        label.flags |= LABEL_HAS_BASE;
    } else if is_inside(label) {
        files::remember_stdio(label.key);
        label.state = STATE_CONFINED;
    } else {
        return 0;
    }
    let copy = *label;
    if label::remember(task, &copy).is_err() {
        verdict::error(Hook::BprmCommittedCreds);
    }
    0
}

/// `int bprm_check_security(struct linux_binprm *bprm)`: also for an exec that fails later, and for each interpreter.
#[lsm(hook = "bprm_check_security")]
pub fn bprm_check_security(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(1);
    if earlier != 0 {
        return earlier;
    }
    // SAFETY: null or a live cell of the storage.
    let Some(label) = (unsafe { label::of(label::current()).as_ref() }) else {
        return 0;
    };
    // A confined task's exec has been judged in file_open.
    if label.state != STATE_SETUP || label.flags & LABEL_HAS_BASE == 0 || !is_inside(label) {
        return 0;
    }
    let who = Judged::of(label.key);
    if !who.has(Rule::Files) {
        return 0;
    }
    let file = follow(Obj(ctx.arg::<*const u8>(0)), &kernel::BPRM_FILE);
    files::judge_file(&who, file, Hook::BprmCheckSecurity, false)
}

/// `int sb_statfs(struct dentry *dentry)`
#[lsm(hook = "sb_statfs")]
pub fn sb_statfs(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(1);
    if earlier != 0 {
        return earlier;
    }
    // SAFETY: null or a live cell of the storage, written only by this task and by user space while it waits.
    let Some(label) = (unsafe { label::of(label::current()).as_mut() }) else {
        return 0;
    };
    // overlayfs asks its upper layer in turn: the first answer counts.
    if label.flags & LABEL_SEEN != 0 {
        return 0;
    }
    let dentry = Obj(ctx.arg::<*const u8>(0));
    if label.state == STATE_IDENTIFY {
        label.seen = verdict::identity(dentry, follow(dentry, &kernel::DENTRY_SB));
        label.flags |= LABEL_SEEN;
    } else if label.state == STATE_SETUP && label.flags & LABEL_HAS_BASE == 0 {
        // The wrapper makes sure that the label will be found, before it executes the runtime.
        label.flags |= LABEL_SEEN;
        let copy = *label;
        if label::remember(label::current(), &copy).is_err() {
            label.flags &= !LABEL_SEEN;
            verdict::error(Hook::SbStatfs);
        }
    }
    0
}

/// `int sb_kern_mount(const struct super_block *sb)`: mount(2) of a file system, or fsmount(2).
#[lsm(hook = "sb_kern_mount")]
pub fn sb_kern_mount(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(1);
    if earlier != 0 {
        return earlier;
    }
    // SAFETY: null or a live cell of the storage.
    let Some(label) = (unsafe { label::of(label::current()).as_ref() }) else {
        return 0;
    };
    if label.state != STATE_SETUP {
        return 0;
    }
    let sb = Obj(ctx.arg::<*const u8>(0));
    let id = FileId { ino: 0, dev: load(sb, &kernel::SB_DEV), pad: 0 };
    let key = GivenKey { key: label.key, id };
    // Fails closed: a container that could not use what it was given had better not start.
    if GIVEN.insert(key, GIVEN_MOUNT, 0).is_err() {
        verdict::error(Hook::SbKernMount);
        return -ENOMEM;
    }
    0
}
