//! A document without lockc's handlers, or with their names alone.

use anyhow::Result;
use toml_edit::{DocumentMut, Item, TableLike, value};

use super::{
    super::{
        plan::Plan,
        removal::{Fate, Removal},
        runtimes::{self, NAME, Own},
    },
    document::{DEFAULT, RUNC, child, containerd_table},
};

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
