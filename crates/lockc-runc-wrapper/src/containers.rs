//! What the real runtime knows about a container.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Component, Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

/// The containers of the real runtime; another kind in tests.
pub trait Containers {
    /// Whether the runtime has a container of that id below its state root. Where that cannot be
    /// told, it has.
    fn exists(&self, root: &Path, id: &str) -> bool;
    /// The bundle of a container, as the runtime tells it.
    fn bundle(&self, runtime: &Path, root: &Path, id: &str) -> Option<PathBuf>;
}

/// Those of this host.
pub struct Existing;

/// A part of the answer of `state` (OCI runtime specification 1.2, runtime.md, "State").
#[derive(Deserialize)]
struct State {
    bundle: PathBuf,
}

impl Containers for Existing {
    /// runc, crun and youki keep each container in `ROOT/ID`, and none of them creates another
    /// where that exists (crun, src/libcrun/status.c, `libcrun_status_check_directories`; case
    /// transparent/delete-that-is-refused). runsc has files `ROOT/ID_sandbox:…`.
    fn exists(&self, root: &Path, id: &str) -> bool {
        if !matches!(
            Path::new(id).components().collect::<Vec<_>>().as_slice(),
            [Component::Normal(_)]
        ) {
            // No runtime takes such an id.
            return false;
        }
        let absent = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        };
        match fs::symlink_metadata(root.join(id)) {
            Ok(_) => return true,
            Err(error) if absent(&error) => {}
            Err(_) => return true,
        }
        let of_runsc = format!("{id}_sandbox:");
        match fs::read_dir(root) {
            Ok(entries) => entries
                .flatten()
                .any(|entry| entry.file_name().to_string_lossy().starts_with(&of_runsc)),
            Err(error) => !absent(&error),
        }
    }

    fn bundle(&self, runtime: &Path, root: &Path, id: &str) -> Option<PathBuf> {
        // A process less for every `exec`.
        if let Some(bundle) = written_down(root, id) {
            return Some(bundle);
        }
        let mut command = Command::new(runtime);
        command
            .arg("--root")
            .arg(root)
            .args(["state", id])
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let output = command.output().ok().filter(|output| output.status.success())?;
        let state: State = serde_json::from_slice(&output.stdout).ok()?;
        Some(state.bundle).filter(|bundle| bundle.is_absolute())
    }
}

/// The bundle of a container, as its runtime wrote it down: crun in `status`, youki in
/// `state.json`, runc there among the labels (libcontainer/utils/utils.go).
fn written_down(root: &Path, id: &str) -> Option<PathBuf> {
    // A name that is a path is no container's.
    let directory = root.join(Path::new(id).file_name().filter(|name| *name == OsStr::new(id))?);
    let bundle = |file: &str| -> Option<PathBuf> {
        let state: serde_json::Value =
            serde_json::from_slice(&fs::read(directory.join(file)).ok()?).ok()?;
        let labels = state["config"]["labels"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|label| label.as_str());
        let label = labels.filter_map(|label| label.strip_prefix("bundle=")).next_back();
        state["bundle"].as_str().or(label).map(PathBuf::from)
    };
    bundle("status").or_else(|| bundle("state.json")).filter(|bundle| bundle.is_absolute())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn containers_exist_where_runtimes_keep_them() {
        let root = tempfile::tempdir().unwrap();
        let exists = |id: &str| Existing.exists(root.path(), id);
        assert!(!exists("a"));
        fs::create_dir(root.path().join("a")).unwrap();
        fs::write(root.path().join("b_sandbox:b.state"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", root.path().join("c")).unwrap();
        assert!(exists("a") && exists("b") && exists("c"));
        for id in ["", ".", "..", "a/", "a/b", "/", "b_sandbox", "aa"] {
            // `a/` is `a` to `Path`, and to the runtimes no id.
            assert!(!exists(id) || id == "a/", "{id}");
        }
        assert!(!Existing.exists(&root.path().join("none"), "a"));
        fs::write(root.path().join("file"), "").unwrap();
        assert!(!Existing.exists(&root.path().join("file"), "a"));
    }

    #[test]
    fn a_bundle_is_found_in_every_runtimes_state() {
        let root = tempfile::tempdir().unwrap();
        for (id, file, text) in [
            ("crun", "status", r#"{"pid":1,"bundle":"/b/crun"}"#),
            ("youki", "state.json", r#"{"bundle":"/b/youki"}"#),
            ("runc", "state.json", r#"{"config":{"labels":["x=y","bundle=/b/runc"]}}"#),
        ] {
            fs::create_dir(root.path().join(id)).unwrap();
            fs::write(root.path().join(id).join(file), text).unwrap();
            assert_eq!(written_down(root.path(), id).unwrap(), Path::new("/b").join(id));
        }
        for id in ["none", "../x", "", ".."] {
            assert_eq!(written_down(root.path(), id), None, "{id}");
        }
    }

    #[test]
    fn the_bundle_is_what_the_runtime_tells() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = dir.path().join("runtime");
        let says = |text: &str| {
            fs::write(
                &runtime,
                format!("#!/bin/sh\ntest \"$*\" = '--root /r state a' && echo '{text}'\n"),
            )
            .unwrap();
            fs::set_permissions(&runtime, fs::Permissions::from_mode(0o755)).unwrap();
            Existing.bundle(&runtime, Path::new("/r"), "a")
        };
        assert_eq!(says(r#"{"id":"a","bundle":"/srv/b"}"#), Some("/srv/b".into()));
        assert_eq!(says(r#"{"id":"a","bundle":"b"}"#), None);
        assert_eq!(says("x"), None);
        assert_eq!(Existing.bundle(&runtime, Path::new("/other"), "a"), None);
    }
}
