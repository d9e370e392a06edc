//! containerd's configuration without lockc's handlers, or with their names alone.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use toml_edit::{DocumentMut, Item};

use super::{
    super::{
        host::{Change, Host},
        plan::Plan,
        removal::Removal,
        state::State,
    },
    document::{is_own, same},
    imports::{self, New},
    place::Place,
    template,
    without::without,
};

/// # Errors
///
/// Where a file cannot be read or parsed.
pub fn uninstall(
    host: &Host,
    place: &Place,
    before: Option<State>,
    removal: &Removal,
) -> Result<Plan> {
    let mut plan =
        Plan { state: before.unwrap_or_else(|| State::new(&place.file, false)), ..Plan::default() };
    let mut kept = Vec::new();
    for path in paths(host, place, &plan.state)? {
        let Some(there) = host.read(&path)? else { continue };
        let (after, names) = if template::is_template(&path, &there) {
            template::uninstall(&there, removal, &mut plan)?
        } else {
            file(host, &path, &there, removal, &mut plan)?
        };
        kept.extend(names);
        plan.changes.push(Change { path, before: Some(there), after, mode: 0o644 });
    }
    plan.state.kept = kept;
    Ok(plan)
}

/// Every file that may have a handler; what a distribution writes is not changed.
fn paths(host: &Host, place: &Place, state: &State) -> Result<Vec<PathBuf>> {
    let mut paths = vec![place.file.clone()];
    paths.extend(state.drop_in.iter().chain(&state.edited).cloned());
    if place.writer.is_none() && !template::is_template(&place.file, "") {
        let text = host.read(&place.file)?.unwrap_or_default();
        if !template::is_template(&place.file, &text) {
            let files = imports::files(host, &place.root, &New::new())?;
            paths.extend(files.into_iter().map(|file| file.path));
        }
    }
    let mut seen = Vec::new();
    paths.retain(|path| {
        let is_new = !seen.contains(path);
        seen.push(path.clone());
        is_new
    });
    Ok(paths)
}

/// A file, and the names that stay in it.
fn file(
    host: &Host,
    path: &Path,
    there: &str,
    removal: &Removal,
    plan: &mut Plan,
) -> Result<(Option<String>, Vec<String>)> {
    let mut document: DocumentMut =
        there.parse().with_context(|| format!("{} cannot be parsed", path.display()))?;
    let count = plan.active.len();
    let kept = without(&mut document, removal, plan);
    let after = document.to_string();
    if after == there {
        return Ok((Some(after), kept));
    }
    if is_own(path) {
        let is_left = !kept.is_empty();
        return Ok((is_left.then_some(after), kept));
    }
    if kept.is_empty()
        && *path == plan.state.config
        && let Some(original) = host.kept(path)?
        && same(&original, Some(&after))
    {
        return Ok((Some(original), kept));
    }
    let version = document.get("version").and_then(Item::as_integer).unwrap_or(2);
    let is_empty = same(&after, Some(&format!("version = {version}")));
    let was_made = plan.state.created && plan.active.len() > count && kept.is_empty();
    Ok(((!was_made || !is_empty).then_some(after), kept))
}
