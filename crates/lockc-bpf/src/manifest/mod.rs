//! `lockc explain -f pod.yaml`: checks the pods of a Kubernetes manifest without a node.
//!
//! Each container is converted to the `config.json` that containerd's CRI plugin would write, as
//! far as a manifest determines it, and decided like in the wrapper. Settings that no runtime ever
//! sees are noted separately. Pods that select another runtime than lockc are found, too.

mod bundle;
mod default_runtime;
mod documents;
mod host;
mod objects;
mod pod;
mod runtime_class;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use lockc_policy::{
    config::labels::{Labels, Namespace as Labelled},
    decision::{self, Case},
    enforcement::Circumstances,
    policy::{ANNOTATION, NETWORK_ANNOTATION, PolicySet},
    spec::Spec,
    with_causes,
};

use crate::explain::{
    self,
    answer::{Answer, Place},
    explanation::Explanation,
    finding::Check,
};
use bundle::bundle;
use documents::{Document, documents};
use host::ManifestHost;
use objects::{Object, Pod, objects};
use pod::Container;
use runtime_class::{Runtime, Runtimes};

/// The files that decide about a manifest, and what else the user states.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The configuration, instead of this machine's.
    pub config: Option<PathBuf>,
    /// The list of namespaces, instead of this machine's.
    pub namespaces: Option<PathBuf>,
    /// The handler of pods that name no RuntimeClass.
    pub default_runtime: Option<String>,
    /// The namespace of objects that name none.
    pub namespace: Option<String>,
    /// The policy to check against, instead of the selected one.
    pub level: Option<String>,
}

/// What holds for all pods of a manifest.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// The configuration of its nodes.
    pub config: PolicySet,
    /// Its handlers.
    pub runtimes: Runtimes,
    /// The namespace of objects that name none; `default` if nothing is said.
    pub namespace: Option<String>,
    /// The policy to check against, instead of the selected one.
    pub level: Option<String>,
}

/// As [`explain`], for a file; `-` is standard input.
///
/// # Errors
///
/// As there, and where one of the files cannot be read.
pub fn explain_file(file: &Path, options: &Options) -> Result<Vec<Answer>> {
    let text = if file == Path::new("-") {
        io::read_to_string(io::stdin())
    } else {
        fs::read_to_string(file)
    };
    let text = text.with_context(|| format!("{} cannot be read", file.display()))?;
    let mut config = match &options.config {
        // Whoever it belongs to: nothing is started by it.
        Some(path) => {
            let text = fs::read_to_string(path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            PolicySet::parse(&text, path)?
        }
        None => PolicySet::of_host()?,
    };
    if let Some(path) = &options.namespaces {
        let text = fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        config.labels = Some(Labels::parse(&text, path)?);
    }
    if let Some(level) = &options.level {
        config.request(level, "--level")?;
    }
    let default = match &options.default_runtime {
        Some(handler) => Some((handler.clone(), "--default-runtime".to_owned())),
        // Another machine's configuration says nothing of this machine's engine.
        None if options.config.is_some() => None,
        None => default_runtime::below(Path::new("/")),
    };
    let cluster = Cluster {
        config,
        runtimes: Runtimes { default, ..Runtimes::default() },
        namespace: options.namespace.clone(),
        level: options.level.clone(),
    };
    let mut answers = explain(&text, &cluster).with_context(|| file.display().to_string())?;
    for answer in &mut answers {
        if let Some(place) = &mut answer.place {
            place.file = file.display().to_string();
        }
    }
    Ok(answers)
}

/// Explains every container of every pod that the manifest describes, itself or as a template, as
/// if the namespaces and RuntimeClasses that it describes were there. What cannot be understood is
/// an answer of its own.
///
/// # Errors
///
/// Where the text has no pod, and nothing that could be one.
pub fn explain(text: &str, cluster: &Cluster) -> Result<Vec<Answer>> {
    let documents = documents(text);
    let mut cluster = cluster.clone();
    let understood = documents.iter().filter_map(|document| document.content.as_ref().ok());
    for object in understood.flat_map(objects).flatten() {
        cluster.add(&object);
    }
    let answers: Vec<Answer> =
        documents.iter().flat_map(|document| of_document(document, &cluster)).collect();
    if answers.is_empty() {
        bail!("no pod found; write a Pod, a workload with a pod template, or a List of them");
    }
    Ok(answers)
}

impl Cluster {
    /// Adds a namespace, with its labels, or a RuntimeClass.
    fn add(&mut self, object: &Object<'_>) {
        if let Some((name, labels)) = object.as_namespace() {
            let namespaces = &mut self.config.labels.get_or_insert_default().namespaces;
            namespaces.insert(name.into(), Labelled::new(labels));
        }
        if let Some((name, handler)) = object.as_runtime_class() {
            self.runtimes.classes.insert(name.into(), handler.into());
        }
    }
}

fn of_document(document: &Document, cluster: &Cluster) -> Vec<Answer> {
    let place =
        |pointer: &str| Some(Place { file: "-".into(), line: Some(document.line_of(pointer)) });
    let error = |pointer: &str, reason: String| {
        Answer::error(format!("the document at line {}", document.line), place(pointer), reason)
    };
    let content = match &document.content {
        Ok(content) => content,
        Err(reason) => return vec![error("", reason.clone())],
    };
    let mut answers = Vec::new();
    for object in objects(content) {
        let object = match object {
            Ok(object) => object,
            Err((pointer, reason)) => {
                answers.push(error(&pointer, with_causes(&reason)));
                continue;
            }
        };
        for pod in object.pods() {
            match pod {
                Ok(pod) => answers.extend(of_pod(&object, &pod, document, cluster)),
                Err((pointer, reason)) => answers.push(error(&pointer, with_causes(&reason))),
            }
        }
    }
    answers
}

fn of_pod<'a>(
    object: &'a Object<'_>,
    pod: &'a Pod,
    document: &'a Document,
    cluster: &'a Cluster,
) -> impl Iterator<Item = Answer> + 'a {
    pod.spec.placed_containers().map(move |(list, number, container)| {
        let line = document.line_of(&format!("{}/{list}/{number}", pod.pointer));
        let place = Place { file: "-".into(), line: Some(line) };
        let subject = format!("{}, container {}", object.name(), container.name);
        let answer = of_container(&subject, object, pod, container, place.clone(), cluster);
        answer
            .unwrap_or_else(|error| Answer::error(subject, Some(place), with_causes(&error)))
            .in_manifest(object.name(), container.name.clone())
    })
}

