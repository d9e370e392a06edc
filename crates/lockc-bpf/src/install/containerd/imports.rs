//! The files that containerd reads: the configuration and what it imports (containerd 1.7 and 2.x,
//! config.go: `LoadConfig`, `resolveImports`). A file's imports are read after those that wait
//! already, each file once.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, Result};
use toml_edit::{DocumentMut, Item, Table};

use super::{
    super::host::{Host, names},
    document::{CRI, CRI_BEFORE_2},
};

/// Texts that are to be, over the files that are there.
pub type New = BTreeMap<PathBuf, String>;

/// A file, parsed.
#[derive(Clone, Debug)]
pub struct File {
    pub path: PathBuf,
    pub document: DocumentMut,
}

impl File {
    /// What it says of the plugin that starts pods.
    pub fn cri(&self) -> Option<&Item> {
        let plugins = self.document.get("plugins")?;
        // A file without a version may use the new name too: k3s' drop-ins have none.
        [CRI, CRI_BEFORE_2].into_iter().find_map(|name| plugins.get(name))
    }
}

/// The files in the order in which containerd reads them; none where the first does not exist.
///
/// # Errors
///
/// Where one cannot be read or parsed.
pub fn files(host: &Host, root: &Path, new: &New) -> Result<Vec<File>> {
    let mut found: Vec<File> = Vec::new();
    let mut pending = VecDeque::from([root.to_path_buf()]);
    while let Some(path) = pending.pop_front() {
        if found.iter().any(|file| file.path == path) {
            continue;
        }
        let text = match new.get(&path) {
            Some(text) => Some(text.clone()),
            None => host.read(&path)?,
        };
        // containerd does not start without a file that is named in full.
        let Some(text) = text else { continue };
        let document: DocumentMut =
            text.parse().with_context(|| format!("{} cannot be parsed", path.display()))?;
        pending.extend(direct(host, &path, &document, new)?);
        found.push(File { path, document });
    }
    Ok(found)
}

/// The files that a file imports itself.
///
/// # Errors
///
/// Where a directory cannot be read.
pub fn direct(host: &Host, path: &Path, document: &DocumentMut, new: &New) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for pattern in patterns(document) {
        found.extend(resolved(host, path, &pattern, new)?);
    }
    Ok(found)
}

/// The `imports` of a file.
pub fn patterns(document: &DocumentMut) -> Vec<String> {
    let imports = document.get("imports").and_then(Item::as_array);
    let texts = imports.into_iter().flatten().filter_map(|pattern| pattern.as_str());
    texts.map(str::to_owned).collect()
}

/// The files of one of them.
fn resolved(host: &Host, parent: &Path, pattern: &str, new: &New) -> Result<Vec<PathBuf>> {
    let pattern = absolute(parent, pattern);
    if !pattern.to_string_lossy().contains('*') {
        return Ok(vec![pattern]);
    }
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.components() {
        let Component::Normal(part) = part else { continue };
        let part = part.to_string_lossy();
        if !part.contains(['*', '?']) {
            found.iter_mut().for_each(|path| path.push(part.as_ref()));
            continue;
        }
        let mut next = Vec::new();
        for folder in &found {
            let mut entries = names(&host.at(folder))?;
            let here = new.keys().filter(|path| path.parent() == Some(folder));
            entries.extend(here.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())));
            entries.sort();
            entries.dedup();
            let fits = entries.iter().filter(|name| matches(part.as_bytes(), name.as_bytes()));
            next.extend(fits.map(|name| folder.join(name)));
        }
        found = next;
    }
    found.retain(|path| new.contains_key(path) || host.at(path).is_file());
    Ok(found)
}

/// A path of `imports` may be relative to the file that has it.
pub fn absolute(parent: &Path, path: &str) -> PathBuf {
    let mut clean = PathBuf::new();
    let joined = parent.parent().unwrap_or(Path::new("/")).join(path);
    for part in joined.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}

/// `*` stands for any characters and `?` for one; a leading dot is not special (Go,
/// filepath.Match).
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|at| matches(rest, &name[at..])),
        Some((b'?', rest)) => !name.is_empty() && matches(rest, &name[1..]),
        Some((byte, rest)) => name.first() == Some(byte) && matches(rest, &name[1..]),
    }
}

