//! Host information and controls in sysfs and procfs; and what programs need of both.

use libc::EACCES;

use super::{Row, Test, both, denied, row, same, works};
use crate::bundle::Bundle;

const fn sysfs(args: &'static [&'static str]) -> Test {
    denied(args, same, "baseline", EACCES, "sysfs")
}

const fn procfs(args: &'static [&'static str]) -> Test {
    denied(args, same, "baseline", EACCES, "procfs")
}

const fn reads(path: &'static [&'static str]) -> Test {
    works(path, same)
}

pub const ROWS: &[Row] = &[
    both("sysfs/ext4", sysfs(&["list", "/sys/fs/ext4"])),
    row("sysfs/ext4-disk", sysfs(&["read", "/sys/fs/ext4/vda/session_write_kbytes"])),
    row("sysfs/fs", sysfs(&["list", "/sys/fs"])),
    row("sysfs/block", sysfs(&["list", "/sys/block"])),
    row("sysfs/class-block", sysfs(&["read", "/sys/class/block/vda/size"])),
    row("sysfs/pci", sysfs(&["list", "/sys/bus/pci/devices"])),
    row("sysfs/dmi", sysfs(&["list", "/sys/class/dmi/id"])),
    row("sysfs/firmware", sysfs(&["list", "/sys/firmware"])),
    row("sysfs/module", sysfs(&["list", "/sys/module"])),
    row("sysfs/vmcoreinfo", sysfs(&["read", "/sys/kernel/vmcoreinfo"])),
    row("sysfs/uevent-write", sysfs(&["write", "/sys/block/vda/uevent", "change"])),
    row("sysfs/thp-write", sysfs(&["write", "/sys/kernel/mm/transparent_hugepage/enabled", "madvise"])),
    row("sysfs/relative", sysfs(&["list", "/sys/devices/system/cpu/../../../fs/ext4"])),
    row(
        "pseudo/own-network-devices",
        reads(&["sh", "-c", "ls /sys/class/net && cat /sys/class/net/lo/mtu /proc/net/dev /proc/net/tcp"]),
    ),
    row(
        "pseudo/namespaced-sysctls",
        reads(&[
            "sh",
            "-c",
            "echo 60 > /proc/sys/net/ipv4/ip_default_ttl && echo 100 > /proc/sys/kernel/msgmni && echo x > /proc/sys/kernel/hostname",
        ]),
    ),
    row(
        "pseudo/own-process",
        reads(&[
            "sh",
            "-c",
            "cat /proc/1/status /proc/1/cmdline /proc/$$/environ > /dev/null && ls /proc/$$/fd /proc/1/root && echo 500 > /proc/self/oom_score_adj",
        ]),
    ),
    row("pseudo/ps", reads(&["sh", "-c", "sleep 5 & ps && top -b -n1 > /dev/null && kill %1"])),
];
