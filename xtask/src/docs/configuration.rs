//! `docs/configuration.md`: the settings of `lockc.toml` by the JSON Schema of the file, with the
//! defaults of the commented file in `packaging/`.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use lockc_policy::config::reference::{self, Form, Section};
use serde_json::Value;

const TEMPLATE: &str = include_str!("configuration.md");

/// The page. `schema` is the text of the JSON Schema, `defaults` that of the commented file.
pub fn page(schema: &str, defaults: &str) -> Result<String> {
    let schema: Value = serde_json::from_str(schema).context("the schema is not JSON")?;
    let mut settings = String::new();
    for section in reference::sections(&schema, defaults) {
        table(&mut settings, &section);
    }
    Ok(TEMPLATE.replace("SETTINGS\n", &settings).replace("DEFAULT_FILE", defaults))
}

/// One table of settings. Tables of the file (`engines`, `policies`) have sections of their own.
fn table(text: &mut String, section: &Section) {
    let title = match section.tables {
        [] => "Top-level settings".to_owned(),
        tables => tables.iter().map(|table| format!("`{table}`")).collect::<Vec<_>>().join(" and "),
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "## {title}\n\n| setting | value | what it does |");
    let _ = writeln!(text, "|---|---|---|");
    for setting in &section.settings {
        let (key, value) = (&setting.key, value(&setting.value));
        let about = cell(&setting.about);
        let meanings = meanings(&setting.value);
        let default = setting.default.as_ref().map(|default| format!(" Default: `{default}`."));
        let default = default.unwrap_or_default();
        let _ = writeln!(text, "| `{key}` | {value} | {about}{meanings}{default} |");
    }
    text.push('\n');
}

/// What may be written, in words or as the list of choices.
fn value(form: &Form) -> String {
    match form {
        Form::Choice(choices) => {
            choices.iter().map(|(value, _)| format!("`{value}`")).collect::<Vec<_>>().join(", ")
        }
        Form::Strings => "list of strings".to_owned(),
        Form::Boolean => "`true`, `false`".to_owned(),
        Form::Tables => "table, see below".to_owned(),
        Form::Other(kind) => kind.clone(),
    }
}

/// What each choice means, as sentences after the setting's description.
fn meanings(form: &Form) -> String {
    let Form::Choice(choices) = form else { return String::new() };
    choices
        .iter()
        .filter(|(_, about)| !about.is_empty())
        .map(|(choice, about)| format!(" `{choice}`: {}", cell(about)))
        .collect()
}

/// The text of a cell, which a vertical bar would end.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
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
