//! Launching: what the runtime, its hooks and the container's first program execute.
//!
//! A launching task has the host's rights. The file decides to whom a program belongs: with or
//! without the container's root directory, a file of the container either confines the task or is
//! not executed. Mappings are checked because of CVE-2025-23266: a hook of the host inherits
//! `LD_PRELOAD` from the image.

use lockc_core::{
    abi::{
        ContainerKey, ENTRY_HOOK_MOUNTS, Hook, LABEL_CONFINES, LABEL_HAS_BASE, ProgramKey,
        STATE_CONFINED, STATE_LAUNCHING, TaskLabel,
    },
    fields::{Binprm, File, Inode, SuperBlock, Task, Vma},
    pointers::Ptr,
    rules::Rule,
};

use crate::{
    creds, files, granted,
    hook::lsm,
    label,
    maps::GUARD,
    mount_view::{self, MountView},
    tags,
    verdict::{self, About, EACCES, EPERM, Subject},
};

/// include/uapi/asm-generic/mman-common.h
const PROT_EXEC: u64 = 4;

/// Where the current task is: the inode of its root directory, and the address of its mount
/// namespace.
#[inline(always)]
pub fn location() -> (Ptr<Inode>, u64) {
    let task = label::current();
    let root = task.fs().root_dentry();
    let mnt_ns = task.nsproxy().mnt_ns();
    (root.inode(), mnt_ns.addr())
}

lsm! {
    /// An exec, also one that fails later; called once more for each interpreter. Whether it turns
    /// the task into the container's.
    fn bprm_check_security(bprm: Ptr<Binprm>) -> verdict {
        // SAFETY: null or a live cell of the storage, written only by this task and by user space
        // before the exec.
        let Some(label) = (unsafe { label::for_task(label::current()).as_mut() }) else {
            return 0;
        };
        let who = Subject::for_container(label.key);
        let file = bprm.file();
        // Otherwise a confined task's exec has been checked in file_open.
        if label.state != STATE_LAUNCHING {
            let is_refused = label.state == STATE_CONFINED && who.is_quarantined();
            return if is_refused { refuse_exec(&who, file) } else { 0 };
        }
        label.flags &= !LABEL_CONFINES;
        let stays = stays(label);
        let stopped = if stays {
            is_containers(&who, file)
        } else {
            who.entry.is_none() || is_foreign(&who, file)
        };
        if stopped {
            let verdict = verdict::deny(&who, Rule::Files, HOOK, About::file(file), EACCES);
            // Audit mode only reports.
            if verdict != 0 {
                return verdict;
            }
        }
        if !stays {
            if who.is_quarantined() {
                return refuse_exec(&who, file);
            }
            label.flags |= LABEL_CONFINES;
        }
        0
    }

    /// The exec cannot fail any more: the task is confined.
    fn bprm_committed_creds(bprm: Ptr<Binprm>) -> void {
        let task = label::current();
        // SAFETY: as in `bprm_check_security`.
        let Some(label) = (unsafe { label::for_task(task).as_mut() }) else {
            guard(task, bprm);
            return;
        };
        if label.state != STATE_LAUNCHING || label.flags & LABEL_CONFINES == 0 {
            return;
        }
        label.state = STATE_CONFINED;
        let copy = *label;
        if label::remember(task, &copy).is_err() {
            verdict::error(HOOK);
        }
    }

    /// mmap(2), by a task that is not confined yet.
    fn mmap_file(file: Ptr<File>, _reqprot, prot: u64, _flags) -> verdict {
        // Without a file it is anonymous memory.
        if prot & PROT_EXEC == 0 || file.is_null() { 0 } else { check_code(file, HOOK) }
    }

    /// mprotect(2), likewise.
    fn file_mprotect(vma: Ptr<Vma>, _reqprot, prot: u64) -> verdict {
        if prot & PROT_EXEC == 0 {
            return 0;
        }
        let file = vma.file();
        if file.is_null() { 0 } else { check_code(file, HOOK) }
    }
}

/// Refuses an exec in a container under quarantine.
#[inline(never)]
fn refuse_exec(who: &Subject, file: Ptr<File>) -> i32 {
    verdict::deny(who, Rule::Process, Hook::bprm_check_security, About::file(file), EPERM)
}

/// Whether a launching task is not in the container yet: where it executes something, that is the
/// host's. If the root has no tag, the task counts as being in the container: this fails closed.
#[inline(always)]
pub fn stays(label: &TaskLabel) -> bool {
    let (root, mnt_ns) = location();
    label.flags & LABEL_HAS_BASE != 0
        && (mnt_ns == label.base_mnt_ns
            || (label.base_root != 0 && tags::tag(root.probe()) == label.base_root))
}

/// Whether a file that is executed in the container was not granted to it. A separate function,
/// so that the verifier looks at what follows once for each answer and not for each way to it.
#[inline(never)]
fn is_foreign(who: &Subject, file: Ptr<File>) -> bool {
    // What root's own hooks execute in there is theirs, where the policy says so.
    let by_hooks = who.entry.is_some_and(|entry| entry.flags & ENTRY_HOOK_MOUNTS != 0);
    who.has(Rule::Files)
        && !by_hooks
        && !files::is_granted(who, &MountView::new(file.mnt()), Hook::bprm_check_security)
        && !creds::is_interpreter(file)
}

/// Whether the content of a file is the container's: nothing that a task executes or maps with the
/// host's root directory.
#[inline(always)]
fn is_containers(who: &Subject, file: Ptr<File>) -> bool {
    if !who.has(Rule::Files) {
        return false;
    }
    let attached = mount_view::is_attached(file.mnt()).unwrap_or(true);
    granted::is_containers(who, file.dentry(), attached)
}

/// A program of the host by its numbers.
#[inline(always)]
pub fn program(inode: Ptr<Inode>, sb: Ptr<SuperBlock>) -> ProgramKey {
    ProgramKey { ino: inode.ino(), dev: sb.dev(), generation: inode.generation() }
}

/// Labels a process of the host that executes a guarded runtime, as the wrapper would have
/// labelled itself.
#[inline(always)]
fn guard(task: Ptr<Task>, bprm: Ptr<Binprm>) {
    let file = bprm.file();
    let inode = file.inode();
    if inode.is_null() {
        return;
    }
    let sb = file.mnt().sb();
    let program = program(inode, sb);
    // SAFETY: the value is copied at once.
    let Some(key) = (unsafe { GUARD.get(program) }).copied() else {
        return;
    };
    let (root, base_mnt_ns) = location();
    let base_root = tags::make_tag(root.probe());
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
        verdict::error(Hook::bprm_committed_creds);
    }
}

/// Checks a mapping of a file that makes it executable.
#[inline(always)]
fn check_code(file: Ptr<File>, hook: Hook) -> i32 {
    // SAFETY: null or a live cell of the storage.
    let Some(label) = (unsafe { label::for_task(label::current()).as_ref() }) else {
        return 0;
    };
    if label.state != STATE_LAUNCHING {
        return 0;
    }
    let who = Subject::for_container(label.key);
    if is_containers(&who, file) {
        return verdict::deny(&who, Rule::Files, hook, About::file(file), EACCES);
    }
    0
}
