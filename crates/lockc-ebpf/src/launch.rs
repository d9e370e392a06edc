//! Launching: what the runtime, its hooks and the container's first program execute.
//!
//! | hook | what for |
//! |---|---|
//! | bprm_check_security | whether an exec turns the task into the container's; a file that the container was not granted stops it |
//! | bprm_committed_creds | that exec cannot fail any more: the task is confined |
//! | mmap_file, file_mprotect | code of the container's in a task that is not confined yet |
//!
//! A launching task has the host's rights. Whose a program is, its file decides: with the
//! container's root directory or without, a file of the container's either confines the task or is
//! not executed. CVE-2025-23266 is the reason for the mappings: a hook of the host's inherits
//! `LD_PRELOAD` from the image.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use lockc_core::{
    abi::{
        ContainerKey, ENTRY_HOOK_MOUNTS, Hook, LABEL_CONFINES, LABEL_HAS_BASE, ProgramKey,
        STATE_CONFINED, STATE_LAUNCHING, TaskLabel,
    },
    rules::Rule,
};

use crate::{
    creds,
    files::{self, Place},
    inodes,
    kernel::{self, Obj, follow, load},
    label,
    maps::GUARD,
    tags,
    verdict::{self, EACCES, Subject},
};

/// include/uapi/asm-generic/mman-common.h
const PROT_EXEC: u64 = 4;

/// Where the current task is: the inode of its root directory, and the address of its mount
/// namespace.
#[inline(always)]
pub fn place() -> (Obj, u64) {
    let task = label::current();
    let root = follow(follow(task, &kernel::TASK_FS), &kernel::FS_ROOT_DENTRY);
    let mnt_ns = follow(follow(task, &kernel::TASK_NSPROXY), &kernel::NSPROXY_MNT_NS);
    (tags::inode(root), mnt_ns.addr())
}

/// `int bprm_check_security(struct linux_binprm *bprm)`: also for an exec that fails later, and for
/// each interpreter.
#[lsm(hook = "bprm_check_security")]
pub fn bprm_check_security(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(1);
    if earlier != 0 {
        return earlier;
    }
    // SAFETY: null or a live cell of the storage, written only by this task and by user space
    // before the exec.
    let Some(label) = (unsafe { label::of(label::current()).as_mut() }) else {
        return 0;
    };
    // A confined task's exec has been checked in file_open.
    if label.state != STATE_LAUNCHING {
        return 0;
    }
    label.flags &= !LABEL_CONFINES;
    let who = Subject::of(label.key);
    let file = follow(Obj(ctx.arg::<*const u8>(0)), &kernel::BPRM_FILE);
    let stays = stays(label);
    let stopped = if stays {
        is_containers(&who, file)
    } else {
        who.entry.is_none() || is_foreign(&who, file)
    };
    if stopped {
        let about = files::about(file);
        let verdict = verdict::deny(&who, Rule::Files, Hook::BprmCheckSecurity, about, EACCES);
        // Audit mode only reports.
        if verdict != 0 {
            return verdict;
        }
    }
    if !stays {
        label.flags |= LABEL_CONFINES;
    }
    0
}

/// Whether a launching task is not in the container yet: where it executes something, that is the
/// host's. If the root has no tag, the task counts as being in the container: this fails closed.
#[inline(always)]
pub fn stays(label: &TaskLabel) -> bool {
    let (root, mnt_ns) = place();
    label.flags & LABEL_HAS_BASE != 0
        && (mnt_ns == label.base_mnt_ns
            || (label.base_root != 0 && tags::tag(root) == label.base_root))
}

/// Whether a file that is executed in the container was not granted to it. A function of its own,
/// so that the verifier looks at what follows once for each answer and not for each way to it.
#[inline(never)]
fn is_foreign(who: &Subject, file: Obj) -> bool {
    // What root's own hooks execute in there is theirs, where the policy says so.
    let by_hooks = who.entry.is_some_and(|entry| entry.flags & ENTRY_HOOK_MOUNTS != 0);
    who.has(Rule::Files)
        && !by_hooks
        && !files::is_granted(
            who,
            &Place::of(follow(file, &kernel::FILE_PATH_MNT)),
            Hook::BprmCheckSecurity,
        )
        && !creds::is_interpreter(file)
}

