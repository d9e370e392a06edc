//! lockc's LSM programs.
//!
//! | module | hooks | guards |
//! |---|---|---|
//! | `lifecycle` | task_alloc, task_free, bprm_committed_creds, bprm_check_security, sb_statfs, sb_kern_mount | identity: who belongs to which container, what it was given |
//! | `mounts` | sb_mount, sb_umount, sb_remount, sb_pivotroot, move_mount, capable | both mount APIs |
//! | `files` | file_open | files by mount identity, then `pseudo` |
//! | `pseudo` | (file_open) | procfs, sysfs and cgroup files by their own dentries |
//! | `sockets` | socket_create, socket_post_create, unix_stream_connect, unix_may_send | socket families, unix sockets of the host |
//! | `kernel_log` | syslog, (capable), (file_open) | the kernel log |
//! | `processes` | ptrace_access_check | tasks outside of the container |
//!
//! Every hook honours an earlier denial, asks [`verdict::judged`] whether the current task is to be judged at all, and
//! answers through [`verdict::deny`]. A task without a label is the host's and is let through.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod files;
mod kernel;
mod kernel_log;
mod label;
mod lifecycle;
mod maps;
mod mounts;
mod processes;
mod pseudo;
mod sockets;
mod verdict;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

// Apache-2.0 or GPL-2.0: loaded under the latter, because the kernel gives task storage and probe reads only to it.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
