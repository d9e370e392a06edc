//! `docs/configuration.md`: the settings of `lockc.toml` by the JSON Schema of the file, with the
//! defaults of the commented file in `packaging/`.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

const TEMPLATE: &str = include_str!("configuration.md");

/// The page. `schema` is the text of the JSON Schema, `defaults` that of the commented file.
pub fn page(schema: &str, defaults: &str) -> Result<String> {
    let schema: Value = serde_json::from_str(schema).context("the schema is not JSON")?;
    let definition = |name: &str| &schema["$defs"][name];
    let mut settings = String::new();
    section(&mut settings, "Top-level settings", &schema, &schema, &|key| {
        default_of(defaults, key)
    });
    for (title, name) in [
        ("`[engines.NAME]` and `[namespaces.NAME]`", "Choice"),
        ("`[kubernetes]`", "KubernetesPart"),
        ("`[policies.NAME]`", "PolicyConfig"),
    ] {
        section(&mut settings, title, definition(name), &schema, &|_| None);
    }
    Ok(TEMPLATE.replace("SETTINGS\n", &settings).replace("DEFAULT_FILE", defaults))
}

/// One table of settings. Tables of the file (`engines`, `policies`) have sections of their own.
fn section(
    text: &mut String,
    title: &str,
    object: &Value,
    schema: &Value,
    default: &dyn Fn(&str) -> Option<String>,
) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "## {title}\n\n| setting | value | what it does |");
    let _ = writeln!(text, "|---|---|---|");
    let Some(properties) = object["properties"].as_object() else { return };
    for (key, property) in properties {
        let target = resolved(property, schema);
        let value = value(target);
        let about = described_as(property);
        let meanings = meanings(target);
        let default = default(key).map(|default| format!(" Default: `{default}`."));
        let default = default.unwrap_or_default();
        let _ = writeln!(text, "| `{key}` | {value} | {about}{meanings}{default} |");
    }
    text.push('\n');
}

/// What may be written, in words or as the list of choices.
fn value(target: &Value) -> String {
    let choices: Vec<String> = choices(target).map(|(choice, _)| choice).collect();
    if !choices.is_empty() {
        return choices.join(", ");
    }
    let types = match &target["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        kind => vec![kind.as_str().unwrap_or_default()],
    };
    match types.as_slice() {
        ["array", ..] => "list of strings".to_owned(),
        ["boolean", ..] => "`true`, `false`".to_owned(),
        ["object", ..] => "table, see below".to_owned(),
        [kind, ..] => (*kind).to_owned(),
        [] => String::new(),
    }
}

/// What each choice means, as sentences after the setting's description.
fn meanings(target: &Value) -> String {
    choices(target)
        .filter(|(_, about)| !about.is_empty())
        .map(|(choice, about)| format!(" {choice}: {about}"))
        .collect()
}

/// The definition that a property refers to, null aside; the property itself otherwise.
fn resolved<'a>(property: &'a Value, schema: &'a Value) -> &'a Value {
    let alternatives = property["anyOf"].as_array();
    let reference = alternatives
        .and_then(|any| any.iter().find_map(|one| one["$ref"].as_str()))
        .or_else(|| property["$ref"].as_str());
    match reference.and_then(|reference| reference.strip_prefix("#")) {
        Some(pointer) => schema.pointer(pointer).unwrap_or(property),
        None => property,
    }
}

/// The values of an enumeration, each with its meaning.
fn choices(target: &Value) -> impl Iterator<Item = (String, String)> {
    let described = target["oneOf"].as_array().into_iter().flatten();
    let described = described.map(|one| (&one["const"], described_as(one)));
    let plain = target["enum"].as_array().into_iter().flatten();
    let plain = plain.map(|value| (value, String::new()));
    described
        .chain(plain)
        .filter_map(|(value, about)| Some((format!("`\"{}\"`", value.as_str()?), about)))
}

/// A description as the text of a cell, in which a vertical bar would end the cell.
fn described_as(of: &Value) -> String {
    let text = of["description"].as_str().unwrap_or_default();
    text.replace('\n', " ").replace('|', "\\|")
}

/// The value after `#key = ` in the part of the commented file that precedes its first table.
fn default_of(defaults: &str, key: &str) -> Option<String> {
    defaults
        .lines()
        .take_while(|line| !line.starts_with("#["))
        .find_map(|line| line.strip_prefix(&format!("#{key} = ")))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r##"{
        "properties": {
            "mode": {"description": "How\nstrict.",
                "anyOf": [{"$ref": "#/$defs/Mode"}, {"type": "null"}]},
            "paths": {"description": "Some.", "type": ["array", "null"]}
        },
        "$defs": {
            "Mode": {"oneOf": [{"const": "a", "description": "Not."},
                {"const": "b", "description": "Very."}]},
            "PolicyConfig": {"properties": {"extends": {"description": "A | B.", "type": "string"}}}
        }
    }"##;

    #[test]
    fn each_setting_has_a_row() {
        let page =
            page(SCHEMA, "# Text\n#mode = \"a\"\n#[policies.x]\n#paths = [\"x\"]\n").unwrap();
        let mode = "| `mode` | `\"a\"`, `\"b\"` | How strict. `\"a\"`: Not. `\"b\"`: Very. \
                    Default: `\"a\"`. |";
        assert!(page.contains(mode), "{page}");
        assert!(page.contains("| `paths` | list of strings | Some. |"), "{page}");
        assert!(page.contains("| `extends` | string | A \\| B. |"), "{page}");
    }

    #[test]
    fn every_top_level_setting_has_a_default() {
        let defaults = include_str!("../../../packaging/lockc.toml");
        let page = page(include_str!("../../../packaging/lockc.schema.json"), defaults).unwrap();
        let section = page.split("## ").find(|part| part.starts_with("Top-level")).unwrap();
        for row in section.lines().filter(|line| line.starts_with("| `") && !line.contains("table"))
        {
            assert!(row.contains("Default: `"), "packaging/lockc.toml has no default for {row}");
        }
    }
}
