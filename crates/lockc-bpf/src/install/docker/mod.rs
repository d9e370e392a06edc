//! Docker: `daemon.json`, edited without changing its layout.

pub mod told;

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstNode, CstObject, CstRootNode};

use super::{
    displaced,
    host::{Change, Host},
    plan::Plan,
    removal::{Fate, Removal},
    runtimes::{self, NAME, Own, Runtimes},
    state::State,
};

const DEFAULT: &str = "default-runtime";
const RUNTIMES: &str = "runtimes";

fn parse(text: &str, file: &Path) -> Result<(CstRootNode, CstObject)> {
    let text = if text.trim().is_empty() { "{}\n" } else { text };
    // dockerd reads JSON by the letter (encoding/json); the editor would let comments pass.
    let at = || format!("{} cannot be parsed", file.display());
    serde_json::from_str::<serde::de::IgnoredAny>(text).with_context(at)?;
    let root = CstRootNode::parse(text, &ParseOptions::default()).with_context(at)?;
    let object =
        root.object_value().with_context(|| format!("{} is not a JSON object", file.display()))?;
    Ok((root, object))
}

fn string(node: Option<CstNode>) -> Option<String> {
    node?.as_string_lit()?.decoded_value().ok()
}

/// Names and programs of the runtimes that the file defines.
fn defined(object: &CstObject) -> Vec<(String, String)> {
    let Some(runtimes) = object.object_value(RUNTIMES) else { return Vec::new() };
    let one = |name: &str| string(runtimes.object_value(name)?.get("path")?.value());
    let names = runtimes.properties().into_iter().filter_map(|property| property.decoded_name());
    names
        .map(|name| (one(&name).unwrap_or_default(), name))
        .map(|(path, name)| (name, path))
        .collect()
}

/// The file with lockc's runtimes.
pub fn install(
    host: &Host,
    file: &Path,
    runtimes: &Runtimes,
    before: Option<State>,
) -> Result<Plan> {
    let text = host.read(file)?;
    let (root, object) = parse(text.as_deref().unwrap_or(""), file)?;
    let mut state = before.unwrap_or_else(|| State::new(file, text.is_none()));
    let mut warnings = Vec::new();
    told::without_conflict(host, file)?;
    let path = runtimes.wrapper.display().to_string();
    let entries = object
        .object_value_or_create(RUNTIMES)
        .with_context(|| format!("`{RUNTIMES}` of {} is not an object", file.display()))?;
    let mut wanted =
        vec![(NAME.to_owned(), vec![("path".to_owned(), CstInputValue::String(path.clone()))])];
    for level in &runtimes.levels {
        let arguments =
            ["--lockc-policy", level].map(|word| CstInputValue::String(word.to_owned())).to_vec();
        let entry = vec![
            ("path".to_owned(), CstInputValue::String(path.clone())),
            ("runtimeArgs".to_owned(), CstInputValue::Array(arguments)),
        ];
        wanted.push((runtimes::for_level(level), entry));
    }
    for (name, entry) in wanted {
        match entries.get(&name) {
            None => {
                entries.append(&name, CstInputValue::Object(entry));
            }
            Some(property) => {
                let there = property.value().and_then(|value| value.to_serde_value());
                if there != Some(as_json(&entry)) {
                    let program = there.as_ref().and_then(|there| there["path"].as_str());
                    if runtimes::own(&name, program.unwrap_or(""), &state).is_none() {
                        bail!(
                            "{} has a runtime {name} that is not lockc's; rename or remove it",
                            file.display()
                        );
                    }
                    property.set_value(CstInputValue::Object(entry));
                }
            }
        }
    }
    if runtimes.default {
        let there = object.get(DEFAULT).and_then(|property| string(property.value()));
        if there.as_deref() != Some(NAME) {
            let name = there.as_deref().unwrap_or("runc");
            let program = defined(&object).into_iter().find(|(own, _)| own == name);
            let program = program.as_ref().map(|(_, program)| program.as_str());
            warnings.extend(displaced::Default::new(name, program).displaced(host)?);
            state.default_before.clone_from(&there);
            match object.get(DEFAULT) {
                Some(property) => property.set_value(CstInputValue::String(NAME.into())),
                None => {
                    object.append(DEFAULT, CstInputValue::String(NAME.into()));
                }
            }
        }
        state.default = true;
    }
    let after = Some(ending(root.to_string()));
    state.kept.clear();
    let changes = vec![Change { path: file.into(), before: text, after, mode: 0o644 }];
    Ok(Plan { changes, state, warnings, ..Plan::default() })
}

