//! Podman: lockc's own drop-in (containers.conf(5):
//! `/etc/containers/containers.conf.d/*.conf`, over `containers.conf`).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use toml_edit::{Array, DocumentMut, value};

use super::{
    drop_in::{self, Form},
    host::{Change, Host},
    plan::Plan,
    removal::Removal,
    runtimes::{NAME, Runtimes},
    state::State,
};

/// containers.conf(5): each runtime has a list of paths.
const FORM: Form = Form {
    default: (&["engine"], "runtime"),
    runtimes: &["engine", "runtimes"],
    program: |entry| entry.as_array()?.get(0)?.as_str().map(str::to_owned),
    set: |entry, program| *entry = value(Array::from_iter([program.display().to_string()])),
};

/// Runtimes that work without control groups, where nothing says otherwise (containers/common,
/// pkg/config: defaultConfig).
const WITHOUT_CGROUPS: [&str; 2] = ["crun", "krun"];

pub fn install(
    host: &Host,
    file: &Path,
    runtimes: &Runtimes,
    before: Option<State>,
) -> Result<Plan> {
    let there = host.read(file)?;
    let mut state = before.unwrap_or_else(|| State::new(file, there.is_none()));
    state.default |= runtimes.default;
    let programs = runtimes.with_earlier(&mut state);
    let mut text = String::from(
        "# Written by `lockc install podman`; `lockc uninstall podman` removes it.\n[engine]\n",
    );
    if state.default {
        text.push_str(&format!("runtime = \"{NAME}\"\n"));
    }
    // The list replaces the one before it.
    let mut names = without_cgroups(host, file)?;
    names.extend(programs.iter().map(|(name, _)| name.clone()));
    names.dedup();
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    text.push_str(&format!(
        "runtime_supports_nocgroup = [{}]\n\n[engine.runtimes]\n",
        names.join(", ")
    ));
    for (name, program) in programs {
        text.push_str(&format!("{name} = [\"{}\"]\n", program.display()));
    }
    state.kept.clear();
    let changes = vec![Change { path: file.into(), before: there, after: Some(text), mode: 0o644 }];
    Ok(Plan { changes, state, ..Plan::default() })
}

pub fn uninstall(
    host: &Host,
    file: &Path,
    before: Option<State>,
    removal: &Removal,
) -> Result<Plan> {
    drop_in::uninstall(host, file, before, removal, &FORM)
}

/// What the other files say, the last of them first.
fn without_cgroups(host: &Host, own: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for folder in ["/usr/share/containers", "/etc/containers"] {
        files.push(Path::new(folder).join("containers.conf"));
        let drop_ins = Path::new(folder).join("containers.conf.d");
        let mut found: Vec<PathBuf> = fs::read_dir(host.at(&drop_ins))
            .map(|entries| {
                entries.flatten().map(|entry| drop_ins.join(entry.file_name())).collect()
            })
            .unwrap_or_default();
        found.retain(|path| path.extension().is_some_and(|ending| ending == "conf") && path != own);
        found.sort();
        files.extend(found);
    }
    for file in files.iter().rev() {
        let Some(text) = host.read(file)? else { continue };
        let document: DocumentMut =
            text.parse().with_context(|| format!("{} cannot be parsed", file.display()))?;
        let list =
            document.get("engine").and_then(|engine| engine.get("runtime_supports_nocgroup"));
        if let Some(list) = list.and_then(|list| list.as_array()) {
            return Ok(list.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect());
        }
    }
    Ok(WITHOUT_CGROUPS.map(str::to_owned).to_vec())
}
