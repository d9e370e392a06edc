//! The examples beside the chart, each in its namespace: what should run runs, what should be
//! refused is, and says why.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::cluster::objects;
use super::labels::known;
use super::pods;
use crate::command;

const FOLDER: &str = "packaging/kubernetes/examples";

/// The files, in the order of their names: a namespace comes with the first that has it.
fn files() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for level in fs::read_dir(FOLDER).with_context(|| format!("no {FOLDER}"))?.flatten() {
        found.extend(
            fs::read_dir(level.path())
                .context("cannot list the examples")?
                .flatten()
                .map(|file| file.path()),
        );
    }
    found.sort();
    Ok(found)
}

/// The image is there under its name, and is busybox by any name: a program of its own would be
/// another's.
fn as_it_is_here(pod: &Value) -> Value {
    let mut pod = pod.clone();
    pod["spec"]["terminationGracePeriodSeconds"] = 0.into();
    for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
        container["imagePullPolicy"] = "IfNotPresent".into();
        if container["command"].is_null() {
            container["command"] = json!(["sleep", "100000"]);
        }
    }
    pod
}

/// The pods of a file, with the level of their namespace. `lockc explain -f`, which sees the file
/// alone, says the same of each as the node does.
fn of(file: &Path, starts: bool) -> Result<(Vec<Value>, String)> {
    let objects = objects(&file.display().to_string())?;
    let (namespace, pods) = objects.split_first().context("an empty example")?;
    for pod in pods {
        let run = command::run_with_input(
            &["lockc", "explain", "-f", "-"],
            &format!("{namespace}\n---\n{pod}\n"),
        )?;
        if run.status != if starts { 0 } else { 3 } {
            bail!("lockc explain -f, status {}, of {pod}: {}", run.status, run.said());
        }
    }
    let level = namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        .as_str()
        .context("no label")?;
    pods::create(namespace)?;
    known(namespace["metadata"]["name"].as_str().context("no name")?, Some(level))?;
    Ok((pods.iter().map(as_it_is_here).collect(), level.to_owned()))
}

fn each(starts: bool, work: fn(&Value, &str) -> Result<()>) -> Result<String> {
    let beginning = if starts { "should-run-" } else { "should-be-refused-" };
    let mut done = Vec::new();
    for file in files()? {
        let name = file.display().to_string();
        if !file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(beginning)) {
            continue;
        }
        let (pods, level) = of(&file, starts)?;
        for pod in pods {
            let which = format!("{name} {}", pod["metadata"]["name"]);
            work(&pod, &level).with_context(|| which.clone())?;
            done.push(which);
        }
    }
    if done.len() < 4 { bail!("only {done:?}") } else { Ok(format!("{} pods", done.len())) }
}

pub fn run() -> Result<String> {
    each(true, |pod, level| {
        let asked = pod["metadata"]["annotations"]["org.lockc.policy"].as_str();
        pods::start(pod)?;
        pods::expect(
            pod,
            asked.unwrap_or(level),
            if asked.is_some() { "annotation" } else { "enforce" },
        )?;
        pods::delete(pod)
    })
}

pub fn refused() -> Result<String> {
    each(false, |pod, _| pods::refused(pod, "").map(drop))
}
