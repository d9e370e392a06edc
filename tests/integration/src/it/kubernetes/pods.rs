//! Pods as their owners make them, started by the kubelet; and what came of them.

use std::cell::RefCell;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::cluster::{get, kubectl, kubectl_with};
use crate::command::Run;
use crate::containerd::IMAGE;
use crate::system::{sh, status, until};

/// Seconds that a start may take: emulation is slow.
const START: u64 = 240;

/// A pod of root's.
pub fn pod(namespace: &str, name: &str, class: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "runtimeClassName": class, "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "100000"]}],
        },
    })
}

/// One that restricted admits.
pub fn hardened(namespace: &str, name: &str, class: &str) -> Value {
    let mut pod = pod(namespace, name, class);
    pod["spec"]["securityContext"] = json!({"runAsNonRoot": true, "runAsUser": 1000,
        "seccompProfile": {"type": "RuntimeDefault"}});
    pod["spec"]["containers"][0]["securityContext"] =
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    pod
}

fn names(pod: &Value) -> Result<(&str, &str)> {
    let meta = &pod["metadata"];
    Ok((
        meta["namespace"].as_str().context("no namespace")?,
        meta["name"].as_str().context("no name")?,
    ))
}

/// Creates an object; of a pod's namespace the controllers may still have to make the service
/// account.
pub fn create(object: &Value) -> Result<()> {
    let last = RefCell::new(String::new());
    until(60, "the API server takes it", || {
        // Without the schemas of all that it knows, which take long to read.
        let words = ["apply", "--validate=false", "--openapi-patch=false", "-f", "-"];
        let run = kubectl_with(&words, &object.to_string())?;
        last.replace(run.said());
        if !run.ok()
            && !run.said().contains("service account")
            && !run.said().contains("serviceaccount")
        {
            bail!("{}", run.said());
        }
        Ok(run.ok())
    })
    .with_context(|| last.take())
}

/// Looks now and then: whoever looks all the time keeps an emulated machine from its work.
fn wait(seconds: u64, what: &str, done: impl Fn() -> Result<bool>) -> Result<()> {
    until(seconds, what, || {
        let done = done()?;
        if !done {
            thread::sleep(Duration::from_secs(2));
        }
        Ok(done)
    })
}

