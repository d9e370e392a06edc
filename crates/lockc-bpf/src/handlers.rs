//! Whether Kubernetes' engine has lockc as a handler, as `lockc install` wrote it down.

use std::path::Path;

use anyhow::Result;

use crate::install::{engine::Engine, host::Host, state::State};

/// What is written down of the handler `lockc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// `lockc install` added it.
    Installed,
    /// `lockc uninstall --keep-name` left its name to another runtime.
    NameKept,
    /// Nothing: it was not installed, or by other means.
    Unrecorded,
}

/// The handler of containerd or CRI-O on the host with this root directory.
///
/// # Errors
///
/// Where a record is there and cannot be read.
pub fn of_kubernetes(root: &Path) -> Result<Handler> {
    let host = Host::new(root)?;
    let mut found = Handler::Unrecorded;
    for engine in [Engine::Containerd, Engine::Crio] {
        match State::read(&host, engine)? {
            Some(state) if state.kept.is_empty() => return Ok(Handler::Installed),
            Some(_) => found = Handler::NameKept,
            None => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_name_that_was_kept_is_no_handler() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("var/lib/lockc/install");
        let of = || of_kubernetes(root.path());
        assert_eq!(of().unwrap(), Handler::Unrecorded);
        fs::create_dir_all(&directory).unwrap();
        let put = |engine: &str, text: &str| fs::write(directory.join(engine), text).unwrap();
        put("docker.json", r#"{"config": "/etc/docker/daemon.json", "created": true}"#);
        assert_eq!(of().unwrap(), Handler::Unrecorded);
        put("containerd.json", r#"{"config": "/c", "created": false, "kept": ["lockc"]}"#);
        assert_eq!(of().unwrap(), Handler::NameKept);
        put("crio.json", r#"{"config": "/c", "created": true}"#);
        assert_eq!(of().unwrap(), Handler::Installed);
        put("containerd.json", "{");
        assert!(of().is_err());
    }
}
