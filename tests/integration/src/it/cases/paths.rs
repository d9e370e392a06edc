//! What needs no open file, and what somebody left open or sends: checked by the mount as well.

use anyhow::Result;
use libc::{EACCES, ENOBUFS, EPERM};

use super::surface::generous;
use super::{Row, Test, denied, row, same, works};
use crate::bundle::Bundle;
use crate::check::Works;
use crate::command;
use crate::lab::{Lab, SECRETS, SOCKETS};
use crate::launch::Runtime;

/// The host's processes are in sight, and no rule keeps the container from their root directories.
fn host_pids(bundle: Bundle) -> Bundle {
    bundle.admin().host("pid")
}

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

/// By a way that leads to a mount of the host's.
const fn reach(args: &'static [&'static str]) -> Test {
    denied(args, host_pids, "reach", EACCES, "files")
}

/// By a descriptor that was left open.
const fn leak(args: &'static [&'static str]) -> Test {
    denied(args, leaked, "baseline", EACCES, "files")
}

const fn inherited(args: &'static [&'static str]) -> Test {
    denied(args, leaked_file, "baseline", EACCES, "files")
}

pub const ROWS: &[Row] = &[
    row("paths/stat", reach(&["stat", "/proc/{victim}/root/var/lib/lockc-it-secrets/key"])).core(),
    row("paths/stat-parent", reach(&["stat", "/proc/{victim}/root/etc/shadow"])),
    row(
        "paths/readlink",
        reach(&["readlink", "/proc/{victim}/root/var/lib/lockc-it-secrets/link"]),
    ),
    row("paths/mkdir", reach(&["mkdir", "/proc/{victim}/root/var/lib/lockc-it-secrets/new"])),
    row("paths/mkfifo", reach(&["mkfifo", "/proc/{victim}/root/var/lib/lockc-it-secrets/fifo"])),
    row("paths/rmdir", reach(&["rmdir", "/proc/{victim}/root/var/lib/lockc-it-secrets/folder"])),
    row("paths/unlink", reach(&["unlink", "/proc/{victim}/root/var/lib/lockc-it-secrets/file"]))
        .core(),
    row("paths/rename", reach(&["rename", "/proc/{victim}/root/var/lib/lockc-it-secrets/renamed"]))
        .on_btrfs_thorough(),
    row("paths/link", reach(&["link", "/proc/{victim}/root/var/lib/lockc-it-secrets/key"])),
    row(
        "paths/symlink",
        reach(&["symlink", "/proc/{victim}/root/var/lib/lockc-it-secrets/symlink"]),
    ),
    row(
        "paths/truncate",
        reach(&["truncate", "/proc/{victim}/root/var/lib/lockc-it-secrets/key", "19"]),
    ),
    row(
        "paths/chmod",
        reach(&["chmod", "/proc/{victim}/root/var/lib/lockc-it-secrets/key", "644"]),
    ),
    row("paths/chown", reach(&["chown", "/proc/{victim}/root/var/lib/lockc-it-secrets/key"])),
    row("paths/utimes", reach(&["utimes", "/proc/{victim}/root/var/lib/lockc-it-secrets/key"])),
    row("paths/getxattr", reach(&["getxattr", "/proc/{victim}/root/var/lib/lockc-it-secrets/key"])),
    row("paths/setxattr", reach(&["setxattr", "/proc/{victim}/root/var/lib/lockc-it-secrets/key"]))
        .on_btrfs_thorough(),
    row(
        "paths/listxattr",
        reach(&["listxattr", "/proc/{victim}/root/var/lib/lockc-it-secrets/key"]),
    ),
    row(
        "paths/removexattr",
        reach(&["removexattr", "/proc/{victim}/root/var/lib/lockc-it-secrets/key"]),
    ),
    row("paths/inotify", reach(&["inotify", "/proc/{victim}/root/var/lib/lockc-it-secrets/key"])),
    row(
        "paths/chroot",
        reach(&["chroot", "/proc/{victim}/root/var/lib/lockc-it-secrets/", "list", "/"]),
    ),
    row("paths/inherited-list", leak(&["fd-list", "3"])),
    row("paths/inherited-read", inherited(&["fd-read", "3"])),
    row(
        "paths/received-file",
        denied(&["receive", "/sockets/gives-file"], sockets, "sockets", ENOBUFS, "files"),
    ),
    row(
        "paths/received-folder",
        denied(&["receive", "/sockets/gives-folder"], sockets, "sockets", ENOBUFS, "files"),
    )
    .on_btrfs_thorough(),
    row(
        "paths/received-pipe",
        Test::Works(Works {
            args: &["/probe", "receive", "/sockets/gives-pipe"],
            give: sockets,
            policy: "sockets",
        }),
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
    row(
        "paths/procfs-mode",
        denied(&["chmod", "/proc/loadavg", "444"], same, "baseline", EACCES, "procfs"),
    ),
    row(
        "paths/ordinary",
        works(
            &[
                "sh",
                "-ec",
                "cd $(mktemp -d /data/XXXXXX); mkdir d; echo x > d/a; mv d/a d/b; ln d/b d/c; ln \
                 -s b d/l; readlink d/l; stat d/b; chmod 600 d/b; chown 1000:1000 d/b; touch -d \
                 @1 d/b; mkfifo d/f; truncate -s 0 d/b; rm -r d; cd $(mktemp -d); for i in $(seq \
                 100); do mkdir d; cd d; done; touch deep; touch -d @1 deep; stat deep; echo said \
                 > /dev/stdout; echo said > /dev/stderr; stat /dev/stdin /dev/null; readlink \
                 /proc/self/exe",
            ],
            volume,
        ),
    ),
    row(
        "devices/mknod-console",
        denied(&["mknod", "/tmp/console", "c", "5", "1"], same, "baseline", EPERM, "device"),
    ),
    row("devices/mknod-tty", works(&["/probe", "mknod", "/tmp/tty", "c", "5", "0"], same)),
    row("devices/mknod-ptmx", works(&["/probe", "mknod", "/tmp/ptmx", "c", "5", "2"], same)),
    row(
        "devices/mknod-block",
        denied(&["mknod", "/tmp/disk", "b", "254", "0"], same, "baseline", EPERM, "device"),
    )
    .core(),
    row(
        "devices/mknod-mem",
        denied(&["mknod", "/tmp/mem", "c", "1", "1"], same, "baseline", EPERM, "device"),
    ),
    row(
        "devices/mknod-large-minor",
        denied(&["mknod", "/tmp/disk", "b", "254", "4096"], same, "baseline", EPERM, "device"),
    ),
    row("devices/mknod-null", works(&["/probe", "mknod", "/tmp/null", "c", "1", "3"], same)),
    row(
        "devices/mknod-whiteout",
        works(&["/probe", "mknod", "/tmp/whiteout", "c", "0", "0"], same),
    ),
    row(
        "devices/default",
        works(
            &[
                "sh",
                "-ec",
                "head -c 9 /dev/zero /dev/urandom > /dev/null; ls -l /dev/pts /dev/ptmx",
            ],
            same,
        ),
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

/// The host's disk, as a node that somebody left on a volume, and a device cgroup that would let it
/// through.
fn node_on_volume(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    command::sh("cd /srv/lockc-it/data && rm -f node && cp -a /dev/vda node")?;
    let bundle = Bundle::probe(&["open-device", "/data/node"]).bind("/srv/lockc-it/data", "/data");
    let change = "s/\"access\":\"rwm\",\"allow\":false/\"access\":\"rwm\",\"allow\":true/";
    generous(lab, runtime, change, &bundle, EPERM, "device")
}

/// The host's console, which no container has for its own terminal at `/dev/console`.
fn console_on_volume(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    command::sh("cd /srv/lockc-it/data && rm -f console && mknod console c 5 1")?;
    let bundle =
        Bundle::probe(&["open-device", "/data/console"]).bind("/srv/lockc-it/data", "/data");
    let change = "s/\"access\":\"rwm\",\"allow\":false/\"access\":\"rwm\",\"allow\":true/";
    generous(lab, runtime, change, &bundle, EPERM, "device")
}
