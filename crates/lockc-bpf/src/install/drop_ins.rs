//! The other drop-ins of an engine that reads its own file and then `*.conf` of a directory, each
//! over the earlier ones (containers.conf(5), crio.conf.d(5)).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use toml_edit::{DocumentMut, Item};

use super::{
    displaced,
    drop_in::Form,
    host::{Host, names},
    runtimes::NAME,
};

/// A file, parsed.
pub struct File {
    pub path: PathBuf,
    pub document: DocumentMut,
}

/// What is read but `own`, in the order in which it is read, of files and directories.
///
/// # Errors
///
/// Where a file cannot be read or parsed.
pub fn files(host: &Host, places: &[(&str, &str)], own: &Path) -> Result<Vec<File>> {
    let mut paths = Vec::new();
    for (file, directory) in places {
        paths.push(PathBuf::from(file));
        let mut below = names(&host.at(Path::new(directory)))?;
        below.retain(|name| name.ends_with(".conf"));
        below.sort();
        paths.extend(below.iter().map(|name| Path::new(directory).join(name)));
    }
    let mut found = Vec::new();
    for path in paths.into_iter().filter(|path| path != own) {
        let Some(text) = host.read(&path)? else { continue };
        let document =
            text.parse().with_context(|| format!("{} cannot be parsed", path.display()))?;
        found.push(File { path, document });
    }
    Ok(found)
}

/// What becomes of the default runtime that the other files set.
///
/// # Errors
///
/// Where one is read after lockc's, or containers would lose what the runtime does.
pub fn default(host: &Host, files: &[File], own: &Path, form: &Form) -> Result<Option<String>> {
    let (table, key) = form.default;
    let says = |file: &File| get(&file.document, table)?.get(key)?.as_str().map(str::to_owned);
    let Some((file, name)) = files.iter().rev().find_map(|file| Some((file, says(file)?))) else {
        return Ok(None);
    };
    // Of one directory, the later name.
    if name != NAME && file.path.parent() == own.parent() && file.path > *own {
        bail!(
            "{} sets {key}, and is read after {}; remove the key there",
            file.path.display(),
            own.display()
        );
    }
    let entry = |file: &File| {
        let program = (form.program)(get(&file.document, form.runtimes)?.get(&name)?);
        program.filter(|program| !program.is_empty())
    };
    let program = files.iter().rev().find_map(entry);
    displaced::Default::new(&name, program.as_deref()).displaced(host)
}

/// A table by its path.
pub fn get<'a>(document: &'a DocumentMut, path: &[&str]) -> Option<&'a Item> {
    path.iter().try_fold(document.as_item(), |item, name| item.get(name))
}
