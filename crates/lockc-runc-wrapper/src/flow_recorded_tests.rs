//! Containers as real engines describe them.

use std::collections::BTreeMap;

use lockc_core::{abi::padded, rules::Rule};
use lockc_policy::{
    admission,
    config::Settings,
    engine::Engine,
    engines::{Engines, Request},
    spec::strict,
};

use super::*;

/// Every recorded configuration by the engine that made it, with what its controls find.
#[test]
fn recorded_containers_are_admitted_unless_they_ask_for_more() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut refused = BTreeMap::new();
    let mut admitted = 0;
    for engine in fs::read_dir(fixtures).unwrap() {
        for file in fs::read_dir(engine.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|end| end != "json") {
                continue;
            }
            let name = path
                .iter()
                .rev()
                .take(2)
                .collect::<Vec<_>>()
                .iter()
                .rev()
                .map(|part| part.to_string_lossy())
                .collect::<Vec<_>>()
                .join("/");
            let spec = bundle::spec(&path).unwrap();
            assert_eq!(strict::difference(&fs::read(&path).unwrap()).unwrap(), None, "{name}");
            let sources: Vec<_> = spec
                .mounts
                .iter()
                .filter(|mount| mount.is_bind())
                .map(|mount| mount.source.to_string_lossy().into_owned())
                .collect();
            let part = |source: &String, mark: &str| {
                source.split(mark).nth(1).map(|rest| rest.split('/').next().unwrap().to_owned())
            };
            let id = sources
                .iter()
                .find_map(|source| {
                    part(source, "/docker/containers/").or_else(|| {
                        source
                            .contains(".containerenv")
                            .then(|| part(source, "-containers/"))
                            .flatten()
                    })
                })
                .or_else(|| {
                    (spec.annotations.get("io.kubernetes.cri.container-type")? == "sandbox")
                        .then(|| spec.annotations["io.kubernetes.cri.sandbox-id"].clone())
                })
                // ctr and kubelet's containerd call the cgroup after the container.
                .or_else(|| {
                    Some(Path::new(&spec.linux.cgroups_path).file_name()?.to_str()?.to_owned())
                })
                .unwrap_or_else(|| "some-container".into());
            let (bundle, engines) = if name.contains("podman") {
                let source = sources
                    .iter()
                    .find(|source| source.ends_with("userdata/shm") && source.contains(&id))
                    .cloned();
                let bundle = source.map_or_else(
                    || "/var/lib/containers/storage/overlay-containers/x/userdata".into(),
                    |shm| PathBuf::from(shm).parent().unwrap().to_owned(),
                );
                let engines = Engines::default()
                    .with_bundle(&bundle, &host())
                    .with_storage(Path::new("/run/user/1000/containers"));
                (bundle, engines)
            } else {
                (
                    PathBuf::from("/run/containerd/io.containerd.runtime.v2.task/ns").join(&id),
                    Engines::default(),
                )
            };
            let engine = match name.split('-').next() {
                Some("docker") => Engine::Docker,
                Some("podman") => Engine::Podman,
                _ => Engine::Cri,
            };
            let sandbox = spec
                .annotations
                .get("io.kubernetes.cri.container-type")
                .is_some_and(|kind| kind == "sandbox");
            let request = Request {
                id: &id,
                bundle: &bundle,
                spec: &spec,
                restore: false,
                engine: Some(engine),
                sandbox,
            };
            let policy = policy::Policy::for_level(Level::Baseline, "the default");
            let host = FakeHost { texts: written(&spec, &id), ..host() };
            match admission::admit(&request, &policy, &Settings::default(), &engines, &host) {
                Ok(grants) => {
                    assert_eq!(grants.mounts.len(), sources.len());
                    admitted += 1;
                }
                Err(violations) => {
                    let controls: Vec<_> =
                        violations.iter().map(|violation| violation.control.name()).collect();
                    refused.insert(name, controls.join(" ") + " | " + &violations[0].what);
                }
            }
        }
    }
    let controls: Vec<_> = refused
        .iter()
        .map(|(name, what)| (name.as_str(), what.split(" | ").next().unwrap()))
        .collect();
    assert_eq!(
        controls,
        [
            // hostNetwork pods: the recordings were made without CNI.
            ("containerd-1.7-cri/config-274.json", "host-namespaces host-namespaces"),
            // The client that was recorded names no paths to be hidden, as kubelet does; so does
            // procMount: Unmasked.
            ("containerd-1.7-cri/config-324.json", "proc-mount proc-mount"),
            ("containerd-2.1-cri/config-283.json", "host-namespaces host-namespaces"),
            ("containerd-2.1-cri/config-391.json", "proc-mount proc-mount"),
            // docker run --privileged
            (
                "docker-26/config-1561.json",
                "devices devices capabilities apparmor seccomp proc-mount proc-mount"
            ),
        ],
        "{refused:#?}"
    );
    assert!(admitted >= 16, "{admitted}");
}

