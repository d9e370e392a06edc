//! Paths that name nothing on this host.

use std::path::{Path, PathBuf};

use lockc_policy::policy::sockets::NamedSockets;

use super::{
    values::{Value, Values},
    view::View,
    warning::{Kind, Warning},
};

pub fn warnings(values: &Values<'_>, host: &View) -> Vec<Warning> {
    let settings = &values.config().settings;
    let list = |name: &str, paths: &[PathBuf]| values.paths(name, Some(paths), |_| &[]);
    let mut lists = values.mounts();
    lists.extend(values.reads());
    lists.extend(list("engine_dirs", &settings.engine_dirs));
    lists.extend(list("sandbox_runtimes", &settings.sandbox_runtimes));
    let runtimes = list("runtimes", &settings.runtimes);
    let is_there = |value: &Value| host.at(value.path()).is_file();
    let mut found = Vec::new();
    if !runtimes.is_empty() && !runtimes.iter().any(is_there) {
        let reason = "none of these runtimes exists, so that no container starts under lockc";
        found.extend(values.warning("runtimes", None, Kind::NoEffect, reason));
    }
    lists.extend(runtimes);
    found.extend(
        lists.iter().filter_map(|value| values.of(value, Kind::NoEffect, missing(value, host)?)),
    );
    for value in values.sockets() {
        if let Some(reason) = socket(&value, host) {
            found.extend(values.of(&value, Kind::NoEffect, &reason));
        }
    }
    found
}

fn missing(value: &Value, host: &View) -> Option<&'static str> {
    if host.at(value.path()).symlink_metadata().is_ok() {
        None
    } else if value.has_wildcard() {
        Some("matches nothing: wildcards stand for themselves here")
    } else {
        Some("does not exist on this host")
    }
}

/// lockc follows no link on the way to a socket, but for /var/run.
fn socket(value: &Value, host: &View) -> Option<String> {
    let named = NamedSockets::new(value.path()).ok()?;
    let mut seen = PathBuf::from("/");
    for part in named.directory.components().skip(1) {
        seen.push(part);
        let Ok(meta) = host.at(&seen).symlink_metadata() else {
            return Some(format!(
                "matches nothing: {} does not exist on this host",
                seen.display()
            ));
        };
        if meta.is_symlink() {
            let target = real(host, &named.directory);
            return Some(format!(
                "matches nothing: {} is a symbolic link, and lockc follows none here; the real \
                 directory is {}",
                seen.display(),
                target.display()
            ));
        }
        if !meta.is_dir() {
            return Some(format!("matches nothing: {} is not a directory", seen.display()));
        }
    }
    None
}

fn real(host: &View, directory: &Path) -> PathBuf {
    let at = host.at(directory);
    at.canonicalize().unwrap_or(at)
}
