//! containerd's: its shim writes the runtime's program and options beside each running task
//! (containerd 1.7 and 2.1, cmd/containerd-shim-runc-v2/process, `WriteRuntime` and
//! `WriteOptions`). A pod has its handler for as long as its sandbox runs.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;

use super::{Container, Labels, remedy};
use crate::install::{
    daemon,
    engine::Engine,
    host::{Host, names},
    runtimes,
};

/// State directories of the packages and of Kubernetes distributions.
const STATES: [&str; 4] = [
    "/run/containerd",
    "/run/k3s/containerd",
    "/run/k0s/containerd",
    "/var/snap/microk8s/common/run/containerd",
];
const TASKS: &str = "io.containerd.runtime.v2.task";
/// Docker's namespaces; with `userns-remap` `-UID.GID` follows (moby 28, cmd/dockerd/daemon.go).
const DOCKERS: [&str; 2] = ["moby", "plugins.moby"];

#[derive(Default, Deserialize)]
#[serde(default)]
struct Bundle {
    annotations: Option<Labels>,
}

pub fn all(host: &Host) -> Result<Vec<Container>> {
    let mut states: Vec<PathBuf> = STATES.iter().map(PathBuf::from).collect();
    for daemon in daemon::running(host, "containerd") {
        states.extend(daemon.path(&["state"]).map(Path::to_path_buf));
    }
    states.sort();
    states.dedup();
    let mut found = Vec::new();
    for state in states {
        let tasks = state.join(TASKS);
        for namespace in names(&host.at(&tasks))? {
            let is_dockers = |known: &str| {
                let rest = namespace.strip_prefix(known);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            };
            if DOCKERS.iter().any(|known| is_dockers(known)) {
                continue;
            }
            for id in names(&host.at(&tasks.join(&namespace)))? {
                found.extend(container(host, &tasks.join(&namespace).join(&id), &namespace, &id));
            }
        }
    }
    Ok(found)
}

/// Nothing for what another shim than runc's keeps there, and for the containers of a pod: its
/// sandbox stands for them.
fn container(host: &Host, bundle: &Path, namespace: &str, id: &str) -> Option<Container> {
    let program = host.read(&bundle.join("runtime")).ok().flatten()?;
    let text = host.read(&bundle.join("config.json")).ok().flatten().unwrap_or_default();
    let annotations =
        serde_json::from_str::<Bundle>(&text).unwrap_or_default().annotations.unwrap_or_default();
    let get = |key: &str| annotations.get(key).map(String::as_str);
    if get("io.kubernetes.cri.container-type") == Some("container") {
        return None;
    }
    let pod = get("io.kubernetes.cri.sandbox-namespace").zip(get("io.kubernetes.cri.sandbox-name"));
    let (name, recreate) = match pod {
        Some((space, name)) => (format!("{space}/{name}"), remedy::pod(space, name)),
        None => {
            let name = get("nerdctl/name").unwrap_or(id);
            (format!("{namespace}/{name}"), "stop it, and create it again".to_owned())
        }
    };
    let runtime = match program.trim() {
        "" => "runc".to_owned(),
        program => runtimes::name_of(Path::new(program)).unwrap_or_else(|| program.to_owned()),
    };
    Some(Container { engine: Engine::Containerd, id: id.to_owned(), name, runtime, recreate })
}
