//! The kernel log, which contains information about the host and every other container.
//!
//! Where dmesg_restrict is off, opening /proc/kmsg and /dev/kmsg does not call syslog; `creds`
//! denies CAP_SYSLOG, and file_open denies the device of /dev/kmsg under any name.

use crate::{
    hook::lsm,
    verdict::{About, EPERM},
};

/// include/uapi/linux/capability.h
pub const CAP_SYSLOG: i32 = 34;

/// `dev_t` of /dev/kmsg: character device 1:11 (Documentation/admin-guide/devices.txt), as MKDEV of
/// include/linux/kdev_t.h.
pub const DEV_KMSG: u32 = 1 << 20 | 11;

lsm! {
    /// syslog(2).
    fn syslog(kind: i32) -> rule KernelLog |check| {
        check.deny(About::number(kind as u64), EPERM)
    }
}