/// What containerd makes of them for the pods' runtimes: the table `containerd` of the plugin.
pub fn merged(files: &[File], old: bool) -> Table {
    let table = |file: &File| file.cri()?.get("containerd")?.as_table_like().map(owned);
    if old {
        // An imported file's plugin takes the whole plugin's place.
        let last = files.iter().rev().find(|file| file.cri().is_some());
        return last.and_then(table).unwrap_or_default();
    }
    let mut merged = Table::new();
    for table in files.iter().filter_map(table) {
        merge(&mut merged, table);
    }
    merged
}

fn owned(table: &dyn toml_edit::TableLike) -> Table {
    let mut copy = Table::new();
    for (key, item) in table.iter() {
        copy.insert(key, item.clone());
    }
    copy
}

fn merge(to: &mut Table, from: Table) {
    for (key, item) in from {
        let inner = item.as_table_like().map(owned);
        match (to.get_mut(&key).and_then(|there| there.as_table_like().map(owned)), inner) {
            (Some(mut there), Some(inner)) => {
                merge(&mut there, inner);
                to.insert(&key, Item::Table(there));
            }
            _ => {
                to.insert(&key, item);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::new(folder.path()).unwrap();
        for (path, text) in files {
            let at = host.at(Path::new(path));
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, text).unwrap();
        }
        (folder, host)
    }

    fn order(host: &Host, new: &New) -> Vec<String> {
        let files = files(host, Path::new("/etc/c/config.toml"), new).unwrap();
        files.iter().map(|file| file.path.display().to_string()).collect()
    }

    #[test]
    fn imports_are_read_in_the_order_of_the_list_and_of_names() {
        let (_folder, host) = host(&[
            ("/etc/c/config.toml", "imports = ['./d/*.toml', '/opt/x.toml', '/gone.toml']\n"),
            ("/etc/c/d/b.toml", ""),
            ("/etc/c/d/a.toml", "imports = ['../config.toml', 'more/?.toml', 'more/*']\n"),
            ("/etc/c/d/a.txt", ""),
            ("/etc/c/d/more/z.toml", ""),
            ("/opt/x.toml", ""),
        ]);
        let read = [
            "/etc/c/config.toml",
            "/etc/c/d/a.toml",
            "/etc/c/d/b.toml",
            "/opt/x.toml",
            "/etc/c/d/more/z.toml",
        ];
        assert_eq!(order(&host, &New::new()), read);
        let new = New::from([("/etc/c/d/aa.toml".into(), String::new())]);
        assert_eq!(order(&host, &new)[2], "/etc/c/d/aa.toml");
        assert!(
            matches(b"*.toml", b".toml")
                && !matches(b"*.toml", b"a.tom")
                && matches(b"a?c*", b"abc")
        );
    }

    #[test]
    fn a_plugin_of_an_import_replaces_or_is_added() {
        let root = "version = 2\nimports = ['/d.toml']\n[plugins.'io.containerd.grpc.v1.cri'.\
                    containerd]\nsnapshotter = 'x'\n[plugins.'io.containerd.grpc.v1.cri'.containerd\
                    .runtimes.lockc]\nruntime_type = 'a'\n";
        let other = "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\n\
                     default_runtime_name = 'n'\nruntimes.n.runtime_type = 'b'\n";
        let (_folder, host) = host(&[("/etc/c/config.toml", root), ("/d.toml", other)]);
        let files = files(&host, Path::new("/etc/c/config.toml"), &New::new()).unwrap();
        let names = |old: bool| -> Vec<String> {
            let merged = merged(&files, old);
            let runtimes = merged.get("runtimes").unwrap().as_table_like().unwrap();
            runtimes.iter().map(|(name, _)| name.to_owned()).collect()
        };
        assert_eq!(names(true), ["n"]);
        assert_eq!(names(false), ["lockc", "n"]);
        assert_eq!(merged(&files, false)["snapshotter"].as_str(), Some("x"));
    }
}