/// What the engine and the kernel had on that host: which layer Podman's container has, and which
/// files the container has mounted whose namespaces this one joins.
fn written(spec: &Spec, id: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut texts = BTreeMap::new();
    let root = spec.root.as_ref().map(|root| root.path.clone()).unwrap_or_default();
    if let (true, Some(layer), Some(driver)) =
        (root.ends_with("merged"), root.parent(), root.ancestors().nth(2))
    {
        let list = json!([{ "id": id, "layer": layer.file_name().unwrap().to_str() }]);
        let file = format!("{}-containers/containers.json", driver.display());
        texts.insert(file.into(), list.to_string().into_bytes());
    }
    let binds = spec.mounts.iter().filter(|mount| mount.is_bind());
    let lines: String = binds
        .map(|mount| {
            let source = mount.source.display().to_string();
            let (device, root) =
                source.strip_prefix("/run").map_or(("8:1", source.as_str()), |rest| ("0:22", rest));
            format!("1 0 {device} {root} {} rw - ext4 disk rw\n", mount.destination.display())
        })
        .collect();
    for namespace in &spec.linux.namespaces {
        if let Some((task, _)) = namespace.path.to_str().and_then(|path| path.split_once("/ns/")) {
            texts.insert(format!("{task}/mountinfo").into(), lines.clone().into_bytes());
        }
    }
    texts
}

/// conmon has no log of the engine's: what CRI-O and Podman show is what stands on stderr
/// (tests/program.rs).
#[test]
fn a_member_of_a_cri_o_pod_takes_its_sandboxs_policy_and_claims_nothing() {
    let storage = tempfile::tempdir().unwrap();
    let userdata = storage.path().join("overlay-containers/c1/userdata");
    fs::create_dir_all(&userdata).unwrap();
    let crio = |more: &[(&str, &str)]| {
        let mut spec = spec();
        spec["annotations"] = json!({
            "io.container.manager": "cri-o", "io.kubernetes.cri-o.ContainerType": "container",
            "io.kubernetes.cri-o.Namespace": "team-a", "io.kubernetes.cri-o.SandboxID": "s1",
        });
        spec["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ERRNO" });
        for (key, value) in more {
            spec["annotations"][*key] = (*value).into();
        }
        fs::write(userdata.join("config.json"), spec.to_string()).unwrap();
    };
    let mut place = Place::new(&spec());
    place.fake.entry = Some(ContainerEntry {
        policy: padded(b"offline"),
        rules: Level::Baseline.rules().with(Rule::Network).0,
        ..entry(Level::Baseline)
    });
    let call = format!("--root=/run/runc create --bundle {} --pid-file p c1", userdata.display());
    crio(&[]);
    place.run(&call).unwrap();
    assert_eq!(place.calls(), ["entry s1", "register c1 offline"]);
    crio(&[(policy::ANNOTATION, "baseline")]);
    assert!(place.run(&call).unwrap_err().contains("pod's sandbox"));
    place.fake.entry = Some(entry(Level::Privileged));
    crio(&[]);
    place.run(&call).unwrap();
    assert_eq!(place.calls().last().unwrap(), "register c1 baseline");
}
