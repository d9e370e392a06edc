//! What a container mounts itself, under a policy that lets it (`without_rules = ["mount"]`): it is
//! the container's as far as what it is made of is.

use anyhow::{Context, Result, bail};

use super::launch::{install_hook, run_in, with_hooks};
use super::{Row, Test, both, row};
use crate::bundle::{self, Bundle};
use crate::command;
use crate::lab::{Lab, SECRETS};
use crate::launch::{self, By, Runtime};

pub const ROWS: &[Row] = &[
    both("own-mounts/ordinary", Test::Code(ordinary)).on_btrfs_thorough(),
    row("own-mounts/fuse", Test::Code(fuse)),
    row("own-mounts/of-the-kernel", Test::Code(of_the_kernel)),
    row("own-mounts/of-the-host", Test::Code(of_the_host)).core(),
];

/// Each line in a shell of its own, which must succeed.
fn each(lines: &[&str]) -> String {
    lines
        .iter()
        .map(|line| {
            format!("( {line} ) > /tmp/out 2>&1 || {{ echo 'FAILED: {line}'; cat /tmp/out; }}\n")
        })
        .collect()
}

fn passes(run: &command::Run) -> Result<()> {
    if run.ok() && !run.stdout.contains("FAILED") { Ok(()) } else { bail!("{}", run.said()) }
}

fn administers(script: &str) -> Bundle {
    Bundle::new(&["sh", "-c", script]).admin().bind("/home/user/data", "/vol")
}

/// What image builders, nested engines and sandboxes mount.
fn ordinary(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let script = each(&[
        "mkdir -p /m/t /m/b /m/v /m/o /m/p /m/r /m/d /m/n && echo own > /m/d/f",
        "df / /vol /dev /proc /sys && df",
        "mount -t tmpfs none /m/t && echo x > /m/t/f && mv /m/t/f /m/t/g && ln -s g /m/t/l && ls \
         -la /m/t && readlink /m/t/l && cat /m/t/l",
        "/probe setxattr /m/t/g user.x; /probe utimes /m/t/g && chmod 600 /m/t/g && touch -d \
         2001-01-01 /m/t/g && stat /m/t/g",
        "mount --bind /m/d /m/b && cat /m/b/f && echo more >> /m/b/f && ls -la /m/b && readlink \
         -f /m/b/f && /probe utimes /m/b/f",
        "mount --bind /vol /m/v && cat /m/v/note && stat /m/v/note && ls -la /m/v",
        "mkdir /m/t/u /m/t/w && mount -t overlay o -o \
         lowerdir=/bin,upperdir=/m/t/u,workdir=/m/t/w /m/o",
        "/m/o/busybox true && touch /m/o/new && rm /m/o/cat && mkdir /m/o/d && mv /m/o/new \
         /m/o/d/ && ls -la /m/o && df /m/o && df /m/o",
        "mkdir /m/t/u2 /m/t/w2 /m/t/o2 && mount -t overlay o -o \
         lowerdir=/m/o,upperdir=/m/t/u2,workdir=/m/t/w2 /m/t/o2 && df /m/t/o2 && /m/t/o2/busybox \
         true",
        "mount --bind /m/o /m/n && /m/n/busybox true && mount -t proc proc /m/p && cat \
         /m/p/self/status",
        "mount --rbind /m /m/r && cat /m/r/t/g && umount -l /m/r",
        "unshare -m sh -ec 'mount -t tmpfs none /m/t; echo y > /m/t/h; cat /m/t/h; mount --bind \
         /m/d /m/t; cat /m/t/f'",
        "mkdir -p /m/root/bin /m/root/old && mount --bind /m/root /m/root && cp /bin/busybox \
         /m/root/bin/sh && chroot /m/root /bin/sh -c 'echo in'",
    ]);
    passes(&launch::run(By::Plain(runtime), &administers(&script))?).context("without lockc")?;
    if lab.plain {
        return Ok("works without lockc".into());
    }
    lab.forget_events()?;
    passes(&launch::run(By::Lockc("mounting"), &administers(&script))?)
        .with_context(|| format!("{:?}", lab.events()))?;
    Ok("alike".into())
}

/// sshfs, rclone and fuse-overlayfs do this.
fn fuse(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    if !command::run(&["modprobe", "fuse"])?.ok() {
        return Err(super::Skip("this kernel has no FUSE".into()).into());
    }
    let script = each(&[
        "mkdir -p /f /g && { /probe hang statfs /f > /dev/null 2>&1 & } && for _ in 1 2 3 4 5 6 7 \
         8 9; do grep -q ' /f ' /proc/mounts && break; sleep 1; done",
        "grep -q ' /f ' /proc/mounts && stat /f && ls -ld /f && mount --bind /f /g && stat /g",
        "umount /g && umount /f",
    ]);
    let bundle = administers(&script).device("/dev/fuse", 10, 229);
    passes(&launch::run(By::Plain(runtime), &bundle)?).context("without lockc")?;
    if lab.plain {
        return Ok("works without lockc".into());
    }
    lab.forget_events()?;
    passes(&launch::run(By::Lockc("mounting-fuse"), &bundle)?)
        .with_context(|| format!("{:?}", lab.events()))?;
    Ok("alike".into())
}

