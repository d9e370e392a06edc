//! Who starts a container, and how it was described there: engine, Kubernetes namespace, pod,
//! Docker label.
//!
//! The engine is known by the bundle's place, which no tenant chooses. Annotations of Kubernetes
//! count only where an engine of Kubernetes wrote them: `docker run --annotation` copies any key
//! verbatim. Podman and CRI-O share one storage and its annotations: what stands there is only
//! claimed, and may tighten the choice, never loosen it.

use std::{
    collections::BTreeMap,
    io,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    container_names::ContainerNames,
    engine::Engine,
    engines::{self, Engines},
    host::HostView,
    policy::{ANNOTATION, NETWORK_ANNOTATION},
    spec::Spec,
};

/// What the engine says of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerMetadata {
    /// Which engine, if its way of keeping bundles is known.
    pub engine: Option<Engine>,
    /// Another engine that it may be as well, if the bundle's place and the annotations contradict
    /// each other: then what is stricter holds.
    pub or_engine: Option<Engine>,
    /// The pod's Kubernetes namespace.
    pub namespace: Option<String>,
    /// The id of its pod's sandbox, unless it is that itself.
    pub sandbox: Option<String>,
    /// Whether it is a pod's sandbox.
    pub is_sandbox: bool,
    /// Whether it is one of Docker's managed plugins.
    pub is_plugin: bool,
    /// Docker's label that names a policy.
    pub label: Option<String>,
    /// Docker's label that names a network.
    pub network_label: Option<String>,
    /// What people call it; a tenant's word, which decides nothing.
    pub names: ContainerNames,
}

/// A record of dockerd's that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}, Docker's record of the container, cannot be read: {source}")]
pub struct RecordError {
    /// The file.
    path: PathBuf,
    /// The reason.
    source: io::Error,
}

/// `config.v2.json`, as far as it matters (moby 28, container/container.go).
#[derive(Deserialize)]
struct Record {
    #[serde(rename = "Name")]
    name: Option<String>,
    #[serde(rename = "Config")]
    config: Option<RecordConfig>,
}

#[derive(Deserialize)]
struct RecordConfig {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
    #[serde(rename = "Image")]
    image: Option<String>,
}

impl ContainerMetadata {
    /// Reads it from the bundle's place, the annotations, and dockerd's record.
    ///
    /// # Errors
    ///
    /// Where dockerd has a record that cannot be read: what it asks for must not be lost.
    pub fn of(
        id: &str,
        bundle: &Path,
        spec: &Spec,
        engines: &Engines,
        view: &dyn HostView,
    ) -> Result<Self, RecordError> {
        let annotation = |key: &str| spec.annotations.get(key).cloned();
        let starter = engines.starter(bundle, spec);
        let (engine, or_engine) =
            starter.map_or((None, None), |starter| (Some(starter.engine), starter.or_engine));
        let Some(pod) = engine.and_then(|engine| engine.facts().pod) else {
            let record = match engine {
                Some(Engine::Docker) => docker_record(id, spec, engines, view)?,
                _ => None,
            };
            let names = outside_pods(engine, spec, record.as_ref());
            let config = record.and_then(|record| record.config);
            let mut labels = config.and_then(|config| config.labels).unwrap_or_default();
            return Ok(Self {
                engine,
                names,
                label: labels.remove(ANNOTATION),
                network_label: labels.remove(NETWORK_ANNOTATION),
                is_plugin: engines::is_plugin(bundle),
                ..Self::default()
            });
        };
        let is_podmans = engine == Some(Engine::Podman) && or_engine.is_none();
        let in_pod = is_podmans || annotation(pod.kind).is_some_and(|kind| kind == "container");
        let sandbox = annotation(pod.sandbox);
        // Ids are random: an owner who replaces the type cannot know the id that belongs to it.
        let is_sandbox = annotation(pod.kind).is_some_and(|kind| kind == "sandbox")
            && match engine {
                Some(Engine::Cri) => true,
                _ => engine == Some(Engine::Crio) && sandbox.as_deref() == Some(id),
            };
        let sandbox = sandbox.filter(|sandbox| in_pod && sandbox != id);
        let namespace = annotation(pod.namespace).filter(|_| !is_podmans);
        // A pod's sandbox has no name in it, and CRI-O's storage says what CRI-O does not.
        let (stored, image) = match engine {
            Some(Engine::Cri) => (None, None),
            _ => engines::stored_names(id, bundle, view),
        };
        let names = ContainerNames {
            engine: engine.map(|engine| engine.name().to_owned()),
            name: annotation(pod.name).or(stored).filter(|_| !is_sandbox),
            image: annotation(pod.image).or(image),
            pod: annotation(pod.pod).filter(|_| !is_podmans),
            namespace: namespace.clone(),
            pod_uid: annotation(pod.uid).filter(|_| !is_podmans),
        };
        Ok(Self {
            engine,
            or_engine,
            names,
            namespace,
            sandbox,
            is_sandbox,
            is_plugin: false,
            label: None,
            network_label: None,
        })
    }

    /// Whether whoever describes the container could have written what stands here of its pod.
    pub fn is_claimed(&self) -> bool {
        matches!(self.engine, Some(Engine::Crio | Engine::Podman))
    }
}

/// What people call a container of an engine without pods. nerdctl writes its names as annotations
/// (nerdctl 2.0, pkg/labels).
fn outside_pods(engine: Option<Engine>, spec: &Spec, record: Option<&Record>) -> ContainerNames {
    let name = record.and_then(|record| record.name.as_deref());
    let config = record.and_then(|record| record.config.as_ref());
    ContainerNames {
        engine: engine.map(|engine| engine.name().to_owned()),
        name: name
            .map(|name| name.trim_start_matches('/').to_owned())
            .or_else(|| spec.annotations.get("nerdctl/name").cloned()),
        image: config.and_then(|config| config.image.clone()),
        ..ContainerNames::default()
    }
}

/// dockerd's record, wherever its data root is.
fn docker_record(
    id: &str,
    spec: &Spec,
    engines: &Engines,
    view: &dyn HostView,
) -> Result<Option<Record>, RecordError> {
    // The id becomes a part of a path.
    if !matches!(Path::new(id).components().collect::<Vec<_>>().as_slice(), [Component::Normal(_)])
    {
        return Ok(None);
    }
    for folder in records(id, spec, engines) {
        let path = folder.join("config.v2.json");
        match read(&path, view) {
            Ok(record) => return Ok(Some(record)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(RecordError { path, source }),
        }
    }
    Ok(None)
}

/// Where the record may be: by the files that dockerd gives the container (its network's, its
/// name's), then in the data roots that are known.
fn records(id: &str, spec: &Spec, engines: &Engines) -> Vec<PathBuf> {
    let given = spec.mounts.iter().filter(|mount| mount.is_bind()).filter_map(|mount| {
        let folder = mount.source.parent()?;
        let own = mount.source.is_absolute()
            && ["hostname", "hosts", "resolv.conf"].iter().any(|file| mount.source.ends_with(file))
            && folder.ends_with(Path::new("containers").join(id))
            && mount.destination.parent() == Some(Path::new("/etc"));
        own.then(|| folder.to_owned())
    });
    let known = engines.docker_roots().map(|root| root.join("containers").join(id));
    given.chain(known).collect()
}

fn read(path: &Path, view: &dyn HostView) -> io::Result<Record> {
    serde_json::from_slice(&view.read(path)?).map_err(io::Error::from)
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
