//! The CRD ConfinementPolicy of the chart: its specification is `[policies.NAME]` of the
//! configuration, by the same JSON Schema, in the form that Kubernetes wants.
//!
//! A structural schema (apiextensions.k8s.io/v1) has one type per value, no references, and no
//! `additionalProperties` beside `properties`: the API server prunes what a schema does not name.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

/// Where Helm finds it.
pub const FILE: &str = "packaging/kubernetes/chart/lockc/templates/confinementpolicy.yaml";

const BEGINNING: &str = r#"{{- if .Values.confinementPolicies.create }}
# Written by `cargo xtask docs` from packaging/lockc.schema.json; do not edit.
#
# A template, and not a file in crds/: Helm never upgrades those, and a release of lockc may add
# settings. The annotation keeps `helm uninstall` from deleting the CRD, and with it the policies
# that the cluster's administrator wrote; `kubectl delete crd confinementpolicies.lockc.org` does.
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: confinementpolicies.lockc.org
  labels: {{- include "lockc.labels" . | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
"#;

/// The template. `schema` is the text of the JSON Schema of `lockc.toml`.
pub fn template(schema: &str) -> Result<String> {
    let schema: Value = serde_json::from_str(schema).context("the schema is not JSON")?;
    let mut text = BEGINNING.to_owned();
    yaml(&json!({ "spec": definition(&schema)? }), 0, &mut text);
    text.push_str("{{- end }}\n");
    Ok(text)
}

fn definition(schema: &Value) -> Result<Value> {
    let mut spec = Structural::new(&schema["$defs"]["PolicyConfig"], schema)?.members;
    spec["description"] = json!(
        "A policy, as [policies.NAME] in lockc.toml. It extends a level or a policy of the \
         node's configuration."
    );
    let text = |about: &str| json!({ "description": about, "type": "string" });
    let entry = json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": text("The node."),
            "observedGeneration": {
                "description": "The generation of the policy that the node checked.",
                "type": "integer",
                "format": "int64",
            },
            "ready": {
                "description":
                    "Whether containers of the node may ask for this generation of the policy.",
                "type": "boolean",
            },
            "message": text("Why not, and whether an earlier generation stays in use."),
        },
    });
    let nodes = json!({
        "description": "What each node says of the policy. A node that is gone loses its entry.",
        "type": "array",
        // What remains when the last node takes its entry back, to the API server of 1.20.
        "nullable": true,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": entry,
    });
    // Of several nodes, a column shows the first.
    let column = |name: &str, path: &str, kind: &str, priority: u8| {
        json!({
            "name": name,
            "jsonPath": path,
            "type": kind,
            "priority": priority,
        })
    };
    Ok(json!({
        "group": "lockc.org",
        "scope": "Cluster",
        "names": {
            "kind": "ConfinementPolicy",
            "listKind": "ConfinementPolicyList",
            "plural": "confinementpolicies",
            "singular": "confinementpolicy",
        },
        "versions": [{
            "name": "v1alpha1",
            "served": true,
            "storage": true,
            "subresources": { "status": {} },
            "additionalPrinterColumns": [
                column("Extends", ".spec.extends", "string", 0),
                column("Ready on", ".status.nodes[?(@.ready==true)].name", "string", 0),
                column("Rejected by", ".status.nodes[?(@.ready==false)].name", "string", 0),
                column("Reason", ".status.nodes[?(@.ready==false)].message", "string", 1),
                column("Age", ".metadata.creationTimestamp", "date", 0),
            ],
            "schema": { "openAPIV3Schema": {
                "description":
                    "A policy that pods of this cluster may ask for by the annotation \
                     org.lockc.policy, up to the ceiling of their namespace.",
                "type": "object",
                "required": ["spec"],
                "properties": {
                    "apiVersion": { "type": "string" },
                    "kind": { "type": "string" },
                    "metadata": {
                        "type": "object",
                        // As for the policies of lockc.toml.
                        "properties": { "name": { "type": "string", "maxLength": 31 } },
                    },
                    "spec": spec,
                    "status": { "type": "object", "properties": { "nodes": nodes } },
                },
            } },
        }],
    }))
}

/// A schema in the structural form, and the meanings of its values, where it has a list of them.
/// They follow the description of whatever refers to it.
struct Structural {
    members: Map<String, Value>,
    meanings: String,
}

