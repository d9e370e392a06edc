//! lockc's entries in the table `runtimes`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use toml_edit::{Item, Table, TableLike, value};

use super::{
    super::{
        runtimes::{self, NAME, Own},
        state::State,
    },
    document::{RUNC, SHIM, child},
    handler::Base,
    imports::File,
};

/// The program of an entry.
pub fn binary(entry: &Item) -> Option<String> {
    Some(entry.get("options")?.get("BinaryName")?.as_str()?.to_owned())
}

/// Those of a file.
pub fn ours(file: &File) -> impl Iterator<Item = (Own, String)> {
    let table = file.cri().and_then(|cri| cri.get("containerd")?.get("runtimes"));
    let entries = table.and_then(Item::as_table_like);
    entries.into_iter().flat_map(TableLike::iter).filter_map(|(name, entry)| {
        Some((runtimes::own(name, &binary(entry)?, &State::default())?, name.to_owned()))
    })
}

/// Adds them, or corrects their programs.
///
/// # Errors
///
/// Where somebody else's runtime has a name of lockc's.
pub fn add(
    table: &mut dyn TableLike,
    programs: &[(String, PathBuf)],
    base: &Base,
    path: &Path,
    old: bool,
    state: &mut State,
) -> Result<()> {
    let entries = child(table, "runtimes")?;
    if old && entries.iter().all(|(name, _)| name.starts_with(NAME)) {
        let mut runc = Table::new();
        runc.insert("runtime_type", value(SHIM));
        entries.insert(RUNC, Item::Table(runc));
        state.added.push(RUNC.into());
    }
    for (name, program) in programs {
        let Some(there) = entries.get_mut(name) else {
            entries.insert(name, Item::Table(base.handler(program)));
            continue;
        };
        let there = there
            .as_table_like_mut()
            .with_context(|| format!("the runtime {name} in {} is not a table", path.display()))?;
        let options = child(there, "options")?;
        let binary = options.get("BinaryName").and_then(Item::as_str).unwrap_or("");
        if runtimes::own(name, binary, state).is_none() {
            bail!(
                "{} has a runtime {name} that is not lockc's; rename or remove it",
                path.display()
            );
        }
        if Path::new(binary) != program {
            options.insert("BinaryName", value(program.display().to_string()));
        }
    }
    Ok(())
}
