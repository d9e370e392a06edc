//! Host information and controls in sysfs and procfs; and what programs need of both.

use libc::EACCES;

use super::{Row, Test, both, denied, row, same, works};
use crate::check::Works;

// Under `test`, whose bundles hide nothing and leave everything writable: the masks of engines
// would stand before lockc.
const fn sysfs(args: &'static [&'static str]) -> Test {
    denied(args, same, "test", EACCES, "sysfs")
}

const fn procfs(args: &'static [&'static str]) -> Test {
    denied(args, same, "test", EACCES, "procfs")
}

const fn reads(path: &'static [&'static str]) -> Test {
    works(path, same)
}

const fn writes(args: &'static [&'static str]) -> Test {
    Test::Works(Works { args, give: same, policy: "test" })
}

pub const ROWS: &[Row] = &[
    both("sysfs/ext4", sysfs(&["list", "/sys/fs/ext4"])).core().thorough_with_runc(),
    row("sysfs/ext4-disk", sysfs(&["read", "/sys/fs/ext4/vda/session_write_kbytes"])),
    row("sysfs/fs", sysfs(&["list", "/sys/fs"])),
    row("sysfs/block", sysfs(&["list", "/sys/block"])),
    row("sysfs/class-block", sysfs(&["read", "/sys/class/block/vda/size"])).one_kernel(),
    row("sysfs/pci", sysfs(&["list", "/sys/bus/pci/devices"])).one_kernel(),
    row("sysfs/dmi", sysfs(&["list", "/sys/class/dmi/id"])).needs("/sys/class/dmi/id").one_kernel(),
    row("sysfs/firmware", sysfs(&["list", "/sys/firmware"])).one_kernel(),
    row("sysfs/module", sysfs(&["list", "/sys/module"])).one_kernel(),
    row("sysfs/vmcoreinfo", sysfs(&["read", "/sys/kernel/vmcoreinfo"])),
    row("sysfs/uevent-write", sysfs(&["write", "/sys/block/vda/uevent", "change"])),
    row(
        "sysfs/thp-write",
        sysfs(&["write", "/sys/kernel/mm/transparent_hugepage/enabled", "madvise"]),
    ),
    row("sysfs/relative", sysfs(&["list", "/sys/devices/system/cpu/../../../fs/ext4"])),
    row("sysfs/by-proc-root", sysfs(&["list", "/proc/1/root/sys/fs/ext4"])),
    row("sysfs/offline", denied(&["list", "/sys/fs/ext4"], same, "offline", EACCES, "sysfs")),
    row("sysfs/long-path", sysfs(&["deep", "1900", "/sys/fs/ext4"])),
    row("sysfs/readlink-block", sysfs(&["readlink", "/sys/class/block/vda"])),
    row("sysfs/readlink-dev", sysfs(&["readlink", "/sys/dev/block/254:0"])),
    row("sysfs/readlink-pci", sysfs(&["readlink", "/sys/bus/pci/devices/0000:00:02.0"])),
    row("sysfs/readlink-open-path", sysfs(&["fd-readlink", "/sys/class/block/vda"])),
    both("sysfs/stat-module", sysfs(&["stat", "/sys/module/printk"])).thorough_with_runc(),
    row("sysfs/stat-disk", sysfs(&["stat", "/sys/fs/ext4/vda"])),
    row("sysfs/stat-by-a-link", sysfs(&["stat", "/sys/class/block/vda"])),
    row("sysfs/stat-open-path", sysfs(&["fd-stat", "/sys/module/printk"])),
    both("procfs/kallsyms", procfs(&["read", "/proc/kallsyms"])).core().thorough_with_runc(),
    row("procfs/keys", procfs(&["read", "/proc/keys"])),
    row("procfs/interrupts", procfs(&["read", "/proc/interrupts"])),
    row("procfs/iomem", procfs(&["read", "/proc/iomem"])),
    row("procfs/fs", procfs(&["list", "/proc/fs/ext4"])),
    row("procfs/sysrq", procfs(&["write", "/proc/sysrq-trigger", "h"])),
    row("procfs/core-pattern", procfs(&["write", "/proc/sys/kernel/core_pattern", "core"])),
    row("procfs/drop-caches", procfs(&["write", "/proc/sys/vm/drop_caches", "1"])),
    row("procfs/irq", procfs(&["list", "/proc/irq"])),
    row("procfs/stat-fs", procfs(&["stat", "/proc/fs/ext4/vda"])),
    row("procfs/stat-irq", procfs(&["stat", "/proc/irq/default_smp_affinity"])),
    row("procfs/cmdline", procfs(&["read", "/proc/cmdline"])),
    row("procfs/modules", procfs(&["read", "/proc/modules"])),
    row("procfs/partitions", procfs(&["read", "/proc/partitions"])),
    row("procfs/diskstats", procfs(&["read", "/proc/diskstats"])),
    row("procfs/swaps", procfs(&["read", "/proc/swaps"])),
    row("procfs/softirqs", procfs(&["read", "/proc/softirqs"])),
    row("procfs/buddyinfo", procfs(&["read", "/proc/buddyinfo"])),
    row("procfs/long-path", procfs(&["deep", "1900", "/proc/kallsyms"])),
    both(
        "pseudo/runtimes-size-themselves",
        reads(&[
            "sh",
            "-c",
            "set -e; cat /sys/devices/system/cpu/online /sys/devices/system/cpu/possible \
             /sys/kernel/mm/transparent_hugepage/enabled /proc/cpuinfo /proc/meminfo /proc/stat \
             /proc/loadavg /proc/uptime /proc/version /proc/self/status /proc/self/mountinfo \
             /proc/self/cgroup /proc/sys/kernel/pid_max /proc/sys/vm/overcommit_memory \
             /proc/filesystems > /dev/null",
        ]),
    ),
    both(
        "pseudo/looking-around",
        reads(&[
            "sh",
            "-c",
            "set -e; ls -ld /proc/* > /dev/null || true; ls -l /sys /proc/sys /proc/self/ > \
             /dev/null; ls -lR /sys/class/net /sys/devices/system/cpu \
             /sys/kernel/mm/transparent_hugepage > /dev/null; stat /sys/class /sys/devices \
             /sys/devices/system /sys/devices/virtual /sys/kernel/mm /sys/fs /proc/fs /proc/irq \
             /proc/bus /proc/kcore /proc/sys/kernel /proc/meminfo > /dev/null; if \
             stat /proc/acpi 2>&1 | grep -q denied; then exit 1; fi; for l in /sys/class/net/lo \
             /proc/self /proc/thread-self /proc/mounts /proc/net /proc/self/exe /proc/self/fd/1; \
             do readlink $l; done; find /proc/sys /sys/class/net /sys/devices/system > /dev/null \
             2>&1 || true; df > /dev/null; free; mount > /dev/null",
        ]),
    )
    .thorough_with_runc(),
    row(
        "pseudo/own-network-devices",
        reads(&[
            "sh",
            "-c",
            "ls /sys/class/net && cat /sys/class/net/lo/mtu /proc/net/dev /proc/net/tcp",
        ]),
    ),
    row(
        "pseudo/namespaced-sysctls",
        writes(&[
            "sh",
            "-c",
            "echo 60 > /proc/sys/net/ipv4/ip_default_ttl && echo 100 > /proc/sys/kernel/msgmni && \
             echo x > /proc/sys/kernel/hostname",
        ]),
    ),
    row(
        "pseudo/own-process",
        reads(&[
            "sh",
            "-c",
            "cat /proc/1/status /proc/1/cmdline /proc/$$/environ > /dev/null && ls /proc/$$/fd \
             /proc/1/root && echo 500 > /proc/self/oom_score_adj",
        ]),
    )
    .core(),
    row("pseudo/ps", reads(&["sh", "-c", "sleep 5 & ps && top -b -n1 > /dev/null && kill %1"])),
];
