//! lockc's LSM programs.
//!
//! A program is an [`lsm!`](hook::lsm) item, and its hook is a row of `lockc_core::hooks`.
//!
//! | module | what it guards |
//! |---|---|
//! | `lifecycle` | labels: a child inherits its parent's |
//! | `grants`, `tags`, `overlay` | the objects that a container was granted |
//! | `launch`, `descriptors` | what is executed and what is open until the container runs |
//! | `files` | open files, by their mount |
//! | `paths`, `inodes`, `attributes` | files without opening them, with a mount and without |
//! | `devices` | device nodes |
//! | `pseudo`, `cgroups` | procfs, sysfs and cgroup files, by their own dentries |
//! | `mounts` | both mount APIs |
//! | `creds` | capabilities, user namespaces, becoming root |
//! | `processes` | tasks outside the container |
//! | `sockets`, `families`, `loopback` | socket families, unix sockets of the host, the network |
//! | `ipc`, `keys` | System V IPC, message queues and keys of others |
//! | `kernel_api`, `kernel_log` | the kernel itself |
//! | `self_protection` | lockc's own pins and maps, also from the host's tasks |
//!
//! Files import only what is below them. Below the programs are
//!
//! | module | what it answers |
//! |---|---|
//! | `granted`, `mount_view` | what a container was granted; mounts and their namespaces |
//! | `reach` | which tasks and containers are within reach |
//! | `names` | which files of procfs and sysfs may be read and written |
//! | `verdict`, `label` | which tasks are checked, and what a denial does; labels |
//! | `maps`, `kernel`, `linux` | the maps; settings and reads; constants of the kernel |
//!
//! Every program keeps an earlier denial, asks [`verdict::subject_to`] whether it checks the
//! current task at all, and answers through [`verdict::deny`]. A task without a label is the host's
//! and is not checked.
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
mod granted;
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
mod linux;
mod loopback;
mod loops;
mod maps;
mod mount_view;
mod mounts;
mod names;
mod overlay;
mod paths;
mod processes;
mod pseudo;
mod reach;
mod record;
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
