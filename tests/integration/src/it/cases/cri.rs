//! What the cases of containerd's CRI socket have in common: pods that start, pods and containers
//! that are refused, and the kernel's entry of either.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command;
use crate::cri::describe::container;
use crate::cri::proto::{ContainerConfig, PodSandboxConfig};
use crate::cri::{Container, Pod};
use crate::lab::{self, Lab};

/// Nothing of it is about a machine without lockc.
pub fn needs_lockc(lab: &Lab) -> Result<()> {
    if lab.plain { bail!("proves nothing: needs lockc's handlers") } else { Ok(()) }
}

/// The handler under test.
pub fn handler(lab: &Lab) -> &'static str {
    if lab.plain { "runc" } else { "lockc" }
}

/// A program that stays.
pub fn idle() -> ContainerConfig {
    container(&["sleep", "1000"])
}

/// The kernel's entry of a sandbox or container.
pub fn entry(id: &str) -> Result<Value> {
    let status: Value = lab::status()?;
    let entries = status["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = entries.iter().find(|entry| id.starts_with(entry["id"].as_str().unwrap_or("?")));
    found.cloned().with_context(|| format!("{id} is not registered: {status}"))
}

/// That the entry says so.
pub fn expect(id: &str, policy: &str, origin: &str) -> Result<()> {
    let entry = entry(id)?;
    if entry["policy"] == policy && entry["origin"] == origin {
        Ok(())
    } else {
        bail!("expected {policy} by {origin}: {entry}")
    }
}

/// A sandbox that has the policy.
pub fn sandbox_has(
    lab: &mut Lab,
    handler: &str,
    config: PodSandboxConfig,
    policy: &str,
    origin: &str,
) -> Result<String> {
    pod_that_has(lab, handler, config, policy, origin).map(|_| format!("{policy} by {origin}"))
}

fn pod_that_has(
    lab: &mut Lab,
    handler: &str,
    config: PodSandboxConfig,
    policy: &str,
    origin: &str,
) -> Result<Pod> {
    needs_lockc(lab)?;
    let pod = Pod::run(&lab.containerd()?.cri, handler, config)?;
    expect(&pod.id, policy, origin)?;
    Ok(pod)
}

/// A sandbox that has the policy, and a container that got it from there.
pub fn chosen(
    lab: &mut Lab,
    handler: &str,
    config: PodSandboxConfig,
    policy: &str,
    origin: &str,
) -> Result<String> {
    let pod = pod_that_has(lab, handler, config, policy, origin)?;
    let c = pod.start(&idle().hardened())?;
    let inherited = ["annotation org.lockc.policy", "--lockc-policy"].contains(&origin);
    expect(&c.id, policy, if inherited { origin } else { "its pod's sandbox" })?;
    Ok(format!("{policy} by {origin}"))
}

/// Not started, and the CRI error has lockc's reason with all of the texts in it.
pub fn refusal<T>(result: Result<T>, texts: &[&str]) -> Result<String> {
    let Err(error) = result else { bail!("NOT REFUSED") };
    let message = format!("{error:#}");
    if !message.contains("lockc: ") {
        bail!("refused, but without lockc's reason: {message}");
    }
    let all = command::with_all_reasons(&message);
    match texts.iter().find(|text| !all.contains(**text)) {
        Some(text) => bail!("refused, but the reason does not name {text:?}: {message}"),
        None => Ok(message),
    }
}

/// A pod that is refused for what it asks, with the levels in the texts. Without lockc nobody reads
/// that, so that any pod starts there.
pub fn pod_refused(
    lab: &mut Lab,
    handler: &str,
    config: PodSandboxConfig,
    texts: &[&str],
) -> Result<String> {
    let cri = lab.containerd()?.cri.clone();
    lab.containerd()?
        .shared("runc", "default")
        .context("proves nothing: it fails without lockc too")?;
    if lab.plain {
        return Ok("starts without lockc".into());
    }
    refusal(Pod::run(&cri, handler, config), texts)
}

/// A container in the common pod of a namespace.
pub fn start(
    lab: &mut Lab,
    handler: &'static str,
    namespace: &'static str,
    config: &ContainerConfig,
) -> Result<Container> {
    lab.containerd()?.shared(handler, namespace)?.start(config)
}
