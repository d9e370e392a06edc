//! Docker: `daemon.json`, edited without changing its layout.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstNode, CstObject, CstRootNode};

use super::host::{Change, Host};
use super::runtimes::{self, NAME, Runtimes};
use super::{plan::Plan, state::State};

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
    if host.is_this() {
        without_flags(file)?;
    }
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
                    if !there.as_ref().is_some_and(|there| {
                        runtimes::is_ours(&name, there["path"].as_str().unwrap_or(""))
                    }) {
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
    let changes = vec![Change { path: file.into(), before: text, after, mode: 0o644 }];
    Ok(Plan { changes, state, warnings: Vec::new() })
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

/// The file without them.
pub fn uninstall(host: &Host, file: &Path, before: Option<State>) -> Result<Plan> {
    let text = host.read(file)?;
    let state = before.unwrap_or_else(|| State::new(file, false));
    let Some(there) = text.clone() else {
        return Ok(Plan { changes: Vec::new(), state, warnings: Vec::new() });
    };
    let (root, object) = parse(&there, file)?;
    let ours: Vec<String> = defined(&object)
        .into_iter()
        .filter(|(name, path)| runtimes::is_ours(name, path))
        .map(|(name, _)| name)
        .collect();
    let mut warnings = Vec::new();
    if !ours.is_empty() {
        if let Some(property) = object.get(DEFAULT)
            && string(property.value()).is_some_and(|name| ours.contains(&name))
        {
            match &state.default_before {
                Some(name) => property.set_value(CstInputValue::String(name.clone())),
                None => property.remove(),
            }
        }
        if let Some(entries) = object.object_value(RUNTIMES) {
            for name in &ours {
                if let Some(property) = entries.get(name) {
                    property.remove();
                }
            }
            if entries.properties().is_empty()
                && let Some(property) = object.get(RUNTIMES)
            {
                property.remove();
            }
        }
        warnings.push(format!(
            "containers that were created with {} cannot be started again; create them \
             again",
            ours.join(", ")
        ));
    }
    let mut after = Some(root.to_string());
    if let Some(kept) = host.kept(file)?
        && same(&kept, after.as_deref())
    {
        after = Some(kept);
    } else if state.created && object.properties().is_empty() {
        after = None;
    }
    let changes = vec![Change { path: file.into(), before: text, after, mode: 0o644 }];
    Ok(Plan { changes, state, warnings })
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

/// That no dockerd which runs was told something that makes the file useless.
fn without_flags(file: &Path) -> Result<()> {
    let Ok(processes) = fs::read_dir("/proc") else { return Ok(()) };
    for process in processes.flatten() {
        let read = |name: &str| fs::read_to_string(process.path().join(name)).unwrap_or_default();
        if read("comm").trim() == "dockerd"
            && let Some(conflict) = conflict(&read("cmdline"), file)
        {
            bail!(conflict);
        }
    }
    Ok(())
}

/// What is wrong with changing `file` for a dockerd with these arguments, which end with a zero
/// byte each. It does not start where a flag and the file both say something (moby 28,
/// daemon/config: findConfigurationConflicts).
fn conflict(arguments: &str, file: &Path) -> Option<String> {
    let words: Vec<&str> = arguments.split('\0').collect();
    words.iter().enumerate().find_map(|(at, word)| {
        let (option, value) =
            word.split_once('=').unwrap_or((word, words.get(at + 1).unwrap_or(&"")));
        match option {
            "--add-runtime" | "--default-runtime" => Some(format!(
                "dockerd was started with {word}, and will not start if daemon.json names runtimes \
                 too; move the option from its command line (systemctl cat docker, \
                 /etc/default/docker) to daemon.json"
            )),
            "--config-file" if Path::new(value) != file => Some(format!(
                "dockerd reads {value} (--config-file) and not {}; add --config {value}",
                file.display()
            )),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dockerd_was_told_conflicts_with_the_file() {
        let file = Path::new("/etc/docker/daemon.json");
        let told =
            |arguments: &[&str]| conflict(&format!("dockerd\0{}\0", arguments.join("\0")), file);
        for fine in [
            &[][..],
            &["-H", "fd://"],
            &["--config-file=/etc/docker/daemon.json"],
            &["--data-root", "/d"],
        ] {
            assert_eq!(told(fine), None, "{fine:?}");
        }
        for other in [&["--config-file=/opt/d.json"][..], &["-D", "--config-file", "/opt/d.json"]] {
            assert!(told(other).unwrap().ends_with("add --config /opt/d.json"), "{other:?}");
        }
        for flag in [&["--add-runtime=x=/x"][..], &["--default-runtime", "x"]] {
            assert!(told(flag).unwrap().contains("move the option"), "{flag:?}");
        }
    }
}
