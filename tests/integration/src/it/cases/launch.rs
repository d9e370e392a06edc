//! What is executed, and what is open, before the container's first instruction; what its identity
//! rests on.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use libc::EACCES;
use serde_json::Value;

use super::{Row, Test, both, denied, row};
use crate::bundle::{Bundle, PLACE, common_rootfs};
use crate::command::{self, Run};
use crate::lab::Lab;
use crate::launch::{By, Running, Runtime, fresh_id};

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
    both("launch/hook-with-the-images-library", Test::Code(preload)),
    both("launch/hook-with-the-images-program", Test::Code(program)).on_btrfs_thorough(),
    both("launch/hook-mounts", Test::Code(hook_mounts)),
    both("launch/hook-in-the-containers-root", Test::Code(hook_in_root)),
    row("launch/root-of-the-host", Test::Code(root_of_host)).on_btrfs(),
    row("launch/nothing-grows", Test::Code(nothing_grows)),
    row("launch/unmounted-superblock", Test::Code(unmounted)).on_btrfs_thorough(),
    row("launch/btrfs-subvolumes", Test::Code(btrfs)),
    row("launch/file-system-that-hangs", Test::Code(hangs)),
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
    command::sh(&format!("cp -L /usr/lib/x86_64-linux-gnu/libm.so.6 {root}/evil.so"))?;
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

/// The host's root directory as a root or a volume would grant every file of the host.
fn root_of_host(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let by = super::by_of(lab, runtime, "escape-baseline");
    let host = serde_json::json!(
        {"destination": "/host", "type": "bind", "source": "/", "options": ["rbind", "rro"]});
    let run = crate::launch::run(by, &Bundle::new(&["ls", "/host/etc/shadow"]).mount(host))?;
    match (lab.plain, run.ok(), run.stderr.contains("is the root directory of the host")) {
        (true, true, _) => Ok("possible without lockc".into()),
        (false, false, true) => Ok(run.stderr),
        _ => bail!("status {}: {}", run.status, run.said()),
    }
}

/// Entries of a pinned map.
pub fn entries(map: &str) -> Result<usize> {
    let text = command::sh(&format!("bpftool -j map dump pinned /sys/fs/bpf/lockc/maps/{map}"))?;
    let entries: Value = serde_json::from_str(&text).context("bpftool's output is not JSON")?;
    entries.as_array().map(Vec::len).context("not a list")
}

/// Neither an exec nor a container that is gone leaves anything behind.
fn nothing_grows(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let running =
        Running::start(super::by_of(lab, runtime, "baseline"), &Bundle::new(&["sleep", "1000"]))?;
    let count = || Ok::<_, anyhow::Error>((entries("grants")?, entries("tags")?));
    running.exec(&["true"])?.must()?;
    let before = count()?;
    for _ in 0..20 {
        running.exec(&["true"])?.must()?;
    }
    let after = count()?;
    // Pipes of this test's own are standard streams, and gone with the command; one may still be on
    // its way.
    if after.0 != before.0 || after.1 > before.1 + 3 {
        bail!("grants and tags grew from {before:?} to {after:?} by 20 execs");
    }
    Ok(format!("{before:?}, {after:?} after 20 execs"))
}

/// A file system of the host's that takes the place, and the device number, of one that a container
/// had is the host's.
fn unmounted(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let by = super::by_of(lab, runtime, "baseline");
    let running = Running::start(by, &Bundle::new(&["sleep", "1000"]))?;
    for _ in 0..3 {
        running.exec(&["true"])?.must()?;
    }
    let place = "/srv/lockc-it/superblocks";
    command::sh(&format!(
        "for n in 1 2 3 4 5 6; do mkdir -p {place}/$n; mount -t tmpfs host {place}/$n; echo \
         secret > {place}/$n/key; done"
    ))?;
    let mut read = Vec::new();
    for n in 1..=6 {
        let mut words = vec![
            "bash".to_owned(),
            "-c".into(),
            format!("exec 3< {place}/{n}; exec \"$@\""),
            "bash".into(),
        ];
        words.extend(by.words());
        words.extend(
            ["exec", "--preserve-fds", "1", &running.id, "cat", "/proc/self/fd/3/key"]
                .map(str::to_owned),
        );
        read.push(command::run(&words)?.stdout);
    }
    command::sh(&format!("umount {place}/*"))?;
    if read.iter().any(|text| text.contains("secret")) {
        bail!("READ: {read:?}")
    } else {
        Ok("none was read".into())
    }
}

