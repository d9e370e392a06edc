//! The tree that is released: its version, its date, a copy of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{root, ui};

/// The version of the tree `source`.
pub fn version(source: &Path) -> Result<String> {
    let manifest = source.join("Cargo.toml");
    let text = fs::read_to_string(&manifest)
        .with_context(|| format!("cannot read {}", manifest.display()))?;
    text.lines()
        .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
        .map(str::to_owned)
        .with_context(|| format!("{} has no version", manifest.display()))
}

/// Seconds since 1970 of the last commit, or `SOURCE_DATE_EPOCH`; of a tree without history, those
/// of its lock file.
pub fn epoch() -> Result<u64> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => match ui::capture(
            Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root()),
        ) {
            Ok(text) => text,
            Err(_) => {
                let lock = fs::metadata(root().join("Cargo.lock")).and_then(|lock| lock.modified());
                let time = lock.context("cannot read Cargo.lock")?;
                return Ok(time
                    .duration_since(std::time::UNIX_EPOCH)
                    .context("Cargo.lock is older than 1970")?
                    .as_secs());
            }
        },
    };
    text.trim().parse().with_context(|| format!("{text:?} is not a number of seconds"))
}

/// The tree's files: what git knows and does not ignore, or, without git, all but what builds
/// leave.
fn files() -> Result<String> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    let mut find = Command::new("find");
    find.args([
        ".", "(", "-name", "target", "-o", "-name", ".git", ")", "-prune", "-o", "-type", "f",
        "-printf", "%P\\n",
    ]);
    ui::capture(&mut git).or_else(|_| ui::capture(find.current_dir(root())))
}

/// A copy of this tree, under another version.
pub fn copy(version: &str) -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("lockc-source-")
        .tempdir()
        .context("cannot create a temporary directory")?;
    let files = files()?;
    for file in files.lines() {
        let (from, to) = (root().join(file), folder.path().join(file));
        // Removed and not yet committed.
        if !from.exists() {
            continue;
        }
        fs::create_dir_all(to.parent().unwrap_or(folder.path()))
            .context("cannot create a directory")?;
        fs::copy(&from, &to).with_context(|| format!("cannot copy {file}"))?;
    }
    let own = self::version(&root())?;
    for file in ["Cargo.toml", "Cargo.lock"] {
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
        let text = if file == "Cargo.toml" {
            text.replacen(&own, version, 1)
        } else {
            relock(&text, &own, version)
        };
        fs::write(&path, text).with_context(|| format!("cannot write {file}"))?;
    }
    Ok(folder)
}

/// The workspace's own packages, which have no source, under their new version.
fn relock(text: &str, own: &str, version: &str) -> String {
    let packages = text.split("\n\n").map(|package| {
        if package.contains("\nsource = ") {
            package.to_owned()
        } else {
            package.replacen(
                &format!("version = \"{own}\""),
                &format!("version = \"{version}\""),
                1,
            )
        }
    });
    packages.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_workspaces_own_packages_change() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"0.1.0\"\nsource = \
                    \"registry\"\n\n[[package]]\nname = \"lockc-bpf\"\nversion = \"0.1.0\"\n";
        let done = relock(lock, "0.1.0", "0.2.0");
        assert_eq!(done.matches("0.2.0").count(), 1);
        assert!(done.contains("name = \"lockc-bpf\"\nversion = \"0.2.0\""), "{done}");
    }

    #[test]
    fn the_tree_has_a_version_and_a_date() {
        assert!(version(&root()).expect("a version").contains('.'));
        assert!(epoch().expect("a date") > 1_700_000_000);
    }
}
