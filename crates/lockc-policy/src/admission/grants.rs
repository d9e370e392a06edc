//! What admission lets a container have of the host: objects, opened once.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use lockc_core::abi::GrantedDevice;

use super::findings::Violation;
use crate::{
    container_file::Granted,
    host::{Opened, mount_table::Part},
};

/// An object of the host's, and what is mounted below it, which a recursive bind mount brings
/// along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// The object.
    pub top: Opened,
    /// The roots of what is mounted below.
    pub below: Vec<Opened>,
    /// Whether the host may mount more into it while the container runs (`rslave`, `rshared` and
    /// their like).
    pub propagates: bool,
}

/// A directory that an overlay is made of, or an overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The directory.
    pub opened: Opened,
    /// What it is.
    pub part: Part,
    /// Whether its path may lead elsewhere when somebody mounts the overlay, or did so when it was
    /// mounted: then the kernel side has to tell.
    pub may_move: bool,
}

/// What a container is granted of the host's file systems, as admission opened it.
#[derive(Clone, Debug, Default)]
pub struct GrantedFiles {
    /// Its root file system.
    pub rootfs: Tree,
    /// Sources of its bind mounts.
    pub mounts: Vec<Tree>,
    /// Unix sockets of the host that it may connect to.
    pub sockets: Vec<Opened>,
    /// What `allowed_sockets` names in directories that it is granted.
    pub named_sockets: Vec<PathBuf>,
    /// What its overlays are made of; an overlay itself comes after its layers.
    pub layers: Vec<Layer>,
}

/// What the container is granted: objects of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Its root file system.
    pub rootfs: Tree,
    /// Sources of its bind mounts.
    pub mounts: Vec<Tree>,
    /// Unix sockets of the host that it may connect to.
    pub sockets: Vec<Opened>,
    /// What `allowed_sockets` names in directories that it is granted.
    pub named_sockets: Vec<PathBuf>,
    /// What its overlays are made of, the directories before the overlay.
    pub layers: Vec<Layer>,
    /// Devices of its specification.
    pub devices: Vec<GrantedDevice>,
    /// What it may read in procfs and sysfs beyond what every container may.
    pub reads: Vec<PathBuf>,
    /// Why something that its policy lets it read stays unreadable all the same.
    pub unread: Vec<String>,
    /// Violations that audit mode allows.
    pub reported: Vec<Violation>,
    /// Whether the specification gives every device there is.
    pub all_devices: bool,
    /// The host's number of its uid 0.
    pub root_uid: u32,
    /// Whether it manages what is below its own cgroup.
    pub cgroups: bool,
}

impl Grants {
    /// The same in words.
    pub fn in_words(&self) -> Granted {
        let paths = |all: &[Opened]| all.iter().map(|it| it.path.clone()).collect::<Vec<_>>();
        let device = |device: &GrantedDevice| {
            let kind = if device.block { 'b' } else { 'c' };
            let minor = device.minor.map_or("*".to_owned(), |minor| minor.to_string());
            format!("{kind} {}:{minor}", device.major)
        };
        let trees = self.mounts.iter().map(|tree| tree.top.path.clone());
        // Engines list some of them twice.
        let devices: BTreeSet<String> = self.devices.iter().map(device).collect();
        Granted {
            rootfs: self.rootfs.top.path.clone(),
            mounts: trees.collect(),
            sockets: [paths(&self.sockets), self.named_sockets.clone()].concat(),
            devices: devices.into_iter().collect(),
            reads: self.reads.clone(),
        }
    }

    /// The directories and files of the host that the container sees. Nothing is known of the root
    /// file system where it was not found; that is a violation of its own.
    pub(super) fn directories(&self) -> impl Iterator<Item = &Path> {
        let trees = self.mounts.iter().chain([&self.rootfs]).map(|tree| tree.top.path.as_path());
        trees.filter(|path| !path.as_os_str().is_empty())
    }
}
