//! containerd's configuration without lockc's handlers, or with their names alone.

use std::path::Path;

use anyhow::{Context as _, Result};
use toml_edit::{DocumentMut, Item, TableLike, value};

use super::{
    super::{
        host::{Change, Host},
        plan::Plan,
        removal::{Fate, Removal},
        runtimes::{self, NAME, Own},
        state::State,
    },
    document::{DEFAULT, RUNC, child, containerd_table, same, version},
    template,
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

/// Takes the handlers out of a document, or leaves their names, which it returns.
pub fn without(
    document: &mut DocumentMut,
    version: i64,
    removal: &Removal,
    plan: &mut Plan,
) -> Result<Vec<String>> {
    let cri = containerd_table(document, version)?;
    let default = cri.get(DEFAULT).and_then(Item::as_str);
    if default.is_some_and(|name| name == NAME || name.starts_with("lockc-")) {
        match &plan.state.default_before {
            Some(name) => cri.insert(DEFAULT, value(name)),
            None => cri.remove(DEFAULT),
        };
    }
    let entries = child(cri, "runtimes")?;
    let binary = |entry: &Item| Some(entry.get("options")?.get("BinaryName")?.as_str()?.to_owned());
    let of_ours = |(name, entry): (&str, &Item)| {
        Some((runtimes::own(name, &binary(entry)?, &plan.state)?, name.to_owned()))
    };
    let ours: Vec<(Own, String)> = entries.iter().filter_map(of_ours).collect();
    let mut kept = Vec::new();
    for (own, name) in ours {
        match removal.fate(&name, own) {
            Fate::Remove => {
                entries.remove(&name);
            }
            Fate::Become(real) => {
                let options = entries.get_mut(&name).and_then(|entry| entry.get_mut("options"));
                if let Some(options) = options.and_then(Item::as_table_like_mut) {
                    options.insert("BinaryName", value(real.display().to_string()));
                }
                kept.push(name.clone());
            }
            Fate::Stay => kept.push(name.clone()),
        }
        if own == Own::Active {
            plan.active.push(name);
        }
    }
    if is_alone(entries) && plan.state.added.iter().any(|name| name == RUNC) {
        entries.remove(RUNC);
    }
    Ok(kept)
}

/// Whether runc is the only runtime that is left.
fn is_alone(entries: &dyn TableLike) -> bool {
    entries.iter().all(|(name, _)| name == RUNC)
}