/// Waits until the containers of a pod run; the first one's id.
pub fn running(pod: &Value) -> Result<String> {
    let (namespace, name) = names(pod)?;
    let last = RefCell::new(Value::Null);
    wait(START, "its containers run", || {
        last.replace(get(&format!("/api/v1/namespaces/{namespace}/pods/{name}"))?);
        let found = last.borrow();
        let containers =
            found["status"]["containerStatuses"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(!containers.is_empty()
            && containers.iter().all(|one| !one["state"]["running"].is_null()))
    })
    .with_context(|| events(namespace, name).unwrap_or_default().join("\n"))?;
    let found = last.take();
    let id = found["status"]["containerStatuses"][0]["containerID"]
        .as_str()
        .and_then(|id| id.split("//").nth(1));
    Ok(id.with_context(|| format!("no id: {found}"))?.to_owned())
}

/// What happened to a pod, as `kubectl describe` shows it to its owner.
fn events(namespace: &str, name: &str) -> Result<Vec<String>> {
    let found = get(&format!(
        "/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.name%3D{name}"
    ))?;
    let text = |event: &Value| {
        format!(
            "{}: {}",
            event["reason"].as_str().unwrap_or(""),
            event["message"].as_str().unwrap_or("")
        )
    };
    Ok(found["items"].as_array().into_iter().flatten().map(text).collect())
}

/// Creates a pod and waits until it runs; its first container's id.
pub fn start(pod: &Value) -> Result<String> {
    create(pod)?;
    running(pod)
}

/// Creates a pod that must not start, for a reason that its owner reads.
pub fn refused(pod: &Value, says: &str) -> Result<String> {
    create(pod)?;
    let (namespace, name) = names(pod)?;
    let told = RefCell::new(None);
    let found = wait(START, "the pod's owner is told", || {
        let events = events(namespace, name)?;
        if events.iter().any(|event| event.starts_with("Started: ")) {
            bail!("it was started");
        }
        told.replace(
            events.into_iter().find(|event| event.contains("lockc: ") && event.contains(says)),
        );
        Ok(told.borrow().is_some())
    });
    found.with_context(|| events(namespace, name).unwrap_or_default().join("\n"))?;
    delete(pod)?;
    Ok(told.take().unwrap_or_default())
}

pub fn delete(pod: &Value) -> Result<()> {
    let (namespace, name) = names(pod)?;
    kubectl(&[
        "-n",
        namespace,
        "delete",
        "pod",
        name,
        "--wait=false",
        "--grace-period=0",
        "--force",
    ])?
    .must()?;
    Ok(())
}

pub fn exec(pod: &Value, words: &[&str]) -> Result<Run> {
    let (namespace, name) = names(pod)?;
    kubectl(&[&["-n", namespace, "exec", name, "--"], words].concat())
}

/// Policy and origin of a container, in the kernel.
fn level(container: &str) -> Result<(String, String)> {
    let status = status()?;
    let containers = status["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |entry: &&Value| entry["id"].as_str().is_some_and(|id| container.starts_with(id));
    let found = containers
        .iter()
        .find(of)
        .with_context(|| format!("{container} is not registered: {status}"))?;
    let word = |key: &str| found[key].as_str().unwrap_or("?").to_owned();
    Ok((word("policy"), word("origin")))
}

/// That a pod's sandbox and containers have this level or policy; the sandbox at least by this
/// origin.
pub fn expect(pod: &Value, wanted: &str, origin: &str) -> Result<String> {
    let (_, name) = names(pod)?;
    let mut ids = in_containerd(name, None)?;
    // A container that ended is kept for its log.
    let tasks = sh("ctr -n k8s.io tasks ls")?;
    ids.retain(|id| running_among(&tasks, id));
    let found: Vec<(String, String)> = ids.iter().map(|id| level(id)).collect::<Result<_>>()?;
    let levels = found.len() > 1 && found.iter().all(|(level, _)| level == wanted);
    if levels && found.iter().any(|(_, from)| from.contains(origin)) {
        return Ok(format!("{wanted} by {origin}"));
    }
    bail!("{name}: {found:?}; not {wanted} by {origin}")
}

/// That a pod's container is confined, as `kubectl exec` sees it.
pub fn confined(pod: &Value) -> Result<String> {
    exec(pod, &["true"])?.must().context("kubectl exec")?;
    let run = exec(pod, &["ls", "/sys/fs/ext4"])?;
    if run.ok() { bail!("it is not confined: {}", run.said()) } else { Ok(run.said()) }
}

/// Ids of what containerd has of a pod: its sandbox and its containers, or those of one name. The
/// kubelet names static pods after the node too, controllers name theirs by five letters.
pub fn in_containerd(pod: &str, container: Option<&str>) -> Result<Vec<String>> {
    let mut filter = format!("labels.\"io.kubernetes.pod.name\"~=\"^{pod}(-[a-z0-9]{{4,5}})?$\"");
    if let Some(name) = container {
        filter.push_str(&format!(",labels.\"io.kubernetes.container.name\"=={name}"));
    }
    let text = sh(&format!("ctr -n k8s.io containers ls -q '{filter}'"))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Whether containerd runs a container.
pub fn runs(id: &str) -> Result<bool> {
    Ok(running_among(&sh("ctr -n k8s.io tasks ls")?, id))
}

fn running_among(tasks: &str, id: &str) -> bool {
    tasks.lines().any(|line| line.starts_with(id) && line.contains("RUNNING"))
}

/// Ends a container's first process, as a crash would.
pub fn kill(id: &str) -> Result<()> {
    sh(&format!("ctr -n k8s.io tasks kill -s SIGKILL {id}")).map(drop)
}
