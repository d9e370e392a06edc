//! lockc's LSM programs.
//!
//! | module | hooks | guards |
//! |---|---|---|
//! | `lifecycle` | task_alloc, task_free | labels |
//! | `tags` | | which object an inode is |
//! | `grants` | sb_statfs, sb_kern_mount | what a container was granted |
//! | `launch` | bprm_check_security, bprm_committed_creds, mmap_file, file_mprotect | what is executed until the container runs |
//! | `descriptors` | bprm_creds_for_exec | what is open when it begins to run |
//! | `mounts` | sb_mount, sb_umount, sb_remount, sb_pivotroot, move_mount, (capable) | both mount APIs |
//! | `creds` | capable, userns_create, bprm_creds_from_file, task_fix_setuid | capabilities, user namespaces, becoming root |
//! | `files` | file_open, file_receive | files by their mount, then `devices` and `pseudo` |
//! | `paths` | path_*, inode_getattr | what needs no open file |
//! | `inodes` | inode_setattr, inode_*xattr, inode_*_acl, inode_file_*attr, inode_readlink | what the kernel asks without a mount |
//! | `devices` | (file_open), (path_mknod) | device nodes |
//! | `pseudo` | (file_open) | procfs, sysfs and cgroup files by their own dentries |
//! | `sockets` | socket_*, unix_stream_connect, unix_may_send | socket families, unix sockets of the host |
//! | `families` | (socket_create), (file_receive), (socket_bind), (socket_setsockopt) | which families and netlink protocols there are |
//! | `loopback` | (socket_*) | containers without network that may reach 127.0.0.0/8 |
//! | `kernel_log` | syslog, (capable), (file_open) | the kernel log |
//! | `processes` | ptrace_access_check, task_* | tasks outside of the container |
//! | `surface` | bpf, perf_event_open, kernel_*, locked_down, settime, quota* | the kernel itself |
//! | `own` | bpf_map, (path_*) | lockc's own pins and maps, before the host's tasks too |
//! | `keys` | key_alloc, key_permission | keys of others |
//!
//! Every hook honours an earlier denial, asks [`verdict::subject_to`] whether the current task is to be
//! checked at all, and answers through [`verdict::deny`]. A task without a label is the host's and
//! is let through.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod attributes;
mod cgroups;
mod creds;
mod descriptors;
mod devices;
mod families;
mod files;
mod grants;
mod hook;
mod inodes;
mod ipc;
mod kernel;
mod kernel_api;
mod kernel_log;
mod keys;
mod label;
mod launch;
mod lifecycle;
mod loopback;
mod loops;
mod maps;
mod mounts;
mod overlay;
mod paths;
mod processes;
mod pseudo;
mod self_protection;
mod sockets;
mod tags;
mod verdict;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

// Apache-2.0 or GPL-2.0: loaded under the latter, because the kernel gives task storage and probe
// reads only to it.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
