//! What is executed, and what is open, before the container's first instruction.

mod identity;
mod unresponsive;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use libc::EACCES;
use serde_json::Value;

use super::{Row, Test, both, denied, row};
use crate::bundle::{Bundle, PLACE, common_rootfs};
use crate::command::{self, Run};
use crate::lab::Lab;
use crate::launch::{By, Runtime, fresh_id};
pub use identity::entries;

fn leaked(mut bundle: Bundle, path: &str) -> Bundle {
    bundle.leak = Some(path.into());
    bundle
}

/// A descriptor of this path, left open by the engine.
const fn leak(
    args: &'static [&'static str],
    give: fn(Bundle) -> Bundle,
    rule: &'static str,
) -> Test {
    denied(args, give, "baseline", EACCES, rule)
}

pub const ROWS: &[Row] = &[
    both(
        "launch/left-open-cgroup",
        leak(&["fd-list", "3"], |b| leaked(b, "/sys/fs/cgroup"), "sysfs"),
    ),
    row("launch/left-open-sysfs", leak(&["fd-list", "3"], |b| leaked(b, "/sys/firmware"), "sysfs")),
    row(
        "launch/left-open-sysfs-file",
        leak(&["fd-read", "3"], |b| leaked(b, "/sys/kernel/mm/ksm/run"), "sysfs"),
    ),
    row("launch/left-open-procfs", leak(&["fd-list", "3"], |b| leaked(b, "/proc/1"), "procfs")),
    row("launch/left-open-disk", leak(&["fd-read", "3"], |b| leaked(b, "/dev/vda"), "device")),
    row(
        "launch/left-open-namespace",
        leak(&["socketpair"], |b| leaked(b, "/proc/1/ns/net"), "files"),
    ),
    both("launch/hook-with-the-images-library", Test::Code(preload)).core(),
    both("launch/hook-with-the-images-program", Test::Code(program)).on_btrfs_thorough(),
    both("launch/hook-mounts", Test::Code(hook_mounts)),
    both("launch/hook-in-the-containers-root", Test::Code(hook_in_root)),
    row("launch/root-of-the-host", Test::Code(identity::root_of_host)).on_btrfs(),
    row("launch/nothing-grows", Test::Code(identity::nothing_grows)),
    row("launch/unmounted-superblock", Test::Code(identity::unmounted)).on_btrfs_thorough(),
    row("launch/btrfs-subvolumes", Test::Code(identity::btrfs)),
    row("launch/file-system-that-hangs", Test::Code(unresponsive::hangs)),
];

/// A bundle on disk, with these hooks in its specification.
pub(super) fn with_hooks(bundle: &Bundle, by: By, hooks: &Value) -> Result<PathBuf> {
    let directory = bundle.write(by)?;
    let path = directory.join("config.json");
    let mut spec: Value =
        serde_json::from_str(&fs::read_to_string(&path).context("cannot read the bundle")?)?;
    spec["hooks"] = hooks.clone();
    fs::write(&path, spec.to_string()).context("cannot write the bundle")?;
    Ok(directory)
}

pub(super) fn run_in(by: By, directory: &std::path::Path) -> Result<Run> {
    let mut words = by.words();
    words.extend(["run".into(), "--bundle".into(), directory.display().to_string(), fresh_id()]);
    command::run(&words)
}

/// A program of the host's, as root would install it.
pub(super) fn install_hook(name: &str, script: &str) -> Result<String> {
    let path = format!("/usr/local/sbin/{name}");
    fs::write(&path, script).context("cannot write a hook")?;
    command::sh(&format!("chmod 755 {path}"))?;
    Ok(path)
}

/// Without lockc it happens; with it, it does not. `happened` is what the hook leaves behind.
fn only_without_lockc(
    lab: &mut Lab,
    runtime: Runtime,
    hooks: &Value,
    happened: &str,
    rule: Option<&str>,
) -> Result<String> {
    let bundle = Bundle::new(&["true"]);
    let attempt = |by: By| {
        let _ = fs::remove_file(happened);
        let run = run_in(by, &with_hooks(&bundle, by, hooks)?)?;
        Ok::<_, anyhow::Error>((fs::exists(happened).unwrap_or(false), run))
    };
    let (before, run) = attempt(By::Plain(runtime))?;
    if !before {
        bail!("proves nothing: without lockc it fails too: {}", run.said());
    }
    if lab.plain {
        return Ok("possible without lockc".into());
    }
    lab.forget_events()?;
    let (under, run) = attempt(By::Lockc("test"))?;
    if under {
        bail!("NOT DENIED: {}", run.said());
    }
    match rule {
        Some(rule) => lab.expect_event(rule),
        None => Ok(run.said()),
    }
}

