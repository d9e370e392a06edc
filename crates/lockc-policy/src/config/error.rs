//! Why the configuration cannot be used.

use std::path::PathBuf;

use super::origin::Origin;
use crate::host::trusted::TrustError;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read, or others than root can change it.
    #[error(transparent)]
    File(#[from] TrustError),
    /// Not TOML, or not of this form.
    #[error("{path}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, column, reason and, where one is close, the key that was probably meant.
        message: String,
    },
    /// Two files say the same, so that both are ambiguous.
    #[error("{path}: line {line}: {key} is also defined in {other}; remove one of the definitions")]
    Twice {
        /// The later file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// The earlier file and its line.
        other: Origin,
    },
    /// Well-formed but invalid.
    #[error("{path}: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to write instead.
        message: String,
    },
}
