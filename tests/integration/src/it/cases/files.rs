//! Files by the identity of their mount: what was not given can't be opened, whatever path leads
//! there.

use std::fs;

use anyhow::{Context, Result, bail};
use libc::EACCES;

use super::{Row, Test, both, denied, row, same, works};
use crate::bundle::{Bundle, PLACE};
use crate::check::{self, Probe};
use crate::lab::{Lab, SECRETS};
use crate::launch::{self, By, Runtime};

/// A directory of the host's, left open by the engine.
fn leaked(mut bundle: Bundle) -> Bundle {
    bundle.leak = Some(SECRETS.into());
    bundle
}

fn host_pids(bundle: Bundle) -> Bundle {
    bundle.admin().host("pid")
}

fn volume(bundle: Bundle) -> Bundle {
    bundle.bind("/srv/lockc-it/data", "/data")
}

fn tmpfs(bundle: Bundle) -> Bundle {
    bundle.mount(serde_json::json!({"destination": "/scratch", "type": "tmpfs", "source": "tmpfs",
            "options": ["mode=1777"]}))
}

const fn leak(args: &'static [&'static str]) -> Test {
    denied(args, leaked, "baseline", EACCES, "files")
}

/// A file of the host's, by the root directory of one of its processes.
const KEY: &str = "/proc/{victim}/root/var/lib/lockc-it-secrets/key";

/// No rule keeps the container from the host's processes: the mount decides.
const fn reach(args: &'static [&'static str]) -> Test {
    denied(args, host_pids, "reach", EACCES, "files")
}

/// The host's processes are visible under `test`; their files stay out of reach.
const fn proc_of_host(args: &'static [&'static str]) -> Test {
    denied(args, host_pids, "test", EACCES, "process")
}

pub const ROWS: &[Row] = &[
    both("files/cve-2024-21626-leaked-directory", leak(&["read", "fd:3/key"])).on_btrfs(),
    row("files/reached", reach(&["read", KEY])).core().on_btrfs_thorough(),
    row("files/reached-thread", reach(&["thread", "read", KEY])),
    row("files/reached-double-fork", reach(&["double-fork", "setsid", "read", KEY])),
    row("files/reached-vfork", reach(&["vfork", "read", KEY])),
    row(
        "files/reached-create",
        reach(&["create", "/proc/{victim}/root/var/lib/lockc-it-secrets/new"]),
    ),
    row(
        "files/leaked-directory-restricted",
        denied(&["read", "fd:3/key"], |b| leaked(b).user(1000), "restricted", EACCES, "files"),
    ),
    both("files/proc-1-root", proc_of_host(&["read", "/proc/1/root/etc/hostname"]))
        .thorough_with_runc(),
    row("files/proc-victim-root", proc_of_host(&["read", "/proc/{victim}/root/etc/shadow"])),
    row("files/proc-victim-cwd", proc_of_host(&["list", "/proc/{victim}/cwd"])),
    row("files/proc-victim-fd", proc_of_host(&["read", "/proc/{victim}/fd/0"])),
    row("files/memfd", works(&["/probe", "memfd-reopen"], same)),
    both(
        "files/volume",
        works(
            &[
                "sh",
                "-ec",
                "echo x > /data/f; cat /data/f; mv /data/f /data/g; ln -s /etc/passwd /data/l; \
                 cat /data/l; rm /data/g /data/l",
            ],
            volume,
        ),
    )
    .on_btrfs(),
    row(
        "files/tmpfs",
        works(&["sh", "-ec", "echo x > /scratch/f; cat /scratch/f; echo x > /dev/shm/f"], tmpfs),
    ),
    row("files/symlink-in-volume-stays-inside", Test::Code(symlink_stays_inside)),
    row(
        "files/volume-in-volume",
        works(&["sh", "-ec", "echo x > /data/in/f; cat /data/in/f"], |b| {
            volume(b).bind("/home/user/data", "/data/in")
        }),
    ),
    row(
        "files/file-volume",
        works(&["cat", "/etc/note"], |b| b.bind("/home/user/data/note", "/etc/note")),
    ),
    row("files/long-path", works(&["/probe", "deep", "1900", "/etc/passwd"], same)),
    row(
        "files/deep-tree",
        works(
            &[
                "sh",
                "-ec",
                "d=/tmp; for i in $(seq 40); do d=$d/0123456789012345678901234567890123456789; \
                 mkdir -p $d; done; echo x > $d/f; cat $d/f",
            ],
            same,
        ),
    ),
    row("files/exec-of-the-host", Test::Code(exec_of_host)).core().on_btrfs(),
    row("files/other-containers-rootfs", Test::Code(other_rootfs)).on_btrfs_thorough(),
];

/// A symlink that a tenant leaves in a volume leads into the container's own root, not the host's.
fn symlink_stays_inside(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let link = "/srv/lockc-it/data/escape";
    let _ = fs::remove_file(link);
    std::os::unix::fs::symlink(format!("{SECRETS}/key"), link).context("cannot make a symlink")?;
    let by = if lab.plain { By::Plain(runtime) } else { By::Lockc("baseline") };
    let attempt = launch::attempt(by, &volume(Bundle::probe(&["read", "/data/escape"])))?;
    fs::remove_file(link).context("cannot remove the symlink")?;
    if attempt.errno == libc::ENOENT { Ok("no such file".into()) } else { bail!("{attempt:?}") }
}

/// Executing is opening too.
fn exec_of_host(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let tools = "/var/lib/lockc-it-tools";
    fs::create_dir_all(tools).context("cannot create a directory")?;
    fs::copy("/usr/local/bin/lockc-probe", format!("{tools}/tool"))
        .context("cannot copy a tool")?;
    let probe = Probe {
        args: &["exec", "/proc/{victim}/root/var/lib/lockc-it-tools/tool", "socketpair"],
        give: host_pids,
        policy: "reach",
        errno: EACCES,
        rule: "files",
    };
    check::allowed_then_denied(lab, runtime, &probe)
}

/// A descriptor of another container's root is the host's as far as this one is concerned.
fn other_rootfs(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let other = crate::bundle::unpack("other", "busybox")?;
    fs::write(format!("{other}/key"), "of another container").context("cannot write")?;
    let probe = Probe {
        args: &["read", "fd:3/key"],
        give: |mut bundle| {
            bundle.leak = Some(format!("{PLACE}/other"));
            bundle
        },
        policy: "baseline",
        errno: EACCES,
        rule: "files",
    };
    check::allowed_then_denied(lab, runtime, &probe)
}
