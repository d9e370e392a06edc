//! The directories of the engines on this host.

use std::path::{Path, PathBuf};

use super::{
    belongs::Belongs,
    containerd, docker, kubelet,
    layout::{Kept, Layout, Starter, names},
    nerdctl,
    query::Query,
    request::Request,
    storage,
};
use crate::{
    engine::Engine,
    host::HostView,
    spec::{Mount, Spec},
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
const INIT_PLACES: [&str; 5] =
    ["/sbin/docker-init", "/dev/init", "/run/podman-init", "/sbin/tini", "/catatonit"];

/// Every layout. A path is looked up in this order.
const LAYOUTS: [&dyn Layout; 5] = [
    &docker::Docker,
    &storage::Storage,
    &containerd::Containerd,
    &kubelet::Kubelet,
    &nerdctl::Nerdctl,
];

/// Where the engines of this host keep their state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engines {
    kept: Vec<Kept>,
    /// Everything else that is engine state.
    other: Vec<PathBuf>,
}

impl Default for Engines {
    fn default() -> Self {
        let other = ["/var/lib/containers", "/var/lib/crio", "/var/lib/cni"];
        Self { kept: LAYOUTS.map(Kept::new).into(), other: other.map(PathBuf::from).to_vec() }
    }
}

impl Engines {
    /// The usual places, those of the configuration (any engine's), those that the running dockerd
    /// was told, and the storage and the state that the bundle is in.
    pub fn detect(bundle: &Path, engine_dirs: &[PathBuf], view: &dyn HostView) -> Self {
        let mut engines = Self::default();
        for kept in &mut engines.kept {
            kept.dirs.extend(kept.layout.configured_dirs(view));
        }
        engines.with_dirs(engine_dirs).with_bundle(bundle, view)
    }

    /// With more data roots; each may be any engine's.
    #[must_use]
    pub fn with_dirs(mut self, dirs: &[PathBuf]) -> Self {
        for kept in &mut self.kept {
            kept.dirs.extend(dirs.iter().cloned());
        }
        self
    }

    /// With the directories that the bundle's place tells of.
    #[must_use]
    pub fn with_bundle(mut self, bundle: &Path, view: &dyn HostView) -> Self {
        for kept in &mut self.kept {
            kept.dirs.extend(kept.layout.bundle_dirs(bundle, view));
        }
        self
    }

    /// With another root of Podman's storage.
    #[must_use]
    pub fn with_storage(mut self, root: &Path) -> Self {
        let of_podman = |kept: &&mut Kept| kept.layout.engines().contains(&Engine::Podman);
        for kept in self.kept.iter_mut().filter(of_podman) {
            kept.dirs.push(root.into());
        }
        self
    }

    /// With the directories' resolved paths beside those that are links.
    #[must_use]
    pub fn resolved(mut self, view: &dyn HostView) -> Self {
        let all = self.kept.iter_mut().map(|kept| &mut kept.dirs);
        for dirs in all.chain([&mut self.other]) {
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

    /// dockerd's data roots.
    pub fn docker_roots(&self) -> impl Iterator<Item = &Path> {
        let dockers = self.kept.iter().filter(|kept| kept.layout.engines() == [Engine::Docker]);
        dockers.flat_map(|kept| &kept.dirs).map(PathBuf::as_path)
    }

    /// Every directory that holds state of an engine.
    pub fn dirs(&self) -> Vec<PathBuf> {
        self.kept.iter().flat_map(|kept| &kept.dirs).chain(&self.other).cloned().collect()
    }

    /// Every layout with each of its directories.
    fn places(&self) -> impl Iterator<Item = (&'static dyn Layout, &Path)> {
        let of = |kept: &'_ Kept| kept.layout;
        self.kept
            .iter()
            .flat_map(move |kept| kept.dirs.iter().map(move |dir| (of(kept), dir.as_path())))
    }

    /// What `path` is to the container, by the layout of the engine that starts it; a path says so
    /// only where the engine itself put something there, see `admission::sources`.
    pub(crate) fn belongs(&self, path: &Path, query: &Query<'_>) -> Option<Belongs> {
        let kept = self.kept.iter().find_map(|kept| kept.belongs(path, query));
        kept.or_else(|| storage::belongs_to_build(path, query))
    }

    /// Whether a name of the host's is an engine's second mount of something, so that other names
    /// decide.
    pub(crate) fn is_second_name(&self, path: &Path) -> bool {
        storage::is_intermediate(path)
    }

    /// Whether the engine keeps the root file system of this container at `path`.
    pub(crate) fn is_rootfs(&self, path: &Path, query: &Query<'_>) -> bool {
        self.kept.iter().any(|kept| kept.is_rootfs(path, query))
    }

    /// See [`Layout::is_drivers_volume`].
    pub(crate) fn is_drivers_volume(&self, path: &Path) -> bool {
        self.places().any(|(layout, dir)| layout.is_drivers_volume(dir, path))
    }

    /// See [`Layout::shares_volume`].
    pub(crate) fn shares_volume(&self, path: &Path, own: &[&Path]) -> bool {
        self.places().any(|(layout, dir)| layout.shares_volume(dir, path, own))
    }

    /// See [`Layout::devices`].
    pub(crate) fn devices(&self, request: &Request<'_>, view: &dyn HostView) -> Vec<PathBuf> {
        let query = Query { request, mount: None, view };
        let Some(engine) = request.engine else { return Vec::new() };
        let of_engine = self.places().filter(|(layout, _)| layout.engines().contains(&engine));
        of_engine.flat_map(|(layout, dir)| layout.devices(dir, &query)).collect()
    }

    /// The engine that starts the container of this bundle, by its place, which no tenant chooses.
    pub fn starter(&self, bundle: &Path, spec: &Spec) -> Option<Starter> {
        self.kept.iter().find_map(|kept| kept.layout.starter(&kept.dirs, bundle, spec))
    }

    /// See [`Layout::is_build_agent`].
    pub(crate) fn is_build_agent(&self, source: &Path, bundle: &Path) -> bool {
        self.places().any(|(layout, dir)| layout.is_build_agent(dir, source, bundle))
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
    let parts = names(path);
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