/// A host whose root directory is a btrfs subvolume, as openSUSE's and Fedora's: subvolumes share
/// inode and device numbers.
fn btrfs(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    if !command::run(&["modprobe", "-a", "btrfs", "loop"])?.ok() {
        return Err(super::Skip("this kernel has no btrfs".into()).into());
    }
    let place = "/srv/lockc-it/btrfs";
    let by = super::by_of(lab, runtime, "escape-baseline");
    let confined =
        Bundle::new(&["sh", "-c", "cat /data/note; ls /sys/fs/ext4 && echo NOT-CONFINED; true"])
            .bind("/mnt", "/data");
    let reaches = Bundle::new(&["cat", "/proc/self/fd/3/secret"]).bind("/mnt", "/data");
    let mut said = Vec::new();
    for (bundle, descriptor, more) in
        [(&confined, "", ""), (&reaches, "exec 3< /; ", "--preserve-fds 1")]
    {
        let directory = bundle.write(by)?;
        let path = directory.join("config.json");
        let mut spec: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        spec["root"]["path"] = "/ctr".into();
        fs::write(&path, spec.to_string())?;
        let run = format!(
            "{} run --bundle {} {more} {}",
            by.words().join(" "),
            directory.display(),
            fresh_id()
        );
        // In a mount namespace of its own: what is mounted goes away with it.
        let script = format!(
            "set -e; mount --make-rprivate /; mkdir -p {place}/top {place}/host; rm -f \
             {place}/disk; truncate -s 400M {place}/disk; mkfs.btrfs -q {place}/disk; mount -o \
             loop {place}/disk {place}/top; disk=$(findmnt -no SOURCE {place}/top); for s in @ \
             @/ctr @home; do btrfs -q subvolume create {place}/top/$s; done; cp -a \
             {PLACE}/rootfs/. {place}/top/@/ctr/; mount -o subvol=@ $disk {place}/host; cd \
             {place}/host; for l in bin sbin lib lib64; do [ ! -L /$l ] || cp -a /$l $l; done; \
             mkdir -p usr etc proc sys dev run var tmp root srv opt mnt oldroot; for d in usr etc \
             proc sys dev run var tmp root srv opt; do mount --rbind /$d $d; done; mount -o \
             subvol=@home $disk mnt; echo secret > secret; echo note > mnt/note; busybox \
             pivot_root . oldroot; exec chroot . bash -c '{descriptor}exec {run}'"
        );
        said.push(command::run(&["unshare", "-m", "bash", "-c", &script])?);
    }
    if lab.plain {
        return Ok(format!("{}; {}", said[0].said(), said[1].said()));
    }
    if said[0].stdout != "note" {
        bail!("not confined, or its volume is not its own: {}", said[0].said());
    }
    if said[1].stdout.contains("secret") {
        bail!("READ by a volume that is another subvolume: {}", said[1].said());
    }
    Ok(said[1].said())
}

/// A volume whose file system does not answer costs only its own container.
fn hangs(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    if !command::run(&["modprobe", "fuse"])?.ok() {
        return Err(super::Skip("this kernel has no FUSE".into()).into());
    }
    let by = super::by_of(lab, runtime, "baseline");
    let other = Running::start(by, &Bundle::new(&["sleep", "1000"]))?;
    for operation in ["statfs", "getattr", "open"] {
        let place = format!("/srv/lockc-it/hangs-{operation}");
        command::sh(&format!("mkdir -p {place}"))?;
        let mut daemon = std::process::Command::new("/usr/local/bin/lockc-probe")
            .args(["hang", operation, &place])
            .spawn()
            .context("cannot start a FUSE daemon")?;
        let outcome = hang(by, &other, &place);
        // Whoever waits for it gets an error.
        let _ = daemon.kill();
        let _ = daemon.wait();
        command::sh(&format!("umount -l {place}"))?;
        outcome.with_context(|| operation.to_owned())?;
    }
    Ok("statfs, getattr, open: the others went on".into())
}

fn hang(by: By, other: &Running, place: &str) -> Result<()> {
    let start = Instant::now();
    // Asking the file system itself might take for ever.
    while !fs::read_to_string("/proc/self/mounts")
        .context("cannot read the mounts")?
        .contains(&format!(" {place} "))
    {
        std::thread::sleep(Duration::from_millis(100));
        if start.elapsed() > Duration::from_secs(20) {
            bail!("proves nothing: nothing is mounted");
        }
    }
    let directory = Bundle::new(&["true"]).bind(place, "/data").write(by)?;
    let mut words = by.words();
    words.extend(["run".into(), "--bundle".into(), directory.display().to_string(), fresh_id()]);
    let line =
        format!("exec timeout -s KILL 60 {} > {}/log 2>&1", words.join(" "), directory.display());
    let mut hung =
        std::process::Command::new("bash").args(["-c", &line]).spawn().context("cannot start")?;
    std::thread::sleep(Duration::from_secs(1));
    let start = Instant::now();
    crate::launch::run(by, &Bundle::new(&["true"]))?
        .must()
        .context("another container does not start")?;
    other.exec(&["true"])?.must().context("another container cannot be entered")?;
    let third = Running::start(by, &Bundle::new(&["sleep", "1000"]))?;
    third
        .call(&["delete", "--force"], &[])?
        .must()
        .context("another container cannot be deleted")?;
    let went_on = start.elapsed();
    if went_on > Duration::from_secs(40) {
        bail!("the others took {went_on:?}");
    }
    // It starts, as without lockc, or is refused with the path; both in time.
    let ended = loop {
        match hung.try_wait().context("cannot wait")? {
            Some(status) => break Some(status),
            None if start.elapsed() > Duration::from_secs(30) => break None,
            None => std::thread::sleep(Duration::from_millis(100)),
        }
    };
    let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
    let Some(status) = ended else {
        let _ = hung.kill();
        // The runtime itself asks the file system, as it would without lockc.
        return if command::run(&["pgrep", "-x", "lockc-runc-wrap"])?.ok() {
            bail!("the wrapper waits: {log}")
        } else {
            Ok(())
        };
    };
    if status.success() || log.contains("does not answer") || !log.contains("lockc:") {
        Ok(())
    } else {
        bail!("{log}")
    }
}