/// File systems of which there is one for all are the host's, whoever mounts them.
fn of_the_kernel(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    command::sh("modprobe -aq binfmt_misc configfs; true")?;
    let kinds = [
        "debugfs",
        "tracefs",
        "securityfs",
        "configfs",
        "devtmpfs",
        "pstore",
        "binfmt_misc",
        "bpf",
    ];
    let script: String = kinds
        .iter()
        .map(|kind| {
            format!(
                "mkdir -p /m/{kind}; mount -t {kind} x /m/{kind} && {{ \
                 ls /m/{kind} && echo LISTED {kind}; \
                 touch /m/{kind}/made && echo MADE {kind}; \
                 ls /m/{kind}/* > /dev/null && echo READ {kind}; }}\n"
            )
        })
        .collect::<String>()
        // Where the kernel has no binfmt_misc, the name would be a file of the container's own.
        + "grep -q ' /m/binfmt_misc ' /proc/mounts && \
           echo ':evil:M::LOCKCEVIL::/bin/busybox:F' > /m/binfmt_misc/register && \
           echo REGISTERED\ntrue\n";
    let run = launch::run(By::Plain(runtime), &administers(&script))?;
    if !run.stdout.contains("LISTED debugfs") || !run.stdout.contains("MADE devtmpfs") {
        bail!("proves nothing: {}", run.said());
    }
    command::sh(
        "rm -f /dev/made; [ ! -e /proc/sys/fs/binfmt_misc/evil ] || echo -1 > \
         /proc/sys/fs/binfmt_misc/evil",
    )?;
    if lab.plain {
        return Ok("possible without lockc".into());
    }
    lab.forget_events()?;
    let run = launch::run(By::Lockc("mounting"), &administers(&script))?;
    if ["LISTED", "MADE", "READ", "REGISTERED"].iter().any(|word| run.stdout.contains(word)) {
        bail!("NOT DENIED: {}", run.said());
    }
    lab.expect_event("files")
}

/// What a hook of root's mounted into the container's namespace is the host's, whatever the
/// container does with it.
fn of_the_host(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let root = bundle::common_rootfs()?;
    command::sh(&format!("mkdir -p {root}/host"))?;
    let hook = install_hook(
        "lockc-it-secrets",
        &format!(
            "#!/bin/bash\npid=$(jq .pid)\nnsenter -t $pid -m mount --bind {SECRETS} {root}/host\n"
        ),
    )?;
    let hooks = serde_json::json!({"createRuntime": [{"path": hook}]});
    let attempts = [
        "cat /host/key",
        "mkdir -p /again; mount --bind /host /again; cat /again/key",
        "mkdir -p /again; mount --bind /host/key /again.key; cat /again.key",
        "mkdir -p /again; mount --rbind / /again; cat /again/host/key",
        "mkdir -p /again; mount --move /host /again; cat /again/key",
        "mkdir -p /again; unshare -m sh -c 'mount --bind /host /again; cat /again/key'",
        "mkdir -p /o /u /t; mount -t tmpfs none /t; mkdir /t/u /t/w; mount -t overlay o -o \
         lowerdir=/host,upperdir=/t/u,workdir=/t/w /o; cat /o/key",
        "mkdir -p /o /t; mount -t tmpfs none /t; mkdir /t/l; mount -t overlay o -o \
         lowerdir=/t/l:/host /o; cat /o/key",
        "mkdir -p /o /t; mount -t overlay o -o \
         lowerdir=/t,upperdir=/host/folder-1,workdir=/host/folder-2 /o; mkdir /o/made",
        "chroot /host /key",
    ];
    let mut read = Vec::new();
    lab.forget_events_unless_plain()?;
    for attempt in attempts {
        let by = super::by_of(lab, runtime, "mounting");
        let bundle = Bundle::new(&["sh", "-c", &format!("touch /again.key; {attempt}")]).admin();
        let run = run_in(by, &with_hooks(&bundle, by, &hooks)?)?;
        let made = std::fs::remove_dir(format!("{SECRETS}/folder-1/made")).is_ok();
        if made || run.said().contains("secret") {
            read.push(attempt);
        }
    }
    match (lab.plain, read.len()) {
        (true, 0) => bail!("proves nothing"),
        (true, _) => Ok(format!("possible without lockc: {read:?}")),
        (false, 0) => lab.expect_event("files"),
        (false, _) => bail!("READ by {read:?}"),
    }
}
