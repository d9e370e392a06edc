//! The file with the cluster's policies that this node accepted; replaced atomically.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use lockc_policy::{
    config::{ClusterPolicies, Loaded, RawConfig},
    host::HostView,
    policy::PolicySet,
};
use tracing::warn;

use crate::cache::replace;

/// The file, and what stands in it.
pub struct Store {
    path: PathBuf,
    kept: ClusterPolicies,
    /// Whether the file has that.
    is_intact: bool,
}

impl Store {
    /// Reads what an earlier process accepted. A file that nobody can use is as good as none: it is
    /// replaced once the cluster was heard of.
    pub fn open(path: &Path, view: &dyn HostView) -> Self {
        let mut store =
            Self { path: path.into(), kept: ClusterPolicies::default(), is_intact: false };
        if let Some(found) = store.read(view) {
            store.kept = found;
            store.is_intact = true;
        }
        store
    }

    fn read(&self, view: &dyn HostView) -> Option<ClusterPolicies> {
        let found = ClusterPolicies::load(&self.path, view);
        let found = found.inspect_err(|error| {
            warn!("{error}; it is written again when the cluster's policies are known");
        });
        found.ok().map(Option::unwrap_or_default)
    }

    /// Looks whether somebody else changed or removed the file, so that [`Store::write`] puts it
    /// right.
    pub fn look(&mut self, view: &dyn HostView) {
        let found = self.read(view);
        self.is_intact = found.is_some_and(|found| found.policies == self.kept.policies);
    }

    /// What was accepted last.
    pub fn kept(&self) -> &ClusterPolicies {
        &self.kept
    }

    /// Makes the file say this; there is no file where there are no policies. True if it changed.
    ///
    /// # Errors
    ///
    /// Where the file cannot be changed; then it is what it was.
    pub fn write(&mut self, policies: &ClusterPolicies) -> Result<bool> {
        if self.is_intact && self.kept.policies == policies.policies {
            return Ok(false);
        }
        if policies.policies.is_empty() {
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let failed = || format!("{} cannot be removed", self.path.display());
                    return Err(error).with_context(failed);
                }
                _ => {}
            }
        } else {
            replace(&self.path, &serde_json::to_vec(policies)?, 0o644)?;
        }
        self.kept = policies.clone();
        self.is_intact = true;
        Ok(true)
    }
}

/// The configuration of this node, as the wrapper reads it; or why it cannot be used.
pub fn config(path: &Path, view: &dyn HostView) -> Result<RawConfig, String> {
    let read = || {
        let loaded = Loaded::read(path, view)?;
        PolicySet::new(&loaded, path)?;
        Ok::<_, lockc_policy::config::ConfigError>(loaded.config)
    };
    read().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use lockc_policy::{config::cluster::ClusterPolicy, host::Host, policy::cluster::spec};
    use serde_json::json;

    use super::*;

    fn policies(names: &[&str]) -> ClusterPolicies {
        let spec = spec(&json!({ "extends": "baseline" })).unwrap();
        let of = |name: &&str| {
            (
                (*name).to_owned(),
                ClusterPolicy { uid: "u".into(), generation: 1, spec: spec.clone() },
            )
        };
        ClusterPolicies { version: 1, policies: names.iter().map(of).collect() }
    }

    #[test]
    fn the_file_is_what_lockc_reads_and_goes_with_the_last_policy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policies.json");
        let view = Host::owned_by(dir.path().metadata().unwrap().uid());
        let mut store = Store::open(&path, &view);
        assert!(!store.write(&policies(&[])).unwrap() && !path.exists());
        assert!(store.write(&policies(&["a", "b"])).unwrap());
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o644);
        assert_eq!(ClusterPolicies::load(&path, &view).unwrap(), Some(policies(&["a", "b"])));
        assert!(!store.write(&policies(&["a", "b"])).unwrap(), "nothing new");
        assert_eq!(*Store::open(&path, &view).kept(), policies(&["a", "b"]), "another process");
        assert!(store.write(&policies(&[])).unwrap() && !path.exists());
    }

    #[test]
    fn what_others_did_to_the_file_is_put_right() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policies.json");
        let view = Host::owned_by(dir.path().metadata().unwrap().uid());
        let mut store = Store::open(&path, &view);
        store.write(&policies(&["a"])).unwrap();
        let damages: [&dyn Fn(); 4] = [
            &|| fs::remove_file(&path).unwrap(),
            &|| fs::write(&path, "{").unwrap(),
            &|| fs::write(&path, json!(policies(&["b"])).to_string()).unwrap(),
            &|| fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap(),
        ];
        for damage in damages {
            damage();
            store.look(&view);
            assert_eq!(*store.kept(), policies(&["a"]), "what was accepted is remembered");
            assert!(store.write(&policies(&["a"])).unwrap());
            assert_eq!(ClusterPolicies::load(&path, &view).unwrap(), Some(policies(&["a"])));
        }
        // A process that begins with a damaged file accepts everything again.
        fs::write(&path, "{").unwrap();
        let mut store = Store::open(&path, &view);
        assert_eq!(*store.kept(), ClusterPolicies::default());
        assert!(store.write(&policies(&[])).unwrap() && !path.exists());
    }
}
