//! Root file systems of every storage driver, and volumes of unusual kinds: used without harm, and
//! left by nobody.

use std::fs;

use anyhow::{Context, Result, bail};
use libc::EACCES;
use serde_json::{Value, json};

use super::{Row, Test, both, row};
use crate::bundle::{Bundle, PLACE, common_rootfs};
use crate::command;
use crate::lab::{Lab, SECRETS};
use crate::launch::{self, By, Running, Runtime};

pub const ROWS: &[Row] = &[
    row("storage/vfs", Test::Code(|lab, runtime| rootfs(lab, runtime, "vfs", "cp -a $C/. m/"))),
    row(
        "storage/overlay2",
        Test::Code(|lab, runtime| {
            rootfs(
                lab,
                runtime,
                "overlay2",
                "mount -t overlay -o lowerdir=$C,upperdir=u,workdir=w o m",
            )
        }),
    )
    .core()
    .on_btrfs_thorough(),
    row(
        "storage/overlay-of-tmpfs",
        Test::Code(|lab, runtime| {
            rootfs(
                lab,
                runtime,
                "overlay-of-tmpfs",
                "mount -t tmpfs t t; mkdir t/u t/w; mount -t overlay -o \
                 lowerdir=$C,upperdir=t/u,workdir=t/w o m",
            )
        }),
    ),
    both(
        "storage/fuse-overlayfs",
        Test::Code(|lab, runtime| {
            rootfs(
                lab,
                runtime,
                "fuse-overlayfs",
                "fuse-overlayfs -o lowerdir=$C,upperdir=u,workdir=w m",
            )
        }),
    )
    .thorough_with_runc(),
    row(
        "storage/btrfs",
        Test::Code(|lab, runtime| {
            let make = "truncate -s 400M i; mkfs.btrfs -q i; mount -o loop i t; btrfs -q \
                        subvolume create t/base; cp -a $C/. t/base; btrfs -q subvolume snapshot \
                        t/base t/snapshot; rmdir m; ln -s t/snapshot m";
            rootfs(lab, runtime, "btrfs", make)
        }),
    ),
    row("storage/btrfs-subvolume-by-number", Test::Code(subvolume)),
    row(
        "storage/erofs",
        Test::Code(|lab, runtime| {
            let make = "mkfs.erofs --quiet i $C > /dev/null; mount -t erofs -o loop,ro i t; mount \
                        -t overlay -o lowerdir=t,upperdir=u,workdir=w o m";
            rootfs(lab, runtime, "erofs", make)
        }),
    ),
    row(
        "storage/idmapped",
        Test::Code(|lab, runtime| {
            rootfs(
                lab,
                runtime,
                "idmapped",
                "cp -a $C/. t/; mount --bind -o X-mount.idmap=b:0:0:65536 t m",
            )
        }),
    ),
    row("storage/idmapped-volume", Test::Code(idmapped_volume)).on_btrfs_thorough(),
    row("storage/propagation", Test::Code(propagation)).on_btrfs_thorough(),
    row("storage/no-propagation", Test::Code(no_propagation)),
];

/// What containers do with their files; what it prints must not depend on lockc.
const WORK: &str = "set -e; cd /tmp; mkdir d; echo x > d/f; mv d/f d/g; chmod 640 d/g; chown 7:8 \
                    d/g; ln d/g d/h; ln -s g d/l; cat d/l; stat -c '%a %u:%g %h' d/g; touch -d \
                    2001-01-01 d/g; cp /bin/busybox d/busybox; d/busybox true; head -c 4 \
                    /bin/busybox | tail -c 3; find d | sort; rm -r d; ls -d /bin; test ! -e /no; \
                    echo done";

/// A fresh folder with the folders `m`, `t`, `u` and `w` in it, where `make` makes a root file
/// system of the tree `$C` in `m`.
fn prepare(name: &str, make: &str) -> Result<String> {
    let (place, common) = (format!("{PLACE}/storage/{name}"), common_rootfs()?);
    command::sh(&format!(
        "for n in 1 2 3; do findmnt -Rno TARGET -R {place} | sort -r | xargs -r umount -l; done \
         2> /dev/null; for m in $(grep -o ' {place}[^ ]*' /proc/mounts | sort -r); do umount -l \
         $m; done; rm -rf {place}"
    ))?;
    command::sh(&format!(
        "mkdir -p {place}; cd {place}; mkdir m t u w; C={common}; modprobe -aq loop fuse; set -e; \
         {make}"
    ))
    .with_context(|| format!("the root file system of {name} cannot be made"))?;
    Ok(format!("{place}/m"))
}

fn rootfs(lab: &Lab, runtime: Runtime, name: &str, make: &str) -> Result<String> {
    let root = prepare(name, make)?;
    let on = |mut bundle: Bundle| {
        bundle.rootfs = Some(root.clone());
        bundle
    };
    let work = on(Bundle::new(&["sh", "-c", WORK]));
    let before = launch::run(By::Plain(runtime), &work)?
        .must()
        .context("proves nothing: it fails without lockc too")?;
    if lab.plain {
        return Ok(before);
    }
    lab.forget_events()?;
    let under = launch::run(By::Lockc("baseline"), &work)?;
    if under.stdout != before {
        bail!("BROKEN under baseline: {}; events {}", under.said(), Value::from(lab.events()?));
    }
    // And it confines there as anywhere.
    for (rule, mut bundle) in [
        ("sysfs", on(Bundle::probe(&["list", "/sys/fs/ext4"]))),
        ("files", on(Bundle::probe(&["read", "fd:3/key"]))),
    ] {
        bundle.leak = (rule == "files").then(|| SECRETS.to_owned());
        denied(lab, &bundle, rule)?;
    }
    Ok("alike, and confined".into())
}

