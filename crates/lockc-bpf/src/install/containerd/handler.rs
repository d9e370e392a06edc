//! lockc's handlers, made after the default runtime.

use std::path::Path;

use toml_edit::{Array, Item, Table, value};

use super::{
    super::{displaced, runtimes, state::State},
    document::{DEFAULT, RUNC, SHIM},
};

/// What lockc's handlers say themselves.
const OWN_KEYS: [&str; 5] =
    ["runtime_type", "pod_annotations", "container_annotations", "options", "runtime_path"];

/// What lockc's handlers take over from the runtime that was the default.
pub struct Base {
    pub keys: Vec<(String, Item)>,
    pub options: Vec<(String, Item)>,
    pub warnings: Vec<String>,
}

impl Base {
    /// What the default runtime says, in the table `containerd` as containerd reads it.
    pub fn of(cri: &Table, state: &State) -> Self {
        let default = default(cri, state);
        let entry = cri.get("runtimes").and_then(|runtimes| runtimes.get(default));
        let mut base = Self { keys: Vec::new(), options: Vec::new(), warnings: Vec::new() };
        let Some(entry) = entry.and_then(Item::as_table_like) else { return base };
        if entry.get("runtime_type").and_then(Item::as_str).is_some_and(|kind| kind != SHIM) {
            base.warnings.push(format!(
                "the default runtime {default} is not runc; its options are not copied"
            ));
            return base;
        }
        let says = |(_, item): &(&str, &Item)| says_something(item);
        let owned = |(key, item): (&str, &Item)| (key.to_owned(), bare(item));
        base.keys = entry
            .iter()
            .filter(|(key, _)| !OWN_KEYS.contains(key))
            .filter(says)
            .map(owned)
            .collect();
        if let Some(options) = entry.get("options").and_then(Item::as_table_like) {
            if let Some(binary) =
                options.get("BinaryName").and_then(Item::as_str).filter(|binary| !binary.is_empty())
            {
                base.warnings.push(format!(
                    "the runtime {default} starts {binary}; lockc starts the first of its \
                     `runtimes` (/etc/lockc/lockc.toml)"
                ));
            }
            base.options = options
                .iter()
                .filter(|(key, _)| *key != "BinaryName")
                .filter(says)
                .map(owned)
                .collect();
        }
        base
    }

    /// A handler.
    pub fn handler(&self, program: &Path) -> Table {
        let mut table = Table::new();
        table.insert("runtime_type", value(SHIM));
        for key in ["pod_annotations", "container_annotations"] {
            table.insert(key, value(Array::from_iter(["org.lockc.*"])));
        }
        for (key, item) in &self.keys {
            table.insert(key, item.clone());
        }
        let mut options = Table::new();
        options.insert("BinaryName", value(program.display().to_string()));
        for (key, item) in &self.options {
            options.insert(key, item.clone());
        }
        table.insert("options", Item::Table(options));
        table
    }
}

/// The default runtime without lockc.
fn default<'a>(cri: &'a Table, state: &'a State) -> &'a str {
    match cri.get(DEFAULT).and_then(Item::as_str) {
        Some(name) if runtimes::is_name(name) => state.default_before.as_deref().unwrap_or(RUNC),
        Some(name) => name,
        None => RUNC,
    }
}

/// The default runtime that `--default` would displace.
pub fn displaced(cri: &Table, state: &State) -> displaced::Default {
    let name = default(cri, state);
    let entry = cri.get("runtimes").and_then(|runtimes| runtimes.get(name));
    let text = |path: &[&str]| {
        let item = path.iter().try_fold(entry?, |item, key| item.get(key));
        item?.as_str().map(str::to_owned)
    };
    let kind = text(&["runtime_type"]).filter(|kind| kind != SHIM);
    displaced::Default::new(name, kind.or(text(&["options", "BinaryName"])).as_deref())
}

/// Not what containerd takes for it anyway.
fn says_something(item: &Item) -> bool {
    match item.as_value() {
        Some(toml_edit::Value::String(text)) => !text.value().is_empty(),
        Some(toml_edit::Value::Integer(number)) => *number.value() != 0,
        Some(toml_edit::Value::Boolean(yes)) => *yes.value(),
        Some(toml_edit::Value::Array(list)) => !list.is_empty(),
        other => other.is_some(),
    }
}

/// A value without the comments and spaces around it.
fn bare(item: &Item) -> Item {
    let mut item = item.clone();
    if let Some(value) = item.as_value_mut() {
        value.decor_mut().clear();
    }
    item
}
