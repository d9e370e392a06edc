//! The archive: its files, its MANIFEST, and its place.

use std::{
    fmt::Write as _,
    fs::Permissions,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use flate2::{Compression, write::GzEncoder};
use tar::{Builder, EntryType, Header};

use super::redact::Counts;

/// A file of the bundle.
#[derive(Debug)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its text, or why there is none.
    pub text: Result<String, String>,
    /// What it lost.
    pub lost: Counts,
}

const HEAD: &str = "\
A support bundle of lockc. Review it before you give it to anybody: read each file below.

`<7>` stands for a word that is not in lockc's own pages; the same word has the same number in every
file. `<left out>` stands for a value that lockc does not understand, or that may be a secret.
";

/// What is in the bundle.
pub fn manifest(parts: &[Part], include_names: bool) -> String {
    let mut text = HEAD.to_owned();
    if include_names {
        text += "Names, images and paths are kept (--include-names).\n";
    }
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n{:<40} {:>8} {:>9} {:>9}", "file", "bytes", "numbered", "left out");
    for part in parts {
        match &part.text {
            Ok(content) => {
                let (bytes, Counts { names, values }) = (content.len(), part.lost);
                let _ = writeln!(text, "{:<40} {bytes:>8} {names:>9} {values:>9}", part.name);
            }
            Err(why) => {
                let _ = writeln!(text, "{:<40} FAILED: {why}", part.name);
            }
        }
    }
    text
}

/// The archive; all of it is below `directory`.
///
/// # Errors
///
/// Where it cannot be made.
pub fn archive(directory: &str, parts: &[Part], manifest: &str, time: u64) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let mut add = |name: &str, text: &str| -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_size(text.len() as u64);
        header.set_mtime(time);
        archive.append_data(&mut header, format!("{directory}/{name}"), text.as_bytes())
    };
    add("MANIFEST", manifest)?;
    for part in parts {
        if let Ok(text) = &part.text {
            add(&part.name, text)?;
        }
    }
    archive.into_inner()?.finish()
}

/// Writes a new file that only its owner can read. What is at the path is followed by nobody, and
/// replaced only with `force`.
///
/// # Errors
///
/// Where it cannot be written, or something is there.
pub fn put(path: &Path, bytes: &[u8], force: bool) -> Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let failed = || format!("cannot write {}", path.display());
    if path.is_dir() {
        bail!("{} is a directory; name a file", path.display());
    }
    let mut file = tempfile::Builder::new()
        .prefix(".lockc-report-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(directory)
        .with_context(failed)?;
    file.write_all(bytes).with_context(failed)?;
    file.as_file().sync_all().with_context(failed)?;
    if force {
        file.persist(path).with_context(failed)?;
    } else if let Err(error) = file.persist_noclobber(path) {
        if error.error.kind() == io::ErrorKind::AlreadyExists {
            bail!("{} exists; name another file, or use --force", path.display());
        }
        return Err(error.error).with_context(failed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, symlink},
    };

    use super::*;

    #[test]
    fn nothing_is_overwritten_or_followed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        put(&at("new"), b"1", false).unwrap();
        let metadata = fs::metadata(at("new")).unwrap();
        assert_eq!(metadata.mode() & 0o7777, 0o600);
        fs::write(at("victim"), "victim").unwrap();
        symlink(at("victim"), at("link")).unwrap();
        symlink(at("nowhere"), at("dangling")).unwrap();
        for name in ["new", "victim", "link", "dangling"] {
            let error = put(&at(name), b"2", false).unwrap_err().to_string();
            assert!(error.contains("exists; name another file"), "{error}");
        }
        assert!(put(directory.path(), b"2", true).is_err());
        // The link is replaced, not what it leads to; nor does the file keep its mode.
        fs::set_permissions(at("new"), Permissions::from_mode(0o666)).unwrap();
        for name in ["new", "link", "dangling"] {
            put(&at(name), b"2", true).unwrap();
            assert_eq!(fs::symlink_metadata(at(name)).unwrap().mode(), 0o100_600, "{name}");
        }
        assert_eq!(fs::read_to_string(at("victim")).unwrap(), "victim");
        assert!(!at("nowhere").exists());
        let left = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 4, "no temporary file stays");
        assert!(put(&at("no/such/directory"), b"", false).is_err());
    }

    #[test]
    fn the_manifest_tells_each_file_and_each_failure() {
        let part = |name: &str, text: Result<&str, &str>| Part {
            name: name.into(),
            text: text.map(str::to_owned).map_err(str::to_owned),
            lost: Counts { names: 3, values: 1 },
        };
        let parts = [part("status.json", Ok("{}")), part("ps.json", Err("no answer in 10 s"))];
        let text = manifest(&parts, false);
        let rows: Vec<Vec<&str>> =
            text.lines().rev().take(2).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1], ["status.json", "2", "3", "1"]);
        assert_eq!(rows[0][..3], ["ps.json", "FAILED:", "no"]);
        assert!(!text.contains("--include-names") && manifest(&parts, true).contains("kept"));
        let bytes = archive("lockc-report", &parts, &text, 0).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&bytes[..]));
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["lockc-report/MANIFEST", "lockc-report/status.json"]);
    }
}
