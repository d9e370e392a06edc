//! What `lockc-node report` tells the cluster, with the chart's rights and its container's: Events,
//! the node's label and condition, reports, metrics; and kubectl's plugin.

use std::fs;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::cluster::{KUBECONFIG, fetch, get, kubectl};
use super::pods::{self, pod};
use crate::system::{sh, until};

const NODE: &str = "/api/v1/nodes/node";
/// The namespace of the cases, and its pod.
const SHOP: &str = "reported";
/// Where the chart's default serves.
const METRICS: &str = "127.0.0.1:9473";

/// That the node has the label with this value, and the condition.
pub fn is_ready(wanted: bool) -> Result<String> {
    let (label, status) = if wanted { ("true", "True") } else { ("false", "False") };
    let mut told = String::new();
    until(90, &format!("lockc.org/ready is {label}"), || {
        let node = get(NODE)?;
        let conditions = node["status"]["conditions"].as_array().map(Vec::as_slice);
        let own = conditions.unwrap_or_default().iter().find(|it| it["type"] == "LockcReady");
        Ok(node["metadata"]["labels"]["lockc.org/ready"] == label
            && own.is_some_and(|own| own["status"] == status))
    })
    .with_context(|| log().unwrap_or_default())?;
    let node = get(NODE)?;
    for own in node["status"]["conditions"].as_array().into_iter().flatten() {
        if own["type"] == "LockcReady" {
            told = format!("{}: {}", own["reason"], own["message"]);
        }
    }
    Ok(told)
}

fn log() -> Result<String> {
    kubectl(&["-n", "lockc-system", "logs", "daemonset/lockc", "-c", "report", "--tail=20"])?.must()
}

pub fn ready() -> Result<String> {
    let told = is_ready(true)?;
    let class = get("/apis/node.k8s.io/v1/runtimeclasses/lockc")?;
    if class["scheduling"]["nodeSelector"]["lockc.org/ready"] != "true" {
        bail!("the RuntimeClass selects no such nodes: {class}");
    }
    Ok(told)
}

fn denied() -> Value {
    pod(SHOP, "denied", "lockc")
}

/// The Events of lockc's about a pod with this reason.
fn events(pod: &str, reason: &str) -> Result<Vec<Value>> {
    let all = get(&format!("/apis/events.k8s.io/v1/namespaces/{SHOP}/events"))?;
    let is_it = |event: &&Value| {
        event["reason"] == reason
            && event["regarding"]["name"] == pod
            && event["reportingController"] == "lockc.org/node"
    };
    Ok(all["items"].as_array().into_iter().flatten().filter(is_it).cloned().collect())
}

fn note(event: &Value) -> &str {
    event["note"].as_str().unwrap_or_default()
}

pub fn event_of_a_denial() -> Result<String> {
    kubectl(&["create", "namespace", SHOP])?.must()?;
    pods::start(&denied())?;
    pods::confined(&denied())?;
    until(60, "the denial is an Event", || Ok(!events("denied", "LockcDenied")?.is_empty()))
        .with_context(|| log().unwrap_or_default())?;
    let found = events("denied", "LockcDenied")?;
    let about = |event: &&Value| note(event).contains("/fs/ext4") && note(event).contains("sysfs");
    let event = found.iter().find(about).with_context(|| format!("{found:?}"))?;
    let uid = get(&format!("/api/v1/namespaces/{SHOP}/pods/denied"))?["metadata"]["uid"].clone();
    if event["regarding"]["uid"] != uid || event["type"] != "Warning" {
        bail!("{event}");
    }
    Ok(note(event).to_owned())
}

pub fn event_of_a_refusal() -> Result<String> {
    let mut refused = pod(SHOP, "refused", "lockc");
    refused["spec"]["hostNetwork"] = true.into();
    pods::create(&refused)?;
    until(180, "the refusal is an Event", || Ok(!events("refused", "LockcRefused")?.is_empty()))
        .with_context(|| log().unwrap_or_default())?;
    let found = events("refused", "LockcRefused")?;
    pods::delete(&refused)?;
    match found.iter().find(|event| note(event).contains("host-namespaces")) {
        Some(event) => Ok(note(event).to_owned()),
        None => bail!("{found:?}"),
    }
}

