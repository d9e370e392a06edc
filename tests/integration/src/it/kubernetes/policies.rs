//! Policies that the cluster defines: one reaches a pod, a broken one reaches nobody and says so.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::cluster::{self, KUBECONFIG, get, kubectl};
use super::labels::known;
use super::pods;
use crate::system::{fails, quickstart, sh, until};

const FILE: &str = "/var/lib/lockc/policies.json";
const OBJECTS: &str = "/apis/lockc.org/v1alpha1/confinementpolicies";
const NAME: &str = "disk-metrics";
/// The namespace of the page's pod.
const NAMESPACE: &str = "metrics";
/// What baseline denies, and the page's policy allows.
const DENIED: [&str; 2] = ["ls", "/sys/fs/ext4"];

fn kept() -> Result<Value> {
    let text = fs::read_to_string(FILE).with_context(|| format!("cannot read {FILE}"))?;
    serde_json::from_str(&text).context("the file is not valid JSON")
}

/// What a node says of a policy.
fn entry(name: &str, node: &str) -> Result<Value> {
    let object = get(&format!("{OBJECTS}/{name}"))?;
    let entries = object["status"]["nodes"].as_array().cloned().unwrap_or_default();
    Ok(entries.into_iter().find(|entry| entry["name"] == node).unwrap_or_default())
}

/// Waits until this node says of that generation whether it is ready; its message.
fn says(name: &str, generation: i64, ready: bool) -> Result<String> {
    let mut last = Value::Null;
    let mut look = || {
        last = entry(name, "node")?;
        Ok(last["observedGeneration"] == generation && last["ready"] == ready)
    };
    let found = (0..60).any(|_| {
        let found: Result<bool> = look();
        if !found.as_ref().is_ok_and(|found| *found) {
            std::thread::sleep(std::time::Duration::from_secs(2));
        }
        found.unwrap_or(false)
    });
    if !found {
        let log = kubectl(&["-n", "lockc-system", "logs", "daemonset/lockc", "-c", "sync"])?;
        bail!("{name} has {last}, not generation {generation}, {ready}; {}", log.said());
    }
    Ok(last["message"].as_str().unwrap_or_default().to_owned())
}

fn policy(name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "lockc.org/v1alpha1", "kind": "ConfinementPolicy",
        "metadata": { "name": name }, "spec": spec })
}

/// A pod that asks for a policy.
fn asking(namespace: &str, name: &str, policy: &str) -> Value {
    let mut pod = pods::pod(namespace, name, "lockc");
    pod["metadata"]["annotations"] = json!({ "org.lockc.policy": policy });
    pod
}

fn reads(pod: &Value) -> Result<String> {
    let said = pods::exec(pod, &DENIED)?.must()?;
    if said.contains("features") { Ok(said) } else { bail!("{said}") }
}

/// The page, as its reader goes through it.
pub fn reaches_a_pod() -> Result<String> {
    let environment = format!("export PATH=/run/bin:$PATH KUBECONFIG={KUBECONFIG}");
    let done = quickstart::run_in(
        &environment,
        quickstart::POLICIES,
        &["Define a policy", "What a node accepts"],
    )
    .with_context(|| entry(NAME, "node").map(|entry| entry.to_string()).unwrap_or_default())?;
    let pod = asking(NAMESPACE, NAME, NAME);
    pods::expect(&pod, NAME, "annotation")?;
    if kept()?["policies"][NAME]["spec"]["reads"] != json!(["/sys/fs/ext4"]) {
        bail!("the file has another policy: {}", kept()?);
    }
    sh(&format!("test \"$(stat -c '%U %G %a' {FILE})\" = 'root root 644'"))?;
    sh("lockc config check | grep -q 'ConfinementPolicy disk-metrics, generation 1 is valid'")?;
    // Beside it, without the annotation's policy: confined.
    let other = asking(NAMESPACE, "plain", "baseline");
    pods::start(&other)?;
    pods::confined(&other)?;
    pods::delete(&other)?;
    // The namespace's ceiling holds for it as for every policy.
    kubectl(&["create", "namespace", "narrow"])?.must()?;
    kubectl(&["label", "namespace", "narrow", "pod-security.kubernetes.io/enforce=baseline"])?
        .must()?;
    known("narrow", Some("baseline"))?;
    pods::refused(&asking("narrow", "above", NAME), "looser than the ceiling baseline")?;
    Ok(done)
}

