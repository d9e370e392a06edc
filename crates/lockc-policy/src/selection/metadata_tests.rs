//! Bundles of every engine, and of none.

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
const PLUGIN: &str = "/run/docker/containerd/daemon/io.containerd.runtime.v2.task/plugins.moby/c1";
const STORAGE: &str = "/var/lib/containers/storage/overlay-containers/c1/userdata";

const RUN_STORAGE: &str = "/run/containers/storage/overlay-containers/c1/userdata";

fn pod(prefix: &str) -> Value {
    match prefix {
        "cri" => json!({
            "io.kubernetes.cri.sandbox-namespace": "team-a",
                "io.kubernetes.cri.container-type": "container",
            "io.kubernetes.cri.sandbox-id": "s1", "io.kubernetes.cri.sandbox-uid": "u1",
        }),
        _ => json!({
            "io.container.manager": "cri-o", "io.kubernetes.cri-o.Namespace": "team-a",
            "io.kubernetes.cri-o.ContainerType": "container",
                "io.kubernetes.cri-o.SandboxID": "s1", "io.kubernetes.pod.uid": "u1",
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
        ("/run/containerd/io.containerd.runtime.v2.task/plugins.moby-1.2/c1", Some(Engine::Docker)),
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
    for (bundle, prefix, engine) in [(CRI, "cri", Engine::Cri), (RUN_STORAGE, "crio", Engine::Crio)]
    {
        let found = metadata(bundle, pod(prefix));
        assert_eq!(found.engine, Some(engine));
        assert_eq!(
            (found.namespace.as_deref(), found.sandbox.as_deref()),
            (Some("team-a"), Some("s1"))
        );
        assert_eq!(found.names.pod_uid.as_deref(), Some("u1"));
    }
    let mut sandbox = pod("cri");
    sandbox["io.kubernetes.cri.container-type"] = "sandbox".into();
    let found = metadata(CRI, sandbox);
    assert!(found.is_sandbox && found.sandbox.is_none());
}

#[test]
fn annotations_that_a_tenant_copies_make_no_pod() {
    for bundle in
        [MOBY, STORAGE, "/srv/bundle", "/run/containerd/io.containerd.runtime.v2.task/default/c1"]
    {
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
    assert_eq!(metadata(STORAGE, json!({ "io.kubernetes.cri-o.SandboxID": "c1" })).sandbox, None);
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
