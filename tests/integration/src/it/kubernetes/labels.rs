//! A namespace's label becomes the level of its pods, and an API server that is gone changes nothing.

use std::cell::RefCell;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::cluster::{self, KUBECONFIG, kubectl};
use super::node::{self, tenant};
use crate::cri::{Container, Pod, describe};
use crate::system::{quickstart, sh, status, until};

const CACHE: &str = "/var/lib/lockc/namespaces.json";
const LABEL: &str = "pod-security.kubernetes.io/enforce";

thread_local! {
    /// The container that follows the labels; it goes on from case to case.
    static SYNC: RefCell<Option<(Pod, Container)>> = const { RefCell::new(None) };
    /// A pod that was there before its namespace had a label.
    static OLD: RefCell<Option<Pod>> = const { RefCell::new(None) };
}

fn cached() -> Result<Value> {
    let text = fs::read_to_string(CACHE).with_context(|| format!("cannot read {CACHE}"))?;
    serde_json::from_str(&text).context("the file is no JSON")
}

/// Waits until the node knows this of a namespace.
fn known(namespace: &str, enforce: Option<&str>) -> Result<()> {
    until(60, &format!("the node knows {enforce:?} of {namespace}"), || {
        Ok(cached().is_ok_and(|cached| {
            let entry = &cached["namespaces"][namespace];
            !entry.is_null() && entry["enforce"].as_str() == enforce
        }))
    })
}

fn label(namespace: &str, level: Option<&str>) -> Result<()> {
    let word = level.map_or_else(|| format!("{LABEL}-"), |level| format!("{LABEL}={level}"));
    kubectl(&["label", "--overwrite", "namespace", namespace, &word])?.must()?;
    known(namespace, level)
}

/// The level of a sandbox, in the kernel.
fn level(pod: &Pod) -> Result<String> {
    let status = status()?;
    let containers = status["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |entry: &&Value| entry["id"].as_str().is_some_and(|id| pod.id.starts_with(id));
    let found = containers.iter().find(of).with_context(|| format!("{} is not registered: {status}", pod.id))?;
    Ok(format!("{} by {}", found["level"].as_str().unwrap_or("?"), found["origin"].as_str().unwrap_or("?")))
}

/// A container of root's, which restricted does not admit.
fn as_root(pod: &Pod) -> Result<String> {
    let container = pod.start(&describe::container(&["sleep", "60"]).seccomp_default())?;
    let run = container.exec(&["ls", "/sys/fs/ext4"])?;
    if run.ok() { bail!("it is not confined: {}", run.said()) } else { Ok(run.said()) }
}

fn refused_as_root(pod: &Pod) -> Result<String> {
    match as_root(pod) {
        Err(error) if format!("{error:#}").contains("restricted") => Ok(format!("{error:#}")),
        Err(error) => Err(error.context("refused, but not by the level")),
        Ok(_) => bail!("a container of root's started"),
    }
}

fn expect(found: &str, level: &str, origin: &str) -> Result<()> {
    if found.starts_with(&format!("{level} by ")) && found.contains(origin) {
        return Ok(());
    }
    bail!("{found}; not {level} by {origin}")
}

/// With the chart's service account, its roles and its container's rights.
pub fn sync() -> Result<String> {
    let running = node::sync()?;
    let listed = known("kube-system", None);
    let said = running.1.logs().map(|run| run.said()).unwrap_or_default();
    listed.with_context(|| said.clone())?;
    SYNC.set(Some(running));
    let mode = sh(&format!("stat -c '%U %a' {CACHE} && lockc config check"))?;
    Ok(format!("{mode}: {said}"))
}

pub fn decides() -> Result<String> {
    kubectl(&["create", "namespace", "team"])?.must()?;
    known("team", None)?;
    let old = tenant("lockc", "team")?;
    expect(&level(&old)?, "baseline", "default")?;
    as_root(&old)?;
    OLD.set(Some(old));
    label("team", Some("restricted"))?;
    let next = tenant("lockc", "team")?;
    let found = level(&next)?;
    expect(&found, "restricted", LABEL)?;
    refused_as_root(&next)?;
    let container = next.start(&describe::container(&["sleep", "60"]).hardened())?;
    let run = container.exec(&["ls", "/sys/fs/ext4"])?;
    if run.ok() { bail!("it is not confined") } else { Ok(found) }
}

pub fn running_pods() -> Result<String> {
    let old = OLD.take().context("no pod from before the label")?;
    let found = level(&old)?;
    expect(&found, "baseline", "default")?;
    // A container that joins it has its pod's level, whatever the namespace says by now.
    as_root(&old)?;
    Ok(found)
}

pub fn handlers() -> Result<String> {
    label("team", Some("baseline"))?;
    let pod = tenant("lockc-restricted", "team")?;
    let found = level(&pod)?;
    expect(&found, "restricted", "")?;
    refused_as_root(&pod)?;
    Ok(found)
}

pub fn quickstart() -> Result<String> {
    sh(
        "mkdir -p /run/bin && ln -sf $PWD/kubectl /run/bin/ && mv lockc.yaml lockc.yaml.whole && cp lockc.yaml.known lockc.yaml",
    )?;
    let done = quickstart::run_in(
        &format!("export PATH=/run/bin:$PATH KUBECONFIG={KUBECONFIG}"),
        quickstart::KUBERNETES,
        &["Install", "Use"],
    );
    sh("mv lockc.yaml.whole lockc.yaml")?;
    done
}

pub fn server_gone() -> Result<String> {
    label("team", Some("restricted"))?;
    cluster::end_server()?;
    let before = cached()?;
    let start = Instant::now();
    let pod = tenant("lockc", "team")?;
    let took = start.elapsed();
    let found = level(&pod)?;
    expect(&found, "restricted", LABEL)?;
    refused_as_root(&pod)?;
    if took > Duration::from_secs(30) || cached()? != before {
        bail!("after {took:?}: {}", cached()?);
    }
    Ok(format!("{found}, in {:.1} s", took.as_secs_f32()))
}

/// The node boots while the API server is away, say.
pub fn begins_without() -> Result<String> {
    let before = cached()?;
    SYNC.set(None);
    let running = node::sync()?;
    until(60, "it says that nobody answers", || Ok(running.1.logs()?.said().contains("tried again")))?;
    let said = running.1.logs()?.said();
    SYNC.set(Some(running));
    if cached()? != before {
        bail!("the file changed: {}", cached()?);
    }
    expect(&level(&tenant("lockc", "team")?)?, "restricted", LABEL)?;
    Ok(said)
}

pub fn server_back() -> Result<String> {
    cluster::server()?;
    kubectl(&["label", "--overwrite", "namespace", "team", &format!("{LABEL}=baseline")])?.must()?;
    // Backing off, it may wait half a minute before it asks again.
    until(120, "it asks again", || Ok(cached()?["namespaces"]["team"]["enforce"] == "baseline"))?;
    let pod = tenant("lockc", "team")?;
    expect(&level(&pod)?, "baseline", LABEL)?;
    as_root(&pod)
}

/// Nobody finalizes namespaces here; the cluster's controller would.
pub fn deleted() -> Result<String> {
    kubectl(&["delete", "namespace", "team", "--wait=false"])?.must()?;
    sh(&format!(
        "export KUBECONFIG={KUBECONFIG}; ./kubectl get namespace team -o json | jq '.spec.finalizers=[]' \
         | ./kubectl replace --raw /api/v1/namespaces/team/finalize -f -"
    ))?;
    until(60, "the node forgets it", || Ok(cached()?["namespaces"]["team"].is_null()))?;
    SYNC.set(None);
    Ok("gone".into())
}
