//! Where things are kept on this machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::apt;

/// Where assets live: `LOCKC_CACHE`, or the usual place of this user.
pub fn cache() -> Result<PathBuf> {
    let path = if let Some(path) = std::env::var_os("LOCKC_CACHE") {
        PathBuf::from(path)
    } else if let Some(path) = std::env::var_os("XDG_CACHE_HOME") {
        Path::new(&path).join("lockc")
    } else if apt::is_root() {
        PathBuf::from("/var/cache/lockc")
    } else {
        let home = std::env::var_os("HOME")
            .context("neither LOCKC_CACHE nor HOME is set: no place for the cache")?;
        Path::new(&home).join(".cache/lockc")
    };
    fs::create_dir_all(&path).with_context(|| {
        format!("cannot create the cache {}; LOCKC_CACHE names another", path.display())
    })?;
    Ok(path)
}

/// Notes that an asset is in use.
pub fn used(path: &Path) {
    // Without the note it may be made once more, no worse.
    let _ = File::open(path).and_then(|file| file.set_modified(std::time::SystemTime::now()));
}

/// Where `cargo install` puts programs.
pub fn cargo_bin() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
        .map(|home| home.join("bin"))
}
