//! What a cluster says of its namespaces, as `lockc-node sync` writes it down on the node.
//!
//! The file is all that a container's start depends on: no API server is asked. A missing one means
//! that nobody syncs; one that is broken, or that others than root can change, is an error like a
//! broken configuration.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use lockc_core::rules::Level;

use super::{error::ConfigError, raw::Mode, synced};
use crate::host::HostView;

/// The label of a namespace by which Kubernetes' own admission chooses (Pod Security Admission,
/// KEP-2579).
pub const LABEL: &str = "pod-security.kubernetes.io/enforce";
/// The label whose violations Kubernetes writes to its audit log.
pub const AUDIT_LABEL: &str = "pod-security.kubernetes.io/audit";
/// The label of whose violations Kubernetes warns the user.
pub const WARN_LABEL: &str = "pod-security.kubernetes.io/warn";
/// The label that chooses between enforcement and audit mode: `enforce` or `audit`.
pub const MODE_LABEL: &str = "lockc.org/mode";

/// Version of the file's form.
pub const VERSION: u32 = 1;

/// Some hundred thousand namespaces.
const SIZE_LIMIT: u64 = 16 << 20;

/// The namespaces of a cluster.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// [`VERSION`].
    pub version: u32,
    /// When they were last listed as a whole, in the form of RFC 3339. Nothing is decided by it.
    pub synced: String,
    /// All of them by name, those without the label included.
    pub namespaces: BTreeMap<String, Namespace>,
}

/// One namespace.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Namespace {
    /// The value of [`LABEL`], whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforce: Option<String>,
    /// That of [`AUDIT_LABEL`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<String>,
    /// That of [`WARN_LABEL`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn: Option<String>,
    /// That of [`MODE_LABEL`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

impl Namespace {
    /// What these labels say of a namespace.
    pub fn new(labels: &BTreeMap<String, String>) -> Self {
        let value = |label: &str| labels.get(label).cloned();
        Self {
            enforce: value(LABEL),
            audit: value(AUDIT_LABEL),
            warn: value(WARN_LABEL),
            mode: value(MODE_LABEL),
        }
    }
}

/// A label that is no level of the Pod Security Standards means restricted, as for Kubernetes
/// itself (`ParseLevel` of pod-security-admission v0.33, api/helpers.go).
fn level(value: &str) -> Level {
    match value {
        "privileged" => Level::Privileged,
        "baseline" => Level::Baseline,
        _ => Level::Restricted,
    }
}

/// What the cluster says of one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceLabel {
    /// This level.
    Level(Level),
    /// The namespace has no label.
    Nothing,
    /// The namespace was not there when the cluster was last heard of.
    Unknown,
}

impl Labels {
    /// Reads the file; nothing if there is none.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, is not of this form, or can be changed by others than root.
    pub fn load(path: &Path, view: &dyn HostView) -> Result<Option<Self>, ConfigError> {
        view.trusted_text(path, SIZE_LIMIT)?.map(|text| Self::parse(&text, path)).transpose()
    }

