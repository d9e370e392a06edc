//! The kernel log: it tells about the host and about every other container.
//!
//! | hook | what for |
//! |---|---|
//! | syslog | syslog(2); opening /proc/kmsg and /dev/kmsg asks it too, unless dmesg_restrict is off |
//! | capable (in `creds`) | CAP_SYSLOG |
//! | file_open (in `files`) | the device of /dev/kmsg under any name |

use aya_ebpf::{macros::lsm, programs::LsmContext};
use lockc_core::{abi::Hook, rules::Rule};

use crate::verdict::{self, EPERM};

/// include/uapi/linux/capability.h
pub const CAP_SYSLOG: i32 = 34;

/// `dev_t` of /dev/kmsg: character device 1:11 (Documentation/admin-guide/devices.txt), as MKDEV of
/// include/linux/kdev_t.h.
pub const DEV_KMSG: u32 = 1 << 20 | 11;

/// `int syslog(int type)`
#[lsm(hook = "syslog")]
pub fn syslog(ctx: LsmContext) -> i32 {
    let what: i32 = ctx.arg(0);
    verdict::refuse(ctx.arg(1), Rule::KernelLog, Hook::Syslog, what as u64, EPERM)
}
