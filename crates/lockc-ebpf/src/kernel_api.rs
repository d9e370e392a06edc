//! The kernel itself: calls that change it, or that reveal more than the container.
//!
//! Swap, accounting, reboot, ioperm, iopl and /dev/mem ask for capabilities (`capable`) that no
//! container has.

use lockc_core::{fields::Qstr, pointers::ProbePtr};

use crate::{
    creds,
    hook::lsm,
    kernel,
    verdict::{About, EPERM},
};

lsm! {
    /// bpf(2). Since 6.15 or so there is a last parameter `bool kernel`.
    fn bpf(command: i32, ..) -> rule Kernel |check| {
        check.deny(About::number(command as u64), EPERM)
    }

    /// perf_event_open(2). Since 6.12 or so without the parameter `attr`.
    fn perf_event_open(..) -> rule Kernel |check| {
        check.deny(About::NOTHING, EPERM)
    }

    /// Loading a module on demand.
    fn kernel_module_request(_kmod_name) -> rule Kernel |check| {
        if creds::kernel_at_work() {
            return 0;
        }
        check.deny(About::NOTHING, EPERM)
    }

    /// Reading a file into the kernel: a module, a kernel for kexec, firmware.
    fn kernel_read_file(_file, id: u32, _contents) -> rule Kernel |check| {
        if creds::kernel_at_work() {
            return 0;
        }
        check.deny(About::number(u64::from(id)), EPERM)
    }

    /// The same from memory.
    fn kernel_load_data(id: u32, _contents) -> rule Kernel |check| {
        if creds::kernel_at_work() {
            return 0;
        }
        check.deny(About::number(u64::from(id)), EPERM)
    }

    /// What the kernel's lockdown covers (include/linux/security.h, `enum lockdown_reason`).
    fn locked_down(what: u32) -> rule Kernel |check| {
        check.deny(About::number(u64::from(what)), EPERM)
    }

    /// Setting the clock.
    fn settime(_ts, _tz) -> rule Kernel |check| {
        check.deny(About::NOTHING, EPERM)
    }

    /// quotactl(2).
    fn quotactl(command: u32, _type, _id, _sb) -> rule Kernel |check| {
        check.deny(About::number(u64::from(command)), EPERM)
    }

    /// Enabling quotas.
    fn quota_on(_dentry) -> rule Kernel |check| {
        check.deny(About::NOTHING, EPERM)
    }

    /// A new anonymous file. This is the only hook of io_uring_setup(2) that every kernel has
    /// (`uring_allowed` came with 6.15 or later).
    fn inode_init_security_anon(_inode, name: ProbePtr<Qstr>, _context) -> rule IoUring |check| {
        const NAME: &[u8; 12] = b"[io_uring]\0\0";
        let mut text = [0u8; 12];
        let Ok(name) = name.name() else {
            check.error();
            return check.deny(About::NOTHING, EPERM);
        };
        if kernel::read_text(&mut text, name) == 11 && text == *NAME {
            return check.deny(About::NOTHING, EPERM);
        }
        0
    }
}
