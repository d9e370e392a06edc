//! Which directories belong to engines, and which of their files an engine gives to a container by itself.
//!
//! "The engine's own" is tied to the container: another container's files are as much the host's as `/etc` is. Where an
//! engine lets containers share a namespace it also shares the files that belong to it (`/etc/hosts` with the network,
//! `/dev/shm` with the IPC namespace); then, and only at those destinations, they may be another container's. No
//! annotation is believed for this: a tenant can write most of them.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use super::{Request, facts::Facts};
use crate::user::{
    spec::{Mount, Spec},
    userns,
};

/// Programs that engines put into a container as its init.
const INITS: [&str; 11] = [
    "/usr/bin/docker-init",
    "/usr/local/bin/docker-init",
    "/usr/libexec/docker/docker-init",
    "/usr/sbin/docker-init",
    "/usr/bin/tini-static",
    "/usr/bin/tini",
    "/usr/local/bin/tini",
    "/usr/bin/catatonit",
    "/usr/libexec/catatonit/catatonit",
    "/usr/libexec/podman/catatonit",
    "/usr/lib/podman/catatonit",
];

/// Where they put them.
const INIT_PLACES: [&str; 5] = ["/sbin/docker-init", "/dev/init", "/run/podman-init", "/sbin/tini", "/catatonit"];

/// The empty directory below the root file system of Podman's infra containers.
const INFRA_LOWER: &str = "/run/libpod/infra-container";

/// Directories below an engine's data root in which root file systems of containers are.
const ROOTFS_PARENTS: [&str; 10] =
    ["overlay2", "overlay", "fuse-overlayfs", "vfs", "btrfs", "zfs", "devicemapper", "rootfs", "buildkit", "aufs"];

/// Where the engines of this host keep their state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engines {
    /// dockerd's data root (`data-root`).
    docker: Vec<PathBuf>,
    /// Podman's and CRI-O's graph and run roots.
    storage: Vec<PathBuf>,
    /// containerd's root and state.
    containerd: Vec<PathBuf>,
    /// kubelet's root.
    kubelet: Vec<PathBuf>,
    /// nerdctl's data root.
    nerdctl: Vec<PathBuf>,
    /// Everything else that is engine state.
    other: Vec<PathBuf>,
}

impl Default for Engines {
    fn default() -> Self {
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect();
        Self {
            docker: paths(&["/var/lib/docker"]),
            storage: paths(&["/var/lib/containers/storage", "/run/containers/storage"]),
            containerd: paths(&["/var/lib/containerd", "/run/containerd"]),
            kubelet: paths(&["/var/lib/kubelet"]),
            nerdctl: paths(&["/var/lib/nerdctl"]),
            other: paths(&["/var/lib/containers", "/var/lib/crio", "/var/lib/cni"]),
        }
    }
}

impl Engines {
    /// The usual places, those of the configuration (any engine's), dockerd's `data-root`, and the storage that a
    /// Podman bundle is in.
    pub fn detect(bundle: &Path, engine_dirs: &[PathBuf]) -> Self {
        let mut engines = Self::default();
        engines.docker.extend(data_root(Path::new("/etc/docker/daemon.json")));
        engines.with_dirs(engine_dirs).with_bundle(bundle)
    }

    /// With more data roots; each may be any engine's.
    #[must_use]
    pub fn with_dirs(mut self, dirs: &[PathBuf]) -> Self {
        for kind in [&mut self.docker, &mut self.storage, &mut self.containerd, &mut self.kubelet, &mut self.nerdctl] {
            kind.extend(dirs.iter().cloned());
        }
        self
    }

    /// With the graph root that holds `bundle`, if the bundle looks like Podman's, and the run root of its user.
    #[must_use]
    pub fn with_bundle(mut self, bundle: &Path) -> Self {
        let parts: Vec<_> = bundle.components().collect();
        if let [root @ .., containers, _, userdata] = parts.as_slice()
            && userdata.as_os_str() == "userdata"
            && containers.as_os_str().to_str().is_some_and(|name| name.ends_with("-containers"))
            && root.len() >= 3
        {
            let root: PathBuf = root.iter().collect();
            if let Ok(metadata) = fs::metadata(&root) {
                let uid = userns::on_the_host(std::os::unix::fs::MetadataExt::uid(&metadata));
                if uid != 0 {
                    self.storage.push(format!("/run/user/{uid}/containers").into());
                }
            }
            self.storage.push(root);
        }
        self
    }

    /// With another root of Podman's storage.
    #[must_use]
    pub fn with_storage(mut self, root: &Path) -> Self {
        self.storage.push(root.into());
        self
    }

