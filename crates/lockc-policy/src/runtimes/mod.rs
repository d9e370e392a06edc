//! Programs that the wrapper executes as the real runtime.

pub mod handlers;
pub mod sandbox;

use std::path::{Path, PathBuf};

/// Programs that are taken for OCI runtimes, best first.
pub const NAMES: [&str; 3] = ["runc", "crun", "youki"];

/// Where they are looked for.
pub const PLACES: [&str; 4] = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];

/// Candidates for the real runtime: those of the configuration if it has any, else the usual names
/// in the usual places.
pub fn candidates(configured: &[PathBuf]) -> Vec<PathBuf> {
    if configured.is_empty() {
        NAMES.iter().flat_map(|name| PLACES.map(|place| Path::new(place).join(name))).collect()
    } else {
        configured.to_vec()
    }
}
