//! Docker's managed plugins: containers of the default runtime, with a policy of their own.

use std::fs;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{Row, Test, row};
use crate::command;
use crate::config::with_drop_in;
use crate::docker::{self, default_runtime};
use crate::lab::{self, Lab};

pub const ROWS: &[Row] = &[row("docker/plugin", Test::Code(plugin)).thorough()];

const NAME: &str = "lockc-it/plugin";
const FOLDER: &str = "/tmp/lockc-it-plugin";

/// What the plugins of networks and volumes ask for: the host's network, CAP_SYS_ADMIN, a directory
/// in which they mount for others.
const DEMANDING: &str = r#"[engines.docker]
plugins = "privileged"
"#;
/// What dockerd gives every plugin: a directory for its socket, the host's resolver and cgroup
/// namespace, no seccomp profile (moby 28, plugin/v2/plugin_linux.go).
const MODEST: &str = r#"[engines.docker]
plugins = "of-plugins"
[policies.of-plugins]
extends = "baseline"
admit = ["rootfs-propagation", "host-namespaces", "seccomp"]
allowed_mounts = ["/etc/hosts", "/etc/resolv.conf"]
"#;

fn plugin(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    lab.docker()?;
    let told = in_turn();
    let _ = command::run(&["docker", "plugin", "rm", "-f", NAME]);
    runtime_of_plugins("runc")?;
    told
}

fn in_turn() -> Result<String> {
    create(true)?;
    enable()?.must().context("proves nothing: it fails without lockc too")?;
    disable()?;
    runtime_of_plugins("lockc")?;
    let refused = enable()?;
    if refused.ok() || !refused.said().contains("engines.docker.plugins") {
        bail!("without a policy for plugins: status {}: {}", refused.status, refused.said());
    }
    with_drop_in(DEMANDING, || {
        enable()?.must()?;
        registered("privileged")?;
        disable()
    })?;
    let refused = with_drop_in(MODEST, enable)?;
    if refused.ok() {
        bail!("the demanding plugin started under a baseline");
    }
    create(false)?;
    with_drop_in(MODEST, || {
        enable()?.must()?;
        registered("of-plugins")?;
        disable()
    })?;
    Ok(refused.said())
}

/// dockerd takes the default runtime that there was at its start (moby 28, daemon/daemon.go).
fn runtime_of_plugins(runtime: &str) -> Result<()> {
    default_runtime(runtime)?;
    docker::restart()
}

/// A plugin that serves a socket, made from busybox and the probe.
fn create(demanding: bool) -> Result<()> {
    let (network, capabilities, propagated) = match demanding {
        true => ("host", json!(["CAP_SYS_ADMIN"]), "/mnt/for-others"),
        false => ("none", Value::Null, ""),
    };
    let config = json!({
        "description": "of lockc's tests", "documentation": "none",
        "entrypoint": ["/probe", "serve", "stream", "/run/docker/plugins/it.sock"],
        "interface": { "types": ["docker.logdriver/1.0"], "socket": "it.sock" },
        "network": { "type": network }, "linux": { "capabilities": capabilities },
            "propagatedMount": propagated,
    });
    command::sh(&format!(
        "docker plugin rm -f {NAME} > /dev/null 2>&1; rm -rf {FOLDER}; mkdir -p \
         {FOLDER}/rootfs/mnt/for-others {FOLDER}/rootfs/run/docker/plugins; tar xf \
         /opt/img/busybox.tar -C {FOLDER}/rootfs; cp /usr/local/bin/lockc-probe \
         {FOLDER}/rootfs/probe"
    ))?;
    fs::write(format!("{FOLDER}/config.json"), config.to_string())
        .context("cannot write the plugin's config")?;
    command::run(&["docker", "plugin", "create", NAME, FOLDER])?.must().map(drop)
}

fn enable() -> Result<command::Run> {
    command::run_for(120, &["docker", "plugin", "enable", NAME], "")
}

fn disable() -> Result<()> {
    command::run(&["docker", "plugin", "disable", "-f", NAME])?.must().map(drop)
}

/// That the plugin is registered under a policy.
fn registered(policy: &str) -> Result<()> {
    let id = command::run(&["docker", "plugin", "inspect", "--format", "{{.Id}}", NAME])?.must()?;
    let status: Value = lab::status()?;
    let entries = status["containers"].as_array().context("no containers")?;
    let entry =
        entries.iter().find(|entry| id.trim().starts_with(entry["id"].as_str().unwrap_or("?")));
    let entry = entry.with_context(|| format!("{id} is not registered: {status}"))?;
    if entry["policy"] != policy || entry["origin"] != "engines.docker.plugins" {
        bail!("chosen: {entry}");
    }
    Ok(())
}
