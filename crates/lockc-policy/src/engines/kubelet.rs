//! kubelet: what it mounts for the containers of a pod.

use std::path::{Path, PathBuf};

use super::{
    belongs::Belongs,
    layout::{Layout, below},
    query::Query,
};
use crate::engine::Engine;

/// Roots: kubelet's own, and those of k0s and MicroK8s.
const DIRS: [&str; 3] =
    ["/var/lib/kubelet", "/var/lib/k0s/kubelet", "/var/snap/microk8s/common/var/lib/kubelet"];

pub(super) struct Kubelet;

impl Layout for Kubelet {
    fn name(&self) -> &'static str {
        "kubelet"
    }

    fn engines(&self) -> &'static [Engine] {
        &[Engine::Cri, Engine::Crio]
    }

    fn usual_dirs(&self) -> &'static [&'static str] {
        &DIRS
    }

    fn belongs(&self, dir: &Path, rest: &[&str], query: &Query<'_>) -> Option<Belongs> {
        match rest {
            ["pods", uid, "volumes" | "volume-subpaths", _, ..] => {
                is_pod(dir, uid, query).then_some(Belongs::PodVolume)
            }
            ["pods", uid, "containers", _, ..] | ["pods", uid, "etc-hosts"] => {
                is_pod(dir, uid, query).then_some(Belongs::Files)
            }
            _ => None,
        }
    }

    fn is_drivers_volume(&self, dir: &Path, path: &Path) -> bool {
        is_drivers(dir, path)
    }

    fn shares_volume(&self, dir: &Path, path: &Path, own: &[&Path]) -> bool {
        shares_volume(dir, path, own)
    }

    fn devices(&self, dir: &Path, query: &Query<'_>) -> Vec<PathBuf> {
        block_volumes(dir, query)
    }
}

/// Whether a pod is the container's. Where the engine does not name it, kubelet's files do: it
/// gives every container a termination log from its pod's directory, so that a container with files
/// of two pods has those of a stranger.
fn is_pod(dir: &Path, uid: &str, query: &Query<'_>) -> bool {
    let spec = query.request.spec;
    let has_no_other = || {
        spec.mounts.iter().filter(|mount| mount.is_bind()).all(|mount| {
            match below(&mount.source, dir).as_deref() {
                Some(["pods", other, ..]) => *other == uid,
                _ => true,
            }
        })
    };
    let annotated = spec.annotations.get("io.kubernetes.cri.sandbox-uid");
    annotated.map_or_else(has_no_other, |annotated| annotated == uid)
}

/// Whether `path` is in a volume that the cluster's administrator or a storage driver made of a
/// directory of the host: local volumes, and those of the Container Storage Interface.
fn is_drivers(dir: &Path, path: &Path) -> bool {
    let drivers = ["kubernetes.io~local-volume", "kubernetes.io~csi"];
    below(path, dir).is_some_and(|rest| {
        matches!(rest[..], ["pods", _, "volumes", plugin, _,
            ..] if drivers.contains(&plugin))
    })
}

/// Whether `path` is a name that a driver (its staging directory) or another pod has for a volume
/// which one of the `own` names shows that this pod has too: the same volume has the same path
/// below a pod's directory.
fn shares_volume(dir: &Path, path: &Path, own: &[&Path]) -> bool {
    match below(path, dir).as_deref() {
        Some(["plugins", ..]) => true,
        Some(["pods", _, "volumes", plugin, volume @ ..]) => {
            let same = |own: &&Path| {
                below(own, dir).as_deref().is_some_and(|own| {
                    matches!(own, ["pods", _, "volumes", other,
                        rest @ ..] if other == plugin && *rest == *volume)
                })
            };
            own.iter().any(same)
        }
        _ => false,
    }
}

/// The nodes of the raw block volumes that kubelet maps to this container's pod (Kubernetes 1.34,
/// pkg/volume/util/volumepathhandler): links to devices, or mounts of them.
fn block_volumes(dir: &Path, query: &Query<'_>) -> Vec<PathBuf> {
    let binds = query.request.spec.mounts.iter().filter(|mount| mount.is_bind());
    let mut uid = binds.filter_map(|mount| match below(&mount.source, dir)?.as_slice() {
        ["pods", uid, ..] => Some((*uid).to_owned()),
        _ => None,
    });
    let Some(uid) = uid.next().filter(|uid| is_pod(dir, uid, query)) else { return Vec::new() };
    let plugins = query.view.entries(&dir.join("pods").join(uid).join("volumeDevices"));
    plugins.iter().flat_map(|plugin| query.view.entries(plugin)).collect()
}
