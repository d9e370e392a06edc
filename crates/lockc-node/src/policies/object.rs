//! The objects of the cluster, as far as this node reads and writes them.

use kube::api::{ApiResource, DynamicObject};
use lockc_policy::config::cluster::KIND;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const GROUP: &str = "lockc.org";
const VERSION: &str = "v1alpha1";
pub const API_VERSION: &str = "lockc.org/v1alpha1";
pub const PLURAL: &str = "confinementpolicies";

/// The resource, which no API server knows without the CRD.
pub fn resource() -> ApiResource {
    ApiResource {
        group: GROUP.into(),
        version: VERSION.into(),
        api_version: API_VERSION.into(),
        kind: KIND.into(),
        plural: PLURAL.into(),
    }
}

/// An entry of `status.nodes`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The node.
    pub name: String,
    /// The generation that the node checked.
    #[serde(default)]
    pub observed_generation: i64,
    /// Whether containers of the node may ask for this generation of the policy.
    #[serde(default)]
    pub ready: bool,
    /// Why not; empty where it is. Left out then: API servers of Kubernetes 1.20 take an empty text
    /// of a server-side apply for null, and refuse it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// An object of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub uid: String,
    pub generation: i64,
    pub spec: Value,
    /// What the nodes say of it.
    pub nodes: Vec<Entry>,
}

impl Object {
    /// Whether it is the same as far as this node decides.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.uid, self.generation, &self.spec) == (&other.uid, other.generation, &other.spec)
    }
}

/// What this node says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub observed_generation: i64,
    pub ready: bool,
    /// Empty where the policy is ready.
    pub message: String,
}

/// Its name, and what decides about it. A status that has another form is none.
pub fn of(object: DynamicObject) -> Option<(String, Object)> {
    let DynamicObject { metadata, mut data, .. } = object;
    let nodes = data.pointer_mut("/status/nodes").map_or(Value::Null, Value::take);
    let nodes = nodes.as_array().into_iter().flatten();
    let object = Object {
        uid: metadata.uid.unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
        nodes: nodes.filter_map(|entry| serde_json::from_value(entry.clone()).ok()).collect(),
        spec: data.get_mut("spec").map_or(Value::Null, Value::take),
    };
    Some((metadata.name?, object))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_of_any_form_is_read() {
        let read = |data: Value| {
            let mut object = DynamicObject::new("gpu", &resource()).data(data);
            object.metadata.generation = Some(3);
            of(object).unwrap().1
        };
        let spec = json!({ "extends": "baseline" });
        let entries = json!([{ "name": "n", "ready": true }, { "since": 1 }, 7]);
        let object = read(json!({ "spec": spec, "status": { "nodes": entries } }));
        assert_eq!((object.generation, object.spec), (3, spec));
        assert_eq!(object.nodes.len(), 1);
        assert!(object.nodes[0].ready && object.nodes[0].name == "n");
        for data in [
            json!({}),
            json!({ "status": "x", "spec": null }),
            json!({ "status": { "nodes": "x" } }),
            json!({ "status": [] }),
        ] {
            let object = read(data);
            assert!(object.nodes.is_empty() && object.spec.is_null());
        }
    }
}
