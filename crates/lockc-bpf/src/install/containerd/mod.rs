//! containerd: handlers for Kubernetes pods, in configuration versions 2 to 4, as a drop-in where
//! drop-ins are merged, and in what k3s, RKE2, k0s and MicroK8s read.
//!
//! Measured with containerd 1.7.24 and 2.1.9: 1.7 takes the `runtimes` that a file names for all
//! there are, so that a file that names lockc must name runc too; and an imported file's plugin
//! takes the whole plugin's place. 2.1 adds both up.

mod document;
pub mod dump;
mod entries;
mod handler;
mod imports;
pub mod place;
mod template;
mod uninstall;
mod without;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use toml_edit::{DocumentMut, Item, Table, value};

use super::{
    host::{Change, Host, run},
    plan::Plan,
    runtimes::{self, NAME, Own, Runtimes},
    state::State,
};
use document::{DEFAULT, DROP_IN, containerd_table, is_own, set, version};
use handler::Base;
use imports::{File, New};
use place::{Place, Writer};
pub use uninstall::uninstall;

/// The handlers' file.
pub fn install(
    host: &Host,
    place: &Place,
    runtimes: &Runtimes,
    before: Option<State>,
) -> Result<Plan> {
    let text = host.read(&place.file)?;
    if template::is_template(&place.file, text.as_deref().unwrap_or("")) {
        return template::install(host, place, text, runtimes, before);
    }
    if runtimes.default && matches!(place.writer, Some(Writer::K3s | Writer::Rke2)) {
        bail!(template::DEFAULT_ELSEWHERE);
    }
    // A template of MicroK8s' is read as if it were the configuration.
    let root = if place.own { &place.root } else { &place.file };
    let mut state = before
        .unwrap_or_else(|| State::new(root, host.read(root).is_ok_and(|text| text.is_none())));
    state.unit = place.writer.map(|writer| writer.unit(host).to_owned());
    let files = imports::files(host, root, &New::new())?;
    let (version, old) = generation(host, place, root, &files)?;
    let cri = imports::merged(&files, old);
    let path = target(place, root, &files, old, version);
    let base = Base::of(&cri, &state);
    let mut warnings = base.warnings.clone();
    if path != *root && !is_own(&path) {
        warnings.push(format!(
            "containerd takes what {} says of pods instead of {}, so lockc's handlers are written \
             there; whatever writes that file must keep them",
            path.display(),
            root.display()
        ));
        if !state.edited.contains(&path) {
            state.edited.push(path.clone());
        }
    } else if is_own(&path) {
        state.drop_in = Some(path.clone());
    }
    let there = host.read(&path)?;
    let mut document: DocumentMut = there
        .as_deref()
        .unwrap_or("")
        .parse()
        .with_context(|| format!("{} cannot be parsed", path.display()))?;
    if document.get("version").is_none() {
        document["version"] = value(version);
    }
    state.default |= runtimes.default;
    let programs = runtimes.with_earlier(&mut state);
    let table = containerd_table(&mut document, version)?;
    if state.default && table.get(DEFAULT).and_then(Item::as_str) != Some(NAME) {
        if cri.get(DEFAULT).and_then(Item::as_str) != Some(NAME) {
            warnings.extend(handler::displaced(&cri, &state).displaced(host)?);
        }
        state.default_before = table.get(DEFAULT).and_then(Item::as_str).map(str::to_owned);
        set(table, DEFAULT, NAME);
    }
    entries::add(table, &programs, &base, &path, old, &mut state)?;
    let after = document.to_string();
    takes_effect(host, root, &path, &after, old, &state)?;
    state.kept.clear();
    let changes = vec![Change { path, before: there, after: Some(after), mode: 0o644 }];
    Ok(Plan { changes, state, warnings, ..Plan::default() })
}

/// The version of the configuration, and whether files replace each other as before containerd 2.
fn generation(host: &Host, place: &Place, root: &Path, files: &[File]) -> Result<(i64, bool)> {
    let major = if place.writer.is_some() { None } else { major(host) };
    let version = match files.first() {
        Some(file) if !file.document.is_empty() => version(&file.document, root)?,
        _ if major == Some(1) => 2,
        _ => 3,
    };
    // k0s merges what it reads itself.
    let merges = place.writer == Some(Writer::K0s);
    Ok((version, !merges && major.map_or(version == 2, |major| major < 2)))
}

