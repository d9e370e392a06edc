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
    plan::Plan,
};

/// Lets the engine check the files that are to be. `Ok(Err(why))`: it could not be asked.
pub fn validate(host: &Host, engine: Engine, plan: &Plan) -> Result<Result<String, String>> {
    let name = engine.program();
    let configs: Vec<&Change> = plan.changes.iter().filter(|change| change.mode == 0o644).collect();
    let is_template =
        |change: &&&Change| change.after.as_deref().is_some_and(|text| text.contains("{{"));
    if configs.iter().any(|change| is_template(&change)) {
        return Ok(Err("it is a template, which only k3s or RKE2 can render".into()));
    }
    if let Some(unit) = &plan.state.unit {
        return Ok(Err(format!("{unit} has its own {name}")));
    }
    let Some(mut command) = host.program(name) else {
        return Ok(Err(format!("{name} is not installed")));
    };
    if engine == Engine::Containerd {
        let checked = dump::check_with(host, &plan.state.config, &configs, &mut command);
        return Ok(match refused(name, checked)? {
            true => Ok(name.to_owned()),
            false => Err("no configuration file is left to check".into()),
        });
    }
    let Some(Change { path, after: Some(text), .. }) =
        configs.into_iter().find(|change| change.after.is_some())
    else {
        return Ok(Err("no configuration file is left to check".into()));
    };
    let made = missing(host, path);
    let new = host.put(path, text, 0o600)?;
    // As the host sees it.
    let inside = path.with_file_name(new.path().file_name().unwrap_or_default());
    let checked = match engine {
        Engine::Docker => run(command.args(["--validate", "--config-file"]).arg(&inside)),
        Engine::Podman => {
            run(command.env("CONTAINERS_CONF_OVERRIDE", &inside).args(["info", "--format", "json"]))
        }
        Engine::Crio | Engine::Containerd => {
            run(command.arg("--config").arg(&inside).arg("config"))
        }
    };
    drop(new);
    // A dry run leaves nothing behind; a change makes them again.
    for folder in made {
        let _ = fs::remove_dir(folder);
    }
    refused(name, checked)?;
    Ok(Ok(name.to_owned()))
}

fn refused<T>(name: &str, checked: Result<T>) -> Result<T> {
    checked.with_context(|| format!("{name} rejects the result; nothing was changed"))
}

/// The directories of a file that do not exist.
fn missing(host: &Host, path: &Path) -> Vec<PathBuf> {
    let at = host.at(path);
    let folders = at.ancestors().skip(1).take_while(|folder| !folder.exists());
    folders.map(Path::to_path_buf).collect()
}
