//! Attempts at the kernel itself: bpf(2), perf, the clock, io_uring; and at becoming root again.

use std::io;

use crate::{number, sys};

pub fn attempt(name: &str, args: &[&str]) -> Option<io::Result<String>> {
    Some(match (name, args) {
        ("bpf", []) => bpf(),
        ("perf", []) => perf(),
        ("set-clock", []) => set_clock(),
        ("adjust-clock", []) => adjust_clock(),
        ("load-module", []) => load_module(),
        ("kexec", []) => sys::call(libc::SYS_kexec_load, &[0, 0, 0, 0]).map(|_| "unloaded".into()),
        ("reboot-key", []) => reboot_key(),
        ("accounting", []) => sys::call(libc::SYS_acct, &[0]).map(|_| "stopped".into()),
        ("port" | "all-ports", []) => ports(name),
        ("hurry", []) => {
            sys::call(libc::SYS_setpriority, &[libc::PRIO_PROCESS as usize, 0, -5isize as usize])
                .map(|_| "nice -5".into())
        }
        ("quota-sync", []) => quota_sync(),
        ("io-uring", []) => io_uring(),
        ("is-root", []) if nix::unistd::geteuid().is_root() => Ok("root".into()),
        ("is-root", []) => Err(io::Error::from_raw_os_error(libc::EPERM)),
        ("has-capability", [number]) => has_capability(number),
        ("give-capability", [path, number]) => give_capability(path, number),
        ("regain-root", [uid]) => give_root_up(uid)
            .and_then(|()| sys::call(libc::SYS_setuid, &[0]))
            .map(|_| "root again".into()),
        ("regain-fsuid", [uid]) => {
            give_root_up(uid).and_then(|()| crate::attempt(&["set-fsuid", "0"]))
        }
        _ => return None,
    })
}

/// Ports, by calls that only x86 has.
#[cfg(target_arch = "x86_64")]
fn ports(name: &str) -> io::Result<String> {
    if name == "port" {
        sys::call(libc::SYS_ioperm, &[0x80, 1, 1]).map(|_| "port 0x80".into())
    } else {
        sys::call(libc::SYS_iopl, &[3]).map(|_| "level 3".into())
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn ports(_: &str) -> io::Result<String> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

/// A small array map.
fn bpf() -> io::Result<String> {
    const MAP_CREATE: usize = 0;
    const ARRAY: u32 = 2;
    let attr: [u32; 18] = std::array::from_fn(|n| [ARRAY, 4, 4, 1].get(n).copied().unwrap_or(0));
    sys::open(libc::SYS_bpf, &[MAP_CREATE, attr.as_ptr() as usize, size_of_val(&attr)])
        .map(|_| "map".into())
}

/// The software clock of this process (include/uapi/linux/perf_event.h: `PERF_TYPE_SOFTWARE`,
/// `PERF_ATTR_SIZE_VER0`).
fn perf() -> io::Result<String> {
    const SIZE: u32 = 64;
    let attr: [u32; 16] = std::array::from_fn(|n| [1, SIZE].get(n).copied().unwrap_or(0));
    let args = [attr.as_ptr() as usize, 0, usize::MAX, usize::MAX, 0];
    sys::open(libc::SYS_perf_event_open, &args).map(|_| "event".into())
}

/// To the time that it shows.
fn set_clock() -> io::Result<String> {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    sys::call(libc::SYS_clock_gettime, &[libc::CLOCK_REALTIME as usize, (&raw mut now) as usize])?;
    sys::call(libc::SYS_clock_settime, &[libc::CLOCK_REALTIME as usize, (&raw const now) as usize])
        .map(|_| "set".into())
}

/// The length of a tick, to what it is (`ADJ_TICK`, include/uapi/linux/timex.h).
fn adjust_clock() -> io::Result<String> {
    const ADJ_TICK: u64 = 0x4000;
    // `struct timex` begins with the 32 bits of `modes`, which padding follows.
    let mut timex = [0u64; size_of::<libc::timex>().div_ceil(8)];
    sys::call(libc::SYS_adjtimex, &[timex.as_mut_ptr() as usize])?;
    timex[0] = ADJ_TICK;
    sys::call(libc::SYS_adjtimex, &[timex.as_mut_ptr() as usize]).map(|_| "set".into())
}

/// No module: who may load one gets as far as the kernel's look at it.
fn load_module() -> io::Result<String> {
    let image = [0u8; 64];
    match sys::call(
        libc::SYS_init_module,
        &[image.as_ptr() as usize, image.len(), c"".as_ptr() as usize],
    ) {
        Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => Ok("it was looked at".into()),
        result => result.map(|_| "loaded".into()),
    }
}

/// What Ctrl-Alt-Del does: to what it is in a machine without systemd (`LINUX_REBOOT_CMD_CAD_ON`).
fn reboot_key() -> io::Result<String> {
    const MAGIC: [usize; 2] = [0xfee1_dead, 672_274_793];
    const CAD_ON: usize = 0x89AB_CDEF;
    sys::call(libc::SYS_reboot, &[MAGIC[0], MAGIC[1], CAD_ON, 0]).map(|_| "set".into())
}

/// Every file system's quotas to disk: `QCMD(Q_SYNC, USRQUOTA)`, include/uapi/linux/quota.h.
fn quota_sync() -> io::Result<String> {
    sys::call(libc::SYS_quotactl, &[0x0080_0001 << 8, 0, 0, 0]).map(|_| "synced".into())
}

fn io_uring() -> io::Result<String> {
    let mut params = [0u32; 32];
    sys::open(libc::SYS_io_uring_setup, &[4, params.as_mut_ptr() as usize]).map(|_| "ring".into())
}

fn has_capability(wanted: &str) -> io::Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    let effective = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
    if effective >> number(wanted)? & 1 != 0 {
        Ok(line.trim().into())
    } else {
        Err(io::Error::from_raw_os_error(libc::EPERM))
    }
}

/// One of the first 32 capabilities for a file, permitted and effective (`struct vfs_cap_data`,
/// include/uapi/linux/capability.h).
fn give_capability(path: &str, wanted: &str) -> io::Result<String> {
    const REVISION_2: u32 = 0x0200_0000;
    const EFFECTIVE: u32 = 1;
    let value = [REVISION_2 | EFFECTIVE, 1 << number(wanted)?, 0, 0, 0];
    let path = sys::text(path)?;
    let args = [
        path.as_ptr() as usize,
        c"security.capability".as_ptr() as usize,
        value.as_ptr() as usize,
        size_of_val(&value),
        0,
    ];
    sys::call(libc::SYS_setxattr, &args).map(|_| "given".into())
}

/// Gives root up for `uid` but keeps the capability that takes it back.
fn give_root_up(uid: &str) -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    const SETUID: u32 = 1 << 7;
    let uid = number(uid)?;
    sys::call(libc::SYS_prctl, &[libc::PR_SET_KEEPCAPS as usize, 1])?;
    sys::call(libc::SYS_setresuid, &[uid, uid, uid])?;
    let header = [VERSION_3, 0];
    let data = [SETUID, SETUID, 0, 0, 0, 0];
    sys::call(libc::SYS_capset, &[header.as_ptr() as usize, data.as_ptr() as usize]).map(|_| ())
}