    /// Parses a file's text; `path` is for the messages.
    ///
    /// # Errors
    ///
    /// Where it is not of this form.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        synced::parse(text, path, VERSION)
    }

    /// What the cluster says of a namespace.
    pub fn of(&self, namespace: &str) -> NamespaceLabel {
        match self.namespaces.get(namespace) {
            None => NamespaceLabel::Unknown,
            Some(Namespace { enforce: None, .. }) => NamespaceLabel::Nothing,
            Some(Namespace { enforce: Some(value), .. }) => NamespaceLabel::Level(level(value)),
        }
    }

    /// The level whose violations the cluster audits.
    pub fn audit(&self, namespace: &str) -> Option<Level> {
        self.namespaces.get(namespace)?.audit.as_deref().map(level)
    }

    /// The level of whose violations the cluster warns.
    pub fn warn(&self, namespace: &str) -> Option<Level> {
        self.namespaces.get(namespace)?.warn.as_deref().map(level)
    }

    /// Enforcement or audit mode, where the cluster says so. A label that is neither means
    /// enforcement.
    pub fn mode(&self, namespace: &str) -> Option<Mode> {
        let value = self.namespaces.get(namespace)?.mode.as_deref()?;
        Some(if value == Mode::Audit.name() { Mode::Audit } else { Mode::Enforce })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    };

    use super::*;
    use crate::host::Host;

    const TEXT: &str = r#"{"version":1,"synced":"2026-01-02T03:04:05Z","namespaces":
        {"a":{"enforce":"privileged"},"b":{"enforce":"baseline"},"c":{"enforce":"restricted"},
         "d":{},"e":{"enforce":"restrictd"},"f":{"enforce":"offline"}}}"#;

    fn parse(text: &str) -> Result<Labels, String> {
        Labels::parse(text, Path::new("namespaces.json")).map_err(|error| error.to_string())
    }

    #[test]
    fn each_value_of_the_label_and_what_is_none() {
        let labels = parse(TEXT).unwrap();
        for (namespace, said) in [
            ("a", NamespaceLabel::Level(Level::Privileged)),
            ("b", NamespaceLabel::Level(Level::Baseline)),
            ("c", NamespaceLabel::Level(Level::Restricted)),
            ("d", NamespaceLabel::Nothing),
            ("e", NamespaceLabel::Level(Level::Restricted)),
            ("f", NamespaceLabel::Level(Level::Restricted)),
            ("g", NamespaceLabel::Unknown),
        ] {
            assert_eq!(labels.of(namespace), said, "{namespace}");
        }
        assert_eq!(parse(&serde_json::to_string(&labels).unwrap()).unwrap(), labels);
    }

    #[test]
    fn what_is_reported_and_the_mode() {
        let labels = parse(
            r#"{"version":1,"synced":"","namespaces":{
                "a":{"enforce":"privileged","audit":"baseline","warn":"restrictd","mode":"audit"},
                "b":{"mode":"enforced"}, "c":{}}}"#,
        )
        .unwrap();
        assert_eq!(labels.audit("a"), Some(Level::Baseline));
        assert_eq!(labels.warn("a"), Some(Level::Restricted));
        assert_eq!((labels.audit("b"), labels.warn("x")), (None, None));
        assert_eq!(labels.mode("a"), Some(Mode::Audit));
        assert_eq!(labels.mode("b"), Some(Mode::Enforce), "what is misspelt must not loosen");
        assert_eq!((labels.mode("c"), labels.mode("x")), (None, None));
    }

    #[test]
    fn another_form_is_refused() {
        for (text, says) in [
            ("", "lockc-node sync"),
            ("{}", "version"),
            (r#"{"version":2,"synced":"","clusters":{}}"#, "version 2"),
            (r#"{"version":1,"synced":"","namespaces":{"a":{"enforce":1}}}"#, "string"),
            (r#"{"version":1,"synced":"","namespaces":{"a":{"enforced":"baseline"}}}"#, "enforced"),
            (r#"{"version":1,"synced":"","namespaces":{"a":{}}"#, "EOF"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_that_others_can_change_is_refused_and_a_missing_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("namespaces.json");
        let owner = dir.path().metadata().unwrap().uid();
        assert_eq!(Labels::load(&path, &Host::owned_by(owner)).unwrap(), None);
        fs::write(&path, TEXT).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Labels::load(&path, &Host::owned_by(owner)).unwrap().is_some());
        assert!(Labels::load(&path, &Host::owned_by(owner + 1)).is_err());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o646)).unwrap();
        assert!(
            Labels::load(&path, &Host::owned_by(owner))
                .unwrap_err()
                .to_string()
                .contains("chmod go-w")
        );
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/nonexistent", &path).unwrap();
        assert!(
            Labels::load(&path, &Host::owned_by(owner)).is_err(),
            "a dangling link is broken, not missing"
        );
    }
}