/// The file that gets the handlers.
fn target(place: &Place, root: &Path, files: &[File], old: bool, version: i64) -> PathBuf {
    if place.own {
        return place.file.clone();
    }
    let has = |file: &&File| entries::ours(file).next().is_some();
    if old {
        // The last one that says something of pods is the only one that counts.
        let last = files.iter().rev().find(|file| file.cri().is_some());
        return last.map_or_else(|| root.to_path_buf(), |file| file.path.clone());
    }
    if let Some(file) = files.iter().find(has) {
        return file.path.clone();
    }
    let folder =
        files.first().filter(|_| version > 2).and_then(|file| imported_folder(&file.document));
    folder.map_or_else(|| root.to_path_buf(), |folder| folder.join(DROP_IN))
}

/// That containerd takes the handlers from the file, whatever it reads after it.
fn takes_effect(
    host: &Host,
    root: &Path,
    path: &Path,
    text: &str,
    old: bool,
    state: &State,
) -> Result<()> {
    let new = New::from([(path.to_path_buf(), text.to_owned())]);
    let files = imports::files(host, root, &new)?;
    if !files.iter().any(|file| file.path == path) {
        // The distribution's own way.
        return Ok(());
    }
    let merged = imports::merged(&files, old);
    if state.default && merged.get(DEFAULT).and_then(Item::as_str) != Some(NAME) {
        let says = |file: &&File| {
            file.cri().is_some_and(|cri| {
                cri.get("containerd").is_some_and(|cri| cri.get(DEFAULT).is_some())
            })
        };
        let last = files.iter().rev().find(says).map_or(root, |file| &file.path);
        bail!(
            "{} sets {DEFAULT}, and containerd reads it after {}; remove the key there",
            last.display(),
            path.display()
        );
    }
    let known = merged.get("runtimes").and_then(|runtimes| runtimes.get(NAME));
    if known.and_then(entries::binary).and_then(|binary| runtimes::own(NAME, &binary, state))
        != Some(Own::Active)
    {
        bail!("containerd would not take the runtime {NAME} from {}", path.display());
    }
    Ok(())
}

/// The file from which containerd takes lockc's handler, if it does; otherwise the one that would
/// have it.
pub fn named_by(host: &Host, place: &Place) -> Result<(Option<PathBuf>, PathBuf)> {
    let files = imports::files(host, &place.root, &New::new())?;
    let is_old = generation(host, place, &place.root, &files).is_ok_and(|(_, old)| old);
    let merged: Table = imports::merged(&files, is_old);
    let runtimes = merged.get("runtimes").and_then(Item::as_table_like);
    let is_known = runtimes.is_some_and(|runtimes| {
        runtimes.iter().any(|(name, entry)| {
            let binary = entries::binary(entry).unwrap_or_default();
            runtimes::own(name, &binary, &State::default()) == Some(Own::Active)
        })
    });
    let last = files.iter().rev().find(|file| file.cri().is_some());
    let counts = last.filter(|_| is_old).map_or(&place.file, |file| &file.path).clone();
    let has = |file: &&File| entries::ours(file).any(|(own, _)| own == Own::Active);
    let by = files.iter().rev().find(has).filter(|_| is_known).map(|file| file.path.clone());
    Ok((by, counts))
}

/// The first number of the installed containerd's version.
fn major(host: &Host) -> Option<u32> {
    let text = run(host.program("containerd")?.arg("--version")).ok()?;
    text.split_whitespace().nth(2)?.trim_start_matches('v').split('.').next()?.parse().ok()
}

/// A folder whose files `imports` adds.
fn imported_folder(document: &DocumentMut) -> Option<PathBuf> {
    let patterns = imports::patterns(document);
    let mut folders =
        patterns.iter().filter_map(|pattern| Path::new(pattern).parent().zip(Some(pattern)));
    folders
        .find(|(folder, pattern)| folder.is_absolute() && pattern.ends_with("/*.toml"))
        .map(|(folder, _)| folder.into())
}
