//! The kernel itself: what changes it, or tells about more than the container.
//!
//! | hook | what for |
//! |---|---|
//! | bpf | bpf(2): programs, maps, and so lockc's own |
//! | perf_event_open | perf events |
//! | kernel_module_request | modules that the kernel would load by itself, for a socket family, a cipher, a file system |
//! | kernel_read_file | finit_module, kexec_file_load |
//! | kernel_load_data | init_module, kexec_load |
//! | locked_down | raw memory, ports and MSRs, kcore, debugfs, tracefs, … (include/linux/security.h, `enum lockdown_reason`) |
//! | settime, quotactl, quota_on | the clock, quotas |
//! | inode_init_security_anon | io_uring, under `restricted` |
//!
//! Swap, accounting, reboot, ioperm, iopl and /dev/mem ask `capable` for what no container has.

use aya_ebpf::{helpers::generated::bpf_probe_read_kernel_str, macros::lsm, programs::LsmContext};
use lockc_core::{abi::Hook, rules::Rule};

use crate::{
    creds, kernel,
    verdict::{self, EPERM},
};

/// `int bpf(int cmd, union bpf_attr *attr, unsigned int size)`; since 6.15 or so with `bool kernel`
/// at the end, so that the earlier verdict is not where it was. The kernel calls no later program
/// once one has denied.
#[lsm(hook = "bpf")]
pub fn bpf(ctx: LsmContext) -> i32 {
    let command: i32 = ctx.arg(0);
    verdict::refuse(0, Rule::Kernel, Hook::Bpf, command as u64, EPERM)
}

/// `int perf_event_open(struct perf_event_attr *attr, int type)`; since 6.12 or so without `attr`.
#[lsm(hook = "perf_event_open")]
pub fn perf_event_open(_ctx: LsmContext) -> i32 {
    verdict::refuse(0, Rule::Kernel, Hook::PerfEventOpen, 0, EPERM)
}

/// `int kernel_module_request(char *kmod_name)`
#[lsm(hook = "kernel_module_request")]
pub fn kernel_module_request(ctx: LsmContext) -> i32 {
    if creds::kernel_at_work() {
        return ctx.arg(1);
    }
    verdict::refuse(ctx.arg(1), Rule::Kernel, Hook::KernelModuleRequest, 0, EPERM)
}

/// `int kernel_read_file(struct file *file, enum kernel_read_file_id id, bool contents)`
#[lsm(hook = "kernel_read_file")]
pub fn kernel_read_file(ctx: LsmContext) -> i32 {
    if creds::kernel_at_work() {
        return ctx.arg(3);
    }
    let id: u32 = ctx.arg(1);
    verdict::refuse(ctx.arg(3), Rule::Kernel, Hook::KernelReadFile, u64::from(id), EPERM)
}

/// `int kernel_load_data(enum kernel_load_data_id id, bool contents)`
#[lsm(hook = "kernel_load_data")]
pub fn kernel_load_data(ctx: LsmContext) -> i32 {
    if creds::kernel_at_work() {
        return ctx.arg(2);
    }
    let id: u32 = ctx.arg(0);
    verdict::refuse(ctx.arg(2), Rule::Kernel, Hook::KernelLoadData, u64::from(id), EPERM)
}

/// `int locked_down(enum lockdown_reason what)`
#[lsm(hook = "locked_down")]
pub fn locked_down(ctx: LsmContext) -> i32 {
    let what: u32 = ctx.arg(0);
    verdict::refuse(ctx.arg(1), Rule::Kernel, Hook::LockedDown, u64::from(what), EPERM)
}

/// `int settime(const struct timespec64 *ts, const struct timezone *tz)`
#[lsm(hook = "settime")]
pub fn settime(ctx: LsmContext) -> i32 {
    verdict::refuse(ctx.arg(2), Rule::Kernel, Hook::Settime, 0, EPERM)
}

/// `int quotactl(int cmds, int type, int id, const struct super_block *sb)`
#[lsm(hook = "quotactl")]
pub fn quotactl(ctx: LsmContext) -> i32 {
    let command: u32 = ctx.arg(0);
    verdict::refuse(ctx.arg(4), Rule::Kernel, Hook::Quotactl, u64::from(command), EPERM)
}

/// `int quota_on(struct dentry *dentry)`
#[lsm(hook = "quota_on")]
pub fn quota_on(ctx: LsmContext) -> i32 {
    verdict::refuse(ctx.arg(1), Rule::Kernel, Hook::QuotaOn, 0, EPERM)
}

/// `int inode_init_security_anon(struct inode *inode, const struct qstr *name, const struct inode
/// *context_inode)`: the only hook of io_uring_setup(2) that every kernel has (`uring_allowed` came
/// with 6.15 or later).
#[lsm(hook = "inode_init_security_anon")]
pub fn inode_init_security_anon(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(3);
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::subject_to(Rule::IoUring) else {
        return 0;
    };
    const NAME: &[u8; 12] = b"[io_uring]\0\0";
    let mut name = [0u8; 12];
    let Ok(address) = kernel::read::<u64>(ctx.arg::<u64>(1), &kernel::QSTR_NAME) else {
        verdict::error(Hook::InodeInitSecurityAnon);
        return verdict::deny(
            &who,
            Rule::IoUring,
            Hook::InodeInitSecurityAnon,
            verdict::About::NOTHING,
            EPERM,
        );
    };
    // SAFETY: the helper checks the address and writes at most the length of `name`.
    let length = unsafe {
        bpf_probe_read_kernel_str(name.as_mut_ptr().cast(), name.len() as u32, address as *const _)
    };
    if length == 11 && name == *NAME {
        return verdict::deny(
            &who,
            Rule::IoUring,
            Hook::InodeInitSecurityAnon,
            verdict::About::NOTHING,
            EPERM,
        );
    }
    0
}
