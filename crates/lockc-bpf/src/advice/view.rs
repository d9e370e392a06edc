//! The host on which paths are looked up.

use std::path::{Path, PathBuf};

/// The host on which paths are looked up.
#[derive(Debug)]
pub struct View {
    root: PathBuf,
}

impl Default for View {
    fn default() -> Self {
        Self { root: "/".into() }
    }
}

impl View {
    #[cfg(test)]
    pub fn below(root: &Path) -> Self {
        Self { root: root.into() }
    }

    pub fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}
