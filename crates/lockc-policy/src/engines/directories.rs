//! The directories of the engines on this host.

use std::path::{Path, PathBuf};

use super::{
    belongs::Belongs, containerd, docker, kubelet, layout::Kept, nerdctl, query::Query,
    request::Request, storage,
};
use crate::{engine::Engine, host::HostView, spec::Mount};

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
const INIT_PLACES: [&str; 5] =
    ["/sbin/docker-init", "/dev/init", "/run/podman-init", "/sbin/tini", "/catatonit"];

/// Where the engines of this host keep their state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engines {
    /// dockerd's data root (`data-root`).
    docker: Kept<docker::Docker>,
    /// Podman's and CRI-O's graph and run roots.
    storage: Kept<storage::Storage>,
    /// containerd's root and state.
    containerd: Kept<containerd::Containerd>,
    /// kubelet's root.
    kubelet: Kept<kubelet::Kubelet>,
    /// nerdctl's data root.
    nerdctl: Kept<nerdctl::Nerdctl>,
    /// Everything else that is engine state.
    other: Vec<PathBuf>,
}

impl Default for Engines {
    fn default() -> Self {
        Self {
            docker: Kept::at(&docker::DIRS, docker::Docker),
            storage: Kept::at(&storage::DIRS, storage::Storage),
            containerd: Kept::at(&containerd::DIRS, containerd::Containerd),
            kubelet: Kept::at(&kubelet::DIRS, kubelet::Kubelet),
            nerdctl: Kept::at(&nerdctl::DIRS, nerdctl::Nerdctl),
            other: ["/var/lib/containers", "/var/lib/crio", "/var/lib/cni"]
                .map(PathBuf::from)
                .to_vec(),
        }
    }
}

impl Engines {
    /// The usual places, those of the configuration (any engine's), those that the running dockerd
    /// was told, and the storage and the state that the bundle is in.
    pub fn detect(bundle: &Path, engine_dirs: &[PathBuf], view: &dyn HostView) -> Self {
        let mut engines = Self::default();
        engines.docker.dirs.extend(docker::data_roots(view));
        engines.with_dirs(engine_dirs).with_bundle(bundle, view)
    }

    /// With more data roots; each may be any engine's.
    #[must_use]
    pub fn with_dirs(mut self, dirs: &[PathBuf]) -> Self {
        for kind in self.all_dirs().into_iter().take(5) {
            kind.extend(dirs.iter().cloned());
        }
        self
    }

    /// With the graph root that holds `bundle`, if the bundle looks like Podman's, and the run root
    /// of its user; with containerd's state, if it looks like containerd's.
    #[must_use]
    pub fn with_bundle(mut self, bundle: &Path, view: &dyn HostView) -> Self {
        let parts: Vec<_> = bundle.components().collect();
        match parts.as_slice() {
            [root @ .., containers, _, userdata]
                if userdata.as_os_str() == "userdata"
                    && containers
                        .as_os_str()
                        .to_str()
                        .is_some_and(|name| name.ends_with("-containers"))
                    && root.len() >= 3 =>
            {
                let root: PathBuf = root.iter().collect();
                if let Some(uid) = view.owner(&root).filter(|uid| *uid != 0) {
                    self.storage.dirs.push(format!("/run/user/{uid}/containers").into());
                }
                self.storage.dirs.push(root);
            }
            [state @ .., task, _, _]
                if task.as_os_str() == "io.containerd.runtime.v2.task" && state.len() >= 3 =>
            {
                self.containerd.dirs.push(state.iter().collect());
            }
            _ => {}
        }
        self
    }

    /// With another root of Podman's storage.
    #[must_use]
    pub fn with_storage(mut self, root: &Path) -> Self {
        self.storage.dirs.push(root.into());
        self
    }

    /// With the directories' resolved paths beside those that are links.
    #[must_use]
    pub fn resolved(mut self, view: &dyn HostView) -> Self {
        for dirs in self.all_dirs() {
            let targets: Vec<_> =
                dirs.iter().filter_map(|dir| view.canonicalize(dir).ok()).collect();
            for target in targets {
                if !dirs.contains(&target) {
                    dirs.push(target);
                }
            }
        }
        self
    }

    fn all_dirs(&mut self) -> [&mut Vec<PathBuf>; 6] {
        [
            &mut self.docker.dirs,
            &mut self.storage.dirs,
            &mut self.containerd.dirs,
            &mut self.kubelet.dirs,
            &mut self.nerdctl.dirs,
            &mut self.other,
        ]
    }

    /// dockerd's data roots.
    pub fn docker_roots(&self) -> &[PathBuf] {
        &self.docker.dirs
    }

    /// Every directory that holds state of an engine.
    pub fn dirs(&self) -> Vec<PathBuf> {
        let all = [
            &self.docker.dirs,
            &self.storage.dirs,
            &self.containerd.dirs,
            &self.kubelet.dirs,
            &self.nerdctl.dirs,
        ];
        all.into_iter().flatten().chain(&self.other).cloned().collect()
    }

    /// What `path` is to the container, by the layout of the engine that starts it; a path says so
    /// only where the engine itself put something there, see [`sources`](super::sources).
    pub(crate) fn belongs(&self, path: &Path, query: &Query<'_>) -> Option<Belongs> {
        None.or_else(|| self.docker.belongs(path, query))
            .or_else(|| self.storage.belongs(path, query))
            .or_else(|| self.containerd.belongs(path, query))
            .or_else(|| self.kubelet.belongs(path, query))
            .or_else(|| self.nerdctl.belongs(path, query))
            .or_else(|| storage::belongs_to_build(path, query))
    }

