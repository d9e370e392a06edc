//! The host of tests: made up, the same for all crates (feature `fake-host`).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Component, Path, PathBuf},
};

use super::{Host, HostView, Kind, MountedAt, Namespace, trusted::TrustError};
use crate::engine::Engine;

/// A host with a disk, the usual kernel file systems, and what a test adds.
pub struct FakeHost {
    /// Links, with what they lead to.
    pub links: BTreeMap<PathBuf, PathBuf>,
    /// What paths are; others are sockets by their names' ends, or directories.
    pub kinds: BTreeMap<PathBuf, Kind>,
    /// What is mounted.
    pub mounts: Vec<MountedAt>,
    /// Namespaces of the host, or directories of them.
    pub host_namespaces: Vec<PathBuf>,
    /// Whether containerd uses AppArmor.
    pub apparmor: bool,
    /// Whether cgroups have version 2.
    pub cgroup_v2: bool,
    /// Files that can be read.
    pub texts: BTreeMap<PathBuf, Vec<u8>>,
    /// Whether engines label containers.
    pub selinux: bool,
    /// Control groups with tasks.
    pub used_cgroups: Vec<PathBuf>,
    /// What is not there.
    pub absent: Vec<PathBuf>,
    /// The control group of this process.
    pub own_cgroup: PathBuf,
    /// Whether trusted files are those of the computer that runs the test.
    pub reads_trusted_files: bool,
}

impl Default for FakeHost {
    fn default() -> Self {
        let mut fake = Self {
            links: BTreeMap::new(),
            kinds: BTreeMap::new(),
            mounts: Vec::new(),
            host_namespaces: vec![
                "/proc/1/ns/net".into(),
                "/proc/1/ns/cgroup".into(),
                "/run/docker/netns/default".into(),
            ],
            apparmor: false,
            cgroup_v2: true,
            texts: BTreeMap::new(),
            selinux: false,
            used_cgroups: Vec::new(),
            absent: Vec::new(),
            own_cgroup: "/".into(),
            reads_trusted_files: false,
        };
        for (device, point) in [
            ("8:1", "/"),
            ("0:20", "/proc"),
            ("0:21", "/sys"),
            ("0:5", "/dev"),
            ("0:22", "/run"),
            ("0:23", "/dev/shm"),
        ] {
            fake.mount(device, "/", point);
        }
        fake.link("/var/run", "/run");
        fake
    }
}

impl FakeHost {
    /// Mounts a file system of that device there.
    pub fn mount(&mut self, device: &str, root: &str, point: &str) {
        self.mounts.push(MountedAt {
            device: device.into(),
            root: root.into(),
            point: point.into(),
            kind: "ext4".into(),
            source: "/dev/sda1".into(),
            ..MountedAt::default()
        });
    }

    /// A file system that is mounted nowhere else.
    pub fn mount_new(&mut self, kind: &str, source: &str, options: &str, point: &str) {
        self.mounts.push(MountedAt {
            device: format!("0:{}", 100 + self.mounts.len()),
            root: "/".into(),
            point: point.into(),
            kind: kind.into(),
            source: source.into(),
            options: options.into(),
            ..MountedAt::default()
        });
    }

    /// Makes a link.
    pub fn link(&mut self, from: &str, to: &str) {
        self.links.insert(from.into(), to.into());
    }
}

impl HostView for FakeHost {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.texts.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn trusted_text(&self, path: &Path, limit: u64) -> Result<Option<String>, TrustError> {
        if self.reads_trusted_files { Host::default().trusted_text(path, limit) } else { Ok(None) }
    }

    fn trusted_entries(&self, directory: &Path) -> Result<Vec<PathBuf>, TrustError> {
        if self.reads_trusted_files {
            Host::default().trusted_entries(directory)
        } else {
            Ok(Vec::new())
        }
    }

    fn links(&self, directory: &Path) -> Vec<PathBuf> {
        self.links.keys().filter(|link| link.parent() == Some(directory)).cloned().collect()
    }

    fn entries(&self, directory: &Path) -> Vec<PathBuf> {
        let below = self
            .texts
            .keys()
            .filter_map(|path| path.strip_prefix(directory).ok()?.components().next());
        let names: BTreeSet<_> = below.collect();
        names.into_iter().map(|name| directory.join(name)).collect()
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        if path.starts_with("/missing") || self.absent.iter().any(|absent| path.starts_with(absent))
        {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut resolved = PathBuf::new();
        for part in path.components() {
            match part {
                Component::ParentDir => {
                    resolved.pop();
                }
                part => resolved.push(part),
            }
            if let Some(target) = self.links.get(&resolved) {
                resolved.clone_from(target);
            }
        }
        Ok(resolved)
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        let by_name = || {
            let socket = path.extension().is_some_and(|end| end == "sock");
            if socket { Kind::Socket } else { Kind::Directory }
        };
        Ok(self.kinds.get(path).copied().unwrap_or_else(by_name))
    }

    fn is_host_namespace(&self, path: &Path, _: Namespace) -> io::Result<bool> {
        if path.starts_with("/missing") {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(self.host_namespaces.iter().any(|host| path.starts_with(host)))
    }

    fn root_uid(&self, user_namespace: &Path) -> io::Result<Option<u32>> {
        Ok((user_namespace == Path::new("/proc/77/ns/user")).then_some(100_000))
    }

    fn others_may_change(&self, path: &Path) -> io::Result<bool> {
        Ok(path.starts_with("/home"))
    }

    fn own_files(&self) -> Vec<PathBuf> {
        vec!["/etc/lockc".into(), "/usr/local/bin/lockc-runc-wrapper".into()]
    }

    fn mounts(&self) -> io::Result<Vec<MountedAt>> {
        Ok(self.mounts.clone())
    }

    fn has_cgroup_v2(&self) -> bool {
        self.cgroup_v2
    }

    fn containerd_uses_apparmor(&self) -> bool {
        self.apparmor
    }

    fn labels_containers(&self, engine: Engine) -> bool {
        self.selinux && engine != Engine::Containerd
    }

    fn cgroup_is_used(&self, path: &Path) -> bool {
        self.used_cgroups.iter().any(|used| used == path)
    }

    fn own_cgroup(&self) -> PathBuf {
        self.own_cgroup.clone()
    }
}
