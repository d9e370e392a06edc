//! A document without lockc's handlers, or with their names alone.

use toml_edit::{DocumentMut, Item, TableLike};

use super::{
    super::{
        plan::Plan,
        removal::{Fate, Removal},
        runtimes::{self, Own},
    },
    document::{CRI, CRI_BEFORE_2, DEFAULT, RUNC, set},
    entries::binary,
};

/// Takes the handlers out of a document, or leaves their names, which it returns.
pub fn without(document: &mut DocumentMut, removal: &Removal, plan: &mut Plan) -> Vec<String> {
    let mut kept = Vec::new();
    for name in [CRI, CRI_BEFORE_2] {
        let plugins = inner(document.as_table_mut(), "plugins");
        let cri = plugins.and_then(|plugins| inner(inner(plugins, name)?, "containerd"));
        if let Some(cri) = cri {
            kept.extend(from_table(cri, removal, plan));
        }
    }
    kept
}

/// A table below another, if it is there (`Item::get_mut` would make it).
fn inner<'a>(table: &'a mut dyn TableLike, name: &str) -> Option<&'a mut dyn TableLike> {
    table.get_mut(name)?.as_table_like_mut()
}

fn from_table(cri: &mut dyn TableLike, removal: &Removal, plan: &mut Plan) -> Vec<String> {
    if cri.get(DEFAULT).and_then(Item::as_str).is_some_and(runtimes::is_name) {
        match &plan.state.default_before {
            Some(name) => set(cri, DEFAULT, name),
            None => {
                cri.remove(DEFAULT);
            }
        }
    }
    let mut kept = Vec::new();
    let Some(entries) = inner(cri, "runtimes") else { return kept };
    let of_ours = |(name, entry): (&str, &Item)| {
        Some((runtimes::own(name, &binary(entry)?, &plan.state)?, name.to_owned()))
    };
    let ours: Vec<(Own, String)> = entries.iter().filter_map(of_ours).collect();
    for (own, name) in ours {
        match removal.fate(&name, own) {
            Fate::Remove => {
                entries.remove(&name);
            }
            Fate::Become(real) => {
                let options = inner(entries, &name).and_then(|entry| inner(entry, "options"));
                if let Some(options) = options {
                    set(options, "BinaryName", &real.display().to_string());
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
    kept
}

/// Whether runc is the only runtime that is left.
fn is_alone(entries: &dyn TableLike) -> bool {
    entries.iter().all(|(name, _)| name == RUNC)
}
