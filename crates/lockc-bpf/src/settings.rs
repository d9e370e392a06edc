//! The settings in effect, and where each stands.

use std::path::Path;

use anyhow::Result;
use lockc_core::paths;
use lockc_policy::{
    config::{self, Loaded, SyncedFiles, cluster::KIND},
    host::Host,
    policy::PolicySet,
};
use serde::Serialize;
use serde_json::Value;

/// The commented file that packages install: it shows every setting with its default.
pub const DEFAULTS: &str = include_str!("../../../packaging/lockc.toml");

/// Every setting, and the labels that decide like one.
///
/// # Errors
///
/// Where the configuration cannot be used.
pub fn all() -> Result<Vec<(String, Entry)>> {
    let (loaded, set) = load()?;
    let mut entries = entries(&loaded)?;
    entries.extend(labels(&set));
    entries.extend(cluster_policies(&set));
    Ok(entries)
}

/// The configuration as written, and with what the node knows of a cluster.
///
/// # Errors
///
/// Where it cannot be used.
pub fn load() -> Result<(Loaded, PolicySet)> {
    let (path, host) = (Path::new(paths::CONFIG), Host::default());
    let loaded = Loaded::read(path, &host)?;
    let set = PolicySet::synced(&loaded, path, SyncedFiles::default(), &host)?;
    Ok((loaded, set))
}

/// A value and where it stands.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// `FILE:LINE`, or `default`.
    pub origin: String,
}

/// Every key with its value, the tables' entries one by one.
///
/// # Errors
///
/// Where a value has no form in JSON.
pub fn entries(loaded: &Loaded) -> Result<Vec<(String, Entry)>> {
    let origin = |key: &str| {
        loaded.origins.get(key).map_or_else(|| "default".to_owned(), ToString::to_string)
    };
    let mut entries = Vec::new();
    let Value::Object(values) = serde_json::to_value(&loaded.config)? else { return Ok(entries) };
    for (key, value) in values {
        match value {
            Value::Object(table) => {
                for (name, value) in table {
                    let key = format!("{key}.{name}");
                    entries.push((key.clone(), Entry { value, origin: origin(&key) }));
                }
            }
            value => entries.push((key.clone(), Entry { value, origin: origin(&key) })),
        }
    }
    Ok(entries)
}

/// What the cluster says of its namespaces: no setting, but it decides like one.
pub fn labels(set: &PolicySet) -> Vec<(String, Entry)> {
    let labels = set.labels.as_ref().filter(|_| set.namespace_labels != config::Follow::Ignore);
    let Some(labels) = labels else { return Vec::new() };
    let origin = format!("{} (synced {})", paths::NAMESPACES, labels.synced);
    let of = |(name, namespace): (&String, &config::labels::Namespace)| {
        let value = Value::from(namespace.enforce.clone());
        (format!("kubernetes.labels.{name}"), Entry { value, origin: origin.clone() })
    };
    labels.namespaces.iter().map(of).collect()
}

/// The policies that the cluster defines, and why this node does not use one.
pub fn cluster_policies(set: &PolicySet) -> Vec<(String, Entry)> {
    let entry = |name: &str, value: Value, origin: String| {
        (format!("kubernetes.policies.{name}"), Entry { value, origin })
    };
    let usable = set.cluster.policies().map(|policy| {
        entry(&policy.name, policy.level.name().into(), set.defined_by(&policy.name))
    });
    let rejected = set.cluster.rejected().map(|(name, reason)| {
        entry(name, Value::Null, format!("{KIND} {name}, not used: {reason}"))
    });
    usable.chain(rejected).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_shown_with_its_place() {
        let text = "\ndefault = 'mine'\n[policies.mine]\nextends = 'offline'\n";
        let loaded = Loaded::parse(text, Path::new("lockc.toml")).unwrap();
        let entries = entries(&loaded).unwrap();
        let find = |key: &str| &entries.iter().find(|(name, _)| name == key).unwrap().1;
        assert_eq!(
            (find("default").value.as_str(), find("default").origin.as_str()),
            (Some("mine"), "lockc.toml:2")
        );
        assert_eq!(find("policies.mine").origin, "lockc.toml:3");
        assert_eq!(find("ceiling").origin, "default");
        assert_eq!(find("fail").value, "closed");
    }

    #[test]
    fn labels_are_shown_where_they_decide() {
        let mut set = PolicySet::default();
        assert!(labels(&set).is_empty());
        let text = r#"{"version":1,"synced":"2026-01-02T03:04:05Z",
            "namespaces":{"a":{"enforce":"baseline"},"b":{}}}"#;
        set.labels = Some(config::Labels::parse(text, Path::new("x")).unwrap());
        let shown = labels(&set);
        assert_eq!(
            (shown[0].0.as_str(), &shown[0].1.value),
            ("kubernetes.labels.a", &Value::from("baseline"))
        );
        assert_eq!(shown[1].1.value, Value::Null);
        assert!(shown[0].1.origin.contains("synced 2026-01-02T03:04:05Z"));
        set.namespace_labels = config::Follow::Ignore;
        assert!(labels(&set).is_empty());
    }
}
