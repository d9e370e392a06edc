//! The place of a reader of the log, kept in a file.

use std::{fs, io, path::Path};

use anyhow::{Context as _, Result};
use tempfile::NamedTempFile;

use crate::records::Following;

/// The place in the file; the log's beginning where there is no file, or no number in it.
pub(super) fn read(file: &Path) -> Result<Following> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text.trim().parse().map_or(Following::BEGINNING, Following::from_number)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Following::BEGINNING),
        Err(error) => Err(error).with_context(|| file.display().to_string()),
    }
}

/// Replaces the file.
pub(super) fn write(file: &Path, place: Following) -> Result<()> {
    let directory = file.parent().filter(|it| !it.as_os_str().is_empty());
    let replace = || -> io::Result<()> {
        let new = NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
        fs::write(new.path(), format!("{}\n", place.number()))?;
        new.persist(file)?;
        Ok(())
    };
    replace().with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_goes_on_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cursor");
        assert_eq!(read(&file).unwrap(), Following::BEGINNING);
        write(&file, Following::from_number(7)).unwrap();
        assert_eq!(read(&file).unwrap().number(), 7);
        fs::write(&file, "x").unwrap();
        assert_eq!(read(&file).unwrap(), Following::BEGINNING);
        assert!(read(dir.path()).is_err());
    }
}
