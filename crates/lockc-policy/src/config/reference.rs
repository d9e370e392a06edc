//! The settings of `lockc.toml` as a list, from the JSON Schema and the commented default file: for
//! the manual page and for `docs/configuration.md`.

use serde_json::Value;

/// A table of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// `[engines.NAME]`; none: the settings before the first table.
    pub tables: &'static [&'static str],
    /// Its settings.
    pub settings: Vec<Described>,
}

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its key.
    pub key: String,
    /// What may be written.
    pub value: Form,
    /// What it does.
    pub about: String,
    /// The value without it.
    pub default: Option<String>,
}

/// What may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// One of these, with its meaning; quoted as in the file.
    Choice(Vec<(String, String)>),
    /// A list of strings.
    Strings,
    /// `true` or `false`.
    Boolean,
    /// Tables, which have sections of their own.
    Tables,
    /// A string, or whatever type this is.
    Other(String),
}

/// Tables of the file, and the names of their definitions in the schema.
const TABLES: [(&[&str], &str); 3] = [
    (&["[engines.NAME]", "[namespaces.NAME]"], "Choice"),
    (&["[kubernetes]"], "KubernetesPart"),
    (&["[policies.NAME]"], "PolicyConfig"),
];

/// Every section. `defaults` is the text of the commented default file.
pub fn sections(schema: &Value, defaults: &str) -> Vec<Section> {
    let top = Section {
        tables: &[],
        settings: settings(schema, schema, &|key| default_of(defaults, key)),
    };
    let tables = TABLES.into_iter().map(|(tables, name)| {
        let definition = &schema["$defs"][name];
        Section { tables, settings: settings(definition, schema, &|_| None) }
    });
    std::iter::once(top).chain(tables).collect()
}

fn settings(
    object: &Value,
    schema: &Value,
    default: &dyn Fn(&str) -> Option<String>,
) -> Vec<Described> {
    let properties = object["properties"].as_object().into_iter().flatten();
    let described = |(key, property): (&String, &Value)| Described {
        key: key.clone(),
        value: form(resolved(property, schema)),
        about: about(property),
        default: default(key),
    };
    properties.map(described).collect()
}

fn form(target: &Value) -> Form {
    let choices: Vec<(String, String)> = choices(target).collect();
    if !choices.is_empty() {
        return Form::Choice(choices);
    }
    let kind = match &target["type"] {
        Value::Array(types) => types.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind.unwrap_or_default() {
        "array" => Form::Strings,
        "boolean" => Form::Boolean,
        "object" => Form::Tables,
        kind => Form::Other(kind.to_owned()),
    }
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
    let described = described.map(|one| (&one["const"], about(one)));
    let plain = target["enum"].as_array().into_iter().flatten();
    let plain = plain.map(|value| (value, String::new()));
    described
        .chain(plain)
        .filter_map(|(value, about)| Some((format!("\"{}\"", value.as_str()?), about)))
}

fn about(of: &Value) -> String {
    of["description"].as_str().unwrap_or_default().replace('\n', " ")
}

/// The value after `#key = ` in the part of the commented file that precedes its first table.
fn default_of(defaults: &str, key: &str) -> Option<String> {
    defaults
        .lines()
        .take_while(|line| !line.starts_with("#["))
        .find_map(|line| line.strip_prefix(&format!("#{key} = ")))
        .map(str::to_owned)
}
