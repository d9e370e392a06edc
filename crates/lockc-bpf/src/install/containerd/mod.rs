//! containerd: handlers for Kubernetes pods, in configuration versions 2 and 3, as a drop-in where
//! drop-ins are merged, and in the templates of k3s and RKE2.
//!
//! Measured with containerd 1.7.24 and 2.1.9: 1.7 takes the `runtimes` that a file names for all
//! there are, so that a file that names lockc must name runc too; and an imported file's plugin
//! takes the whole plugin's place. 2.1 adds both up.

mod document;
pub mod dump;
mod handler;
mod template;
mod uninstall;
mod without;

pub use uninstall::uninstall;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use toml_edit::{DocumentMut, Item, Table, value};

use super::{
    host::{Change, Host, run},
    plan::Plan,
    runtimes::{self, NAME, Runtimes},
    state::State,
};
use document::{DEFAULT, RUNC, SHIM, child, containerd_table, version};
use handler::Base;

const DROP_IN: &str = "lockc.toml";

/// The handlers' file.
pub fn install(
    host: &Host,
    file: &Path,
    runtimes: &Runtimes,
    before: Option<State>,
) -> Result<Plan> {
    let text = host.read(file)?;
    if text.as_deref().is_some_and(|text| text.contains("{{")) {
        return template::install(file, text, runtimes, before);
    }
    let mut state = before.unwrap_or_else(|| State::new(file, text.is_none()));
    let major = major(host);
    let mut document: DocumentMut = text
        .as_deref()
        .unwrap_or("")
        .parse()
        .with_context(|| format!("{} cannot be parsed", file.display()))?;
    if document.is_empty() {
        document["version"] = value(if major == Some(1) { 2 } else { 3 });
    }
    let version = version(&document, file)?;
    let old = major.map_or(version == 2, |major| major < 2);
    state.default |= runtimes.default;
    let programs = runtimes.with_earlier(&mut state);
    let base = Base::of(&document, version, &state);
    let drop_in = if old || version < 3 { None } else { imported_folder(&document) };
    let (path, before, mut document) = match drop_in {
        None => (file.to_path_buf(), text, document),
        Some(folder) => {
            let path = folder.join(DROP_IN);
            let there = host.read(&path)?;
            let mut document: DocumentMut =
                there.as_deref().unwrap_or("").parse().context("the drop-in cannot be parsed")?;
            document["version"] = value(version);
            state.drop_in = Some(path.clone());
            (path, there, document)
        }
    };
    let cri = containerd_table(&mut document, version)?;
    if state.default && cri.get(DEFAULT).and_then(Item::as_str) != Some(NAME) {
        state.default_before = cri.get(DEFAULT).and_then(Item::as_str).map(str::to_owned);
        cri.insert(DEFAULT, value(NAME));
    }
    let entries = child(cri, "runtimes")?;
    if old && state.drop_in.is_none() && entries.iter().all(|(name, _)| name.starts_with(NAME)) {
        let mut runc = Table::new();
        runc.insert("runtime_type", value(SHIM));
        entries.insert(RUNC, Item::Table(runc));
        state.added.push(RUNC.into());
    }
    for (name, program) in programs {
        match entries.get_mut(&name).map(Item::as_table_like_mut) {
            None => {
                entries.insert(&name, Item::Table(base.handler(&program)));
            }
            Some(there) => {
                let there = there.with_context(|| {
                    format!("the runtime {name} in {} is not a table", path.display())
                })?;
                let options = child(there, "options")?;
                let binary = options.get("BinaryName").and_then(Item::as_str).unwrap_or("");
                if runtimes::own(&name, binary, &state).is_none() {
                    bail!(
                        "{} has a runtime {name} that is not lockc's; rename or remove it",
                        path.display()
                    );
                }
                if Path::new(binary) != program {
                    options.insert("BinaryName", value(program.display().to_string()));
                }
            }
        }
    }
    state.kept.clear();
    let changes = vec![Change { path, before, after: Some(document.to_string()), mode: 0o644 }];
    Ok(Plan { changes, state, warnings: base.warnings, ..Plan::default() })
}

/// The first number of the installed containerd's version.
fn major(host: &Host) -> Option<u32> {
    let text = run(host.program("containerd")?.arg("--version")).ok()?;
    text.split_whitespace().nth(2)?.trim_start_matches('v').split('.').next()?.parse().ok()
}

/// A folder whose files `imports` adds.
fn imported_folder(document: &DocumentMut) -> Option<PathBuf> {
    let imports = document.get("imports")?.as_array()?;
    let mut folders = imports
        .iter()
        .filter_map(|pattern| Path::new(pattern.as_str()?).parent().zip(pattern.as_str()));
    folders
        .find(|(folder, pattern)| folder.is_absolute() && pattern.ends_with("/*.toml"))
        .map(|(folder, _)| folder.into())
}
