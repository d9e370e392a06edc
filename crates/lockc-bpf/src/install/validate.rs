//! Lets the engine check its new configuration.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    containerd::dump,
    engine::Engine,
    host::{Change, Host, run},
};

/// Lets the engine check the files that are to be. `Ok(Err(why))`: it could not be asked.
pub fn validate(host: &Host, engine: Engine, changes: &[Change]) -> Result<Result<String, String>> {
    let name = engine.program();
    let config = changes.iter().find(|change| change.after.is_some() && change.mode == 0o644);
    let Some(Change { path, after: Some(text), .. }) = config else {
        return Ok(Err("no configuration file is left to check".into()));
    };
    if text.contains("{{") {
        return Ok(Err("it is a template, which only k3s or RKE2 can render".into()));
    }
    let Some(mut command) = host.program(name) else {
        return Ok(Err(format!("{name} is not installed")));
    };
    let made: Vec<PathBuf> = host
        .at(path)
        .ancestors()
        .skip(1)
        .take_while(|folder| !folder.exists())
        .map(Path::to_path_buf)
        .collect();
    let new = host.put(path, text, 0o600)?;
    // As the host sees it.
    let inside = path.with_file_name(new.path().file_name().unwrap_or_default());
    let checked = match engine {
        Engine::Docker => run(command.args(["--validate", "--config-file"]).arg(&inside)),
        Engine::Containerd => run(command.arg("-c").arg(&inside).args(["config", "dump"]))
            .and_then(|dump| dump::check(&dump, text)),
        Engine::Podman => {
            run(command.env("CONTAINERS_CONF_OVERRIDE", &inside).args(["info", "--format", "json"]))
        }
        Engine::Crio => run(command.arg("--config").arg(&inside).arg("config")),
    };
    drop(new);
    // A dry run leaves nothing behind; a change makes them again.
    for folder in made {
        let _ = fs::remove_dir(folder);
    }
    checked.with_context(|| format!("{name} rejects the result; nothing was changed"))?;
    Ok(Ok(name.to_owned()))
}
