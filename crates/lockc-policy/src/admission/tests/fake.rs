//! A host that is made up.

use super::*;

/// A host with a disk, the usual kernel file systems, and what a test adds.
pub(super) struct Fake {
    pub(super) links: BTreeMap<PathBuf, PathBuf>,
    pub(super) kinds: BTreeMap<PathBuf, Kind>,
    pub(super) mounts: Vec<MountedAt>,
    pub(super) host_namespaces: Vec<PathBuf>,
    pub(super) apparmor: bool,
    pub(super) cgroup_v2: bool,
    /// Files that can be read.
    pub(super) texts: BTreeMap<PathBuf, Vec<u8>>,
    /// Whether engines label containers.
    pub(super) selinux: bool,
    pub(super) used_cgroups: Vec<PathBuf>,
    pub(super) absent: Vec<PathBuf>,
    pub(super) own_cgroup: PathBuf,
}

impl Default for Fake {
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

impl Fake {
    pub(super) fn mount(&mut self, device: &str, root: &str, point: &str) {
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
    pub(super) fn mount_new(&mut self, kind: &str, source: &str, options: &str, point: &str) {
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

    pub(super) fn link(&mut self, from: &str, to: &str) {
        self.links.insert(from.into(), to.into());
    }
}

impl HostView for Fake {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.texts.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn trusted_text(&self, _path: &Path, _limit: u64) -> Result<Option<String>, TrustError> {
        Ok(None)
    }

    fn trusted_entries(&self, _directory: &Path) -> Result<Vec<PathBuf>, TrustError> {
        Ok(Vec::new())
    }

    fn entries(&self, directory: &Path) -> Vec<PathBuf> {
        let below = self
            .texts
            .keys()
            .filter_map(|path| path.strip_prefix(directory).ok()?.components().next());
        let names: std::collections::BTreeSet<_> = below.collect();
        names.into_iter().map(|name| directory.join(name)).collect()
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        if path.starts_with("/missing") || self.absent.iter().any(|absent| absent == path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut resolved = PathBuf::new();
        for part in path.components() {
            match part {
                std::path::Component::ParentDir => {
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
        Ok(self.kinds.get(path).copied().unwrap_or(Kind::Directory))
    }

    fn is_host_namespace(&self, path: &Path, _: Namespace) -> io::Result<bool> {
        if path.starts_with("/missing") {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(self.host_namespaces.iter().any(|host| host == path))
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
