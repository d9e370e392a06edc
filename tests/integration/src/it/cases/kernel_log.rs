//! The kernel's log.

use libc::EPERM;

use super::{Row, both, denied, row, same, works};
use crate::bundle::Bundle;

fn with_kmsg(bundle: Bundle) -> Bundle {
    bundle.admin().device("/dev/kmsg", 1, 11)
}

/// The node is made by the container itself; only the device cgroup lets it.
fn kmsg_elsewhere(bundle: Bundle) -> Bundle {
    bundle.admin().device("/dev/allowed", 1, 11)
}

pub const ROWS: &[Row] = &[
    both("kernel-log/syslog", denied(&["syslog", "3"], Bundle::admin, "test", EPERM, "kernel-log"))
        .thorough_with_runc(),
    // Where the host lets everybody read it, no capability is asked for.
    row(
        "kernel-log/syslog-unprivileged",
        denied(&["syslog", "3"], same, "baseline", EPERM, "kernel-log"),
    ),
    row("kernel-log/size", denied(&["syslog", "10"], same, "baseline", EPERM, "kernel-log")),
    row(
        "kernel-log/dmesg-thread",
        denied(&["thread", "syslog", "3"], Bundle::admin, "test", EPERM, "kernel-log"),
    ),
    row(
        "kernel-log/dev-kmsg",
        denied(&["read", "/dev/kmsg"], with_kmsg, "devices", EPERM, "kernel-log"),
    ),
    row(
        "kernel-log/mknod-kmsg",
        denied(
            &["mknod-read", "/tmp/other", "1", "11"],
            kmsg_elsewhere,
            "devices",
            EPERM,
            "kernel-log",
        ),
    ),
    row(
        "kernel-log/other-devices-work",
        works(
            &[
                "sh",
                "-c",
                "head -c 8 /dev/urandom > /dev/null && echo x > /dev/null && head -c 8 /dev/zero \
                 > /dev/full; test $? = 1",
            ],
            same,
        ),
    ),
];
