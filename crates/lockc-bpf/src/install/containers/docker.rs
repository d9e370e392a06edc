//! Docker's: `DATA-ROOT/containers/ID/hostconfig.json` names the runtime, which dockerd writes at
//! creation, or at the first start (moby 28, daemon/container.go, daemon/start_linux.go).

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;

use super::{Container, Labels, remedy};
use crate::install::{
    docker::told,
    engine::Engine,
    host::{Host, names},
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    #[serde(default)]
    runtime: Option<String>,
}

/// `config.v2.json`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Record {
    name: String,
    config: Config,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    labels: Option<Labels>,
}

pub fn all(host: &Host, config: &Path) -> Result<Vec<Container>> {
    let mut found = Vec::new();
    for root in told::data_roots(host, config) {
        for folder in folders(host, &root)? {
            found.extend(container(host, &folder));
        }
    }
    Ok(found)
}

/// The directories of the containers. With `userns-remap` the data root is a directory further
/// down, `UID.GID`.
fn folders(host: &Host, root: &Path) -> Result<Vec<PathBuf>> {
    let mut roots = vec![root.to_path_buf()];
    let is_remapped = |name: &str| {
        let number =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        name.split_once('.').is_some_and(|(uid, gid)| number(uid) && number(gid))
    };
    let below = names(&host.at(root))?;
    roots.extend(below.iter().filter(|name| is_remapped(name)).map(|name| root.join(name)));
    let mut found = Vec::new();
    for root in roots {
        let folder = root.join("containers");
        found.extend(names(&host.at(&folder))?.iter().map(|name| folder.join(name)));
    }
    Ok(found)
}

/// Nothing where dockerd would not load it either: without its records there is no container.
fn container(host: &Host, folder: &Path) -> Option<Container> {
    let read = |name: &str| host.read(&folder.join(name)).ok().flatten();
    let host_config: HostConfig = serde_json::from_str(&read("hostconfig.json")?).ok()?;
    let record: Record = read("config.v2.json")
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let id = folder.file_name()?.to_str()?.to_owned();
    let name = match record.name.trim_start_matches('/') {
        "" => id.chars().take(12).collect(),
        name => name.to_owned(),
    };
    Some(Container {
        engine: Engine::Docker,
        recreate: remedy::docker(&name, &record.config.labels.unwrap_or_default()),
        runtime: host_config.runtime.unwrap_or_default(),
        id,
        name,
    })
}