fn as_json(entry: &[(String, CstInputValue)]) -> serde_json::Value {
    let value = |value: &CstInputValue| match value {
        CstInputValue::String(text) => serde_json::json!(text),
        CstInputValue::Array(words) => words
            .iter()
            .filter_map(|word| {
                if let CstInputValue::String(word) = word { Some(word.clone()) } else { None }
            })
            .collect(),
        _ => serde_json::Value::Null,
    };
    entry
        .iter()
        .map(|(key, one)| (key.clone(), value(one)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The file without them, or with their names alone.
pub fn uninstall(
    host: &Host,
    file: &Path,
    before: Option<State>,
    removal: &Removal,
) -> Result<Plan> {
    let text = host.read(file)?;
    let mut plan =
        Plan { state: before.unwrap_or_else(|| State::new(file, false)), ..Plan::default() };
    let Some(there) = text.clone() else { return Ok(plan) };
    let (root, object) = parse(&there, file)?;
    let state = &mut plan.state;
    let of_ours =
        |(name, path): (String, String)| Some((runtimes::own(&name, &path, state)?, name));
    let ours: Vec<(Own, String)> = defined(&object).into_iter().filter_map(of_ours).collect();
    if let Some(property) = object.get(DEFAULT)
        && let Some(name) = string(property.value())
        && ours.iter().any(|(_, ours)| *ours == name)
    {
        match &state.default_before {
            Some(name) => property.set_value(CstInputValue::String(name.clone())),
            None => property.remove(),
        }
    }
    let mut kept = Vec::new();
    if let Some(entries) = object.object_value(RUNTIMES) {
        for (own, name) in &ours {
            let Some(property) = entries.get(name) else { continue };
            match removal.fate(name, *own) {
                Fate::Remove => property.remove(),
                Fate::Become(real) => {
                    let path = CstInputValue::String(real.display().to_string());
                    property.set_value(CstInputValue::Object(vec![("path".to_owned(), path)]));
                    kept.push(name.clone());
                }
                Fate::Stay => kept.push(name.clone()),
            }
        }
        if !ours.is_empty()
            && entries.properties().is_empty()
            && let Some(property) = object.get(RUNTIMES)
        {
            property.remove();
        }
    }
    state.kept = kept;
    let mut after = Some(root.to_string());
    if let Some(kept) = host.kept(file)?
        && same(&kept, after.as_deref())
    {
        after = Some(kept);
    } else if state.created && object.properties().is_empty() {
        after = None;
    }
    let is_active = |(own, name): (Own, String)| (own == Own::Active).then_some(name);
    plan.active = ours.into_iter().filter_map(is_active).collect();
    plan.changes = vec![Change { path: file.into(), before: text, after, mode: 0o644 }];
    Ok(plan)
}

/// Whether two texts say the same; a list without runtimes says nothing.
fn same(kept: &str, other: Option<&str>) -> bool {
    let value = |text: &str| {
        let text = if text.trim().is_empty() { "{}" } else { text };
        let mut value: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(text).ok()?;
        value.retain(|key, entry| key != RUNTIMES || *entry != serde_json::json!({}));
        Some(value)
    };
    value(kept).is_some() && value(kept) == other.and_then(value)
}

fn ending(text: String) -> String {
    if text.ends_with('\n') { text } else { text + "\n" }
}
