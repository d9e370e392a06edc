//! `lockc explain -f pod.yaml`: what would happen to the pods of a Kubernetes manifest, as a lint
//! before there is a node.
//!
//! Each container becomes the `config.json` that containerd's CRI plugin would write, as far as a
//! manifest tells, and goes through the resolver that the wrapper uses. What no runtime ever learns
//! of is noted beside that.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use lockc_policy::{
    admission::kernel_files,
    config::labels::{LABEL, Labels, Namespace as Labelled},
    decision::{self, Case},
    enforcement::Circumstances,
    host::{HostView, Kind, MountedAt, Namespace, trusted::TrustError},
    policy::{ANNOTATION, PolicySet, capabilities},
    spec::Spec,
    with_causes,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    explain::{self, Explanation},
    pod::{Container, PodSpec, SecurityContext},
};

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
    Subject(Box<Explanation>),
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
            Outcome::Subject(explanation) => Some(explanation),
            Outcome::NoPolicy { .. } => None,
        }
    }

    /// Whether the container would start.
    pub fn starts(&self) -> bool {
        self.explanation().is_some_and(|explanation| explanation.starts)
    }

    /// For people: what is refused, and why.
    pub fn print(&self) {
        let explanation = match &self.outcome {
            Outcome::Subject(explanation) => explanation,
            Outcome::NoPolicy { reason, .. } => {
                println!("refused  {}, container {}: {reason}", self.object, self.container);
                return;
            }
        };
        let verdict = match (explanation.starts, explanation.mode) {
            (false, _) => "refused",
            (true, "audit") => "starts (audit)",
            (true, _) => "starts",
        };
        let (policy, origin) = (&explanation.policy, &explanation.origin);
        println!(
            "{verdict:<8} {}, container {}: {policy}, from {origin}",
            self.object, self.container
        );
        for finding in explanation
            .controls
            .iter()
            .flat_map(|line| line.findings.iter().map(move |text| (line.name, text)))
        {
            println!("         {}: {}", finding.0, finding.1);
        }
        for note in &explanation.notes {
            println!("         note: {note}");
        }
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
            serde_json::from_value(without_nulls(document)).context("not an object of Kubernetes")
        })
        .collect::<Result<_>>()?;
    let mut config = config.clone();
    objects.iter().for_each(|object| add_namespaces(object, &mut config));
    let mut verdicts = Vec::new();
    for object in &objects {
        of_object(object, &config, level, &mut verdicts)?;
    }
    if verdicts.is_empty() {
        bail!(
            "there is no pod in it; write a Pod, a workload with a template of one, or a List of \
             them"
        );
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
    let asked = metadata.annotations.as_ref().and_then(|annotations| annotations.get(ANNOTATION));
    for container in pod.every_container() {
        let spec = bundle(&pod, container, namespace, asked);
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
                    Outcome::Subject(Box::new(explain::explanation(
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

/// What the CRI plugin would write (containerd 2.1, internal/cri/server/container_create_linux.go).
fn bundle(pod: &PodSpec, container: &Container, namespace: &str, asked: Option<&String>) -> Value {
    let security = SecurityContext::of(&pod.security_context, &container.security_context);
    let mut namespaces = vec![json!({ "type": "mount" })];
    for (kind, of_host) in [
        ("pid", pod.host_pid),
        ("ipc", pod.host_ipc),
        ("network", pod.host_network),
        ("uts", pod.host_network),
    ] {
        if !of_host {
            namespaces.push(json!({ "type": kind }));
        }
    }
    let capabilities = security.capabilities(&capabilities::usual(), &capabilities::every());
    let mut annotations = json!({
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.sandbox-namespace": namespace,
        "io.kubernetes.cri.sandbox-id": "sandbox",
    });
    if let Some(asked) = asked {
        annotations[ANNOTATION] = json!(asked);
    }
    let mut linux = json!({ "namespaces": namespaces, "sysctl": pod.security_context.sysctls() });
    if !security.shows_everything() {
        linux["maskedPaths"] = json!(kernel_files::MASKED);
        linux["readonlyPaths"] = json!(kernel_files::READ_ONLY);
    }
    if security.privileged {
        linux["resources"] = json!({ "devices": [{ "allow": true, "access": "rwm" }] });
    }
    let devices: Vec<Value> = container.block_devices().collect();
    if !devices.is_empty() {
        linux["devices"] = json!(devices);
    }
    if !security.privileged && security.has_seccomp() {
        linux["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ERRNO" });
    }
    let own = [PodSpec::termination_log(container)];
    let mounts: Vec<Value> =
        pod.host_mounts(container).chain(pod.image_mounts(container)).chain(own).collect();
    if mounts.iter().any(|mount| {
        mount["options"].as_array().is_some_and(|options| options.contains(&json!("rshared")))
    }) {
        linux["rootfsPropagation"] = json!("rshared");
    }
    json!({
        "root": { "path": "rootfs" },
        "process": {
            "user": { "uid": security.uid() },
            "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
            "noNewPrivileges": security.allow_privilege_escalation == Some(false),
            "selinuxLabel": security.selinux_label(),
            "apparmorProfile": security.apparmor_profile(),
        },
        "mounts": mounts,
        "annotations": annotations,
        "linux": linux,
    })
}

/// A node that nobody has seen: paths are what they look like and what the manifest says.
struct ManifestHost<'a> {
    pod: &'a PodSpec,
}

impl HostView for ManifestHost<'_> {
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        let mut plain = PathBuf::new();
        for part in path.components() {
            match part {
                std::path::Component::ParentDir => {
                    plain.pop();
                }
                part => plain.push(part),
            }
        }
        Ok(match plain.strip_prefix("/var/run") {
            Ok(rest) => Path::new("/run").join(rest),
            Err(_) => plain,
        })
    }

    fn entries(&self, directory: &Path) -> Vec<PathBuf> {
        self.pod.entries(directory)
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        if let Some(node) = PodSpec::block_volume(path) {
            return Ok(node);
        }
        // Numbers that no device has, one for each path.
        let device = || {
            path.as_os_str()
                .as_encoded_bytes()
                .iter()
                .fold(0u32, |sum, byte| sum.wrapping_mul(31) + u32::from(*byte))
        };
        let named = self.pod.host_path_type(path);
        Ok(match named {
            "Socket" => Kind::Socket,
            "CharDevice" => Kind::Char(u32::MAX, device()),
            "BlockDevice" => Kind::Block(u32::MAX, device()),
            "File" | "FileOrCreate" => Kind::File,
            _ if path.extension().is_some_and(|end| end == "sock") => Kind::Socket,
            "" if path.starts_with("/dev") && path.components().count() > 2 => {
                Kind::Char(u32::MAX, device())
            }
            _ => Kind::Directory,
        })
    }

    fn is_host_namespace(&self, _: &Path, _: Namespace) -> io::Result<bool> {
        Ok(false)
    }

    fn root_uid(&self, _: &Path) -> io::Result<Option<u32>> {
        Ok(None)
    }

    fn others_may_change(&self, _: &Path) -> io::Result<bool> {
        Ok(false)
    }

    /// As most nodes: Debian's, Ubuntu's, SUSE's.
    fn containerd_uses_apparmor(&self) -> bool {
        true
    }

    fn own_files(&self) -> Vec<PathBuf> {
        ["/etc/lockc", "/var/lib/lockc", "/usr/bin/lockc", "/usr/bin/lockc-runc-wrapper"]
            .map(PathBuf::from)
            .to_vec()
    }

    fn trusted_text(&self, _path: &Path, _limit: u64) -> Result<Option<String>, TrustError> {
        Ok(None)
    }

    fn trusted_entries(&self, _directory: &Path) -> Result<Vec<PathBuf>, TrustError> {
        Ok(Vec::new())
    }

    fn mounts(&self) -> io::Result<Vec<MountedAt>> {
        let mount = |device: &str, point: &str| MountedAt {
            device: device.into(),
            root: "/".into(),
            point: point.into(),
            ..MountedAt::default()
        };
        Ok([("8:1", "/"), ("0:20", "/proc"), ("0:21", "/sys"), ("0:5", "/dev"), ("0:22", "/run")]
            .map(|(device, point)| mount(device, point))
            .to_vec())
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
