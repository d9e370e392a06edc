//! A drop-in that is lockc's own: it goes, or keeps the runtimes' names for another program.

use std::path::{Path, PathBuf};

use anyhow::Result;
use toml_edit::{DocumentMut, Item, TableLike};

use super::{
    host::{Change, Host},
    plan::Plan,
    removal::{Fate, Removal},
    runtimes::{self, Own},
    state::State,
};

/// How an engine writes its runtimes down.
pub struct Form {
    /// The table that names the default runtime, and the key.
    pub default: (&'static [&'static str], &'static str),
    /// The table of the runtimes.
    pub runtimes: &'static [&'static str],
    /// The program of an entry.
    pub program: fn(&Item) -> Option<String>,
    /// Sets it.
    pub set: fn(&mut Item, &Path),
}

/// # Errors
///
/// Where the file cannot be read.
pub fn uninstall(
    host: &Host,
    file: &Path,
    before: Option<State>,
    removal: &Removal,
    form: &Form,
) -> Result<Plan> {
    let text = host.read(file)?;
    let mut plan =
        Plan { state: before.unwrap_or_else(|| State::new(file, false)), ..Plan::default() };
    let mut after = None;
    // One that is broken goes; nothing in it has an effect.
    if let Some(mut document) = text.as_deref().and_then(|text| text.parse::<DocumentMut>().ok()) {
        let mut kept = Vec::new();
        for (own, name) in names(&mut document, form, &plan.state) {
            match removal.fate(&name, own) {
                Fate::Remove => {
                    table(&mut document, form.runtimes).and_then(|table| table.remove(&name));
                }
                Fate::Become(real) => {
                    let entries = table(&mut document, form.runtimes);
                    if let Some(entry) = entries.and_then(|entries| entries.get_mut(&name)) {
                        (form.set)(entry, &real);
                    }
                    kept.push(name.clone());
                }
                Fate::Stay => kept.push(name.clone()),
            }
            if own == Own::Active {
                plan.active.push(name);
            }
        }
        if !kept.is_empty() {
            if let Some(table) = table(&mut document, form.default.0) {
                table.remove(form.default.1);
            }
            after = Some(document.to_string());
        }
        plan.state.kept = kept;
    }
    plan.changes = vec![Change { path: file.into(), before: text, after, mode: 0o644 }];
    Ok(plan)
}

fn names(document: &mut DocumentMut, form: &Form, state: &State) -> Vec<(Own, String)> {
    let Some(entries) = table(document, form.runtimes) else { return Vec::new() };
    let own = |(name, entry): (&str, &Item)| {
        let program = (form.program)(entry).unwrap_or_default();
        Some((runtimes::own(name, &program, state)?, name.to_owned()))
    };
    entries.iter().filter_map(own).collect()
}

fn table<'a>(document: &'a mut DocumentMut, path: &[&str]) -> Option<&'a mut dyn TableLike> {
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for name in path {
        table = table.get_mut(name)?.as_table_like_mut()?;
    }
    Some(table)
}

/// For forms whose entries are tables with the program under a key.
pub fn text(entry: &Item, key: &str) -> Option<String> {
    entry.get(key)?.as_str().map(str::to_owned)
}

/// A program as an engine's configuration has it.
pub fn value(program: &Path) -> Item {
    toml_edit::value(PathBuf::from(program).display().to_string())
}