/// A kind of which the reporter asks, without its schema.
fn kind() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "policyreports.wgpolicyk8s.io"},
        "spec": {
            "group": "wgpolicyk8s.io", "scope": "Namespaced",
            "names": {"kind": "PolicyReport", "listKind": "PolicyReportList",
                "plural": "policyreports", "singular": "policyreport"},
            "versions": [{"name": "v1alpha2", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object",
                    "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    })
}

/// Another process goes on with the Events of the one before, and finds the kind of reports that
/// the cluster has by now.
pub fn restart() -> Result<String> {
    pods::create(&kind())?;
    let before = events("denied", "LockcDenied")?;
    let first = pods::in_containerd("lockc", Some("report"))?;
    for id in &first {
        pods::kill(id)?;
    }
    let report =
        format!("/apis/wgpolicyk8s.io/v1alpha2/namespaces/{SHOP}/policyreports/lockc-node");
    until(240, "the report is there", || Ok(!get(&report)?.is_null()))
        .with_context(|| log().unwrap_or_default())?;
    let found = get(&report)?;
    let results = found["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_denial = |it: &Value| it["rule"] == "sysfs" && it["resources"][0]["name"] == "denied";
    if !results.iter().any(is_denial) || found["metadata"]["ownerReferences"][0]["kind"] != "Node" {
        bail!("{found}");
    }
    let names = |events: &[Value]| {
        let mut names: Vec<String> =
            events.iter().map(|event| event["metadata"]["name"].to_string()).collect();
        names.sort();
        names
    };
    let after = events("denied", "LockcDenied")?;
    if names(&before) != names(&after) {
        bail!("other Events: {before:?}, then {after:?}");
    }
    Ok(format!("{} results, {} Events as before", results.len(), after.len()))
}

pub fn metrics() -> Result<String> {
    until(60, "the reporter is ready", || {
        Ok(fetch(METRICS, "/readyz").is_ok_and(|answer| answer.contains(" 200 ")))
    })?;
    let text = fetch(METRICS, "/metrics")?;
    for part in
        ["application/openmetrics-text", "lockc_enforcing 1", "lockc_report_events_total{", "# EOF"]
    {
        if !text.contains(part) {
            bail!("the metrics do not have {part:?}: {text}");
        }
    }
    // The address of the node's network.
    if fetch("10.0.0.1:9473", "/metrics").is_ok() {
        bail!("the metrics are served on the node's address");
    }
    Ok(text.lines().find(|line| line.starts_with("lockc_denials")).unwrap_or("").to_owned())
}

/// kubectl finds it by its name.
pub fn plugin() -> Result<String> {
    sh("ln -sf /usr/local/bin/lockc /run/bin/kubectl-lockc")?;
    let run = |words: &str| {
        sh(&format!("PATH=/run/bin:$PATH KUBECONFIG={KUBECONFIG} kubectl lockc {words}"))
    };
    let mut said = Vec::new();
    for (words, parts) in [
        (format!("ps -n {SHOP}"), ["node", "reported/denied/main"]),
        (format!("events denied -n {SHOP}"), ["sysfs", "/fs/ext4"]),
        ("events -A -o json --rule sysfs".to_owned(), ["\"node\":\"node\"", "/fs/ext4"]),
        (format!("explain denied -n {SHOP}"), ["starts", "baseline"]),
    ] {
        let text = run(&words)?;
        if parts.iter().any(|part| !text.contains(part)) {
            bail!("kubectl lockc {words}: {text}");
        }
        said.push(text);
    }
    fs::write("/run/cluster/plugin.log", said.join("\n")).context("cannot write a log")?;
    Ok(said.swap_remove(0))
}

/// The report goes with its pods.
pub fn empty() -> Result<String> {
    pods::delete(&denied())?;
    let all = "/apis/wgpolicyk8s.io/v1alpha2/policyreports?fieldSelector=metadata.namespace%3D";
    until(240, "the report is removed", || {
        Ok(get(&format!("{all}{SHOP}"))?["items"].as_array().is_some_and(Vec::is_empty))
    })
    .with_context(|| log().unwrap_or_default())?;
    kubectl(&["delete", "namespace", SHOP, "--timeout=200s"])?.must()?;
    Ok("removed".into())
}
