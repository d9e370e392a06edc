//! `lockc explain -f pod.yaml`: checks the pods of a Kubernetes manifest without a node.
//!
//! Each container is converted to the `config.json` that containerd's CRI plugin would write, as
//! far as a manifest determines it, and decided like in the wrapper. Settings that no runtime ever
//! sees are noted separately.

mod bundle;
mod host;
mod pod;

use std::{fs, io, path::Path};

use anyhow::{Context as _, Result, bail};
use lockc_policy::{
    config::labels::{LABEL, Labels, Namespace as Labelled},
    decision::{self, Case},
    enforcement::Circumstances,
    policy::{ANNOTATION, NETWORK_ANNOTATION, PolicySet},
    spec::Spec,
    with_causes,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::explain::{self, Explanation};
use bundle::bundle;
use host::ManifestHost;
use pod::PodSpec;

/// A container of the manifest and what would happen to it.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// Kind and name of the object.
    pub object: String,
    /// The container's name.
    pub container: String,
    /// What would happen.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What would happen to a container.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// As for a bundle.
    Checked(Box<Explanation>),
    /// There is no policy for it, as where it asks for a looser one than its namespace admits.
    NoPolicy {
        /// Always false.
        starts: bool,
        /// Why.
        reason: String,
    },
}

/// An object of Kubernetes, as far as it matters.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Object {
    kind: String,
    metadata: Metadata,
    spec: Value,
    items: Vec<Object>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    name: String,
    generate_name: String,
    namespace: Option<String>,
    annotations: Option<std::collections::BTreeMap<String, String>>,
    labels: Option<std::collections::BTreeMap<String, String>>,
}

impl Verdict {
    /// The explanation, where there is a policy.
    pub fn explanation(&self) -> Option<&Explanation> {
        match &self.outcome {
            Outcome::Checked(explanation) => Some(explanation),
            Outcome::NoPolicy { .. } => None,
        }
    }

    /// Whether the container would start.
    pub fn starts(&self) -> bool {
        self.explanation().is_some_and(|explanation| explanation.starts)
    }
}

/// As [`explain`], for a file; `-` is standard input.
///
/// # Errors
///
/// As there, and where one of the files cannot be read.
pub fn explain_file(
    file: &Path,
    config: Option<&Path>,
    namespaces: Option<&Path>,
    level: Option<&str>,
) -> Result<Vec<Verdict>> {
    let text = if file == Path::new("-") {
        io::read_to_string(io::stdin())
    } else {
        fs::read_to_string(file)
    };
    let text = text.with_context(|| format!("{} cannot be read", file.display()))?;
    let mut config = match config {
        // Whoever it belongs to: nothing is started by it.
        Some(path) => {
            let text = fs::read_to_string(path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            PolicySet::parse(&text, path)?
        }
        None => PolicySet::of_host()?,
    };
    if let Some(path) = namespaces {
        let text = fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        config.labels = Some(Labels::parse(&text, path)?);
    }
    explain(&text, &config, level).with_context(|| file.display().to_string())
}

/// Explains every container of every pod that the manifest describes, itself or as a template, as
/// if the namespaces that it describes had been synced to the node.
///
/// # Errors
///
/// Where the text is no manifest, or has no pod.
pub fn explain(text: &str, config: &PolicySet, level: Option<&str>) -> Result<Vec<Verdict>> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).context("not a Kubernetes manifest in YAML or JSON")?;
    let objects: Vec<Object> = documents
        .into_iter()
        .map(|document| {
            serde_json::from_value(without_nulls(document)).context("not a Kubernetes object")
        })
        .collect::<Result<_>>()?;
    let mut config = config.clone();
    objects.iter().for_each(|object| add_namespaces(object, &mut config));
    let mut verdicts = Vec::new();
    for object in &objects {
        of_object(object, &config, level, &mut verdicts)?;
    }
    if verdicts.is_empty() {
        bail!("no pod found; write a Pod, a workload with a pod template, or a List of them");
    }
    Ok(verdicts)
}

/// To Kubernetes null is the same as absent.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
        ),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        value => value,
    }
}

/// The namespaces among the objects, with their labels.
fn add_namespaces(object: &Object, config: &mut PolicySet) {
    object.items.iter().for_each(|item| add_namespaces(item, config));
    if object.kind == "Namespace" {
        let enforce = object.metadata.labels.as_ref().and_then(|labels| labels.get(LABEL)).cloned();
        let namespaces = &mut config.labels.get_or_insert_default().namespaces;
        namespaces.insert(object.metadata.name.clone(), Labelled { enforce });
    }
}

fn of_object(
    object: &Object,
    config: &PolicySet,
    level: Option<&str>,
    verdicts: &mut Vec<Verdict>,
) -> Result<()> {
    for item in &object.items {
        of_object(item, config, level, verdicts)?;
    }
    // Where the pod is: itself, or in a template.
    let place = match object.kind.as_str() {
        "Pod" => "",
        "CronJob" => "/jobTemplate/spec/template",
        _ => "/template",
    };
    let Some(template) = object.spec.pointer(place) else { return Ok(()) };
    let (metadata, spec) = if place.is_empty() {
        (None, Some(&object.spec))
    } else {
        (template.get("metadata"), template.get("spec"))
    };
    let Some(spec) = spec.filter(|spec| spec.get("containers").is_some()) else { return Ok(()) };
    let name = if object.metadata.name.is_empty() {
        &object.metadata.generate_name
    } else {
        &object.metadata.name
    };
    let name = format!("{} {name}", object.kind);
    let pod: PodSpec =
        serde_json::from_value(spec.clone()).with_context(|| format!("{name}: not a pod"))?;
    if pod.os.name == "windows" {
        return Ok(());
    }
    let inner: Option<Metadata> = metadata
        .map(|metadata| serde_json::from_value(metadata.clone()))
        .transpose()
        .with_context(|| format!("{name}: no metadata"))?;
    let metadata = inner.as_ref().unwrap_or(&object.metadata);
    let namespace = object.metadata.namespace.as_deref().unwrap_or("default");
    let asked = [ANNOTATION, NETWORK_ANNOTATION]
        .into_iter()
        .filter_map(|key| Some((key, metadata.annotations.as_ref()?.get(key)?.as_str())));
    let asked: Vec<(&str, &str)> = asked.collect();
    for container in pod.every_container() {
        let spec = bundle(&pod, container, namespace, &asked);
        let spec = Spec::parse(spec.to_string().as_bytes(), Path::new("the container"))
            .with_context(|| format!("{name}, container {}", container.name))?;
        let bundle = Path::new(BUNDLES).join(&container.name);
        let case = Case {
            id: &container.name,
            bundle: &bundle,
            spec: &spec,
            argument: level,
            restore: false,
            registered: None,
            // The node's runtime is not known.
            circumstances: Circumstances::default(),
        };
        let outcome =
            match decision::decide(&case, config, &ManifestHost { pod: &pod }, |_| Ok(None)) {
                // With notes of what the Pod Security Standards refuse, and no runtime learns of.
                Ok(decision) => {
                    let notes = pod.notes(container);
                    Outcome::Checked(Box::new(explain::explanation(
                        &container.name,
                        &spec,
                        &decision,
                        notes,
                    )))
                }
                Err(error) => Outcome::NoPolicy { starts: false, reason: with_causes(&error) },
            };
        verdicts.push(Verdict { object: name.clone(), container: container.name.clone(), outcome });
    }
    Ok(())
}

/// Where containerd's CRI plugin keeps bundles.
const BUNDLES: &str = "/run/containerd/io.containerd.runtime.v2.task/k8s.io";

#[cfg(test)]
mod tests;
