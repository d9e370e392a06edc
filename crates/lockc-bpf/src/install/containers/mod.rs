//! The containers that an engine has on record, and their runtimes. Files tell of them where they
//! can, because the daemon may be stopped.

mod containerd;
mod crio;
mod docker;
mod podman;
mod remedy;

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use serde::Serialize;

use super::{engine::Engine, host::Host};

/// A container that exists, running or not; of Kubernetes, a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Container {
    pub engine: Engine,
    pub id: String,
    /// Its name; of a pod, NAMESPACE/NAME.
    pub name: String,
    /// The runtime as the engine recorded it: a name, or the path of a program.
    pub runtime: String,
    /// The command that moves it to the runtime that new containers get.
    pub recreate: String,
}

impl Container {
    /// As a line for people.
    pub fn line(&self) -> String {
        format!("{} ({}): {}", self.name, self.runtime, self.recreate)
    }
}

/// The containers of an engine, in the order of their names.
///
/// # Errors
///
/// Where there may be containers and the engine's records cannot be read.
pub fn all(host: &Host, engine: Engine, config: &Path) -> Result<Vec<Container>> {
    let mut found = match engine {
        Engine::Docker => docker::all(host, config),
        Engine::Podman => podman::all(host),
        Engine::Containerd => containerd::all(host),
        Engine::Crio => crio::all(host),
    }?;
    found.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    Ok(found)
}

/// Labels or annotations.
type Labels = BTreeMap<String, String>;
