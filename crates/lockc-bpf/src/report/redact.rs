//! Leaves out of a bundle what is not known to be harmless.
//!
//! A value is kept only under a key that lockc knows, and there word by word: words of lockc's own
//! pages are kept, every other word gets a number that is the same in the whole bundle. What is
//! under another key is left out, whatever it is.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::vocabulary::{self, Vocabulary, is_between};

/// Stands for a value that is left out.
const LEFT_OUT: &str = "<left out>";

/// Parts of keys whose values may be secrets, whatever is below them.
const SECRET: [&str; 22] = [
    "env",
    "header",
    "auth",
    "pass",
    "token",
    "secret",
    "cred",
    "label",
    "annotation",
    "prox",
    "arg",
    "opts",
    "cert",
    "key",
    "cookie",
    "login",
    "ident",
    "hook",
    "sas",
    "user",
    "account",
    "command",
];

/// See the module.
pub struct Redactor {
    vocabulary: Vocabulary,
    include_names: bool,
    names: HashMap<String, usize>,
    /// Names and values that the current file lost.
    counts: Counts,
}

/// What a file lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Words that became numbers.
    pub names: usize,
    /// Values that are left out.
    pub values: usize,
}

impl Redactor {
    /// With `include_names`, words under known keys are kept.
    pub fn new(include_names: bool) -> Self {
        Self {
            vocabulary: Vocabulary::new(),
            include_names,
            names: HashMap::new(),
            counts: Counts::default(),
        }
    }

    /// Words that name nobody, found out at run time.
    pub fn allow(&mut self, text: &str) {
        self.vocabulary.add(text);
    }

    /// What was lost since the last question.
    pub fn counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// Goes on counting from there.
    pub fn count(&mut self, counts: Counts) {
        self.counts = counts;
    }

    /// The value without what is not known. `known` are the keys whose values are understood.
    pub fn value(&mut self, value: &Value, known: &BTreeSet<&str>) -> Value {
        match value {
            Value::Object(entries) => self.entries(entries, known),
            Value::Array(values) => {
                Value::Array(values.iter().map(|value| self.value(value, known)).collect())
            }
            Value::String(text) => Value::String(self.text(text)),
            other => other.clone(),
        }
    }

    fn entries(&mut self, entries: &Map<String, Value>, known: &BTreeSet<&str>) -> Value {
        let is_kernels =
            matches!(entries.get("rule").and_then(Value::as_str), Some("sysfs" | "procfs"));
        let mut kept = Map::new();
        for (key, value) in entries {
            let is_known = known.contains(key.as_str());
            let shown = if is_known { key.clone() } else { self.text(key) };
            let value = match value {
                Value::String(text) if is_kernels && key == "detail" && !self.include_names => {
                    self.counts.names += usize::from(vocabulary::kernel_path(text) != *text);
                    vocabulary::kernel_path(text).into()
                }
                value if is_known => self.value(value, known),
                Value::Object(below) if !is_secret(key) => self.entries(below, known),
                Value::Array(values) if !is_secret(key) && has_only_tables(values) => {
                    self.value(value, known)
                }
                _ => {
                    self.counts.values += 1;
                    LEFT_OUT.into()
                }
            };
            kept.insert(self.unique(shown, &kept), value);
        }
        Value::Object(kept)
    }

    fn unique(&self, key: String, taken: &Map<String, Value>) -> String {
        let mut unique = key.clone();
        let mut number = 2;
        while taken.contains_key(&unique) {
            unique = format!("{key} ({number})");
            number += 1;
        }
        unique
    }

