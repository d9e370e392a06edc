//! What a node says of the cluster's policies: its entry in the `status.nodes` of each.
//!
//! Each node applies its own entry with a field manager of its own (server-side apply), so that
//! nodes write beside each other. The same makes an entry of a node that is gone go away: another
//! node applies nothing in its name.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
};
use lockc_policy::config::cluster::KIND;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::object::{API_VERSION, Entry, Object, Verdict, resource};

/// An API server that answers later is asked again in the next round.
const PATIENCE: Duration = Duration::from_secs(20);

/// Kubernetes allows 128 characters (`ValidateFieldManager` of apimachinery).
const MANAGER_LIMIT: usize = 128;

/// Writes the entries of one node.
pub struct Writer {
    node: String,
    policies: Api<DynamicObject>,
    nodes: Api<Node>,
}

impl Writer {
    pub fn new(client: Client, node: String) -> Self {
        let policies = Api::all_with(client.clone(), &resource());
        Self { node, policies, nodes: Api::all(client) }
    }

    /// How long this node waits before it writes: not every node of a cluster at once.
    pub fn delay(&self) -> Duration {
        let digest = Sha256::digest(self.node.as_bytes());
        Duration::from_millis(u64::from(digest[0]) * 4000 / 255)
    }

    /// Writes the entries that differ from what the objects have.
    ///
    /// # Errors
    ///
    /// Where the API server does not take one; the others are as they were.
    pub async fn write(
        &self,
        objects: &mut BTreeMap<String, Object>,
        verdicts: &BTreeMap<String, Verdict>,
    ) -> Result<()> {
        for (name, verdict) in verdicts {
            let entry = Entry {
                name: self.node.clone(),
                observed_generation: verdict.observed_generation,
                ready: verdict.ready,
                message: verdict.message.clone(),
            };
            let Some(object) = objects.get_mut(name) else { continue };
            if object.nodes.contains(&entry) {
                continue;
            }
            if self.apply(name, &self.node, Some(&entry)).await? {
                object.nodes.retain(|other| other.name != entry.name);
                object.nodes.push(entry);
            }
        }
        Ok(())
    }

    /// Removes the entries of nodes that are gone. Every node looks at those after its own in the
    /// order of their names, up to the first node that exists: so each entry is looked at by one.
    ///
    /// # Errors
    ///
    /// Where the API server does not answer.
    pub async fn tidy(&self, objects: &BTreeMap<String, Object>) -> Result<()> {
        for (name, object) in objects {
            for other in after(&self.node, &object.nodes) {
                let found = self.asked(self.nodes.get_metadata_opt(other)).await?;
                if found.is_some() {
                    break;
                }
                self.apply(name, other, None).await?;
            }
        }
        Ok(())
    }

    /// Removes this node's own entries.
    ///
    /// # Errors
    ///
    /// Where the API server does not answer.
    pub async fn withdraw(&self, objects: &BTreeMap<String, Object>) -> Result<()> {
        for (name, object) in objects {
            if object.nodes.iter().any(|entry| entry.name == self.node) {
                self.apply(name, &self.node, None).await?;
            }
        }
        Ok(())
    }

    /// Makes this the entry of a node. False if the object is gone meanwhile.
    async fn apply(&self, name: &str, node: &str, entry: Option<&Entry>) -> Result<bool> {
        let params = PatchParams::apply(&manager(node)).force();
        let applied = applied(name, entry);
        let patch = Patch::Apply(&applied);
        match self.asked(self.policies.patch_status(name, &params, &patch)).await {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn asked<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T> {
        Ok(timeout(PATIENCE, request).await.context("the API server does not answer")??)
    }
}

/// What is applied: everything else that the manager applied before goes away.
fn applied(name: &str, entry: Option<&Entry>) -> Value {
    let mut object = json!({
        "apiVersion": API_VERSION, "kind": KIND, "metadata": { "name": name },
    });
    if let Some(entry) = entry {
        object["status"] = json!({ "nodes": [entry] });
    }
    object
}

fn is_missing(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => status.code == 404,
        _ => false,
    }
}

/// The field manager of a node; names of nodes may be longer.
fn manager(node: &str) -> String {
    let name = format!("lockc-node-{node}");
    if name.len() <= MANAGER_LIMIT {
        return name;
    }
    let digest = Sha256::digest(node.as_bytes());
    let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    // Names of nodes are ASCII (RFC 1123).
    let beginning: String = name.chars().take(MANAGER_LIMIT - digest.len() - 1).collect();
    format!("{beginning}-{digest}")
}

/// The other nodes that have an entry, those after this one first; none if this one has none.
fn after<'a>(node: &str, entries: &'a [Entry]) -> Vec<&'a str> {
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    match names.iter().position(|name| *name == node) {
        Some(own) => {
            names.rotate_left(own);
            names.split_off(1)
        }
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(names: &[&str]) -> Vec<Entry> {
        names.iter().map(|name| Entry { name: (*name).into(), ..Entry::default() }).collect()
    }

    #[test]
    fn managers_differ_and_are_short_enough() {
        assert_eq!(manager("node-1"), "lockc-node-node-1");
        let long = |end: &str| format!("{}{end}", "a".repeat(250));
        let names = [manager(&long("x")), manager(&long("y")), manager(&"a".repeat(117))];
        assert!(names.iter().all(|name| name.len() <= MANAGER_LIMIT), "{names:?}");
        assert!(names[0] != names[1] && names[1] != names[2], "{names:?}");
    }

    #[test]
    fn each_entry_is_looked_at_by_one_node_that_exists() {
        let all = entries(&["d", "a", "c", "b", "e"]);
        assert_eq!(after("c", &all), ["d", "e", "a", "b"]);
        assert_eq!(after("e", &all), ["a", "b", "c", "d"]);
        assert!(after("x", &all).is_empty() && after("x", &[]).is_empty());
        assert!(after("x", &entries(&["x"])).is_empty());
        for exists in [&["a"][..], &["b", "d"], &["a", "c", "e"], &["a", "b", "c", "d", "e"]] {
            let looked = exists.iter().flat_map(|node| {
                after(node, &all).into_iter().take_while(|other| !exists.contains(other))
            });
            let mut gone: Vec<&str> = looked.collect();
            gone.sort_unstable();
            let expected: Vec<&str> =
                ["a", "b", "c", "d", "e"].into_iter().filter(|n| !exists.contains(n)).collect();
            assert_eq!(gone, expected, "{exists:?}");
        }
    }

    #[test]
    fn what_is_applied_is_one_entry_or_nothing() {
        let entry =
            Entry { name: "n".into(), observed_generation: 3, ready: true, message: String::new() };
        let object = applied("gpu", Some(&entry));
        assert_eq!(object["apiVersion"], "lockc.org/v1alpha1");
        assert_eq!(
            object["status"]["nodes"],
            json!([{ "name": "n", "observedGeneration": 3, "ready": true }])
        );
        assert_eq!(applied("gpu", None).get("status"), None);
        let foreign: Entry = serde_json::from_value(json!({ "name": "n", "since": 1 })).unwrap();
        assert_eq!(foreign.name, "n", "an entry of another release is understood");
    }
}