    /// Whether a name of the host's is an engine's second mount of something, so that other names
    /// decide.
    pub(crate) fn is_second_name(&self, path: &Path) -> bool {
        storage::is_intermediate(path)
    }

    /// Whether the engine keeps the root file system of this container at `path`.
    pub(crate) fn is_rootfs(&self, path: &Path, query: &Query<'_>) -> bool {
        self.docker.is_rootfs(path, query)
            || self.storage.is_rootfs(path, query)
            || self.containerd.is_rootfs(path, query)
            || self.nerdctl.is_rootfs(path, query)
    }

    /// Whether `path` is in a volume that is none of a pod's owner's, although it may be a
    /// directory of the host.
    pub(crate) fn is_drivers_volume(&self, path: &Path) -> bool {
        self.kubelet.dirs.iter().any(|dir| kubelet::is_drivers(dir, path))
    }

    /// Whether `path` is a name that another pod's, or a driver's, mount of the same volume has.
    pub(crate) fn shares_volume(&self, path: &Path, own: &[&Path]) -> bool {
        self.kubelet.dirs.iter().any(|dir| kubelet::shares_volume(dir, path, own))
    }

    /// Nodes of devices that the engine gives to the container by itself: raw block volumes of its
    /// pod.
    pub(crate) fn devices(&self, request: &Request<'_>, view: &dyn HostView) -> Vec<PathBuf> {
        let query = Query { request, mount: None, view };
        match request.engine {
            Some(Engine::Cri | Engine::Crio) => self
                .kubelet
                .dirs
                .iter()
                .flat_map(|dir| kubelet::block_volumes(dir, &query))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Whether the container is a step of a build: BuildKit in dockerd keeps the bundles of these
    /// in its own directory, and no other container's can be there.
    pub fn is_build(&self, bundle: &Path) -> bool {
        self.docker.dirs.iter().any(|dir| docker::is_build(dir, bundle))
    }

    /// Whether `source` is the socket behind which BuildKit puts the SSH agent that the build's
    /// caller forwards to a step.
    pub(crate) fn is_build_agent(&self, source: &Path, bundle: &Path) -> bool {
        self.docker.dirs.iter().any(|dir| docker::is_build_agent(dir, source, bundle))
    }
}

/// Whether a mount is the init that engines put into a container on request.
pub(crate) fn is_init(source: &Path, mount: &Mount) -> bool {
    // Distributions link the engine's name for it to the program of another package.
    INITS.iter().map(Path::new).any(|init| source == init || mount.source == init)
        && INIT_PLACES.iter().any(|place| mount.destination == Path::new(place))
}

/// The directory that would be an engine's data root if `path` is what its form says: where an
/// administrator moved it, lockc has to be told.
pub(crate) fn assumed_root(path: &Path, id: &str) -> Option<PathBuf> {
    let parts: Vec<&str> =
        path.components().map(|part| part.as_os_str().to_str().unwrap_or("")).collect();
    let fits = |rest: &[&str]| match rest {
        ["containers", owner, file, ..] => *owner == id && *file != "_data",
        [plugin, "sandboxes" | "containers", _, _, ..] => plugin.starts_with("io.containerd."),
        ["pods", _, "volumes" | "etc-hosts" | "containers", ..] | ["volumes", _, "_data", ..] => {
            true
        }
        [containers, _, "userdata", ..] => containers.ends_with("-containers"),
        _ => false,
    };
    // The root directory is no engine's data root.
    let at = (2..parts.len()).find(|at| fits(&parts[*at..]))?;
    Some(parts[..at].iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;

    #[test]
    fn a_moved_data_root_is_guessed_from_the_form_of_a_path() {
        for (path, root) in [
            ("/data/docker/containers/c1/hosts", Some("/data/docker")),
            ("/data/docker/volumes/v/_data/x", Some("/data/docker")),
            ("/k/lib/io.containerd.grpc.v1.cri/sandboxes/s1/hosts", Some("/k/lib")),
            ("/k/kubelet/pods/u1/volumes/kubernetes.io~secret/s", Some("/k/kubelet")),
            ("/srv/storage/overlay-containers/c1/userdata/hosts", Some("/srv/storage")),
            ("/data/docker/containers/c2/hosts", None),
            ("/containers/c1/hosts", None),
            ("/srv/data", None),
        ] {
            assert_eq!(
                assumed_root(Path::new(path), "c1").as_deref(),
                root.map(Path::new),
                "{path}"
            );
        }
    }

    #[test]
    fn podmans_storage_is_where_its_bundle_is() {
        let engines = |bundle: &str| {
            Engines::default().with_bundle(Path::new(bundle), &Host::default()).dirs()
        };
        let storage = PathBuf::from("/srv/storage");
        assert!(engines("/srv/storage/overlay-containers/c1/userdata").contains(&storage));
        for bundle in [
            "/srv/storage/overlay/c1/userdata",
            "/srv/storage/overlay-containers/c1",
            "/x-containers/c1/userdata",
        ] {
            assert_eq!(engines(bundle), Engines::default().dirs(), "{bundle}");
        }
    }
}