fn of_container(
    subject: &str,
    object: &Object<'_>,
    pod: &Pod,
    container: &Container,
    place: Place,
    cluster: &Cluster,
) -> Result<Answer> {
    let namespace = object.namespace().or(cluster.namespace.as_deref()).unwrap_or("default");
    let asked: Vec<(&str, &str)> = [ANNOTATION, NETWORK_ANNOTATION]
        .into_iter()
        .filter_map(|key| Some((key, pod.annotations.get(key)?.as_str())))
        .collect();
    let spec = bundle(&pod.spec, container, namespace, &asked);
    let spec = Spec::parse(spec.to_string().as_bytes(), Path::new("the container"))?;
    let bundle = Path::new(BUNDLES).join(&container.name);
    let runtime = cluster.runtimes.of(pod.spec.runtime_class_name.as_deref());
    let of_handler = match &runtime {
        Runtime::Lockc { policy, .. } => policy.as_deref(),
        Runtime::Other(_) => None,
    };
    let case = Case {
        id: &container.name,
        bundle: &bundle,
        spec: &spec,
        argument: cluster.level.as_deref().or(of_handler),
        restore: false,
        registered: None,
        // The node's runtime is not known.
        circumstances: Circumstances::default(),
    };
    let host = ManifestHost { pod: &pod.spec };
    let decision = match decision::decide(&case, &cluster.config, &host, |_| Ok(None)) {
        Ok(mut decision) => {
            match (&cluster.level, &runtime) {
                (Some(_), _) => decision.policy.origin = "--level".into(),
                (None, Runtime::Lockc { policy: Some(_), by }) => {
                    decision.policy.origin = by.clone();
                }
                (None, _) => {}
            }
            decision
        }
        Err(error) => {
            let finding = explain::no_policy(&error).ok_or(error)?;
            let mut answer = Answer::without_policy(subject.into(), Some(place), None, finding);
            if let Runtime::Other(other) = runtime {
                answer = answer.not_confined(other);
            }
            return Ok(answer);
        }
    };
    let unseen = pod.spec.unseen(container).into_iter();
    let warnings = unseen.map(|what| Check::PodSecurity.finding(what)).collect();
    let mut explanation = Explanation::new(&container.name, &spec, &decision, warnings);
    match runtime {
        Runtime::Lockc { by, .. } => explanation.runtime = Some(by),
        Runtime::Other(finding) => explanation.unconfined = Some(finding),
    }
    Ok(Answer::checked(subject.into(), Some(place), explanation))
}

/// Where containerd's CRI plugin keeps bundles.
const BUNDLES: &str = "/run/containerd/io.containerd.runtime.v2.task/k8s.io";

#[cfg(test)]
mod pods_tests;
#[cfg(test)]
mod tests;
