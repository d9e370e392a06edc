//! What the storage of Podman and CRI-O has written down of containers and images.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::query::Query;
use crate::host::HostView;

/// A line of `overlay-images/images.json` (containers/storage 1.57, images.go).
#[derive(Deserialize)]
struct Image {
    #[serde(default)]
    layer: String,
    #[serde(default, rename = "mapped-layers")]
    mapped_layers: Vec<String>,
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
    find(lists, query.id(), query.view)
}

fn find(lists: impl Iterator<Item = PathBuf>, id: &str, view: &dyn HostView) -> Option<Container> {
    let mut files = lists.flat_map(|list| {
        ["containers.json", "volatile-containers.json"].map(|name| list.join(name))
    });
    files.find_map(|file| {
        let containers: Vec<Container> = serde_json::from_slice(&view.read(&file).ok()?).ok()?;
        containers.into_iter().find(|container| container.id == id)
    })
}

/// What Podman and CRI-O write down for people in a container's metadata (libpod 5.4,
/// storage.go: `RuntimeContainerMetadata`).
#[derive(Default, Deserialize)]
struct Names {
    #[serde(rename = "image-name")]
    image: Option<String>,
    name: Option<String>,
}

/// Name and image of the container of a bundle in the storage.
pub(crate) fn names(
    id: &str,
    bundle: &Path,
    view: &dyn HostView,
) -> (Option<String>, Option<String>) {
    let list = bundle.ancestors().nth(2).unwrap_or(bundle).to_owned();
    let names = find(std::iter::once(list), id, view)
        .and_then(|container| serde_json::from_str::<Names>(&container.metadata).ok())
        .unwrap_or_default();
    let known = |name: Option<String>| name.filter(|name| !name.is_empty());
    (known(names.name), known(names.image))
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
pub(super) fn is_layer(dir: &Path, driver: &str, layer: &str, query: &Query<'_>) -> bool {
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
pub(super) fn is_image(dir: &Path, driver: &str, layer: &str, query: &Query<'_>) -> bool {
    let Ok(text) = query.view.read(&dir.join(format!("{driver}-images/images.json"))) else {
        return false;
    };
    let images: Vec<Image> = serde_json::from_slice(&text).unwrap_or_default();
    images.iter().any(|image| {
        image.layer == layer || image.mapped_layers.iter().any(|mapped| mapped == layer)
    })
}
