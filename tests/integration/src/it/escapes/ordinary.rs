//! Techniques that need nothing but an ordinary container, or what somebody left in one.

use super::{Stopped, Technique};
use crate::bundle::Bundle;
use crate::lab::{SECRETS, SOCKETS};
use crate::select::Standing;

type Args = &'static [&'static str];

const fn technique(
    name: &'static str,
    reference: &'static str,
    args: Args,
    give: fn(Bundle) -> Bundle,
    rule: &'static str,
) -> Technique {
    Technique {
        name,
        reference,
        args,
        give,
        control: "",
        rule,
        stopped: Stopped::Everywhere,
        standing: Standing::USUAL,
    }
}

fn same(bundle: Bundle) -> Bundle {
    bundle
}

fn leaked(mut bundle: Bundle) -> Bundle {
    bundle.leak = Some(SECRETS.into());
    bundle
}

fn leaked_file(mut bundle: Bundle) -> Bundle {
    bundle.leak = Some(format!("{SECRETS}/key"));
    bundle
}

/// A connected UDP socket: bash opens it for the runtime.
fn udp_left_open(mut bundle: Bundle) -> Bundle {
    bundle.leak = Some(">/dev/udp/127.0.0.1/9".into());
    bundle
}

fn ordinary_user(bundle: Bundle) -> Bundle {
    bundle.user_with_bounds(1000)
}

fn sockets(bundle: Bundle) -> Bundle {
    bundle.bind(SOCKETS, "/socks")
}

const fn leak(name: &'static str, reference: &'static str, args: Args) -> Technique {
    technique(name, reference, args, leaked, "files")
}

const fn inherited(name: &'static str, reference: &'static str, args: Args) -> Technique {
    technique(name, reference, args, leaked_file, "files")
}

const fn socket(name: &'static str, args: Args) -> Technique {
    technique(name, "unix(7)", args, sockets, "unix-socket")
}

const fn proc(name: &'static str, reference: &'static str, args: Args) -> Technique {
    technique(name, reference, args, same, "procfs")
}

const fn sys(name: &'static str, reference: &'static str, args: Args) -> Technique {
    technique(name, reference, args, same, "sysfs")
}

/// What only one level denies, and the others allow.
const fn only(
    name: &'static str,
    reference: &'static str,
    args: Args,
    rule: &'static str,
    stopped: Stopped,
) -> Technique {
    Technique {
        name,
        reference,
        args,
        give: same,
        control: "",
        rule,
        stopped,
        standing: Standing::USUAL,
    }
}

