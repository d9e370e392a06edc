//! `devices`: nodes that give the host, and paths that name no node.

use std::{fs, os::unix::fs::FileTypeExt as _, path::Path};

use super::{
    values::Values,
    view::View,
    warning::{Kind, Warning},
};

/// Character devices, by their whole path or by its beginning.
const KNOWN: [(&str, &str); 10] = [
    ("/dev/mem", "the memory of the host"),
    ("/dev/kmem", "the memory of the kernel"),
    ("/dev/port", "the ports of the host's devices"),
    ("/dev/cpu/", "registers of the processor, by which the kernel can be changed"),
    ("/dev/input/", "what is typed on the host"),
    ("/dev/uinput", "what is typed on the host"),
    ("/dev/sg", "the host's disks"),
    ("/dev/bsg/", "the host's disks"),
    ("/dev/watchdog", "a reset of the host"),
    ("/dev/nvme", "the host's disks"),
];

/// Names of disks, where the path does not exist on this host.
const DISKS: [&str; 7] =
    ["/dev/sd", "/dev/vd", "/dev/xvd", "/dev/dm-", "/dev/mapper/", "/dev/disk/", "/dev/mmcblk"];

pub fn warnings(values: &Values<'_>, host: &View) -> Vec<Warning> {
    let mut found = Vec::new();
    for value in values.devices() {
        if let Some(what) = given(value.path(), host) {
            let reason = format!("gives a container {what}");
            found.extend(values.of(&value, Kind::Dangerous, &reason));
        }
        if value.has_wildcard() {
            let reason =
                "matches nothing: wildcards stand for themselves in devices; name each node";
            found.extend(values.of(&value, Kind::NoEffect, reason));
            continue;
        }
        let reason = match fs::metadata(host.at(value.path())) {
            Err(_) => "does not exist on this host",
            Ok(meta) if meta.is_dir() => {
                "is a directory, and the nodes below it are not covered; name each node"
            }
            Ok(meta) if is_node(meta.file_type()) => continue,
            Ok(_) => "is not a device node",
        };
        found.extend(values.of(&value, Kind::NoEffect, reason));
    }
    found
}

fn is_node(kind: fs::FileType) -> bool {
    kind.is_block_device() || kind.is_char_device()
}

fn given(path: &Path, host: &View) -> Option<&'static str> {
    const DISK: &str = "a disk of the host, with every file on it";
    let text = path.to_str()?;
    let fits = |known: &str| {
        let is_prefix =
            known.ends_with('/') || ["/dev/sg", "/dev/nvme", "/dev/watchdog"].contains(&known);
        text == known || is_prefix && text.starts_with(known)
    };
    let is_disk = || {
        let there = fs::metadata(host.at(path));
        there.is_ok_and(|meta| meta.file_type().is_block_device())
            || DISKS.iter().any(|disk| text.starts_with(disk))
    };
    let known = KNOWN.iter().find(|(known, _)| fits(known)).map(|(_, what)| *what);
    known.or_else(|| is_disk().then_some(DISK))
}
