//! `packaging/kubernetes`: the rendered chart has the form that Kubernetes' types have, its
//! admission policy lets ask for a namespace's level at most, and the examples run or are refused
//! as their names say.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "kubernetes/admission.rs"]
mod admission;
#[path = "kubernetes/report.rs"]
mod report;

use std::{collections::BTreeMap, fs, path::Path};

use admission::{Admission, ask};
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    apps::v1::DaemonSet,
    core::v1::{ConfigMap, Namespace, Pod, ServiceAccount},
    node::v1::RuntimeClass,
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use lockc_bpf::{
    explain::answer::Answer,
    manifest::{self, Cluster},
};
use lockc_core::rules::Level;
use lockc_policy::policy::{Policy, PolicySet};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What a pod can ask for by a name of lockc's own.
const LEVELS: [&str; 4] = ["privileged", "baseline", "restricted", "offline"];

fn packaging() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/kubernetes")
}

fn documents(path: &Path) -> Vec<Value> {
    serde_saphyr::from_multiple(&fs::read_to_string(path).unwrap()).unwrap()
}

fn chart() -> Vec<Value> {
    documents(&packaging().join("manifests/lockc.yaml"))
}

/// As Kubernetes' own type of it, with nothing that the type does not have.
fn strict<T: DeserializeOwned>(object: &Value) -> T {
    let mut unknown = Vec::new();
    let typed = serde_ignored::deserialize(object, |path| unknown.push(path.to_string()));
    // The types' own keys `apiVersion` and `kind` are known to them.
    assert!(unknown.is_empty(), "{}: {unknown:?}", object["metadata"]["name"]);
    typed.unwrap_or_else(|error| panic!("{}: {error}", object["metadata"]["name"]))
}

fn check(object: &Value) {
    match object["kind"].as_str().unwrap() {
        "ClusterRole" => drop(strict::<ClusterRole>(object)),
        "ClusterRoleBinding" => drop(strict::<ClusterRoleBinding>(object)),
        "ConfigMap" => drop(strict::<ConfigMap>(object)),
        "CustomResourceDefinition" => drop(strict::<CustomResourceDefinition>(object)),
        "DaemonSet" => drop(strict::<DaemonSet>(object)),
        "Namespace" => drop(strict::<Namespace>(object)),
        "Pod" => drop(strict::<Pod>(object)),
        "RuntimeClass" => drop(strict::<RuntimeClass>(object)),
        "ServiceAccount" => drop(strict::<ServiceAccount>(object)),
        "ValidatingAdmissionPolicy" => drop(strict::<ValidatingAdmissionPolicy>(object)),
        "ValidatingAdmissionPolicyBinding" => {
            drop(strict::<ValidatingAdmissionPolicyBinding>(object))
        }
        other => panic!("no type for {other}"),
    }
}