/// A change that the API server accepts, and the node cannot use.
pub fn broken_one_reaches_nobody() -> Result<String> {
    let broken = json!({ "extends": "baseline", "reads": ["/etc/shadow"] });
    pods::create(&policy(NAME, &broken))?;
    let message = says(NAME, 2, false)?;
    if !message.contains("is neither in /proc nor in /sys")
        || !message.contains("generation 1 stays in use")
    {
        bail!("the status says {message:?}");
    }
    let file = &kept()?["policies"][NAME];
    if file["generation"] != 1 || file["spec"]["reads"] != json!(["/sys/fs/ext4"]) {
        bail!("the last good state is gone: {file}");
    }
    let next = asking(NAMESPACE, "next", NAME);
    pods::start(&next)?;
    reads(&next)?;
    pods::delete(&next)?;
    // One that was never accepted has no file entry.
    pods::create(&policy("never-good", &broken))?;
    let other = says("never-good", 1, false)?;
    if !other.contains("the node has no policy of that name") {
        bail!("the status says {other:?}");
    }
    pods::refused(&asking(NAMESPACE, "nobody", "never-good"), "unknown policy")?;
    // What has another form does not come so far.
    for (spec, wrong) in [
        (json!({ "extends": "baseline", "mode": "soft" }), "spec.mode"),
        (json!({ "reads": [] }), "spec.extends"),
        (json!({ "extends": "baseline", "reads": "/sys" }), "spec.reads"),
    ] {
        let run = cluster::kubectl_with(
            &["apply", "--validate=false", "-f", "-"],
            &policy("no-form", &spec).to_string(),
        )?;
        if run.ok() || !run.said().contains(wrong) {
            bail!("{spec}: {}", run.said());
        }
    }
    // And back: the third generation is good again.
    let good = json!({ "extends": "baseline", "reads": ["/sys/fs/ext4", "/sys/class/block"] });
    pods::create(&policy(NAME, &good))?;
    says(NAME, 3, true)?;
    let shown = kubectl(&["get", "confinementpolicies", "-o", "wide"])?.must()?;
    Ok(format!("{message}\n{shown}"))
}

/// What only the pods that ask for it feel.
pub fn damaged_file() -> Result<String> {
    // The process that follows the cluster does not look at its file until something changes.
    sh(&format!("cp -a {FILE} {FILE}.kept && echo '{{' > {FILE}"))?;
    sh("lockc config check | grep -q LOCKC-C022")?;
    let told = pods::refused(&asking(NAMESPACE, "damaged", NAME), "LOCKC-P007")?;
    let other = asking(NAMESPACE, "unaffected", "baseline");
    pods::start(&other)?;
    pods::delete(&other)?;
    sh(&format!("mv {FILE}.kept {FILE} && lockc config check"))?;
    Ok(told)
}

/// An entry that a node left which the cluster no longer has.
pub fn node_that_is_gone() -> Result<String> {
    let applied = json!({ "apiVersion": "lockc.org/v1alpha1", "kind": "ConfinementPolicy",
        "metadata": { "name": NAME },
        "status": { "nodes": [{ "name": "gone", "observedGeneration": 1, "ready": true }] } });
    cluster::apply(&format!("{OBJECTS}/{NAME}/status"), "lockc-node-gone", &applied)?;
    let both = [entry(NAME, "gone")?, entry(NAME, "node")?];
    if both.iter().any(Value::is_null) {
        bail!("one node's entry took the place of another's: {both:?}");
    }
    Ok(both[0].to_string())
}

/// After `lockc-node sync` listed the policies again.
pub fn status_forgets_it() -> Result<String> {
    until(120, "the entry of the node that is gone is removed", || {
        Ok(entry(NAME, "gone")?.is_null())
    })?;
    let own = entry(NAME, "node")?;
    if own["ready"] != true { bail!("it took {own} with it") } else { Ok(own.to_string()) }
}

/// Helm leaves the policies; the page says how they go.
pub fn stay_and_are_removed() -> Result<()> {
    let environment = format!("export PATH=/run/bin:$PATH KUBECONFIG={KUBECONFIG}");
    quickstart::run_in(&environment, quickstart::POLICIES, &["Remove the policies"]).map(drop)
}

pub fn deleted() -> Result<String> {
    for name in [NAME, "never-good"] {
        kubectl(&["delete", "confinementpolicy", name])?.must()?;
    }
    until(60, "the file is gone", || Ok(!Path::new(FILE).exists()))?;
    fails(&format!("lockc policy show {NAME}"), "unknown policy")?;
    pods::delete(&asking(NAMESPACE, NAME, NAME))?;
    sh("lockc config check")
}
