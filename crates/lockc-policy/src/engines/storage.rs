//! containers/storage, which Podman, CRI-O and buildah keep their containers in.

use std::path::{Component, Path, PathBuf};

use super::{
    belongs::Belongs,
    layout::{Layout, ROOTFS_PARENTS, Starter, is_read_only, names},
    namespaces,
    query::Query,
    records,
};
use crate::{engine::Engine, host::HostView, spec::Spec};

const DIRS: [&str; 2] = ["/var/lib/containers/storage", "/run/containers/storage"];

/// The empty directory below the root file system of Podman's infra containers.
const INFRA_LOWER: &str = "/run/libpod/infra-container";

pub(super) struct Storage;

impl Layout for Storage {
    fn name(&self) -> &'static str {
        "storage"
    }

    fn engines(&self) -> &'static [Engine] {
        &[Engine::Podman, Engine::Crio]
    }

    fn usual_dirs(&self) -> &'static [&'static str] {
        &DIRS
    }

    /// `…-containers/ID/userdata` is Podman's below the images, CRI-O's below `/run`. Both write
    /// down who they are, where a pod's owner may replace it. `podman build`, and what buildah
    /// builds by itself, is kept in the same storage.
    fn starter(&self, _dirs: &[PathBuf], bundle: &Path, spec: &Spec) -> Option<Starter> {
        let names = names(bundle);
        let [.., containers, _, "userdata"] = names.as_slice() else {
            return is_buildahs(bundle).then(|| Engine::Podman.into());
        };
        if !containers.ends_with("-containers") {
            return None;
        }
        let is_temporary = ["/run", "/var/run"].iter().any(|run| bundle.starts_with(run));
        let manager = spec.annotations.get("io.container.manager").map(String::as_str);
        let (engine, or_engine) = match (is_temporary, manager) {
            (true, Some("cri-o")) => (Engine::Crio, None),
            (true, _) => (Engine::Crio, Some(Engine::Podman)),
            (false, Some("cri-o")) => (Engine::Podman, Some(Engine::Crio)),
            (false, _) => (Engine::Podman, None),
        };
        Some(Starter { engine, or_engine })
    }

    fn belongs(&self, dir: &Path, rest: &[&str], query: &Query<'_>) -> Option<Belongs> {
        let files = |is: bool| is.then_some(Belongs::Files);
        let image = |is: bool| (is && is_read_only(query)).then_some(Belongs::Image);
        match rest {
            [containers, owner, "userdata", file, ..] if containers.ends_with("-containers") => {
                if rest.len() == 4 {
                    namespaces::belongs(query, owner, file)
                } else {
                    files(*owner == query.id())
                }
            }
            // A root file system that is an overlay of another directory.
            [containers, owner, "rootfs", _] if containers.ends_with("-containers") => {
                files(*owner == query.id() && query.mount.is_none())
            }
            ["volumes", _, "_data", ..] => Some(Belongs::Volume),
            // Files of artifacts (Podman 5.5 and later), whole images as mounts.
            ["artifacts", "blobs", _, _] => image(true),
            [driver, layer, "merged", ..] if ROOTFS_PARENTS.contains(driver) => {
                image(records::is_image(dir, driver, layer, query))
            }
            _ => None,
        }
    }

    fn is_rootfs(&self, dir: &Path, rest: &[&str], query: &Query<'_>) -> bool {
        match rest {
            [driver, _, ..] if ROOTFS_PARENTS.contains(driver) => {
                // Which layer a step of a build has, nobody but buildah chooses; and who calls a
                // runtime without an engine is the host's root.
                let is_chosen =
                    query.request.engine.is_some() && !is_buildahs(query.request.bundle);
                !is_chosen
                    || layer_of(rest)
                        .is_some_and(|layer| records::is_layer(dir, driver, layer, query))
            }
            [containers, owner, "rootfs", "merge"] => {
                containers.ends_with("-containers") && *owner == query.id()
            }
            _ => false,
        }
    }

    /// The graph root that holds a bundle that looks like Podman's, and the run root of its user.
    fn bundle_dirs(&self, bundle: &Path, view: &dyn HostView) -> Vec<PathBuf> {
        let parts: Vec<_> = bundle.components().collect();
        let [root @ .., containers, _, userdata] = parts.as_slice() else { return Vec::new() };
        let containers = containers.as_os_str().to_str();
        if userdata.as_os_str() != "userdata"
            || !containers.is_some_and(|name| name.ends_with("-containers"))
            || root.len() < 3
        {
            return Vec::new();
        }
        let root: PathBuf = root.iter().collect();
        let users = view.owner(&root).filter(|uid| *uid != 0);
        let run = users.map(|uid| format!("/run/user/{uid}/containers").into());
        run.into_iter().chain([root]).collect()
    }
}

/// The layer that is mounted at a path, of an overlay or of another driver (containers/storage
/// 1.57, drivers: `Get`).
fn layer_of<'a>(rest: &[&'a str]) -> Option<&'a str> {
    match rest {
        [_, layer, "merged"] | [_, "dir" | "subvolumes" | "graph", layer] => Some(layer),
        _ => None,
    }
}

/// Whether a layer of an overlay is the empty directory that Podman 5.6 and later put below the
/// root file system of a pod's infra container (libpod/runtime_pod_common_linux.go).
pub(crate) fn is_infra_layer(layer: &Path) -> bool {
    layer == Path::new(INFRA_LOWER)
}

/// Whether `path` is where Podman mounts once more what the root of a container's user namespace
/// cannot reach (libpod 5.4, container_internal_linux.go); a name that says nothing by itself.
pub(super) fn is_intermediate(path: &Path) -> bool {
    let name = path.strip_prefix("/var/tmp").ok().and_then(|rest| rest.components().next());
    name.is_some_and(|name| {
        name.as_os_str().as_encoded_bytes().starts_with(b"intermediate-mountpoint-")
    })
}

/// Whether `path` is in the directory that buildah makes for one step of a build, which is its
/// bundle too; nobody but root may enter it (buildah 1.39, run_linux.go).
pub(super) fn belongs_to_build(path: &Path, query: &Query<'_>) -> Option<Belongs> {
    let bundle = query.request.bundle;
    (is_buildahs(bundle) && path != bundle && path.starts_with(bundle)).then_some(Belongs::Files)
}

/// Whether a bundle is one of buildah's: `buildah` and a random number in its directory for
/// temporary files.
fn is_buildahs(bundle: &Path) -> bool {
    let name = bundle.components().next_back().and_then(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    name.and_then(|name| name.strip_prefix("buildah")).is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buildahs_bundles_are_known_by_their_name() {
        assert!(is_buildahs(Path::new("/var/tmp/buildah1234567")));
        for other in
            ["/var/tmp/buildah", "/var/tmp/buildahx1", "/var/tmp/xbuildah1", "/buildah1/x", "/"]
        {
            assert!(!is_buildahs(Path::new(other)), "{other}");
        }
    }
}