fn denied(lab: &Lab, bundle: &Bundle, rule: &str) -> Result<()> {
    lab.forget_events()?;
    let attempt = launch::attempt(By::Lockc("baseline"), bundle)?;
    if attempt.ok || attempt.errno != EACCES {
        bail!("NOT DENIED by {rule}: {attempt:?}");
    }
    lab.expect_event(rule).map(|_| ())
}

fn idmapped_volume(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let make = "echo theirs > t/f; mount --bind -o X-mount.idmap=b:0:100000:65536 t m";
    let volume = prepare("idmapped-volume", make)?;
    let work =
        "set -e; cat /v/f; stat -c %u /v/f; echo new > /v/g 2> /dev/null || echo not mine; ls /v";
    let bundle = Bundle::new(&["sh", "-c", work]).bind(&volume, "/v");
    let before = launch::run(By::Plain(runtime), &bundle)?.must()?;
    if !before.contains("100000") {
        bail!("proves nothing: it is not mapped: {before}");
    }
    if lab.plain {
        return Ok(before);
    }
    let under = launch::run(By::Lockc("baseline"), &bundle)?;
    if under.stdout == before { Ok(before) } else { bail!("BROKEN: {}", under.said()) }
}

/// Prepares a shared folder, starts a container with it as a volume with those options, then lets
/// the host mount into it.
fn mounted_later(by: By, option: &str) -> Result<(Running, String)> {
    let volume = prepare(
        "propagation",
        "mount --bind m m; mount --make-shared m; mkdir m/disk m/folder; echo kept > t/note",
    )?;
    let mount = json!({"destination": "/v", "type": "bind", "source": volume, "options": ["rbind",
        option]});
    let running = Running::start(
        by,
        &Bundle::new(&["sleep", "1000"])
            .mount(mount)
            .set("/linux/rootfsPropagation", "rslave".into()),
    )?;
    command::sh(&format!(
        "cd {volume} && mount -t tmpfs disk disk && echo later > disk/f && mkdir disk/inner && \
         mount -t tmpfs inner disk/inner && mount --bind ../t folder"
    ))?;
    Ok((running, volume))
}

const READ: &str = "cat /v/disk/f; echo x > /v/disk/g; touch -d 2001-01-01 /v/disk/g; ls /v/disk; \
                    echo y > /v/disk/inner/h; cat /v/folder/note; touch -d 2001-01-01 \
                    /v/folder/note; cat /v/disk/inner/h";

fn propagation(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let (plain, _) = mounted_later(By::Plain(runtime), "rslave")?;
    let before = plain
        .exec(&["sh", "-ec", READ])?
        .must()
        .context("proves nothing: not mounted in plain containers")?;
    drop(plain);
    if lab.plain {
        return Ok(before);
    }
    lab.forget_events()?;
    let (running, _) = mounted_later(By::Lockc("baseline"), "rslave")?;
    let under = running.exec(&["sh", "-ec", READ])?;
    if under.stdout != before {
        bail!("BROKEN: {}; events {}", under.said(), Value::from(lab.events()?));
    }
    // What lies beside the mounted folder on the same file system is not given with it.
    let beside = format!("/proc/1/root{SECRETS}/key");
    if running.exec(&["cat", &beside])?.ok() {
        bail!("NOT DENIED: {beside}");
    }
    Ok(before)
}

/// A volume without the option stays as it was.
fn no_propagation(lab: &mut Lab, _: Runtime) -> Result<String> {
    if lab.plain {
        return Ok("nothing to prove without lockc".into());
    }
    let (running, volume) = mounted_later(By::Lockc("baseline"), "rprivate")?;
    let run = running.exec(&["sh", "-c", "ls /v/disk; ls /v/folder"])?;
    if run.stdout.contains('f') || run.stdout.contains("note") {
        bail!("it propagates all the same: {}", run.said());
    }
    fs::metadata(format!("{volume}/disk/f"))
        .context("proves nothing: the host did not mount it")?;
    Ok("stays as it was".into())
}

/// With user_subvol_rm_allowed whoever owns a btrfs subvolume may delete it by its number, wherever
/// it is.
fn subvolume(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    if !command::run(&["modprobe", "-a", "btrfs", "loop"])?.ok() {
        return Err(super::Skip("this kernel has no btrfs".into()).into());
    }
    let place = format!("{PLACE}/subvolumes");
    let make = format!(
        "mkdir -p {place}/top; truncate -s 200M {place}/disk; mkfs.btrfs -q -f {place}/disk; \
         mount -o loop,user_subvol_rm_allowed {place}/disk {place}/top; mkdir {place}/top/volume; \
         for name in host volume/own; do btrfs -q subvolume create {place}/top/$name; done; btrfs \
         subvolume show {place}/top/host | awk '/Subvolume ID/ {{ print $3 }}'"
    );
    let number = command::sh(&make)?.trim().to_owned();
    let by = super::by_of(lab, runtime, "escape-baseline");
    let remove = |name: &str| {
        let bundle = Bundle::probe(&["remove-subvolume", "/mnt/x", name])
            .bind(&format!("{place}/top/volume"), "/mnt/x");
        launch::attempt(by, &bundle)
    };
    let result = match (lab.plain, remove("own")?.into_result(), remove(&number)?.into_result()) {
        (_, Err(error), _) => Err(error).context("BROKEN: its own, by name"),
        (true, _, result) => Ok(result?),
        (false, _, Ok(_)) => bail!("NOT DENIED: a subvolume of the host's"),
        (false, _, Err(error)) => lab.expect_event("files").map(|_| error.to_string()),
    };
    command::sh(&format!("umount {place}/top && rm -r {place}"))?;
    result
}
