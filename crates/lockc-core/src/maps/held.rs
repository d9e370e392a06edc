//! Objects of the host's file systems that a registration grants.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::error::RegistryError;
use crate::abi::SocketName;

/// An object that is to be granted. The descriptor keeps its inode, and so its tag, in memory.
#[derive(Debug)]
pub struct Held {
    /// Opened with `O_PATH`.
    pub file: Arc<File>,
    /// The path that it was opened by, for messages.
    pub path: PathBuf,
    /// `GRANT_*` of [`abi`](crate::abi).
    pub grant: u32,
    /// With [`GRANT_SOCKETS`](crate::abi::GRANT_SOCKETS): the names of the sockets that are
    /// granted in this directory.
    pub sockets: Option<SocketName>,
}

impl Held {
    /// Opens a path without asking more of the file system than it takes to find it.
    ///
    /// # Errors
    ///
    /// Where it cannot be opened.
    pub fn open(path: &Path, grant: u32) -> Result<Self, RegistryError> {
        match OpenOptions::new().read(true).custom_flags(nix::libc::O_PATH).open(path) {
            Ok(file) => {
                Ok(Self { file: Arc::new(file), path: path.to_owned(), grant, sockets: None })
            }
            Err(source) => Err(RegistryError::Identity { path: path.to_owned(), source }),
        }
    }
}
