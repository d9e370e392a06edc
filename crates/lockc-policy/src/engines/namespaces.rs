//! Files that belong to a namespace, which an engine lets containers share with it.

use std::path::Path;

use super::{belongs::Belongs, query::Query, records};
use crate::engine::Engine;

/// What a file that describes a namespace is to this container, in the directory of `owner`.
pub(super) fn belongs(query: &Query<'_>, owner: &str, file: &str) -> Option<Belongs> {
    let files = |is: bool| is.then_some(Belongs::Files);
    match query.request.engine {
        _ if owner == query.id() => Some(Belongs::Files),
        _ if !shares(query, file) => None,
        // Which sandbox it is, containerd says over what a pod's owner may have written.
        Some(Engine::Cri) => {
            let sandbox = query.request.spec.annotations.get("io.kubernetes.cri.sandbox-id");
            files(sandbox.is_some_and(|sandbox| sandbox == owner))
        }
        Some(Engine::Crio) if records::is_in_pod(owner, query) => Some(Belongs::Files),
        // Podman's bundles are where CRI-O's are, if nothing of them is to outlive a reboot.
        Some(_) => Some(Belongs::Shared),
        // Nobody but the host's root.
        None => Some(Belongs::Files),
    }
}

/// Whether a file that describes a namespace may be the owner's of a namespace that this
/// container joins.
fn shares(query: &Query<'_>, file: &str) -> bool {
    let namespaces = &query.request.spec.linux.namespaces;
    let of = |kind: &'static str| namespaces.iter().filter(move |namespace| namespace.kind == kind);
    // A pod with the host's network has none here: then its containers share their sandbox's
    // files all the same.
    let network = of("network").all(|namespace| !namespace.path.as_os_str().is_empty());
    let ipc = of("ipc").any(|namespace| !namespace.path.as_os_str().is_empty());
    match file {
        "resolv.conf" | "hosts" | "hostname" => {
            network && query.destination() == Path::new("/etc").join(file)
        }
        "shm" => ipc && query.destination() == Path::new("/dev/shm"),
        _ => false,
    }
}
