//! Files of a bundle.

use std::{fs::File, io::Read as _, path::Path};

use crate::spec::{SIZE_LIMIT, Spec, SpecError};

/// Reads the configuration file of a bundle.
///
/// # Errors
///
/// Where it cannot be read, or runtimes could read it in different ways.
pub fn spec(path: &Path) -> Result<Spec, SpecError> {
    Spec::parse(&contents(path)?, path)
}

/// Reads a file, or a pipe to its end.
///
/// # Errors
///
/// Where it cannot be read, or is larger than [`SIZE_LIMIT`].
pub fn contents(path: &Path) -> Result<Vec<u8>, SpecError> {
    let read_error = |source| SpecError::Read { path: path.into(), source };
    let file = File::open(path).map_err(read_error)?;
    let mut text = Vec::new();
    file.take(SIZE_LIMIT + 1).read_to_end(&mut text).map_err(read_error)?;
    if text.len() as u64 > SIZE_LIMIT {
        return Err(SpecError::TooLarge { path: path.into() });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_size_is_limited() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        fs::write(&path, vec![b' '; SIZE_LIMIT as usize + 1]).unwrap();
        assert!(matches!(spec(&path), Err(SpecError::TooLarge { .. })));
        assert!(matches!(spec(dir.path()), Err(SpecError::Read { .. })));
    }
}
