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
    #[serde(rename = "Config")]
    config: Option<RecordConfig>,
}

#[derive(Deserialize)]
struct RecordConfig {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
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
            let mut labels = match engine {
                Some(Engine::Docker) => docker_labels(id, spec, engines, view)?,
                _ => BTreeMap::new(),
            };
            return Ok(Self {
                engine,
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
        Ok(Self {
            engine,
            or_engine,
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

/// The labels in dockerd's record, wherever its data root is.
fn docker_labels(
    id: &str,
    spec: &Spec,
    engines: &Engines,
    view: &dyn HostView,
) -> Result<BTreeMap<String, String>, RecordError> {
    // The id becomes a part of a path.
    if !matches!(Path::new(id).components().collect::<Vec<_>>().as_slice(), [Component::Normal(_)])
    {
        return Ok(BTreeMap::new());
    }
    for folder in records(id, spec, engines) {
        let path = folder.join("config.v2.json");
        match read(&path, view) {
            Ok(record) => {
                return Ok(record.config.and_then(|config| config.labels).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(RecordError { path, source }),
        }
    }
    Ok(BTreeMap::new())
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
mod tests {
    use serde_json::{Value, json};

    use std::fs;

    use super::*;
    use crate::host::Host;

    fn spec(annotations: Value, mounts: Value) -> Spec {
        let text = json!({ "annotations": annotations, "mounts": mounts }).to_string();
        Spec::parse(text.as_bytes(), Path::new("config.json")).unwrap()
    }

    fn metadata(bundle: &str, annotations: Value) -> ContainerMetadata {
        ContainerMetadata::of(
            "c1",
            Path::new(bundle),
            &spec(annotations, json!([])),
            &Engines::default(),
            &Host::default(),
        )
        .unwrap()
    }

    const CRI: &str = "/run/containerd/io.containerd.runtime.v2.task/k8s.io/c1";
    const MOBY: &str = "/run/containerd/io.containerd.runtime.v2.task/moby/c1";
    const PLUGIN: &str =
        "/run/docker/containerd/daemon/io.containerd.runtime.v2.task/plugins.moby/c1";
    const STORAGE: &str = "/var/lib/containers/storage/overlay-containers/c1/userdata";

    const RUN_STORAGE: &str = "/run/containers/storage/overlay-containers/c1/userdata";

    fn pod(prefix: &str) -> Value {
        match prefix {
            "cri" => json!({
                "io.kubernetes.cri.sandbox-namespace": "team-a",
                    "io.kubernetes.cri.container-type": "container",
                "io.kubernetes.cri.sandbox-id": "s1",
            }),
            _ => json!({
                "io.container.manager": "cri-o", "io.kubernetes.cri-o.Namespace": "team-a",
                "io.kubernetes.cri-o.ContainerType": "container",
                    "io.kubernetes.cri-o.SandboxID": "s1",
            }),
        }
    }

    #[test]
    fn engines_are_known_by_the_bundles_place() {
        for (bundle, engine) in [
            (MOBY, Some(Engine::Docker)),
            (
                "/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/c1",
                Some(Engine::Docker),
            ),
            (
                "/run/containerd/io.containerd.runtime.v2.task/moby-100000.100000/c1",
                Some(Engine::Docker),
            ),
            (
                "/run/containerd/io.containerd.runtime.v2.task/plugins.moby-1.2/c1",
                Some(Engine::Docker),
            ),
            ("/run/containerd/io.containerd.runtime.v2.task/moby-1/c1", Some(Engine::Containerd)),
            ("/run/containerd/io.containerd.runtime.v2.task/moby1.2/c1", Some(Engine::Containerd)),
            ("/var/lib/docker/buildkit/executor/c1", Some(Engine::Docker)),
            (PLUGIN, Some(Engine::Docker)),
            (CRI, Some(Engine::Cri)),
            ("/run/containerd/io.containerd.runtime.v2.task/default/c1", Some(Engine::Containerd)),
            (STORAGE, Some(Engine::Podman)),
            ("/var/tmp/buildah3141592653", Some(Engine::Podman)),
            ("/srv/bundle", None),
            ("/io.containerd.runtime.v2.task/moby", None),
        ] {
            assert_eq!(metadata(bundle, json!({})).engine, engine, "{bundle}");
        }
    }

    #[test]
    fn pods_are_known_by_what_their_engine_wrote() {
        for (bundle, prefix, engine) in
            [(CRI, "cri", Engine::Cri), (RUN_STORAGE, "crio", Engine::Crio)]
        {
            let found = metadata(bundle, pod(prefix));
            assert_eq!(found.engine, Some(engine));
            assert_eq!(
                (found.namespace.as_deref(), found.sandbox.as_deref()),
                (Some("team-a"), Some("s1"))
            );
        }
        let mut sandbox = pod("cri");
        sandbox["io.kubernetes.cri.container-type"] = "sandbox".into();
        let found = metadata(CRI, sandbox);
        assert!(found.is_sandbox && found.sandbox.is_none());
    }

    #[test]
    fn annotations_that_a_tenant_copies_make_no_pod() {
        for bundle in [
            MOBY,
            STORAGE,
            "/srv/bundle",
            "/run/containerd/io.containerd.runtime.v2.task/default/c1",
        ] {
            let found = metadata(bundle, pod("cri"));
            assert_eq!((found.namespace, found.sandbox), (None, None), "{bundle}");
        }
        assert_eq!(metadata(CRI, pod("crio")).namespace, None);
    }

    #[test]
    fn podman_and_cri_o_are_told_apart_by_place_and_a_contradiction_is_noted() {
        let manager = |name: &str| json!({ "io.container.manager": name });
        for (bundle, manager, engine, or_engine) in [
            (STORAGE, manager("libpod"), Engine::Podman, None),
            (STORAGE, json!({}), Engine::Podman, None),
            (STORAGE, manager("cri-o"), Engine::Podman, Some(Engine::Crio)),
            (RUN_STORAGE, manager("cri-o"), Engine::Crio, None),
            (RUN_STORAGE, manager("libpod"), Engine::Crio, Some(Engine::Podman)),
            (
                "/run/user/1000/x/overlay-containers/c1/userdata",
                json!({}),
                Engine::Crio,
                Some(Engine::Podman),
            ),
        ] {
            let found = metadata(bundle, manager);
            assert_eq!((found.engine, found.or_engine), (Some(engine), or_engine), "{bundle}");
            assert!(found.is_claimed());
        }
    }

    #[test]
    fn a_container_that_calls_itself_a_sandbox_is_none() {
        let mut annotations = pod("crio");
        annotations["io.kubernetes.cri-o.ContainerType"] = "sandbox".into();
        let found = metadata(RUN_STORAGE, annotations.clone());
        assert!(!found.is_sandbox);
        annotations["io.kubernetes.cri-o.SandboxID"] = "c1".into();
        assert!(metadata(RUN_STORAGE, annotations.clone()).is_sandbox);
        assert!(!metadata(STORAGE, annotations).is_sandbox, "Podman has none");
    }

    #[test]
    fn members_of_a_podman_pod_name_their_infra_container() {
        let found = metadata(STORAGE, json!({ "io.kubernetes.cri-o.SandboxID": "s1" }));
        assert_eq!((found.engine, found.sandbox.as_deref()), (Some(Engine::Podman), Some("s1")));
        assert_eq!(
            metadata(STORAGE, json!({ "io.kubernetes.cri-o.SandboxID": "c1" })).sandbox,
            None
        );
    }

    #[test]
    fn the_label_is_read_from_dockers_record_wherever_that_is() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("containers/c1");
        fs::create_dir_all(&folder).unwrap();
        let hosts = json!([{ "destination": "/etc/hosts", "type": "bind",
            "source": folder.join("hosts"), "options": ["rbind"] }]);
        let by_mount = |bundle: &str| {
            ContainerMetadata::of(
                "c1",
                Path::new(bundle),
                &spec(json!({}), hosts.clone()),
                &Engines::default(),
                &Host::default(),
            )
        };
        let label = |bundle: &str| by_mount(bundle).unwrap().label;
        assert_eq!(label(MOBY), None, "no record yet");
        let record = folder.join("config.v2.json");
        fs::write(
            &record,
            r#"{"ID":"c1","Config":{"Labels":{"org.lockc.policy":"restricted","x":"y"}}}"#,
        )
        .unwrap();
        assert_eq!(label(MOBY).as_deref(), Some("restricted"));
        assert_eq!(label(CRI), None, "not dockerd's");
        let engines = Engines::default().with_dirs(&[root.path().into()]);
        let known = ContainerMetadata::of(
            "c1",
            Path::new(MOBY),
            &spec(json!({}), json!([])),
            &engines,
            &Host::default(),
        )
        .unwrap();
        assert_eq!(known.label.as_deref(), Some("restricted"));
        for text in [r#"{"Config":{"Labels":null}}"#, "{}"] {
            fs::write(&record, text).unwrap();
            assert_eq!(label(MOBY), None, "{text}");
        }
        fs::write(&record, r#"{"Config":"#).unwrap();
        assert!(by_mount(MOBY).unwrap_err().to_string().contains("config.v2.json"));
        let strange = ContainerMetadata::of(
            "../c1",
            Path::new(MOBY),
            &spec(json!({}), hosts),
            &engines,
            &Host::default(),
        )
        .unwrap();
        assert_eq!(strange.label, None);
    }
}
