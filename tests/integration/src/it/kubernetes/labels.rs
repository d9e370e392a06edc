//! A namespace's label becomes the level of its pods, and an API server that is gone changes
//! nothing.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::cluster::{self, KUBELET_LOG, STATIC_PODS, kubectl};
use super::pods::{self, confined, expect, hardened, pod};
use crate::system::{sh, until};

const CACHE: &str = "/var/lib/lockc/namespaces.json";
const LABEL: &str = "pod-security.kubernetes.io/enforce";
/// The namespace of the cases.
const TEAM: &str = "team";

fn cached() -> Result<Value> {
    let text = fs::read_to_string(CACHE).with_context(|| format!("cannot read {CACHE}"))?;
    serde_json::from_str(&text).context("the file is not valid JSON")
}

/// Waits until the node knows this of a namespace.
pub fn known(namespace: &str, enforce: Option<&str>) -> Result<()> {
    until(60, &format!("the node knows {enforce:?} of {namespace}"), || {
        Ok(cached().is_ok_and(|cached| {
            let entry = &cached["namespaces"][namespace];
            !entry.is_null() && entry["enforce"].as_str() == enforce
        }))
    })
}

fn label(level: &str) -> Result<()> {
    kubectl(&["label", "--overwrite", "namespace", TEAM, &format!("{LABEL}={level}")])?.must()?;
    known(TEAM, Some(level))
}

/// With the chart's service account, its roles and its container's rights.
pub fn sync() -> Result<String> {
    known("kube-system", None)?;
    let mode = sh(&format!("stat -c '%U %a' {CACHE} && lockc config check"))?;
    let said = kubectl(&["-n", "lockc-system", "logs", "daemonset/lockc", "-c", "sync"])?.must()?;
    Ok(format!("{mode}: {said}"))
}

/// The pod that was there before its namespace had a label.
fn old() -> Value {
    pod(TEAM, "old", "lockc")
}

pub fn decides() -> Result<String> {
    kubectl(&["create", "namespace", TEAM])?.must()?;
    known(TEAM, None)?;
    pods::start(&old())?;
    expect(&old(), "baseline", "default")?;
    confined(&old())?;
    label("restricted")?;
    pods::refused(&pod(TEAM, "next", "lockc"), "level restricted")?;
    let next = hardened(TEAM, "next-hardened", "lockc");
    pods::start(&next)?;
    let found = expect(&next, "restricted", LABEL)?;
    confined(&next)?;
    pods::delete(&next)?;
    Ok(found)
}

/// Its container crashes and comes back: in its pod it has its pod's level, whatever the namespace
/// says by now.
pub fn running_pods() -> Result<String> {
    let first = pods::running(&old())?;
    expect(&old(), "baseline", "default")?;
    pods::kill(&first)?;
    until(150, "the container is back", || Ok(pods::running(&old())? != first))?;
    let found = expect(&old(), "baseline", "default")?;
    confined(&old())?;
    pods::delete(&old())?;
    Ok(found)
}

pub fn handlers() -> Result<String> {
    label("baseline")?;
    pods::refused(&pod(TEAM, "root", "lockc-restricted"), "level restricted")?;
    let tight = hardened(TEAM, "tight", "lockc-restricted");
    pods::start(&tight)?;
    let found = expect(&tight, "restricted", "--lockc-policy")?;
    pods::delete(&tight)?;
    Ok(found)
}

/// Gives the kubelet a pod without the API server; waits until containerd has made the sandbox.
fn static_pod(pod: &Value) -> Result<()> {
    let name = pod["metadata"]["name"].as_str().context("no name")?;
    fs::write(format!("{STATIC_PODS}/{name}.json"), pod.to_string())
        .context("cannot write a static pod")
}

/// Waits until a static pod's container runs: that of its sandbox, too.
fn static_level(pod: &Value, level: &str, origin: &str) -> Result<String> {
    static_pod(pod)?;
    let name = pod["metadata"]["name"].as_str().context("no name")?;
    let main = || pods::in_containerd(name, Some("main"));
    until(150, "its container runs", || {
        Ok(main()?.iter().any(|id| pods::runs(id).unwrap_or(false)))
    })
    .with_context(|| sh(&format!("tail -n 5 {KUBELET_LOG}")).unwrap_or_default())?;
    expect(pod, level, origin)
}

pub fn server_gone() -> Result<String> {
    label("restricted")?;
    cluster::end_server()?;
    let before = cached()?;
    let start = Instant::now();
    let found = static_level(&hardened(TEAM, "static", "lockc"), "restricted", LABEL)?;
    let took = start.elapsed();
    static_pod(&pod(TEAM, "static-root", "lockc"))?;
    let told = || {
        Ok(sh(&format!("grep -c 'lockc: refused by level restricted' {KUBELET_LOG} || true"))?
            != "0")
    };
    until(150, "root is refused, and the kubelet's log shows that", told)?;
    if took > Duration::from_secs(90) || cached()? != before {
        bail!("after {took:?}: {}", cached()?);
    }
    Ok(format!("{found}, in {:.1} s", took.as_secs_f32()))
}

/// The node boots while the API server is away, say.
pub fn begins_without() -> Result<String> {
    let before = cached()?;
    let sync = pods::in_containerd("lockc", Some("sync"))?;
    for id in &sync {
        pods::kill(id)?;
    }
    let log = || sh("cat /var/log/pods/lockc-system_lockc-*/sync/[1-9]*.log 2> /dev/null || true");
    until(150, "it logs that the API server does not respond", || {
        Ok(log()?.contains("tries again"))
    })?;
    if cached()? != before {
        bail!("the file changed: {}", cached()?);
    }
    static_level(&hardened(TEAM, "static-two", "lockc"), "restricted", LABEL)?;
    log()
}

pub fn server_back() -> Result<String> {
    cluster::server()?;
    kubectl(&["label", "--overwrite", "namespace", TEAM, &format!("{LABEL}=baseline")])?.must()?;
    // Backing off, it may wait half a minute before it asks again.
    until(150, "it asks again", || Ok(cached()?["namespaces"][TEAM]["enforce"] == "baseline"))?;
    let pod = pod(TEAM, "back", "lockc");
    pods::start(&pod)?;
    expect(&pod, "baseline", LABEL)?;
    confined(&pod)
}

pub fn deleted() -> Result<String> {
    sh(&format!("rm -f {STATIC_PODS}/*.json"))?;
    kubectl(&["delete", "namespace", TEAM, "--timeout=200s"])?.must()?;
    until(60, "the node forgets it", || Ok(cached()?["namespaces"][TEAM].is_null()))?;
    Ok("gone".into())
}

/// Nobody asks a pod's owner what its annotation may say but the node, where no admission policy
/// does.
pub fn ceiling() -> Result<String> {
    label("restricted")?;
    let mut above = hardened(TEAM, "above", "lockc");
    above["metadata"]["annotations"] = json!({"org.lockc.policy": "baseline"});
    pods::refused(&above, "baseline")?;
    let mut offline = pod(TEAM, "offline", "lockc");
    label("baseline")?;
    offline["metadata"]["annotations"] = json!({"org.lockc.policy": "offline"});
    pods::start(&offline)?;
    let found = expect(&offline, "offline", "annotation")?;
    pods::delete(&offline)?;
    Ok(found)
}