    /// With the directories' resolved paths beside those that are links.
    #[must_use]
    pub fn resolved(mut self, facts: &dyn Facts) -> Self {
        let all = [
            &mut self.docker,
            &mut self.storage,
            &mut self.containerd,
            &mut self.kubelet,
            &mut self.nerdctl,
            &mut self.other,
        ];
        for dirs in all {
            let targets: Vec<_> = dirs.iter().filter_map(|dir| facts.canonicalize(dir).ok()).collect();
            for target in targets {
                if !dirs.contains(&target) {
                    dirs.push(target);
                }
            }
        }
        self
    }

    /// dockerd's data roots.
    pub fn docker_roots(&self) -> &[PathBuf] {
        &self.docker
    }

    /// Every directory that holds state of an engine.
    pub fn dirs(&self) -> Vec<PathBuf> {
        [&self.docker, &self.storage, &self.containerd, &self.kubelet, &self.nerdctl, &self.other]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// Whether `path` looks like the root file system of a container in an engine's directory.
    pub fn is_rootfs(&self, path: &Path, bundle: &Path) -> bool {
        let in_bundle = path != bundle
            && path.starts_with(bundle)
            && self.dirs().iter().any(|dir| bundle.starts_with(dir) && bundle != dir);
        in_bundle
            || [&self.docker, &self.storage, &self.containerd, &self.nerdctl].into_iter().flatten().any(|dir| {
                let rest = below(path, dir);
                match rest.as_deref() {
                    Some([first, _, ..]) => {
                        ROOTFS_PARENTS.contains(first) || first.starts_with("io.containerd.snapshotter.")
                    }
                    _ => false,
                }
            })
    }

    /// Whether `path` is what Podman 5.6 and later give a pod's infra container for a root file system: an overlayfs of an
    /// empty directory of its own (libpod/runtime_pod_common_linux.go), in the container's own directory. `podman run
    /// --rootfs DIR:O` puts an overlayfs of any directory there, and so what is below it counts.
    pub fn is_infra_rootfs(&self, path: &Path, bundle: &Path, facts: &dyn Facts) -> bool {
        let own = bundle.parent().map(|own| own.join("rootfs/merge"));
        bundle.ends_with("userdata")
            && own.as_deref() == Some(path)
            && self.storage.iter().any(|dir| bundle.starts_with(dir))
            && facts.lower_directories(path) == [Path::new(INFRA_LOWER)]
    }

    /// Whether a mount is the init that engines put into a container on request.
    pub fn is_init(source: &Path, mount: &Mount) -> bool {
        // Distributions link the engine's name for it to the program of another package.
        INITS.iter().map(Path::new).any(|init| source == init || mount.source == init)
            && INIT_PLACES.iter().any(|place| mount.destination == Path::new(place))
    }

    /// Whether the engine itself gave `source` to the container, to be mounted as `mount` says. `source` is canonical.
    pub fn owns(&self, source: &Path, mount: &Mount, request: &Request<'_>) -> bool {
        let Request { id, spec, .. } = *request;
        let builds = self.is_build(request.bundle);
        let destination = mount.destination.as_path();
        let of = |kind: &'static str| spec.linux.namespaces.iter().filter(move |namespace| namespace.kind == kind);
        // A pod with the host's network has none here: then its containers share their sandbox's files all the same.
        let network = of("network").all(|namespace| !namespace.path.as_os_str().is_empty());
        let ipc = of("ipc").any(|namespace| !namespace.path.as_os_str().is_empty());
        // Whose file it is does not matter where the namespace that it describes is shared.
        let shared = |file: &str| match file {
            "resolv.conf" | "hosts" | "hostname" => network && destination == Path::new("/etc").join(file),
            "shm" => ipc && destination == Path::new("/dev/shm"),
            _ => false,
        };
        let any = |dirs: &[PathBuf], check: &dyn Fn(&[&str]) -> bool| {
            dirs.iter().any(|dir| below(source, dir).is_some_and(|rest| check(&rest)))
        };
        any(&self.docker, &|rest| match rest {
            ["containers", owner, file @ ("resolv.conf" | "hosts" | "hostname")] => *owner == id || shared(file),
            ["containers", owner, "mounts", "shm"] => *owner == id || shared("shm"),
            ["containers", owner, "mounts", _, ..] => *owner == id,
            ["volumes", _, "_data", ..] => true,
            ["buildkit", "executor", file] => is_buildkits(file, destination),
            ["buildkit", "executor", owner, ..] => *owner == id,
            // Caches, and what a step mounts of another stage, are snapshots. Nobody but BuildKit chooses which.
            [driver, _, "diff" | "merged", ..] => builds && ROOTFS_PARENTS.contains(driver),
            ["tmp", name, ..] => builds && name.starts_with("buildkit-"),
            _ => false,
        }) || any(&self.storage, &|rest| match rest {
            [containers, owner, "userdata", file, ..] if containers.ends_with("-containers") => {
                *owner == id || rest.len() == 4 && shared(file)
            }
            ["volumes", _, "_data", ..] => true,
            _ => false,
        }) || any(&self.containerd, &|rest| match rest {
            [plugin, "sandboxes", owner, file] if is_cri(plugin) => *owner == id || shared(file),
            [plugin, "containers", owner, "volumes", _, ..] if is_cri(plugin) => *owner == id,
            [plugin, "snapshots", _, "fs", ..] => builds && plugin.starts_with("io.containerd.snapshotter."),
            _ => false,
        }) || any(&self.kubelet, &|rest| match rest {
            ["pods", uid, "volumes" | "volume-subpaths" | "containers", _, ..] | ["pods", uid, "etc-hosts"] => {
                self.is_pod(uid, spec)
            }
            _ => false,
        }) || any(&self.nerdctl, &|rest| match rest {
            [_, "containers", _, owner, _, ..] | [_, "etchosts", _, owner, _, ..] => *owner == id,
            [_, "volumes", _, _, "_data", ..] => true,
            _ => false,
        })
    }

    /// Whether the container is a step of a build: BuildKit in dockerd keeps the bundles of these in its own directory,
    /// and no other container's can be there.
    pub fn is_build(&self, bundle: &Path) -> bool {
        self.docker.iter().any(|dir| matches!(below(bundle, dir).as_deref(), Some(["buildkit", "executor", _])))
    }

    /// Whether `source` is the socket behind which BuildKit puts the SSH agent that the build's caller forwards to a step.
    pub fn is_build_agent(&self, source: &Path, bundle: &Path) -> bool {
        let place = |rest: &[&str]| matches!(rest, ["tmp", folder, "ssh_auth_sock"] if folder.starts_with(".buildkit-ssh-sock"));
        self.is_build(bundle) && self.docker.iter().any(|dir| below(source, dir).is_some_and(|rest| place(&rest)))
    }

    /// kubelet gives every container a termination log from its pod's directory, so that a container with files of two
    /// pods has those of a stranger.
    fn is_pod(&self, uid: &str, spec: &Spec) -> bool {
        spec.mounts.iter().filter(|mount| mount.is_bind()).all(|mount| {
            self.kubelet.iter().all(|dir| match below(&mount.source, dir).as_deref() {
                Some(["pods", other, ..]) => *other == uid,
                _ => true,
            })
        }) && spec.annotations.get("io.kubernetes.cri.sandbox-uid").is_none_or(|annotated| annotated == uid)
    }
}

fn is_cri(plugin: &str) -> bool {
    plugin == "io.containerd.grpc.v1.cri"
        || plugin.starts_with("io.containerd.cri.")
        || plugin == "io.containerd.podsandbox.controller.v1.podsandbox"
}

/// Whether BuildKit made `file` for the steps of a build: its resolver configuration is shared by all of them, the hosts
/// are too unless the step has hosts or a name of its own (`hosts.` and a random word; moby 26, buildkit/executor/oci).
fn is_buildkits(file: &str, destination: &Path) -> bool {
    match file {
        "resolv.conf" | "resolv-host.conf" => destination == Path::new("/etc/resolv.conf"),
        _ => (file == "hosts" || file.starts_with("hosts.")) && destination == Path::new("/etc/hosts"),
    }
}

/// The components of `path` below `dir`; nothing if it is elsewhere, or not in plain UTF-8 components.
fn below<'a>(path: &'a Path, dir: &Path) -> Option<Vec<&'a str>> {
    path.strip_prefix(dir)
        .ok()?
        .components()
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect()
}

