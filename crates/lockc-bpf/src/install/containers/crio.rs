//! CRI-O's: the sandboxes' `config.json` in its storage names their handler (CRI-O,
//! internal/factory/sandbox and pkg/annotations: `io.kubernetes.cri-o.RuntimeHandler`).

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;

use super::{Container, Labels, remedy};
use crate::install::{
    engine::Engine,
    host::{Host, names},
};

/// Where the storage's own configuration is (containers-storage.conf(5)), the first that exists.
const STORAGE_CONF: [&str; 2] =
    ["/etc/containers/storage.conf", "/usr/share/containers/storage.conf"];
const STORAGE: &str = "/var/lib/containers/storage";

#[derive(Deserialize)]
struct Bundle {
    #[serde(default)]
    annotations: Labels,
}

pub fn all(host: &Host) -> Result<Vec<Container>> {
    let mut found = Vec::new();
    let storage = storage(host);
    for driver in names(&host.at(&storage))? {
        if !driver.ends_with("-containers") {
            continue;
        }
        let containers = storage.join(driver);
        for id in names(&host.at(&containers))? {
            let file = containers.join(&id).join("userdata/config.json");
            let text = host.read(&file).ok().flatten().unwrap_or_default();
            found.extend(sandbox(&text, &id));
        }
    }
    Ok(found)
}

fn storage(host: &Host) -> PathBuf {
    let text = STORAGE_CONF.iter().find_map(|path| host.read(Path::new(path)).ok().flatten());
    let table: toml::Table = text.and_then(|text| text.parse().ok()).unwrap_or_default();
    let root = table.get("storage").and_then(|storage| storage.get("graphroot")?.as_str());
    root.filter(|root| root.starts_with('/')).unwrap_or(STORAGE).into()
}

/// Podman keeps its containers in the same storage, without these annotations.
fn sandbox(text: &str, id: &str) -> Option<Container> {
    let Bundle { annotations } = serde_json::from_str(text).ok()?;
    let get = |key: &str| annotations.get(key).map(String::as_str);
    if get("io.kubernetes.cri-o.ContainerType") != Some("sandbox") {
        return None;
    }
    let space =
        get("io.kubernetes.cri-o.Namespace").or_else(|| get("io.kubernetes.pod.namespace"))?;
    let name = get("io.kubernetes.cri-o.KubeName").or_else(|| get("io.kubernetes.pod.name"))?;
    Some(Container {
        engine: Engine::Crio,
        id: id.to_owned(),
        name: format!("{space}/{name}"),
        runtime: get("io.kubernetes.cri-o.RuntimeHandler").unwrap_or_default().to_owned(),
        recreate: remedy::pod(space, name),
    })
}
