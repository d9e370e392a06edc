//! The objects of a manifest: its pods and pod templates, namespaces and RuntimeClasses.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::pod::PodSpec;

/// Kubernetes' own kinds that have a pod template.
const WORKLOADS: [&str; 8] = [
    "CronJob",
    "DaemonSet",
    "Deployment",
    "Job",
    "PodTemplate",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
];

/// An object of Kubernetes, and where it is in its document.
pub(super) struct Object<'a> {
    /// A JSON pointer.
    pub(super) pointer: String,
    value: &'a Value,
    kind: &'a str,
    metadata: Metadata,
}

/// A pod that the manifest describes, itself or as a template.
pub(super) struct Pod {
    /// A JSON pointer to its specification.
    pub(super) pointer: String,
    /// What runtimes see of the annotations.
    pub(super) annotations: BTreeMap<String, String>,
    /// The specification.
    pub(super) spec: PodSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    name: String,
    generate_name: String,
    namespace: Option<String>,
    annotations: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

/// The objects of a document: itself, or the items of a list, each by itself.
pub(super) fn objects(document: &Value) -> Vec<Result<Object<'_>, (String, anyhow::Error)>> {
    let mut found = Vec::new();
    add(document, String::new(), "", &mut found);
    found
}

fn add<'a>(
    value: &'a Value,
    pointer: String,
    kind_of_items: &'a str,
    found: &mut Vec<Result<Object<'a>, (String, anyhow::Error)>>,
) {
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or(kind_of_items);
    let items = value.get("items").and_then(Value::as_array);
    // A list of one kind leaves the kind out of its items.
    if let (Some(kind_of_items), Some(items)) = (kind.strip_suffix("List"), items) {
        for (number, item) in items.iter().enumerate() {
            add(item, format!("{pointer}/items/{number}"), kind_of_items, found);
        }
        return;
    }
    found.push(Object::new(value, pointer.clone(), kind).map_err(|error| (pointer, error)));
}

impl<'a> Object<'a> {
    fn new(value: &'a Value, pointer: String, kind: &'a str) -> Result<Self> {
        ensure!(value.is_object(), "not a Kubernetes object: not a mapping");
        ensure!(!kind.is_empty(), "not a Kubernetes object: it has no kind");
        let metadata = metadata_of(value).with_context(|| format!("{kind}: invalid metadata"))?;
        Ok(Self { pointer, value, kind, metadata })
    }

    /// Its kind and name.
    pub(super) fn name(&self) -> String {
        let Metadata { name, generate_name, .. } = &self.metadata;
        format!("{} {}", self.kind, if name.is_empty() { generate_name } else { name })
            .trim_end()
            .into()
    }

    /// Its namespace, if it names one.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.metadata.namespace.as_deref()
    }

    /// The name and labels of a namespace.
    pub(super) fn as_namespace(&self) -> Option<(&str, &BTreeMap<String, String>)> {
        (self.kind == "Namespace").then_some((&self.metadata.name, &self.metadata.labels))
    }

    /// The name and handler of a RuntimeClass.
    pub(super) fn as_runtime_class(&self) -> Option<(&str, &str)> {
        let handler = self.value.get("handler").and_then(Value::as_str);
        handler
            .filter(|_| self.kind == "RuntimeClass")
            .map(|handler| (self.metadata.name.as_str(), handler))
    }

    /// The pods: itself, or the pod templates wherever they are in it. The pods of Windows, on
    /// whose nodes there is no lockc, are left out.
    pub(super) fn pods(&self) -> Vec<Result<Pod, (String, anyhow::Error)>> {
        let mut found = Vec::new();
        if self.kind == "Pod" {
            found.push((self.value, self.pointer.clone()));
        } else if let Some(members) = self.value.as_object() {
            for (key, value) in members {
                templates(value, format!("{}/{}", self.pointer, escaped(key)), &mut found);
            }
        }
        if found.is_empty() && WORKLOADS.contains(&self.kind) {
            let error =
                anyhow!("{}: it has no pod template with a list of containers", self.name());
            return vec![Err((self.pointer.clone(), error))];
        }
        let pods = found.into_iter().map(|(pod, pointer)| {
            let spec = format!("{pointer}/spec");
            self.pod(pod, spec.clone()).map_err(|error| (spec, error))
        });
        pods.filter(|pod| !pod.as_ref().is_ok_and(|pod| pod.spec.os.name == "windows")).collect()
    }

    fn pod(&self, pod: &Value, pointer: String) -> Result<Pod> {
        let name = || self.name();
        let spec = pod.get("spec").with_context(|| format!("{}: it has no spec", name()))?;
        let spec: PodSpec = serde_json::from_value(spec.clone())
            .with_context(|| format!("{}: not a pod", name()))?;
        ensure!(spec.every_container().next().is_some(), "{}: it has no containers", name());
        let metadata = metadata_of(pod).with_context(|| format!("{}: invalid metadata", name()))?;
        Ok(Pod { pointer, annotations: metadata.annotations, spec })
    }
}

fn metadata_of(object: &Value) -> Result<Metadata> {
    let metadata = object.get("metadata").cloned().map(serde_json::from_value).transpose()?;
    Ok(metadata.unwrap_or_default())
}

/// Pod templates: whatever has a `spec` with a list of `containers`. Only the object itself is
/// none: the containers in the `spec` of some operators' kinds are patches.
fn templates<'a>(value: &'a Value, pointer: String, found: &mut Vec<(&'a Value, String)>) {
    if value.pointer("/spec/containers").is_some_and(Value::is_array) {
        found.push((value, pointer));
        return;
    }
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                templates(value, format!("{pointer}/{}", escaped(key)), found);
            }
        }
        Value::Array(items) => {
            for (number, value) in items.iter().enumerate() {
                templates(value, format!("{pointer}/{number}"), found);
            }
        }
        _ => {}
    }
}

/// A key as part of a JSON pointer (RFC 6901).
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