/// `data-root` of dockerd's configuration; its older name was `graph`.
fn data_root(path: &Path) -> Option<PathBuf> {
    let text = fs::read(path).ok()?;
    let value: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let root = PathBuf::from(value.get("data-root").or_else(|| value.get("graph"))?.as_str()?);
    (root.is_absolute() && root.components().count() > 1).then_some(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockerds_data_root_is_read_from_its_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.json");
        assert_eq!(data_root(&path), None);
        for (text, root) in [
            (r#"{"data-root":"/data/docker"}"#, Some("/data/docker")),
            (r#"{"graph":"/old"}"#, Some("/old")),
            (r#"{"runtimes":{}}"#, None),
            (r#"{"data-root":"relative"}"#, None),
            (r#"{"data-root":"/"}"#, None),
            ("{", None),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(data_root(&path).as_deref(), root.map(Path::new), "{text}");
        }
    }

    #[test]
    fn podmans_storage_is_where_its_bundle_is() {
        let engines = |bundle: &str| Engines::default().with_bundle(Path::new(bundle)).dirs();
        let storage = PathBuf::from("/srv/storage");
        assert!(engines("/srv/storage/overlay-containers/c1/userdata").contains(&storage));
        for bundle in
            ["/srv/storage/overlay/c1/userdata", "/srv/storage/overlay-containers/c1", "/x-containers/c1/userdata"]
        {
            assert_eq!(engines(bundle), Engines::default().dirs(), "{bundle}");
        }
    }
}
