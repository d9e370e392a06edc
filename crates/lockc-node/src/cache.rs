//! The file of a cluster's namespaces: written as a whole or not at all.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, Permissions},
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
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let write = || -> std::io::Result<()> {
        // One that a crash left; never written through, whatever it is.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = File::create_new(&new)?;
        file.write_all(content)?;
        // Whatever the umask is.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(directory)?.sync_all()
    };
    write().with_context(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn what_is_written_is_what_lockc_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lockc/namespaces.json");
        let mut cache = Cache::new(&path);
        let mut namespaces =
            BTreeMap::from([("a".to_owned(), Namespace { enforce: Some("baseline".into()) })]);
        let read = || Labels::parse(&fs::read_to_string(&path).unwrap(), &path).unwrap();
        assert!(cache.write(&namespaces, true).unwrap());
        assert_eq!(read().namespaces, namespaces);
        assert!(read().synced.parse::<Timestamp>().is_ok());
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o644);
        assert!(!cache.write(&namespaces, false).unwrap());
        let before = path.metadata().unwrap().ino();
        namespaces.insert("b".into(), Namespace::default());
        // A leftover, and one that leads elsewhere.
        std::os::unix::fs::symlink("/dev/null", dir.path().join("lockc/namespaces.json.new"))
            .unwrap();
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
        fs::write(&path, "old").unwrap();
        fs::create_dir(dir.path().join("namespaces.json.new")).unwrap();
        assert!(replace(&path, b"new", 0o644).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    }
}
