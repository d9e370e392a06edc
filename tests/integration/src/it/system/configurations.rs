//! `lockc install` on configurations as hosts have them: the installed engine itself accepts each
//! result.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{fails, sh};

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

/// As the default too. Where that would take away what NVIDIA's runtime does, the administrator has
/// to say which runtime lockc starts.
fn default(engine: &str, fixture: (&str, &str)) -> Result<()> {
    const CHOICE: &str = "/etc/lockc/lockc.d/99-configurations.toml";
    if !fixture.0.contains("nvidia") {
        return shown(engine, fixture, "--default");
    }
    fs::create_dir_all(FOLDER).context("cannot create a directory")?;
    let file = format!("{FOLDER}/{}", fixture.0);
    fs::write(&file, fixture.1).with_context(|| format!("cannot write {file}"))?;
    let line = format!("lockc install {engine} --config {file} --default --dry-run");
    fails(&line, "the default runtime is nvidia")?;
    fs::write(CHOICE, "runtimes = [\"/usr/sbin/runc\"]\n").context("cannot write a choice")?;
    let result = shown(engine, fixture, "--default");
    fs::remove_file(CHOICE).context("cannot remove the choice")?;
    result
}

/// A drop-in that replaces (containerd 1.7) or adds (2.x): containerd itself takes lockc's handler.
fn beside_a_drop_in() -> Result<()> {
    let folder = format!("{FOLDER}/conf.d");
    fs::create_dir_all(&folder).context("cannot create a directory")?;
    let root = format!("{FOLDER}/config.toml");
    fs::write(&root, format!("version = 2\nimports = [\"{folder}/*.toml\"]\n"))?;
    let nvidia = fixture!("containerd-nvidia.toml").1;
    fs::write(format!("{folder}/99-nvidia.toml"), nvidia)?;
    let said = sh(&format!("lockc install containerd --config {root}"))?;
    if !said.contains("checked by containerd") {
        bail!("containerd did not check it: {said}");
    }
    let dump = sh(&format!("containerd -c {root} config dump"))?;
    for text in ["/usr/bin/lockc-runc-wrapper", "/usr/bin/nvidia-container-runtime"] {
        if !dump.contains(text) {
            bail!("containerd does not see {text}: {dump}");
        }
    }
    sh(&format!("lockc uninstall containerd --config {root}"))?;
    if fs::read_to_string(format!("{folder}/99-nvidia.toml"))? != nvidia {
        bail!("the drop-in is not as it was");
    }
    fs::remove_dir_all(FOLDER).context("cannot remove the directory")
}

pub fn docker() -> Result<String> {
    for fixture in DOCKER {
        shown("docker", fixture, "")?;
        default("docker", fixture)?;
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
        default("containerd", *fixture)?;
    }
    beside_a_drop_in()?;
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
