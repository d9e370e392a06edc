//! Small files of lockc's own, one for each container, of which the newest are kept. Only root may
//! read them: they name paths of the host and options of other tenants.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

/// Keeps a text under the id of a container, and at most `limit` of them.
///
/// # Errors
///
/// Where it cannot be written.
pub fn keep(directory: &Path, id: &str, text: &[u8], limit: usize) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // An id may be any text; its hash is a name.
    let name: String =
        Sha256::digest(id).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let path = directory.join(format!("{name}.json"));
    let mut new = NamedTempFile::new_in(directory)?;
    new.write_all(text)?;
    new.persist(path)?;
    remove_oldest(directory, limit)
}

/// What can be read of what is kept, in no order.
///
/// # Errors
///
/// Where the directory is there and cannot be read.
pub fn all(directory: &Path) -> io::Result<Vec<Vec<u8>>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(entries.flatten().filter_map(|entry| fs::read(entry.path()).ok()).collect())
}

fn remove_oldest(directory: &Path, limit: usize) -> io::Result<()> {
    let mut files: Vec<(SystemTime, PathBuf)> = fs::read_dir(directory)?
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    for (_, path) in files.iter().take(files.len().saturating_sub(limit)) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