/// Whether the content of a file is the container's: nothing that a task executes or maps with the
/// host's root directory.
#[inline(always)]
fn is_containers(who: &Subject, file: Obj) -> bool {
    if !who.has(Rule::Files) {
        return false;
    }
    let attached = files::is_attached(follow(file, &kernel::FILE_PATH_MNT)).unwrap_or(true);
    inodes::is_containers(who, follow(file, &kernel::FILE_PATH_DENTRY), attached)
}

/// `void bprm_committed_creds(struct linux_binprm *bprm)`: after the point of no return, so a
/// failed exec changes nothing.
#[lsm(hook = "bprm_committed_creds")]
pub fn bprm_committed_creds(ctx: LsmContext) -> i32 {
    let task = label::current();
    // SAFETY: as in `bprm_check_security`.
    let Some(label) = (unsafe { label::of(task).as_mut() }) else {
        guard(task, Obj(ctx.arg::<*const u8>(0)));
        return 0;
    };
    if label.state != STATE_LAUNCHING || label.flags & LABEL_CONFINES == 0 {
        return 0;
    }
    label.state = STATE_CONFINED;
    let copy = *label;
    if label::remember(task, &copy).is_err() {
        verdict::error(Hook::BprmCommittedCreds);
    }
    0
}

/// A program of the host's by its numbers.
#[inline(always)]
pub fn program(inode: Obj, sb: Obj) -> ProgramKey {
    ProgramKey {
        ino: load(inode, &kernel::INODE_INO),
        dev: load(sb, &kernel::SB_DEV),
        generation: load(inode, &kernel::INODE_GENERATION),
    }
}

/// Labels a process of the host's that executes a guarded runtime, as the wrapper would have
/// labelled itself.
#[inline(always)]
fn guard(task: Obj, bprm: Obj) {
    let file = follow(bprm, &kernel::BPRM_FILE);
    let inode = follow(file, &kernel::FILE_INODE);
    if inode.is_null() {
        return;
    }
    let sb = follow(follow(file, &kernel::FILE_PATH_MNT), &kernel::VFSMOUNT_SB);
    let program = program(inode, sb);
    // SAFETY: the value is copied at once.
    let Some(key) = (unsafe { GUARD.get(program) }).copied() else {
        return;
    };
    let (root, base_mnt_ns) = place();
    let base_root = tags::make_tag(root);
    let mut label = TaskLabel {
        key,
        state: STATE_LAUNCHING,
        flags: LABEL_HAS_BASE,
        base_root,
        base_mnt_ns,
        stdio: [0; 3],
        grant: 0,
        pad: 0,
        visits: ContainerKey { slot: 0, generation: 0 },
    };
    if label::give(task, &mut label).is_err() {
        verdict::error(Hook::BprmCommittedCreds);
    }
}

/// Checks a mapping of a file that makes it executable.
#[inline(always)]
fn check_code(file: Obj, hook: Hook) -> i32 {
    // SAFETY: null or a live cell of the storage.
    let Some(label) = (unsafe { label::of(label::current()).as_ref() }) else {
        return 0;
    };
    if label.state != STATE_LAUNCHING {
        return 0;
    }
    let who = Subject::of(label.key);
    if is_containers(&who, file) {
        return verdict::deny(&who, Rule::Files, hook, files::about(file), EACCES);
    }
    0
}

/// `int mmap_file(struct file *file, unsigned long reqprot, unsigned long prot, unsigned long
/// flags)`
#[lsm(hook = "mmap_file")]
pub fn mmap_file(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(4);
    let prot: u64 = ctx.arg(2);
    if prot & PROT_EXEC == 0 || earlier != 0 {
        return earlier;
    }
    let file = Obj(ctx.arg::<*const u8>(0));
    // Anonymous memory.
    if file.is_null() { 0 } else { check_code(file, Hook::MmapFile) }
}

/// `int file_mprotect(struct vm_area_struct *vma, unsigned long reqprot, unsigned long prot)`
#[lsm(hook = "file_mprotect")]
pub fn file_mprotect(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(3);
    let prot: u64 = ctx.arg(2);
    if prot & PROT_EXEC == 0 || earlier != 0 {
        return earlier;
    }
    let file = follow(Obj(ctx.arg::<*const u8>(0)), &kernel::VMA_FILE);
    if file.is_null() { 0 } else { check_code(file, Hook::FileMprotect) }
}
