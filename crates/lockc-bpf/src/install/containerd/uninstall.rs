//! containerd's configuration without lockc's handlers, or with their names alone.

use std::path::Path;

use anyhow::{Context as _, Result};
use toml_edit::DocumentMut;

use super::{
    super::{
        host::{Change, Host},
        plan::Plan,
        removal::Removal,
        state::State,
    },
    document::{same, version},
    template,
    without::without,
};

/// # Errors
///
/// Where a file cannot be read or understood.
pub fn uninstall(
    host: &Host,
    file: &Path,
    before: Option<State>,
    removal: &Removal,
) -> Result<Plan> {
    let mut plan =
        Plan { state: before.unwrap_or_else(|| State::new(file, false)), ..Plan::default() };
    let mut kept = Vec::new();
    if let Some(path) = plan.state.drop_in.clone() {
        let text = host.read(&path)?;
        let mut after = None;
        if let Some(there) = &text {
            let mut document: DocumentMut = parsed(there, &path)?;
            let version = version(&document, &path)?;
            let names = without(&mut document, version, removal, &mut plan)?;
            after = (!names.is_empty()).then(|| document.to_string());
            kept.extend(names);
        }
        plan.changes.push(Change { path, before: text, after, mode: 0o644 });
    }
    let text = host.read(file)?;
    if let Some(there) = &text {
        let (after, names) = main(host, file, there, removal, &mut plan)?;
        kept.extend(names);
        plan.changes.push(Change { path: file.into(), before: text, after, mode: 0o644 });
    }
    plan.state.kept = kept;
    Ok(plan)
}

fn parsed(text: &str, file: &Path) -> Result<DocumentMut> {
    text.parse().with_context(|| format!("{} cannot be parsed", file.display()))
}

/// The configuration itself, and the names that stay.
fn main(
    host: &Host,
    file: &Path,
    there: &str,
    removal: &Removal,
    plan: &mut Plan,
) -> Result<(Option<String>, Vec<String>)> {
    if template::is_template(file, there) {
        return template::uninstall(there, removal, plan);
    }
    let unchanged = || (Some(there.to_owned()), Vec::new());
    let mut document = parsed(there, file)?;
    if document.is_empty() {
        return Ok(unchanged());
    }
    let version = version(&document, file)?;
    let before = document.to_string();
    let kept = without(&mut document, version, removal, plan)?;
    if document.to_string() == before || !kept.is_empty() {
        // Nothing of ours: not even the layout changes.
        return Ok((
            Some(document.to_string()).filter(|text| *text != before).or_else(|| unchanged().0),
            kept,
        ));
    }
    let after = document.to_string();
    if let Some(kept) = host.kept(file)?
        && same(&kept, Some(&after))
    {
        return Ok((Some(kept), Vec::new()));
    }
    let is_empty = same(&after, Some(&format!("version = {version}")));
    Ok(((!plan.state.created || !is_empty).then_some(after), kept))
}
