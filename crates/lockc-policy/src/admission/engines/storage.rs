//! containers/storage, which Podman, CRI-O and buildah keep their containers in.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::{Belongs, Layout, Query, ROOTFS_PARENTS, is_read_only};
use crate::config::Engine;

pub(super) const DIRS: [&str; 2] = ["/var/lib/containers/storage", "/run/containers/storage"];

/// The empty directory below the root file system of Podman's infra containers.
const INFRA_LOWER: &str = "/run/libpod/infra-container";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage;

/// A line of `overlay-images/images.json` (containers/storage 1.57, images.go).
#[derive(Deserialize)]
struct Image {
    #[serde(default)]
    layer: String,
    #[serde(default, rename = "mapped-layers")]
    mapped_layers: Vec<String>,
}

impl Layout for Storage {
    const ENGINES: &'static [Engine] = &[Engine::Podman, Engine::Crio];

    fn belongs(&self, dir: &Path, rest: &[&str], query: &Query<'_>) -> Option<Belongs> {
        let files = |is: bool| is.then_some(Belongs::Files);
        let image = |is: bool| (is && is_read_only(query)).then_some(Belongs::Image);
        match rest {
            [containers, owner, "userdata", file, ..] if containers.ends_with("-containers") => {
                if rest.len() == 4 {
                    query.of_namespace(owner, file)
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
                image(is_image(dir, driver, layer, query))
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
                    || layer_of(rest).is_some_and(|layer| is_layer(dir, driver, layer, query))
            }
            [containers, owner, "rootfs", "merge"] => {
                containers.ends_with("-containers") && *owner == query.id()
            }
            _ => false,
        }
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

/// A line of `overlay-containers/containers.json` (containers/storage 1.57, containers.go).
#[derive(Deserialize)]
struct Container {
    id: String,
    #[serde(default)]
    layer: String,
    #[serde(default)]
    metadata: String,
}

/// What CRI-O writes down of a container (CRI-O 1.33, internal/storage/runtime.go).
#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "pod-id")]
    pod: String,
}

/// What the storage has written down of this container, in one of these directories.
fn record(lists: impl Iterator<Item = PathBuf>, query: &Query<'_>) -> Option<Container> {
    let mut files = lists.flat_map(|list| {
        ["containers.json", "volatile-containers.json"].map(|name| list.join(name))
    });
    files.find_map(|file| {
        let containers: Vec<Container> = serde_json::from_slice(&query.view.read(&file)?).ok()?;
        containers.into_iter().find(|container| container.id == query.id())
    })
}

/// Whether nobody but the host's root writes in a directory.
fn is_roots(directory: &Path, query: &Query<'_>) -> bool {
    let directory = query.view.canonicalize(directory);
    directory
        .and_then(|directory| query.view.others_may_change(&directory))
        .is_ok_and(|others| !others)
}

/// Whether `layer` is the one of this container: Podman's user can name any other (`--rootfs`). The
/// list is beside the storage, or beside the bundle where nothing outlives a reboot.
fn is_layer(dir: &Path, driver: &str, layer: &str, query: &Query<'_>) -> bool {
    let beside_bundle =
        query.request.bundle.ancestors().nth(2).filter(|list| is_roots(list, query));
    let lists = std::iter::once(dir.join(format!("{driver}-containers")))
        .chain(beside_bundle.map(Path::to_owned));
    record(lists, query).is_some_and(|container| container.layer == layer)
}

/// Whether CRI-O wrote down that this container is one of the pod's: annotations may be its
/// owner's.
pub(super) fn is_in_pod(pod: &str, query: &Query<'_>) -> bool {
    let root = query.request.spec.root.as_ref().and_then(|root| root.path.ancestors().nth(2));
    let list = root.map(|driver| PathBuf::from(format!("{}-containers", driver.display())));
    let container = record(list.filter(|list| is_roots(list, query)).into_iter(), query);
    let metadata =
        container.and_then(|container| serde_json::from_str::<Metadata>(&container.metadata).ok());
    metadata.is_some_and(|metadata| metadata.pod == pod)
}

/// Whether `layer` is an image's, not a container's.
fn is_image(dir: &Path, driver: &str, layer: &str, query: &Query<'_>) -> bool {
    let Some(text) = query.view.read(&dir.join(format!("{driver}-images/images.json"))) else {
        return false;
    };
    let images: Vec<Image> = serde_json::from_slice(&text).unwrap_or_default();
    images.iter().any(|image| {
        image.layer == layer || image.mapped_layers.iter().any(|mapped| mapped == layer)
    })
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
pub(crate) fn is_buildahs(bundle: &Path) -> bool {
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
