//! What is known of the registered containers: a file for each below `/run`, removed with the
//! container's denials. Only root may read it. Nothing is decided by it.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::{abi::ContainerKey, paths};

/// Writes a container's file.
///
/// # Errors
///
/// Where it cannot be written.
pub(super) fn write(key: ContainerKey, text: &str) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(paths::CONTAINERS)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path(key))?.write_all(text.as_bytes())
}

/// The file of a container, if there is one. Who reads it compares the id: files outlive the maps
/// that their keys come from.
pub fn read(key: ContainerKey) -> Option<String> {
    fs::read_to_string(path(key)).ok()
}

/// Removes the file of a container that is gone.
pub(super) fn remove(key: ContainerKey) {
    // That there is none is no error, and a leftover costs only space.
    let _ = fs::remove_file(path(key));
}

/// Writes down what held for a container before its quarantine; on disk, or not at all.
///
/// # Errors
///
/// Where it cannot be written.
pub fn write_applied(key: ContainerKey, text: &str) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(paths::CONTAINERS)?;
    let (path, new) = (applied(key), applied(key).with_extension("new"));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(&new)?.write_all(text.as_bytes())?;
    fs::rename(new, path)
}

/// What held for a container before its quarantine.
///
/// # Errors
///
/// Where nothing is written down, or cannot be read.
pub fn read_applied(key: ContainerKey) -> io::Result<String> {
    fs::read_to_string(applied(key))
}

/// Removes that.
pub fn remove_applied(key: ContainerKey) {
    // As above.
    let _ = fs::remove_file(applied(key));
}

fn path(key: ContainerKey) -> PathBuf {
    Path::new(paths::CONTAINERS).join(format!("{}.{}.json", key.slot, key.generation))
}

fn applied(key: ContainerKey) -> PathBuf {
    Path::new(paths::CONTAINERS).join(format!("{}.{}.applied", key.slot, key.generation))
}
