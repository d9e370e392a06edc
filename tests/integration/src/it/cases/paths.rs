//! What needs no open file, and what somebody left open or sends: judged by the mount as well.

use anyhow::Result;
use libc::{EACCES, ENOBUFS, EPERM};

use super::surface::generous;
use super::{Row, Test, denied, row, same, works};
use crate::bundle::Bundle;
use crate::check::Works;
use crate::command;
use crate::lab::{Lab, SECRETS, SOCKETS};
use crate::launch::Runtime;

/// A directory of the host's, left open by the engine.
fn leaked(mut bundle: Bundle) -> Bundle {
    bundle.leak = Some(SECRETS.into());
    bundle
}

fn leaked_file(mut bundle: Bundle) -> Bundle {
    bundle.leak = Some(format!("{SECRETS}/key"));
    bundle
}

fn sockets(bundle: Bundle) -> Bundle {
    bundle.bind(SOCKETS, "/sockets")
}

fn volume(bundle: Bundle) -> Bundle {
    bundle.bind("/srv/lockc-it/data", "/data")
}

fn sysfs_writable(mut bundle: Bundle) -> Bundle {
    for mount in &mut bundle.mounts {
        if mount["destination"] == "/sys" {
            mount["options"] = serde_json::json!(["nosuid", "noexec", "nodev"]);
        }
    }
    bundle
}

const fn leak(args: &'static [&'static str]) -> Test {
    denied(args, leaked, "baseline", EACCES, "files")
}

const fn inherited(args: &'static [&'static str]) -> Test {
    denied(args, leaked_file, "baseline", EACCES, "files")
}

