//! The file with a cluster's namespaces; replaced atomically.

use std::{
    collections::BTreeMap,
    fs::{DirBuilder, File, Permissions},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use lockc_policy::config::labels::{Labels, Namespace, VERSION};

/// The file, and what stands in it as far as this process wrote it.
pub struct Cache {
    path: PathBuf,
    written: Option<Labels>,
}

impl Cache {
    /// Nothing is touched before the first [`Cache::write`].
    pub fn new(path: &Path) -> Self {
        Self { path: path.into(), written: None }
    }

    /// Writes all namespaces; `listed`: they were listed as a whole just now. Without that nothing
    /// is written that stands there already. True if it wrote.
    ///
    /// # Errors
    ///
    /// Where the file cannot be replaced; then it is what it was.
    pub fn write(
        &mut self,
        namespaces: &BTreeMap<String, Namespace>,
        listed: bool,
    ) -> Result<bool> {
        let synced = match &self.written {
            Some(written) if !listed && written.namespaces == *namespaces => return Ok(false),
            Some(written) if !listed => written.synced.clone(),
            _ => Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        };
        let labels = Labels { version: VERSION, synced, namespaces: namespaces.clone() };
        replace(&self.path, &serde_json::to_vec(&labels)?, 0o644)?;
        self.written = Some(labels);
        Ok(true)
    }
}

/// Gives a file new content in one step, in a directory that only root may write to.
///
/// # Errors
///
/// Where that fails; the file is what it was.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let directory = path.parent().context("the file has no directory")?;
    let failed = || format!("{} cannot be written", path.display());
    DirBuilder::new().recursive(true).mode(0o755).create(directory).with_context(failed)?;
    let write = || -> std::io::Result<()> {
        // lockc reads no file whose name begins with a dot.
        let mut new = tempfile::Builder::new().prefix(".lockc-").tempfile_in(directory)?;
        new.write_all(content)?;
        // Whatever the umask is.
        new.as_file().set_permissions(Permissions::from_mode(mode))?;
        new.as_file().sync_all()?;
        new.persist(path)?;
        File::open(directory)?.sync_all()
    };
    write().with_context(failed)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt as _};

    use super::*;

    #[test]
    fn what_is_written_is_what_lockc_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lockc/namespaces.json");
        let mut cache = Cache::new(&path);
        let mut namespaces = BTreeMap::from([(
            "a".to_owned(),
            Namespace { enforce: Some("baseline".into()), ..Namespace::default() },
        )]);
        let read = || Labels::parse(&fs::read_to_string(&path).unwrap(), &path).unwrap();
        assert!(cache.write(&namespaces, true).unwrap());
        assert_eq!(read().namespaces, namespaces);
        assert!(read().synced.parse::<Timestamp>().is_ok());
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o644);
        assert!(!cache.write(&namespaces, false).unwrap());
        let before = path.metadata().unwrap().ino();
        namespaces.insert("b".into(), Namespace::default());
        assert!(cache.write(&namespaces, false).unwrap());
        assert_eq!(read().namespaces, namespaces);
        assert_ne!(path.metadata().unwrap().ino(), before, "replaced, not rewritten");
        assert!(
            cache.write(&namespaces, true).unwrap(),
            "the time of a whole listing is written down"
        );
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("namespaces.json");
        fs::create_dir_all(path.join("old")).unwrap();
        assert!(replace(&path, b"new", 0o644).is_err());
        assert!(path.join("old").is_dir());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
