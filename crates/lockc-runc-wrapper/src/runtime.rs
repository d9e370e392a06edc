//! Which real runtime is executed, and where it keeps its state.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Component, Path, PathBuf},
};

use anyhow::{Result, bail};
use lockc_policy::runtimes;

/// The first candidate that is a program and is not lockc: those of the configuration if it has
/// any, else the usual names in the usual places.
pub fn find(configured: &[PathBuf]) -> Result<PathBuf> {
    choose(&runtimes::candidates(configured), Path::new("/proc/self/exe"))
}

fn choose(candidates: &[PathBuf], own: &Path) -> Result<PathBuf> {
    let mut passed = Vec::new();
    for candidate in candidates {
        match problem(candidate, own) {
            Ok(None) => return Ok(candidate.clone()),
            Ok(Some(problem)) => passed.push(format!("{} {problem}", candidate.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => passed.push(format!("{}: {error}", candidate.display())),
        }
    }
    let passed =
        if passed.is_empty() { String::new() } else { format!(" ({})", passed.join("; ")) };
    bail!(
        "no OCI runtime found{passed}; nothing was executed: install runc or crun, or add the \
         runtime to `runtimes` in {}",
        lockc_policy::config::CONFIG_PATH
    )
}

/// Why a file is not taken for the runtime.
fn problem(candidate: &Path, own: &Path) -> io::Result<Option<&'static str>> {
    let metadata = fs::metadata(candidate)?;
    let own_metadata = fs::metadata(own)?;
    Ok(if (metadata.dev(), metadata.ino()) == (own_metadata.dev(), own_metadata.ino()) {
        Some("is lockc itself")
    } else if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        Some("is not a program")
    } else if metadata.len() == own_metadata.len() && fs::read(candidate)? == fs::read(own)? {
        // Under another name it would call itself forever.
        Some("is a copy of lockc itself")
    } else if starts_lockc(candidate)? {
        Some("is a script that starts lockc")
    } else {
        None
    })
}

/// dockerd turns `runtimeArgs` into a script; one that leads back here would call itself forever.
fn starts_lockc(candidate: &Path) -> io::Result<bool> {
    use io::Read as _;
    let mut head = Vec::new();
    fs::File::open(candidate)?.take(4096).read_to_end(&mut head)?;
    Ok(head.starts_with(b"#!") && head.windows(5).any(|part| part == b"lockc"))
}

/// The state root that is part of a container's identity: as given, or the runtime's default.
pub fn state_root(given: Option<&Path>, runtime: &Path, uid: u32) -> PathBuf {
    match given {
        Some(root) => resolve(root),
        None => {
            let target = runtime.canonicalize().unwrap_or_else(|_| runtime.into());
            let name = target.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let name =
                runtimes::NAMES.into_iter().find(|known| name.contains(known)).unwrap_or("runc");
            if uid == 0 {
                Path::new("/run").join(name)
            } else {
                PathBuf::from(format!("/run/user/{uid}/{name}"))
            }
        }
    }
}

/// Absolute and without links as far as it exists: the runtime makes the rest at the first create,
/// and the identity must be the same afterwards.
fn resolve(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    for ancestor in path.ancestors() {
        if let (Ok(resolved), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return rest
                .components()
                .filter(|part| *part != Component::CurDir)
                .fold(resolved, |path, part| path.join(part));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(dir: &Path, name: &str, text: &str) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_first_program_is_taken_and_never_lockc_itself() {
        let dir = tempfile::tempdir().unwrap();
        let own = program(dir.path(), "lockc-runc-wrapper", "own");
        let link = dir.path().join("runc-link");
        std::os::unix::fs::symlink(&own, &link).unwrap();
        let hard = dir.path().join("runc-hard");
        fs::hard_link(&own, &hard).unwrap();
        let script = program(
            dir.path(),
            "docker-script",
            "#!/bin/sh\n/usr/bin/lockc-runc-wrapper --lockc-policy x $@\n",
        );
        let plain = dir.path().join("plain");
        fs::write(&plain, "x").unwrap();
        let copy = dir.path().join("copy");
        fs::copy(&own, &copy).unwrap();
        let real = program(dir.path(), "crun", "\x7fELF");
        let missing = dir.path().join("missing");
        let all = [
            missing,
            own.clone(),
            link,
            hard,
            script,
            plain,
            copy,
            dir.path().into(),
            real.clone(),
        ];
        assert_eq!(choose(&all, &own).unwrap(), real);
        let error = choose(&all[..8], &own).unwrap_err().to_string();
        for part in ["lockc itself", "script", "not a program", "runtimes", "copy"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn the_state_root_follows_the_runtime() {
        assert_eq!(state_root(None, Path::new("/nonexistent/crun"), 0), Path::new("/run/crun"));
        assert_eq!(state_root(None, Path::new("/nonexistent/runc-1.3"), 0), Path::new("/run/runc"));
        assert_eq!(
            state_root(None, Path::new("/nonexistent/youki"), 1000),
            Path::new("/run/user/1000/youki")
        );
    }

    #[test]
    fn a_given_root_is_the_same_before_and_after_it_exists() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        fs::create_dir(&real).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let root = link.join("a/./b");
        let before = state_root(Some(&root), Path::new("runc"), 0);
        fs::create_dir_all(&root).unwrap();
        assert_eq!(before, state_root(Some(&root), Path::new("runc"), 0));
        assert_eq!(before, real.canonicalize().unwrap().join("a/b"));
    }
}