pub const TECHNIQUES: &[Technique] = &[
    leak("leaked-directory", "CVE-2024-21626", &["read", "fd:3/key"]).smoke(),
    leak("leaked-directory-up", "CVE-2024-21626", &["read", "fd:3/../../../etc/shadow"]),
    leak("leaked-directory-create", "CVE-2024-21626", &["create", "fd:3/new"]),
    leak("leaked-directory-by-proc", "CVE-2024-21626", &["read", "/proc/self/fd/3/key"]),
    leak("leaked-directory-list", "getdents64(2)", &["fd-list", "3"]),
    leak("leaked-directory-chroot", "chroot(2)", &["chroot", "/proc/self/fd/3/", "list", "/"]),
    leak("leaked-directory-thread", "clone(2)", &["thread", "read", "fd:3/key"]),
    leak("leaked-directory-vfork", "vfork(2)", &["vfork", "read", "fd:3/key"]),
    leak(
        "leaked-directory-orphan",
        "fork(2), setsid(2)",
        &["double-fork", "setsid", "read", "fd:3/key"],
    ),
    leak("stat", "stat(2)", &["stat", "/proc/self/fd/3/key"]),
    leak("readlink", "readlink(2)", &["readlink", "/proc/self/fd/3/link"]),
    leak("mkdir", "mkdir(2)", &["mkdir", "/proc/self/fd/3/escape"]),
    leak("rmdir", "rmdir(2)", &["rmdir", "/proc/self/fd/3/folder"]),
    leak("unlink", "unlink(2)", &["unlink", "/proc/self/fd/3/file"]),
    leak("rename", "rename(2)", &["rename", "/proc/self/fd/3/renamed"]),
    leak("hard-link", "link(2)", &["link", "/proc/self/fd/3/key"]),
    leak("symlink", "symlink(2)", &["symlink", "/proc/self/fd/3/escape-link"]),
    leak("mkfifo", "mknod(2)", &["mkfifo", "/proc/self/fd/3/escape-fifo"]),
    leak("truncate", "truncate(2)", &["truncate", "/proc/self/fd/3/key", "19"]),
    leak("chmod", "chmod(2)", &["chmod", "/proc/self/fd/3/key", "644"]),
    leak("chown", "chown(2)", &["chown", "/proc/self/fd/3/key"]),
    leak("utimes", "utimensat(2)", &["utimes", "/proc/self/fd/3/key"]),
    leak("getxattr", "getxattr(2)", &["getxattr", "/proc/self/fd/3/key"]),
    leak("setxattr", "setxattr(2)", &["setxattr", "/proc/self/fd/3/key"]),
    leak("removexattr", "removexattr(2)", &["removexattr", "/proc/self/fd/3/key"]),
    leak("inotify", "inotify(7)", &["inotify", "/proc/self/fd/3/key"]),
    inherited("inherited-read", "read(2)", &["fd-read", "3"]),
    inherited("inherited-mmap", "mmap(2)", &["fd-mmap", "3"]),
    inherited("inherited-lock", "flock(2)", &["fd-lock", "3"]),
    inherited("inherited-ioctl", "ioctl(2), FS_IOC_GETFLAGS", &["fd-flags", "3"]),
    socket("socket-stream", &["connect", "stream", "/socks/stream.sock"]),
    socket("socket-renamed", &["connect", "stream", "/socks/notes.txt"]),
    socket("socket-dgram", &["sendto", "/socks/dgram.sock"]),
    socket("socket-seqpacket", &["connect", "seqpacket", "/socks/seqpacket.sock"]),
    socket("socket-chroot", &["chroot", "/socks", "connect", "stream", "/notes.txt"]),
    socket("socket-thread", &["thread", "connect", "stream", "/socks/stream.sock"]),
    socket("received-file", &["receive", "/socks/gives-file"]).smoke().on_btrfs_thorough(),
    socket("received-folder", &["receive", "/socks/gives-folder"]),
    proc("core-pattern", "core(5)", &["write", "/proc/sys/kernel/core_pattern", "core"]).smoke(),
    proc(
        "modprobe-path",
        "proc_sys_kernel(5)",
        &["write", "/proc/sys/kernel/modprobe", "/sbin/modprobe"],
    ),
    proc("sysrq-trigger", "proc_sysrq-trigger(5)", &["write", "/proc/sysrq-trigger", "h"]),
    proc("drop-caches", "proc_sys_vm(5)", &["write", "/proc/sys/vm/drop_caches", "1"]),
    proc("kallsyms", "proc_kallsyms(5)", &["read", "/proc/kallsyms"]),
    proc("keys", "proc_keys(5)", &["read", "/proc/keys"]),
    proc("iomem", "proc_iomem(5)", &["read", "/proc/iomem"]),
    proc("procfs-mode", "chmod(2)", &["chmod", "/proc/loadavg", "444"]),
    proc("long-path", "bpf_d_path, first lockc", &["deep", "1900", "/proc/kallsyms"]),
    proc("boot-parameters", "proc_cmdline(5)", &["read", "/proc/cmdline"]),
    proc("interrupt-stat", "stat(2)", &["stat", "/proc/irq/default_smp_affinity"]),
    sys("disk-statistics", "sysfs(5)", &["list", "/sys/fs/ext4"]),
    sys("uevent-write", "udev(7)", &["write", "/sys/block/vda/uevent", "change"]),
    sys(
        "vmcoreinfo",
        "kernel ABI/testing/sysfs-kernel-vmcoreinfo",
        &["read", "/sys/kernel/vmcoreinfo"],
    ),
    sys("firmware", "kernel ABI/testing/sysfs-firmware-*", &["list", "/sys/firmware"]),
    sys(
        "huge-pages-write",
        "kernel admin-guide/mm/transhuge",
        &["write", "/sys/kernel/mm/transparent_hugepage/enabled", "madvise"],
    ),
    sys(
        "sysfs-relative",
        "path_resolution(7)",
        &["list", "/sys/devices/system/cpu/../../../fs/ext4"],
    ),
    sys("sysfs-storm", "fork(2)", &["forks", "300", "list", "/sys/fs/ext4"]),
    sys("disk-link", "readlink(2)", &["readlink", "/sys/class/block/vda"]),
    sys("module-stat", "stat(2)", &["stat", "/sys/module/printk"]),
    technique("kernel-log", "syslog(2)", &["syslog", "3"], same, "kernel-log"),
    technique(
        "user-namespace",
        "unshare(2), CVE-2022-0185",
        &["double-fork", "unshare", "user", "list", "/"],
        same,
        "user-namespace",
    )
    .smoke(),
    technique("quota-sync", "quotactl(2)", &["quota-sync"], same, "kernel").smoke(),
    technique("user-keyring", "keyrings(7)", &["user-keyring"], same, "keyring"),
    technique(
        "persistent-keyring",
        "persistent-keyring(7)",
        &["persistent-keyring", "0"],
        same,
        "keyring",
    ),
    technique(
        "request-key",
        "request_key(2)",
        &["request-key", "user", "it:chosen"],
        same,
        "keyring",
    ),
    technique(
        "mknod-disk",
        "mknod(2), debugfs(8)",
        &["mknod", "/tmp/disk", "b", "254", "0"],
        same,
        "device",
    ),
    technique("mknod-mem", "mem(4)", &["mknod", "/tmp/mem", "c", "1", "1"], same, "device"),
    technique(
        "mknod-console",
        "console(4)",
        &["mknod", "/tmp/console", "c", "5", "1"],
        same,
        "device",
    ),
    only("io-uring", "io_uring(7)", &["io-uring"], "io-uring", Stopped::Restricted).smoke(),
    only(
        "regain-root",
        "setresuid(2), PR_SET_KEEPCAPS",
        &["regain-root", "1000"],
        "privilege",
        Stopped::Restricted,
    )
    .smoke(),
    Technique {
        give: ordinary_user,
        ..only(
            "set-uid",
            "credentials(7), CVE-2019-14271",
            &["exec", "/setuid", "is-root"],
            "privilege",
            Stopped::Restricted,
        )
        .smoke()
    },
    Technique {
        give: ordinary_user,
        ..only(
            "set-gid",
            "credentials(7)",
            &["exec", "/setgid", "is-root-group"],
            "privilege",
            Stopped::Restricted,
        )
    },
    Technique {
        give: ordinary_user,
        ..only(
            "file-capabilities",
            "capabilities(7)",
            &["exec", "/filecaps", "has-capability", "10"],
            "privilege",
            Stopped::Restricted,
        )
        .smoke()
    },
    only("inet", "ip(7)", &["socket", "inet"], "network", Stopped::Offline),
    only("inet6", "ipv6(7)", &["socket", "inet6"], "network", Stopped::Offline),
    Technique {
        give: udp_left_open,
        ..only(
            "inherited-inet",
            "socket(7), SOCK_CLOEXEC missing",
            &["inherited"],
            "network",
            Stopped::Offline,
        )
        .smoke()
    },
    technique("vsock", "vsock(7)", &["socket", "vsock"], same, "socket-family").smoke(),
    technique(
        "device-events",
        "netlink(7), NETLINK_KOBJECT_UEVENT",
        &["uevents", "join"],
        same,
        "socket-family",
    ),
    technique(
        "task-events",
        "netlink(7), NETLINK_CONNECTOR",
        &["family", "16", "3", "11"],
        same,
        "socket-family",
    ),
    only("netlink", "netlink(7)", &["socket", "netlink"], "network", Stopped::Offline),
];