pub const ROWS: &[Row] = &[
    row("paths/stat", leak(&["stat", "/proc/self/fd/3/key"])),
    row("paths/stat-parent", leak(&["stat", "/proc/self/fd/3/../../../etc/shadow"])),
    row("paths/readlink", leak(&["readlink", "/proc/self/fd/3/link"])),
    row("paths/mkdir", leak(&["mkdir", "/proc/self/fd/3/new"])),
    row("paths/mkfifo", leak(&["mkfifo", "/proc/self/fd/3/fifo"])),
    row("paths/rmdir", leak(&["rmdir", "/proc/self/fd/3/folder"])),
    row("paths/unlink", leak(&["unlink", "/proc/self/fd/3/file"])),
    row("paths/rename", leak(&["rename", "/proc/self/fd/3/renamed"])),
    row("paths/link", leak(&["link", "/proc/self/fd/3/key"])),
    row("paths/symlink", leak(&["symlink", "/proc/self/fd/3/symlink"])),
    row("paths/truncate", leak(&["truncate", "/proc/self/fd/3/key", "19"])),
    row("paths/chmod", leak(&["chmod", "/proc/self/fd/3/key", "644"])),
    row("paths/chown", leak(&["chown", "/proc/self/fd/3/key"])),
    row("paths/utimes", leak(&["utimes", "/proc/self/fd/3/key"])),
    row("paths/getxattr", leak(&["getxattr", "/proc/self/fd/3/key"])),
    row("paths/setxattr", leak(&["setxattr", "/proc/self/fd/3/key"])),
    row("paths/listxattr", leak(&["listxattr", "/proc/self/fd/3/key"])),
    row("paths/removexattr", leak(&["removexattr", "/proc/self/fd/3/key"])),
    row("paths/inotify", leak(&["inotify", "/proc/self/fd/3/key"])),
    row("paths/chroot", leak(&["chroot", "/proc/self/fd/3/", "list", "/"])),
    row("paths/inherited-list", leak(&["fd-list", "3"])),
    row("paths/inherited-list-thread", leak(&["thread", "fd-list", "3"])),
    row("paths/inherited-read", inherited(&["fd-read", "3"])),
    row("paths/inherited-mmap", inherited(&["fd-mmap", "3"])),
    row("paths/inherited-lock", inherited(&["fd-lock", "3"])),
    row("paths/inherited-ioctl", inherited(&["fd-flags", "3"])),
    row("paths/received-file", denied(&["receive", "/sockets/gives-file"], sockets, "sockets", ENOBUFS, "files")),
    row("paths/received-folder", denied(&["receive", "/sockets/gives-folder"], sockets, "sockets", ENOBUFS, "files")),
    row(
        "paths/received-pipe",
        Test::Works(Works { args: &["/probe", "receive", "/sockets/gives-pipe"], give: sockets, policy: "sockets" }),
    ),
    row(
        "paths/passed-file-of-a-volume",
        works(&["sh", "-ec", "echo x > /data/passed; /probe pass-own /data/passed"], volume),
    ),
    row(
        "paths/sysfs-mode",
        denied(
            &["chmod", "/sys/kernel/mm/transparent_hugepage/enabled", "644"],
            sysfs_writable,
            "baseline",
            EACCES,
            "sysfs",
        ),
    ),
    row("paths/procfs-mode", denied(&["chmod", "/proc/loadavg", "444"], same, "baseline", EACCES, "procfs")),
    row(
        "paths/ordinary",
        works(
            &[
                "sh",
                "-ec",
                "cd $(mktemp -d /data/XXXXXX); mkdir d; echo x > d/a; mv d/a d/b; ln d/b d/c; ln -s b d/l; readlink d/l; stat d/b; chmod 600 d/b; \
                 chown 1000:1000 d/b; touch -d @1 d/b; mkfifo d/f; truncate -s 0 d/b; rm -r d; cd $(mktemp -d); \
                 for i in $(seq 100); do mkdir d; cd d; done; touch deep; touch -d @1 deep; stat deep; \
                 echo said > /dev/stdout; echo said > /dev/stderr; stat /dev/stdin /dev/null; readlink /proc/self/exe",
            ],
            volume,
        ),
    ),
    row("devices/mknod-console", denied(&["mknod", "/tmp/console", "c", "5", "1"], same, "baseline", EPERM, "device")),
    row("devices/mknod-tty", works(&["/probe", "mknod", "/tmp/tty", "c", "5", "0"], same)),
    row("devices/mknod-ptmx", works(&["/probe", "mknod", "/tmp/ptmx", "c", "5", "2"], same)),
    row("devices/mknod-block", denied(&["mknod", "/tmp/disk", "b", "254", "0"], same, "baseline", EPERM, "device")),
    row("devices/mknod-mem", denied(&["mknod", "/tmp/mem", "c", "1", "1"], same, "baseline", EPERM, "device")),
    row(
        "devices/mknod-large-minor",
        denied(&["mknod", "/tmp/disk", "b", "254", "4096"], same, "baseline", EPERM, "device"),
    ),
    row("devices/mknod-null", works(&["/probe", "mknod", "/tmp/null", "c", "1", "3"], same)),
    row("devices/mknod-whiteout", works(&["/probe", "mknod", "/tmp/whiteout", "c", "0", "0"], same)),
    row(
        "devices/default",
        works(&["sh", "-ec", "head -c 9 /dev/zero /dev/urandom > /dev/null; ls -l /dev/pts /dev/ptmx"], same),
    ),
    row(
        "devices/given",
        Test::Works(Works {
            args: &["sh", "-ec", "/probe open-device /dev/given; /probe mknod /tmp/again c 10 183"],
            give: |b| b.device("/dev/given", 10, 183),
            policy: "devices",
        }),
    ),
    row("devices/node-on-a-volume", Test::Code(node_on_volume)),
    row("devices/console-on-a-volume", Test::Code(console_on_volume)),
];

/// The host's disk, as a node that somebody left on a volume, and a device cgroup that would let it through.
fn node_on_volume(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    command::sh("cd /srv/lockc-it/data && rm -f node && cp -a /dev/vda node")?;
    let bundle = Bundle::probe(&["open-device", "/data/node"]).bind("/srv/lockc-it/data", "/data");
    let change = "s/\"access\":\"rwm\",\"allow\":false/\"access\":\"rwm\",\"allow\":true/";
    generous(lab, runtime, change, &bundle, EPERM, "device")
}

/// The host's console, which no container has for its own terminal at `/dev/console`.
fn console_on_volume(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    command::sh("cd /srv/lockc-it/data && rm -f console && mknod console c 5 1")?;
    let bundle = Bundle::probe(&["open-device", "/data/console"]).bind("/srv/lockc-it/data", "/data");
    let change = "s/\"access\":\"rwm\",\"allow\":false/\"access\":\"rwm\",\"allow\":true/";
    generous(lab, runtime, change, &bundle, EPERM, "device")
}
