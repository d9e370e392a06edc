//! The configuration as containerd understood it (`containerd config dump`), with all that it
//! imports.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use tempfile::NamedTempFile;
use toml_edit::{Array, DocumentMut, Item, value};

use super::{
    super::host::{Change, Host, run},
    document::{DEFAULT, RUNC, plugin},
    imports,
};

/// Lets containerd read the files that are to be, before they take their places. False where no
/// configuration would be left.
///
/// # Errors
///
/// Where containerd refuses them, or does not know the runtimes in them.
pub fn check_with(
    host: &Host,
    root: &Path,
    changes: &[&Change],
    command: &mut Command,
) -> Result<bool> {
    let changed = |path: &Path| changes.iter().find(|change| change.path == path);
    let text = match changed(root) {
        Some(change) => change.after.clone(),
        None => host.read(root)?,
    };
    let Some(text) = text else { return Ok(false) };
    let folder = host.at(root).parent().map(Path::to_path_buf);
    let made = folder.filter(|folder| !folder.exists());
    let mut document: DocumentMut =
        text.parse().context("the new configuration is not valid TOML")?;
    let new: imports::New = changes
        .iter()
        .filter_map(|change| Some((change.path.clone(), change.after.clone()?)))
        .collect();
    // Under names that no pattern of `imports` has: every file is named.
    let mut files: Vec<NamedTempFile> = Vec::new();
    let mut list = Array::new();
    for path in imports::direct(host, root, &document, &new)? {
        match changed(&path).map(|change| &change.after) {
            Some(None) => {}
            Some(Some(text)) => {
                files.push(host.put(&path, text, 0o600)?);
                list.push(beside(&path, files.last()).display().to_string());
            }
            None => list.push(path.display().to_string()),
        }
    }
    if document.get("imports").is_some() {
        document["imports"] = value(list);
    }
    let whole = host.put(root, &document.to_string(), 0o600)?;
    let inside = beside(root, Some(&whole));
    let dumped = run(command.arg("-c").arg(&inside).args(["config", "dump"]));
    drop((whole, files));
    if let Some(made) = made {
        // A dry run leaves nothing behind.
        let _ = fs::remove_dir(made);
    }
    let dumped = dumped?;
    for text in new.values() {
        check(&dumped, text)?;
    }
    Ok(true)
}

/// As the host sees it.
fn beside(path: &Path, file: Option<&NamedTempFile>) -> PathBuf {
    path.with_file_name(file.and_then(|file| file.path().file_name()).unwrap_or_default())
}

/// That containerd understood every runtime of `text`, and that its default is one that it has.
fn check(dump: &str, text: &str) -> Result<()> {
    let (dump, text): (DocumentMut, DocumentMut) = (
        dump.parse().context("the output of `containerd config dump` is not valid TOML")?,
        text.parse().context("the new configuration is not valid TOML")?,
    );
    let cri = |document: &DocumentMut| {
        let plugins = document.get("plugins")?;
        [2, 3].iter().find_map(|version| plugins.get(plugin(*version))?.get("containerd").cloned())
    };
    let names = |cri: &Option<Item>| -> Vec<String> {
        let runtimes =
            cri.as_ref().and_then(|cri| cri.get("runtimes")).and_then(Item::as_table_like);
        runtimes
            .map(|runtimes| runtimes.iter().map(|(name, _)| name.to_owned()).collect())
            .unwrap_or_default()
    };
    let (dumped, wanted) = (cri(&dump), cri(&text));
    let known = names(&dumped);
    if let Some(name) = names(&wanted).iter().find(|name| !known.contains(name)) {
        bail!("containerd does not know the runtime {name}");
    }
    let default =
        dumped.as_ref().and_then(|cri| cri.get(DEFAULT)).and_then(Item::as_str).unwrap_or(RUNC);
    if !known.iter().any(|name| name == default) {
        bail!("containerd would be left without its default runtime {default}");
    }
    Ok(())
}