/// CVE-2025-23266: a hook of the host's inherits LD_PRELOAD, which names a library of the image.
fn preload(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let root = common_rootfs()?;
    let library = format!("/usr/lib/{}-linux-gnu/libm.so.6", std::env::consts::ARCH);
    command::sh(&format!("cp -L {library} {root}/evil.so"))?;
    let happened = "/tmp/lockc-it-preloaded";
    let hook = install_hook(
        "lockc-it-preload",
        &format!(
            "#!/bin/sh\ngrep -q 'r-xp.*evil.so' /proc/self/maps && touch {happened}\nexit 0\n"
        ),
    )?;
    let hooks = serde_json::json!({"createContainer": [{"path": hook,
        "env": [format!("LD_PRELOAD={root}/evil.so"), "PATH=/usr/bin:/bin"]}]});
    only_without_lockc(lab, runtime, &hooks, happened, Some("files"))
}

/// A hook of the host's executes a program of the image, with the host's root directory or with the
/// container's.
fn program(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let happened = "/tmp/lockc-it-executed";
    let root = format!("{PLACE}/rootfs");
    let hook = install_hook(
        "lockc-it-execute",
        &format!("#!/bin/sh\n{root}/bin/busybox touch {happened}\nexit 0\n"),
    )?;
    let hooks = serde_json::json!({"createRuntime": [{"path": hook}]});
    only_without_lockc(lab, runtime, &hooks, happened, Some("files"))?;
    let inside = format!("{root}/lockc-it-chroot");
    let hook = install_hook(
        "lockc-it-chroot",
        &format!("#!/bin/sh\nchroot {root} /bin/touch /lockc-it-chroot\nexit 0\n"),
    )?;
    let hooks = serde_json::json!({"createRuntime": [{"path": hook}]});
    only_without_lockc(lab, runtime, &hooks, &inside, Some("files"))
}

/// What a hook of root's mounts into the container is the container's where its policy says
/// `hook_mounts`, and nowhere else.
fn hook_mounts(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let root = format!("{PLACE}/rootfs");
    command::sh(&format!(
        "mkdir -p /usr/lib/lockc-it && echo library > /usr/lib/lockc-it/lib && touch \
         {root}/lib-of-host"
    ))?;
    let hook = install_hook(
        "lockc-it-mount",
        &format!(
            "#!/bin/bash\npid=$(jq .pid)\nnsenter -t $pid -m mount --bind /usr/lib/lockc-it/lib \
             {root}/lib-of-host\n"
        ),
    )?;
    let hooks = serde_json::json!({"createRuntime": [{"path": hook}]});
    let bundle = Bundle::new(&["cat", "/lib-of-host"]);
    let run = |by: By| run_in(by, &with_hooks(&bundle, by, &hooks)?);
    if run(By::Plain(runtime))?.must()? != "library" {
        bail!("proves nothing: the hook does not mount");
    }
    if lab.plain {
        return Ok("works without lockc".into());
    }
    lab.forget_events()?;
    if run(By::Lockc("test"))?.ok() {
        bail!("NOT DENIED");
    }
    if !lab.expect_event("files")?.contains("hook_mounts") {
        bail!("the denial does not name the setting");
    }
    if run(By::Lockc("hooks"))?.must()? != "library" {
        bail!("BROKEN under hook_mounts");
    }
    Ok("by setting only".into())
}

/// A hook executes a program of the host's within the container's root directory, as `nvidia-ctk`
/// does ldconfig's: from a memfd, so that no file of the host's is left open. It is confined from
/// there on, and does its work.
fn hook_in_root(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let root = format!("{PLACE}/rootfs");
    let done = format!("{root}/lockc-it-memfd");
    let script = "use strict; local $/; <STDIN>; my ($root) = @ARGV; open(my $f, '<', \
                  '/usr/bin/busybox') or die; binmode $f; my $d = <$f>;my $name = \"x\\0\"; my \
                  $fd = syscall(319, $name, 0); open(my $o, '>&=', $fd) or die; binmode $o; $| = \
                  1; print $o $d; $o->flush;chroot($root) or die; chdir('/'); exec { \
                  \"/proc/self/fd/$fd\" } 'busybox', 'touch', '/lockc-it-memfd' or die \"exec \
                  $!\";";
    fs::write("/usr/local/sbin/lockc-it-memfd.pl", format!("use IO::Handle; {script}"))
        .context("cannot write a hook")?;
    let hooks = serde_json::json!({"createContainer":
        [{"path": "/usr/bin/perl", "args": ["perl", "/usr/local/sbin/lockc-it-memfd.pl", root]}]});
    // runc 1.3 leaves its own program open to such a hook.
    let by = super::by_of(lab, runtime, if runtime == Runtime::Runc { "hooks" } else { "test" });
    let _ = fs::remove_file(&done);
    run_in(by, &with_hooks(&Bundle::new(&["true"]), by, &hooks)?)?.must()?;
    if fs::exists(&done).unwrap_or(false) {
        Ok("confined, and works".into())
    } else {
        bail!("the hook did nothing")
    }
}
