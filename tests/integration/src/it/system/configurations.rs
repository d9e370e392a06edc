//! `lockc install` on configurations as hosts have them: the installed engine itself accepts each
//! result.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::sh;

macro_rules! fixture {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../../../../crates/lockc-bpf/tests/fixtures/install/", $name)),
        )
    };
}

const DOCKER: [(&str, &str); 5] = [
    fixture!("docker-empty.json"),
    fixture!("docker-minified.json"),
    fixture!("docker-nvidia.json"),
    fixture!("docker-server.json"),
    fixture!("docker-tabs.json"),
];

/// What containerd 1 and 2 read.
const CONTAINERD: [(&str, &str); 6] = [
    fixture!("containerd-empty.toml"),
    fixture!("containerd-debian.toml"),
    fixture!("containerd-kubeadm.toml"),
    fixture!("containerd-nvidia.toml"),
    fixture!("containerd-v2-imports.toml"),
    fixture!("containerd-1.7-default.toml"),
];
/// What only containerd 2 reads.
const CONTAINERD_2: [(&str, &str); 3] = [
    fixture!("containerd-comment.toml"),
    fixture!("containerd-2.1-default.toml"),
    fixture!("containerd-imports.toml"),
];

const FOLDER: &str = "/run/lockc-configurations";

/// Writes a configuration and lets `lockc install` show what it would do with it.
fn shown(engine: &str, (name, text): (&str, &str), more: &str) -> Result<()> {
    fs::create_dir_all(FOLDER).context("cannot create a directory")?;
    let file = format!("{FOLDER}/{name}");
    fs::write(&file, text).with_context(|| format!("cannot write {file}"))?;
    let said = sh(&format!(
        "lockc install {engine} --config {file} --level restricted {more} --dry-run --json"
    ))
    .with_context(|| name.to_owned())?;
    let report: Value = serde_json::from_str(&said).context("no JSON")?;
    if report["changed"] != true || report["validated_by"].as_str().is_none() {
        bail!("{name}: the engine did not accept it: {report}");
    }
    if fs::read_to_string(&file).context("cannot read it again")? != text
        || fs::read_dir(FOLDER)?.count() != 1
    {
        bail!("{name}: a dry run wrote something");
    }
    fs::remove_dir_all(FOLDER).context("cannot remove the directory")
}

pub fn docker() -> Result<String> {
    for fixture in DOCKER {
        shown("docker", fixture, "")?;
        shown("docker", fixture, "--default")?;
    }
    Ok(format!("{} configurations", DOCKER.len()))
}

pub fn containerd() -> Result<String> {
    let version = sh("containerd --version")?;
    let two = version
        .split_whitespace()
        .nth(2)
        .is_some_and(|version| version.trim_start_matches('v').starts_with("2."));
    let more = if two { &CONTAINERD_2[..] } else { &[] };
    for fixture in CONTAINERD.iter().chain(more) {
        shown("containerd", *fixture, "")?;
        shown("containerd", *fixture, "--default")?;
    }
    let templates = if two { 2 } else { 1 };
    let (old, new) =
        (fixture!("containerd-k3s.toml.tmpl"), fixture!("containerd-k3s-v3.toml.tmpl"));
    for ((name, text), file) in
        [(old, "config.toml.tmpl"), (new, "config-v3.toml.tmpl")].into_iter().take(templates)
    {
        template(text, file).with_context(|| name.to_owned())?;
    }
    Ok(format!(
        "{version}: {} configurations, {templates} templates",
        CONTAINERD.len() + more.len()
    ))
}

/// Filled in as k3s does it, as far as these templates ask for anything.
fn template(text: &str, file: &str) -> Result<()> {
    fs::create_dir_all(FOLDER).context("cannot create a directory")?;
    let path = format!("{FOLDER}/{file}");
    fs::write(&path, text).context("cannot write it")?;
    sh(&format!("lockc install containerd --config {path}"))?;
    let filled = fs::read_to_string(&path)
        .context("cannot read it")?
        .replace("{{ template \"base\" . }}", "version = 3");
    let plain: Vec<&str> = filled.lines().filter(|line| !line.contains("{{")).collect();
    let result = format!("{FOLDER}/config.toml");
    fs::write(&result, plain.join("\n")).context("cannot write it")?;
    let dump = sh(&format!("containerd -c {result} config dump"))?;
    if !dump.contains("/usr/bin/lockc-runc-wrapper") {
        bail!("containerd does not see the handler: {dump}");
    }
    sh(&format!("lockc uninstall containerd --config {path}"))?;
    if fs::read_to_string(&path).context("cannot read it")? != text {
        bail!("not as it was");
    }
    fs::remove_dir_all(FOLDER).context("cannot remove the directory")
}