fn examples() -> Vec<std::path::PathBuf> {
    let levels = fs::read_dir(packaging().join("examples")).unwrap();
    let files = levels.flat_map(|level| fs::read_dir(level.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

fn namespace(label: Option<&str>) -> Value {
    match label {
        Some(label) => {
            json!({ "metadata": { "name": "n", "labels": {
                "pod-security.kubernetes.io/enforce": label } } })
        }
        None => json!({ "metadata": { "name": "n" } }),
    }
}

fn pod(annotation: Option<&str>, class: Option<&str>) -> Value {
    let mut pod = json!({ "metadata": { "name": "p" }, "spec": {} });
    if let Some(annotation) = annotation {
        pod["metadata"]["annotations"] = json!({ "org.lockc.policy": annotation });
    }
    if let Some(class) = class {
        pod["spec"]["runtimeClassName"] = json!(class);
    }
    pod
}

#[test]
fn every_object_has_the_form_of_its_type() {
    let objects = chart();
    assert!(objects.len() >= 10, "{}", objects.len());
    objects.iter().for_each(check);
    for file in examples() {
        documents(&file).iter().for_each(check);
    }
    let mut wrong = objects.iter().find(|object| object["kind"] == "DaemonSet").unwrap().clone();
    wrong["spec"]["template"]["spec"]["hostPid"] = json!(true);
    assert!(std::panic::catch_unwind(|| check(&wrong)).is_err(), "a key that is no key is found");
}

/// What the node grants by the same label is what the admission policy lets through, for every
/// level.
#[test]
fn no_pod_names_a_level_above_its_namespaces() {
    let admission = Admission::of(&chart());
    for label in
        [Some("privileged"), Some("baseline"), Some("restricted"), Some("Restricted"), None]
    {
        let ceiling = match label {
            Some(label) => Level::from_name(label).unwrap_or(Level::Restricted),
            None => Level::Baseline,
        };
        let ceiling = Policy::for_level(ceiling, "x");
        for level in LEVELS {
            let asked = PolicySet::default().request(level, "x").unwrap();
            let granted = asked.at_least_as_strict_as(&ceiling);
            let class = format!("lockc-{level}");
            for pod in [pod(Some(level), Some("lockc")), pod(None, Some(&class))] {
                let refusals = admission.refusals(&namespace(label), None, &pod);
                assert_eq!(refusals.is_empty(), granted, "{label:?} {level:?}: {refusals:?}");
                assert!(
                    refusals.iter().all(|text| text.contains("namespace of the level")),
                    "{refusals:?}"
                );
            }
        }
        for (annotation, class) in
            [(Some("none-such"), None), (Some(""), None), (None, Some("lockc-none-such"))]
        {
            // Any policy of the cluster's may be asked for where every policy is below the ceiling;
            // the node knows which there are.
            let is_free = label == Some("privileged") && annotation.is_some();
            assert_eq!(
                admission.refusals(&namespace(label), None, &pod(annotation, class)).len(),
                usize::from(!is_free),
                "{annotation:?}"
            );
        }
        for class in [None, Some("lockc"), Some("gvisor")] {
            assert!(
                admission.refusals(&namespace(label), None, &pod(None, class)).is_empty(),
                "{class:?}"
            );
        }
    }
}

#[test]
fn a_pods_annotation_stays_what_it_was() {
    let admission = Admission::of(&chart());
    let namespace = namespace(Some("restricted"));
    let update = |old: Option<&str>, new: Option<&str>| {
        admission.refusals(&namespace, Some(&pod(old, None)), &pod(new, None)).is_empty()
    };
    assert!(update(None, None));
    // The label is tighter by now; the pod goes on and can be changed otherwise.
    assert!(update(Some("baseline"), Some("baseline")));
    for (old, new) in [
        (None, Some("restricted")),
        (Some("restricted"), None),
        (Some("restricted"), Some("offline")),
    ] {
        assert!(!update(old, new), "{old:?} {new:?}");
    }
}

#[test]
fn what_crio_writes_no_pod_writes() {
    let admission = Admission::of(&chart());
    let namespace = namespace(Some("privileged"));
    for place in ["annotations", "labels"] {
        for key in [
            "io.kubernetes.cri-o.Namespace",
            "io.kubernetes.cri-o.SandboxID",
            "io.container.manager",
        ] {
            let mut claiming = pod(None, None);
            claiming["metadata"][place] = json!({ key: "x" });
            assert_eq!(admission.refusals(&namespace, None, &claiming).len(), 1, "{place} {key}");
            assert_eq!(
                admission.refusals(&namespace, Some(&pod(None, None)), &claiming).len(),
                1,
                "{place} {key}"
            );
            assert!(admission.refusals(&namespace, Some(&claiming), &claiming).is_empty());
        }
        let mut other = pod(None, None);
        other["metadata"][place] =
            json!({ "io.kubernetes.cri-o.userns-mode": "auto", "app": "web" });
        assert!(admission.refusals(&namespace, None, &other).is_empty());
    }
}

/// The binding says so; the plugin knows which namespaces it selects.
#[test]
fn the_clusters_own_pods_are_not_checked() {
    let chart = chart();
    let binding =
        chart.iter().find(|object| object["kind"] == "ValidatingAdmissionPolicyBinding").unwrap();
    let exempt = &binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"][0];
    assert_eq!(exempt["operator"], "NotIn");
    assert_eq!(exempt["values"], json!(["kube-system", "lockc-system"]));
    let Some(check) = std::env::var_os("LOCKC_ADMISSION_JUDGE") else { return };
    for (name, refused) in
        [("kube-system", false), ("lockc-system", false), ("kube-system-2", true)]
    {
        let namespace = json!({ "metadata": { "name": name } });
        let answer = ask(&check, &namespace, None, &pod(Some("privileged"), Some("lockc")));
        assert_eq!(answer.is_some(), refused, "{name}: {answer:?}");
    }
}

#[test]
fn explain_knows_the_charts_runtime_classes() {
    let chart = chart();
    let classes: Vec<&Value> =
        chart.iter().filter(|object| object["kind"] == "RuntimeClass").collect();
    assert!(classes.len() > 1);
    for class in classes {
        let name = &class["metadata"]["name"];
        let pod = json!({ "kind": "Pod", "metadata": { "name": "p" }, "spec": {
            "runtimeClassName": name, "securityContext": { "runAsUser": 1000 },
            "containers": [{ "name": "c" }] } });
        let answers = manifest::explain(&pod.to_string(), &Cluster::default()).unwrap();
        let explanation = answers[0].explanation().unwrap();
        assert!(explanation.unconfined.is_none(), "{name}");
        let policy = name.as_str().unwrap().strip_prefix("lockc-").unwrap_or("baseline");
        assert_eq!(explanation.policy, policy);
    }
}

#[test]
fn the_examples_do_what_their_names_say() {
    let admission = Admission::of(&chart());
    let mut seen = BTreeMap::new();
    for file in examples() {
        let objects = documents(&file);
        let namespace = &objects[0];
        assert_eq!(namespace["kind"], "Namespace", "{}", file.display());
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let should_run = name.starts_with("should-run-");
        assert!(should_run || name.starts_with("should-be-refused-"), "{name}");
        for pod in &objects[1..] {
            let refused = !admission.refusals(namespace, None, pod).is_empty();
            let text = json!({ "kind": "List", "items": [namespace, pod] }).to_string();
            let verdicts = manifest::explain(&text, &Cluster::default()).unwrap();
            let starts = verdicts.iter().all(Answer::is_good);
            assert_eq!(starts, should_run, "{name}: {}", pod["metadata"]["name"]);
            assert!(!(refused && should_run), "{name}: {}", pod["metadata"]["name"]);
        }
        *seen.entry((file.parent().unwrap().to_owned(), should_run)).or_insert(0) +=
            objects.len() - 1;
    }
    assert_eq!(seen.len(), 2 * LEVELS.len(), "{seen:?}");
}
