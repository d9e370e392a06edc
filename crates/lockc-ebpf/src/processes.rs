//! Processes: a confined task reaches only confined tasks of its own container.
//!
//! | hook | what for |
//! |---|---|
//! | ptrace_access_check | ptrace, process_vm_*, pidfd_getfd, kcmp, and reads of /proc/<pid>/{mem,environ,root,cwd,fd,ns,…} |
//!
//! A task in setup is out of reach too: it holds the runtime's descriptors inside of the container's namespaces.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use lockc_core::{abi::Hook, rules::Rule};

use crate::{
    kernel::Obj,
    label,
    verdict::{self, About, EPERM},
};

/// include/linux/ptrace.h
const PTRACE_MODE_NOAUDIT: u32 = 4;

/// `int ptrace_access_check(struct task_struct *child, unsigned int mode)`
#[lsm(hook = "ptrace_access_check")]
pub fn ptrace_access_check(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(2);
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::judged(Rule::Ptrace) else {
        return 0;
    };
    let child = Obj(ctx.arg::<*const u8>(0));
    // SAFETY: null or a live cell of the storage.
    if let Some(label) = unsafe { label::of(child).as_ref() } {
        let own = label.key.slot == who.key.slot && label.key.generation == who.key.generation;
        if own && label::is_confined(label) {
            return 0;
        }
    }
    let mode: u32 = ctx.arg(1);
    if mode & PTRACE_MODE_NOAUDIT != 0 {
        return verdict::quietly(&who, EPERM);
    }
    verdict::deny(&who, Rule::Ptrace, Hook::PtraceAccessCheck, About::number(u64::from(mode)), EPERM)
}