impl Structural {
    /// A keyword that this does not know is an error: it would say something that the cluster does
    /// not check.
    fn new(schema: &Value, root: &Value) -> Result<Self> {
        let mut new = Self { members: Map::new(), meanings: String::new() };
        for (key, value) in schema.as_object().context("a schema is no object")? {
            new.add(key, value, root)?;
        }
        // Last: what a key means goes before what its type means.
        if let Some(about) = schema["description"].as_str() {
            let about = format!("{}{}", about.replace('\n', " "), new.meanings);
            new.set("description", about.into());
        }
        Ok(new)
    }

    fn add(&mut self, key: &str, value: &Value, root: &Value) -> Result<()> {
        let of =
            |value: &Value| Ok::<_, anyhow::Error>(Value::from(Self::new(value, root)?.members));
        match (key, value.as_array().map(Vec::as_slice)) {
            ("$ref", _) => {
                let pointer = value.as_str().and_then(|target| target.strip_prefix('#'));
                let target = pointer.and_then(|pointer| root.pointer(pointer));
                let target = target.with_context(|| format!("{value} leads nowhere"))?;
                self.extend(Self::new(target, root)?);
            }
            ("anyOf", Some([one, null])) if null["type"] == "null" => {
                self.extend(Self::new(one, root)?);
                // Kubernetes compares null with the values of an enumeration, too.
                if !self.members.contains_key("enum") {
                    self.set("nullable", true.into());
                }
            }
            ("oneOf", Some(choices)) => self.choices(choices)?,
            ("type", Some([kind, null])) if null == "null" => {
                self.set("type", kind.clone());
                self.set("nullable", true.into());
            }
            ("type", None) | ("required", Some(_)) => self.set(key, value.clone()),
            ("items", None) => self.set("items", of(value)?),
            ("properties", None) => {
                let properties = value.as_object().context("properties are no object")?;
                let properties = properties.iter().map(|(name, value)| {
                    Ok((name.clone(), of(value).with_context(|| name.clone())?))
                });
                let properties = properties.collect::<Result<Map<_, _>>>()?;
                self.set("properties", properties.into());
            }
            // What a schema does not name is pruned, and what is absent has the default anyway.
            ("additionalProperties", _) if value == false => {}
            ("default" | "description", _) => {}
            _ => bail!("no structural form is known of {key}: {value}"),
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: Value) {
        self.members.insert(key.into(), value);
    }

    fn extend(&mut self, other: Self) {
        self.members.extend(other.members);
        self.meanings.push_str(&other.meanings);
    }

    /// An enumeration whose values have meanings.
    fn choices(&mut self, choices: &[Value]) -> Result<()> {
        let mut names = Vec::new();
        for choice in choices {
            let name = choice["const"].as_str().context("oneOf of other than texts")?;
            names.push(name);
            if let Some(about) = choice["description"].as_str() {
                let meaning = format!(" {name}: {}", about.replace('\n', " "));
                self.meanings.push_str(&meaning);
            }
        }
        self.set("type", "string".into());
        self.set("enum", names.into());
        Ok(())
    }
}

/// YAML, in block style; texts as JSON writes them, which YAML reads.
fn yaml(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    let nested = |value: &Value| match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                if nested(value) {
                    text.push_str(&format!("{indent}{key}:\n"));
                    yaml(value, depth + 1, text);
                } else {
                    text.push_str(&format!("{indent}{key}: {value}\n"));
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut inner = String::new();
                if nested(item) {
                    yaml(item, depth + 1, &mut inner);
                } else {
                    inner = format!("{indent}  {item}\n");
                }
                // The first line begins with the dash.
                text.push_str(&format!("{indent}- {}", &inner[indent.len() + 2..]));
            }
        }
        scalar => text.push_str(&format!("{indent}{scalar}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = include_str!("../../../packaging/lockc.schema.json");

    fn converted(schema: Value, root: &Value) -> Result<Value> {
        Ok(Structural::new(&schema, root)?.members.into())
    }

    #[test]
    fn each_form_of_the_schema_has_its_structural_one() {
        let root = json!({ "$defs": { "Mode": { "description": "Of the type.", "oneOf": [
            { "const": "a", "type": "string", "description": "One." },
            { "const": "b", "type": "string" },
        ] } } });
        let reference = json!({ "$ref": "#/$defs/Mode" });
        let nullable = json!({ "description": "Of\nthe key.",
            "anyOf": [reference.clone(), { "type": "null" }], "default": null });
        assert_eq!(
            converted(nullable, &root).unwrap(),
            json!({ "type": "string", "enum": ["a", "b"],
                "description": "Of the key. a: One." })
        );
        assert_eq!(
            converted(reference, &root).unwrap(),
            json!({ "type": "string", "enum": ["a", "b"], "description": "Of the type. a: One." })
        );
        let object = json!({ "type": "object", "additionalProperties": false, "required": ["x"],
            "properties": { "x": { "type": ["string", "null"] },
                "y": { "type": "array", "items": { "type": "string" }, "default": [] } } });
        assert_eq!(
            converted(object, &root).unwrap(),
            json!({ "type": "object", "required": ["x"], "properties": {
                "x": { "type": "string", "nullable": true },
                "y": { "type": "array", "items": { "type": "string" } } } })
        );
        for unknown in [
            json!({ "type": ["string", "integer"] }),
            json!({ "anyOf": [{ "type": "string" }, { "type": "integer" }] }),
            json!({ "oneOf": [{ "type": "string" }] }),
            json!({ "$ref": "#/$defs/None" }),
            json!({ "additionalProperties": { "type": "string" } }),
            json!({ "type": "string", "pattern": "x" }),
            json!({ "properties": { "x": true } }),
        ] {
            assert!(converted(unknown.clone(), &root).is_err(), "{unknown}");
        }
    }

    /// As the API server checks it (apiextensions.k8s.io/v1, "structural schema").
    fn assert_structural(schema: &Value, place: &str) {
        const KEYWORDS: [&str; 12] = [
            "description",
            "enum",
            "format",
            "items",
            "maxLength",
            "nullable",
            "properties",
            "required",
            "type",
            "x-kubernetes-list-map-keys",
            "x-kubernetes-list-type",
            "x-kubernetes-preserve-unknown-fields",
        ];
        let members = schema.as_object().unwrap_or_else(|| panic!("{place}: {schema}"));
        for key in members.keys() {
            assert!(KEYWORDS.contains(&key.as_str()), "{place}: {key}");
        }
        let kind = schema["type"].as_str().unwrap_or_else(|| panic!("{place}: one type"));
        assert_eq!(kind == "array", members.contains_key("items"), "{place}");
        if let Some(items) = members.get("items") {
            assert_structural(items, &format!("{place}[]"));
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            assert_structural(property, &format!("{place}.{name}"));
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(schema["properties"].get(name.as_str().unwrap()).is_some(), "{place} {name}");
        }
    }

    #[test]
    fn the_schema_is_structural_and_has_the_keys_of_the_configuration() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let definition = definition(&schema).unwrap();
        let version = &definition["versions"][0];
        let open = &version["schema"]["openAPIV3Schema"];
        assert_structural(open, "");
        let spec = &open["properties"]["spec"];
        let policy = &schema["$defs"]["PolicyConfig"];
        let keys = |of: &Value| -> Vec<String> {
            of["properties"].as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(keys(spec), keys(policy));
        assert_eq!(spec["required"], policy["required"]);
        assert_eq!(spec["properties"]["mode"]["enum"], json!(["enforce", "audit"]));
        assert_eq!(spec["properties"]["hook_mounts"]["type"], "boolean");
        assert!(version["subresources"]["status"].is_object());
    }

    #[test]
    fn the_template_in_the_tree_is_fresh() {
        let path = crate::root().join(FILE);
        let in_tree = std::fs::read_to_string(&path).unwrap();
        assert!(in_tree == template(SCHEMA).unwrap(), "{FILE} is stale: run `cargo xtask docs`");
    }

    #[test]
    fn yaml_is_in_block_style() {
        let mut text = String::new();
        yaml(&json!({ "a": [{ "b": "x: y", "c": [1, 2] }, [], ["z"]], "d": {} }), 0, &mut text);
        let expected =
            "a:\n  - b: \"x: y\"\n    c:\n      - 1\n      - 2\n  - []\n  - - \"z\"\nd: {}\n";
        assert_eq!(text, expected);
    }
}
