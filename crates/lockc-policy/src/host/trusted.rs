//! Files that nobody but root can change.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Could not be opened or read.
    #[error(
        "{path}: cannot be read: {source}; make it readable for root, or remove it to use the \
         defaults"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Not a regular file, or somebody else than root can change it.
    #[error(
        "{path}: {problem}; lockc trusts only a configuration that nobody but root can change: \
         {remedy}"
    )]
    Untrusted {
        /// The file or the directory that it is in.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
        /// A command that puts it right.
        remedy: String,
    },
    /// Larger than any such file is.
    #[error("{path}: larger than {} MiB", limit >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// In bytes.
        limit: u64,
    },
}

/// The files of a directory that only `owner` can change, sorted; none if it does not exist.
pub(super) fn entries(directory: &Path, owner: u32) -> Result<Vec<PathBuf>, TrustError> {
    let read_error = |source| TrustError::Read { path: directory.into(), source };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        // A dangling link is a broken configuration, not a missing one.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && directory.symlink_metadata().is_err() =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(read_error(error)),
    };
    trust(directory, &directory.metadata().map_err(read_error)?, owner)?;
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(read_error)?;
    paths.sort();
    Ok(paths)
}

/// The text of a file that only `owner` can change; nothing if there is none.
pub(super) fn text(path: &Path, owner: u32, limit: u64) -> Result<Option<String>, TrustError> {
    let read_error = |source| TrustError::Read { path: path.into(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() =>
        {
            return Ok(None);
        }
        Err(error) => return Err(read_error(error)),
    };
    let metadata = file.metadata().map_err(read_error)?;
    if !metadata.is_file() {
        return Err(TrustError::Untrusted {
            path: path.into(),
            problem: "not a regular file",
            remedy: format!("remove {}", path.display()),
        });
    }
    let target = path.canonicalize().map_err(read_error)?;
    let directory = target.parent().unwrap_or(Path::new("/"));
    trust(&target, &metadata, owner)?;
    trust(directory, &directory.metadata().map_err(read_error)?, owner)?;
    let mut text = String::new();
    file.take(limit + 1).read_to_string(&mut text).map_err(read_error)?;
    if text.len() as u64 > limit {
        return Err(TrustError::TooLarge { path: path.into(), limit });
    }
    Ok(Some(text))
}

/// Whether others than `owner` can change what has this metadata.
pub fn others_can_change(metadata: &fs::Metadata, owner: u32) -> bool {
    metadata.uid() != owner || metadata.mode() & 0o022 != 0
}

fn trust(path: &Path, metadata: &fs::Metadata, owner: u32) -> Result<(), TrustError> {
    let untrusted = |problem, remedy: &str| {
        Err(TrustError::Untrusted {
            path: path.into(),
            problem,
            remedy: format!("{remedy} {}", path.display()),
        })
    };
    if metadata.uid() != owner {
        return untrusted("not owned by root", "chown root:root");
    }
    if others_can_change(metadata, owner) {
        return untrusted("writable by group or others", "chmod go-w");
    }
    Ok(())
}
