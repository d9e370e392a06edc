//! What identifies a container's objects: root directories, superblocks, subvolumes, map entries.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::super::{Skip, by_of};
use crate::bundle::{Bundle, PLACE};
use crate::command;
use crate::lab::Lab;
use crate::launch::{Running, Runtime, fresh_id};

/// The host's root directory as a root or a volume would grant every file of the host.
pub(super) fn root_of_host(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let by = by_of(lab, runtime, "escape-baseline");
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
pub(super) fn nothing_grows(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let running =
        Running::start(by_of(lab, runtime, "baseline"), &Bundle::new(&["sleep", "1000"]))?;
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
pub(super) fn unmounted(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let by = by_of(lab, runtime, "baseline");
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
pub(super) fn btrfs(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    if !command::run(&["modprobe", "-a", "btrfs", "loop"])?.ok() {
        return Err(Skip("this kernel has no btrfs".into()).into());
    }
    let place = "/srv/lockc-it/btrfs";
    let by = by_of(lab, runtime, "escape-baseline");
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
