//! The documents of a manifest, each with the lines of what it contains. One that is not YAML
//! leaves the others as they are.

use std::fmt;

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use serde_saphyr::Spanned;

/// A document, or why it is none.
pub(super) struct Document {
    /// Where it begins in the file; from 1.
    pub(super) line: u64,
    /// What it contains.
    pub(super) content: Result<Value, String>,
    lines: Option<Lines>,
}

/// The documents of the text; not those that are empty.
pub(super) fn documents(text: &str) -> Vec<Document> {
    parts(text).into_iter().flat_map(|(line, part)| parsed(line, &part)).collect()
}

/// The text at its document markers: YAML has no such lines within a document (YAML 1.2.2,
/// c-forbidden). Each part with the number of lines before it.
fn parts(text: &str) -> Vec<(u64, String)> {
    let mut parts: Vec<(u64, String)> = vec![(0, String::new())];
    for (number, line) in (0..).zip(text.trim_start_matches('\u{feff}').split_inclusive('\n')) {
        let is_marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        // Directives belong to the document after them.
        if is_marker
            && parts.last().is_some_and(|(_, part)| has_content(part, |line| line.starts_with('%')))
        {
            parts.push((number, String::new()));
        }
        if let Some((_, part)) = parts.last_mut() {
            part.push_str(line);
        }
    }
    parts.retain(|(_, part)| has_content(part, |line| line.trim_end() == "---"));
    parts
}

/// Whether there is more than comments, empty lines, and lines of this kind.
fn has_content(part: &str, but: fn(&str) -> bool) -> bool {
    part.lines()
        .any(|line| !(line.trim().is_empty() || line.trim_start().starts_with('#') || but(line)))
}

/// The documents of a part: one, unless `...` ends it and another follows.
fn parsed(before: u64, part: &str) -> Vec<Document> {
    // Spans first: the same text has them, or is not understood either.
    let lines = serde_saphyr::from_multiple::<Spanned<Lines>>(part).unwrap_or_default();
    let mut lines = lines.into_iter();
    match serde_saphyr::from_multiple::<Value>(part) {
        Ok(values) => values
            .into_iter()
            .map(|value| {
                let of_document = lines.next();
                let line = of_document.as_ref().map_or(1, |lines| lines.referenced.line());
                let lines = of_document.map(|lines| lines.value.after(before));
                Document { line: before + line, content: Ok(without_nulls(value)), lines }
            })
            .filter(|document| !matches!(document.content, Ok(Value::Null)))
            .collect(),
        Err(error) => {
            let line = error.location().map_or(1, |location| location.line().max(1));
            let reason = reason(&error.to_string());
            let content = Err(format!("not a Kubernetes manifest in YAML or JSON: {reason}"));
            vec![Document { line: before + line, content, lines: None }]
        }
    }
}

/// The first line of the parser's message, without the place, which it counts within the part.
fn reason(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let text = first.strip_prefix("line ").and_then(|rest| Some(rest.split_once(": ")?.1));
    text.unwrap_or(first).to_owned()
}

impl Document {
    /// The line of what is at a JSON pointer, or of the nearest thing around it.
    pub(super) fn line_of(&self, pointer: &str) -> u64 {
        let keys: Vec<String> = pointer
            .split('/')
            .skip(1)
            .map(|key| key.replace("~1", "/").replace("~0", "~"))
            .collect();
        let keys = keys.iter().map(String::as_str);
        let found = self.lines.as_ref().and_then(|lines| lines.of(keys));
        found.unwrap_or(self.line)
    }
}

/// To Kubernetes null is the same as absent.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
        ),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        value => value,
    }
}

/// The lines of what is in a mapping or a list.
#[derive(Default)]
struct Lines(Vec<(String, u64, Lines)>);

impl Lines {
    fn of<'a>(&self, mut path: impl Iterator<Item = &'a str>) -> Option<u64> {
        let key = path.next()?;
        let (_, line, inner) = self.0.iter().find(|(name, _, _)| name == key)?;
        Some(inner.of(path).unwrap_or(*line))
    }

    /// The lines of a part that has lines before it.
    fn after(self, before: u64) -> Self {
        let moved = self.0.into_iter();
        Self(moved.map(|(key, line, inner)| (key, before + line, inner.after(before))).collect())
    }
}

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LinesVisitor)
    }
}

struct LinesVisitor;

impl<'de> Visitor<'de> for LinesVisitor {
    type Value = Lines;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lines, A::Error> {
        let mut lines = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let value: Spanned<Lines> = map.next_value()?;
            lines.push((key, value.referenced.line(), value.value));
        }
        Ok(Lines(lines))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Lines, A::Error> {
        let mut lines = Vec::new();
        while let Some(value) = items.next_element::<Spanned<Lines>>()? {
            lines.push((lines.len().to_string(), value.referenced.line(), value.value));
        }
        Ok(Lines(lines))
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Lines, D::Error> {
        Lines::deserialize(inner)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_none<E>(self) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_unit<E>(self) -> Result<Lines, E> {
        Ok(Lines::default())
    }
}
