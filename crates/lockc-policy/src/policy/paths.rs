//! Paths that a configuration may name.

use std::path::{Component, Path};

/// Absolute, and without `..`.
pub(crate) fn is_plain(path: &Path) -> bool {
    path.is_absolute() && path.components().all(|part| part != Component::ParentDir)
}