    /// The text, word by word.
    pub fn text(&mut self, text: &str) -> String {
        if text.parse::<Timestamp>().is_ok() {
            return text.to_owned();
        }
        let mut kept = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(is_between).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            kept += &self.word(word);
            let end = after.find(|it| !is_between(it)).unwrap_or(after.len());
            kept += &after[..end];
            rest = &after[end..];
        }
        kept
    }

    fn word(&mut self, word: &str) -> String {
        // A sentence's own full stop or colon.
        let bare = word.trim_end_matches(['.', ':', '!', '?']);
        if bare.is_empty() || self.vocabulary.has(word) || self.vocabulary.has(bare) {
            return word.to_owned();
        }
        if self.include_names {
            return self.without_secrets(word);
        }
        self.counts.names += 1;
        let next = self.names.len() + 1;
        let number = *self.names.entry(bare.to_owned()).or_insert(next);
        format!("<{number}>{}", &word[bare.len()..])
    }

    /// A URL loses its user and its query; an assignment its value.
    fn without_secrets(&mut self, word: &str) -> String {
        let mut kept = word.to_owned();
        if let Some(at) = kept.find("://") {
            let (scheme, rest) = kept.split_at(at + 3);
            let authority = rest.find('/').unwrap_or(rest.len());
            let host = rest[..authority].rfind('@').map_or(rest, |user| &rest[user + 1..]);
            kept = format!("{scheme}{}", host.split(['?', '#']).next().unwrap_or_default());
        } else if let Some((name, _)) = kept.split_once('=') {
            kept = format!("{name}={LEFT_OUT}");
        } else if let Some((user, host)) = kept.rsplit_once('@')
            && user.contains(':')
            && !host.starts_with("sha256:")
        {
            kept = host.to_owned();
        }
        if kept != word {
            self.counts.values += 1;
        }
        kept
    }
}

fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    SECRET.iter().any(|part| key.contains(part))
}

fn has_only_tables(values: &[Value]) -> bool {
    values.iter().all(Value::is_object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known() -> BTreeSet<&'static str> {
        BTreeSet::from(["path", "mode", "name", "runtimes", "count", "detail", "rule", "last"])
    }

    #[test]
    fn only_what_is_known_is_kept() {
        let value = json!({
            "name": "CANARY-a", "mode": "enforce", "count": 5, "last": "2026-11-28T00:00:00Z",
            "runtimes": {"CANARY-b": {"path": "/usr/bin/runc", "options": ["CANARY-c"]}},
            "env": {"path": "CANARY-d", "name": 1}, "password": 12345, "other": true,
            "http": {"X-Header": {"name": "CANARY-e"}},
            "list": [{"name": "CANARY-a"}], "pin": [1, 2],
        });
        let mut redactor = Redactor::new(false);
        let kept = redactor.value(&value, &known());
        assert!(!kept.to_string().contains("CANARY") && !kept.to_string().contains("12345"));
        assert_eq!(kept["mode"], "enforce");
        assert_eq!(kept["last"], "2026-11-28T00:00:00Z");
        assert_eq!(kept["name"], kept["list"][0]["name"], "one name has one number");
        let runtimes = kept["runtimes"].as_object().unwrap();
        let (_, runtime) = runtimes.iter().next().unwrap();
        assert_eq!(runtime, &json!({"path": "/usr/bin/runc", "options": LEFT_OUT}));
        let left_out = Value::from(LEFT_OUT);
        for key in ["env", "password", "other", "pin"] {
            assert!(kept.as_object().unwrap().values().any(|value| *value == left_out), "{key}");
        }
        assert_eq!(redactor.counts().values, 6);
        assert_eq!(redactor.counts(), Counts::default());
    }

    #[test]
    fn names_can_be_kept_and_secrets_cannot() {
        let value = json!({
            "name": "shop/web", "path": "https://user:CANARY@example.test/x?token=CANARY#CANARY",
            "detail": "TOKEN=CANARY /srv/data", "env": ["A=CANARY"], "auth": {"name": "CANARY"},
        });
        let kept = Redactor::new(true).value(&value, &known());
        assert!(!kept.to_string().contains("CANARY"), "{kept}");
        assert_eq!(kept["name"], "shop/web");
        assert_eq!(kept["path"], "https://example.test/x");
        assert_eq!(kept["detail"], format!("TOKEN={LEFT_OUT} /srv/data"));
    }

    #[test]
    fn a_denial_keeps_the_kernels_part_of_its_path() {
        let denial = |rule: &str| json!({"rule": rule, "detail": "fs/ext4/CANARY"});
        let kept = |rule: &str| Redactor::new(false).value(&denial(rule), &known());
        assert_eq!(kept("sysfs")["detail"], "fs/ext4/<rest>");
        assert_eq!(kept("files")["detail"], "<1>");
    }

    #[test]
    fn keys_that_become_the_same_are_all_kept() {
        let value = json!({"CANARY, x": {"mode": "audit"}, "CANARY; x": {"mode": "enforce"}});
        let kept = Redactor::new(false).value(&value, &known());
        assert_eq!(kept.as_object().unwrap().len(), 2, "{kept}");
    }
}
