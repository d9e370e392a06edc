//! The tables of containerd's configuration that lockc changes.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use toml_edit::{DocumentMut, Item, Table, TableLike, value};

/// The plugin that starts pods, in versions 3 and 4 of the configuration. Version 4 moved the
/// settings of the server to plugins and left this one as it was (containerd 2.2, config.go:
/// `serviceMigrate`).
pub const CRI: &str = "io.containerd.cri.v1.runtime";
/// In version 2.
pub const CRI_BEFORE_2: &str = "io.containerd.grpc.v1.cri";
/// A drop-in of lockc's own.
pub const DROP_IN: &str = "lockc.toml";
pub const SHIM: &str = "io.containerd.runc.v2";
pub const DEFAULT: &str = "default_runtime_name";
pub const RUNC: &str = "runc";

pub fn is_own(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == DROP_IN)
}

pub fn version(document: &DocumentMut, file: &Path) -> Result<i64> {
    match document.get("version").and_then(Item::as_integer) {
        Some(version @ 2..=4) => Ok(version),
        Some(version @ 5..) => bail!(
            "{} has version {version}, which this release of lockc does not know; upgrade lockc",
            file.display()
        ),
        other => bail!(
            "{} has version {}, lockc supports 2 to 4; run `containerd config migrate`",
            file.display(),
            other.unwrap_or(1)
        ),
    }
}

pub fn plugin(version: i64) -> &'static str {
    if version == 2 { CRI_BEFORE_2 } else { CRI }
}

/// A table below another, made without a header of its own where it is not there.
pub fn child<'a>(table: &'a mut dyn TableLike, name: &str) -> Result<&'a mut dyn TableLike> {
    let mut new = Table::new();
    new.set_implicit(true);
    table
        .entry(name)
        .or_insert(Item::Table(new))
        .as_table_like_mut()
        .with_context(|| format!("`{name}` is not a table"))
}

/// Sets a text where it is, with the spaces and comments around it.
pub fn set(table: &mut dyn TableLike, key: &str, text: &str) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(there) => {
            let decor = there.decor().clone();
            *there = text.into();
            *there.decor_mut() = decor;
        }
        None => {
            table.insert(key, value(text));
        }
    }
}

pub fn containerd_table(document: &mut DocumentMut, version: i64) -> Result<&mut dyn TableLike> {
    let plugins = child(document.as_table_mut(), "plugins")?;
    child(child(plugins, plugin(version))?, "containerd")
}

/// Whether two texts say the same. A file that says nothing got a version with lockc.
pub fn same(kept: &str, other: Option<&str>) -> bool {
    let value = |text: &str| toml::from_str::<toml::Table>(text).ok().map(without_empty);
    let (Some(kept), Some(mut other)) = (value(kept), other.and_then(value)) else { return false };
    if kept.is_empty() {
        other.remove("version");
    }
    kept == other
}

/// Tables that hold nothing say nothing.
fn without_empty(table: toml::Table) -> toml::Table {
    let mut kept = toml::Table::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                let inner = without_empty(inner);
                if !inner.is_empty() {
                    kept.insert(key, toml::Value::Table(inner));
                }
            }
            value => {
                kept.insert(key, value);
            }
        }
    }
    kept
}
