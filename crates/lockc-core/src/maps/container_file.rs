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

fn path(key: ContainerKey) -> PathBuf {
    Path::new(paths::CONTAINERS).join(format!("{}.{}.json", key.slot, key.generation))
}
