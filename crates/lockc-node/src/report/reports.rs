//! A report for each namespace: OpenReports' `Report`, or the `PolicyReport` of the Kubernetes
//! policy working group where the cluster has only that. Each node has its own in a namespace, of
//! which it is the owner.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, Client, Error,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tracing::info;

use super::{
    aggregate::Write,
    finding::{self, Kind, PodKey},
    limits::cut,
};

/// Results of a report: the newest.
const RESULTS: usize = 64;
/// Bytes of a result's message.
const MESSAGE: usize = 512;
/// Until a report may be written again, if there is something new in it; and if only counts are.
const NEW: Duration = Duration::from_secs(60);
const COUNTS: Duration = Duration::from_secs(300);
/// Until the cluster is asked again which of the two it has.
const ASK: Duration = Duration::from_secs(600);
/// Characters of an object's name.
const NAME: usize = 253;

/// The two kinds, the one that is used first.
const KINDS: [(&str, &str, &str, &str); 2] = [
    ("openreports.io", "v1alpha1", "Report", "reports"),
    ("wgpolicyk8s.io", "v1alpha2", "PolicyReport", "policyreports"),
];

/// The results of a namespace, as the report of this node has them.
pub struct Report {
    keys: BTreeSet<String>,
    content: Value,
}

/// The reports of all namespaces in which something happened.
pub fn gather<'a>(
    findings: impl Iterator<Item = Write>,
    pod: impl Fn(&PodKey) -> Option<ObjectReference> + 'a,
) -> BTreeMap<String, Report> {
    let mut by_namespace: BTreeMap<String, Vec<(Write, ObjectReference)>> = BTreeMap::new();
    for write in findings {
        if let Some(pod) = pod(&write.finding.pod) {
            let namespace = write.finding.pod.namespace.clone();
            by_namespace.entry(namespace).or_default().push((write, pod));
        }
    }
    by_namespace.into_iter().map(|(namespace, all)| (namespace, report(all))).collect()
}

fn report(mut all: Vec<(Write, ObjectReference)>) -> Report {
    all.sort_by(|(one, _), (other, _)| {
        let order = |write: &Write| (write.finding.last, write.finding.key.clone());
        order(other).cmp(&order(one))
    });
    all.truncate(RESULTS);
    let audited = all.iter().filter(|(write, _)| write.finding.kind == Kind::Audited).count();
    let results: Vec<Value> = all.iter().map(|(write, pod)| result(write, pod)).collect();
    Report {
        keys: all.into_iter().map(|(write, _)| write.finding.key).collect(),
        content: json!({
            "summary": { "pass": 0, "fail": results.len() - audited, "warn": audited, "error": 0,
                "skip": 0 },
            "results": results,
        }),
    }
}

fn result(write: &Write, pod: &ObjectReference) -> Value {
    let finding = &write.finding;
    let is_audited = finding.kind == Kind::Audited;
    let mut properties = BTreeMap::from([
        ("count", write.count.to_string()),
        ("first", write.first.to_string()),
        ("reason", finding.kind.reason().to_owned()),
    ]);
    properties.extend(finding.container.as_ref().map(|name| ("container", name.clone())));
    json!({
        "source": "lockc",
        "policy": cut(&finding.policy, MESSAGE),
        "rule": cut(&finding.rule, MESSAGE),
        "category": "Container confinement",
        "severity": if is_audited { "low" } else { "medium" },
        "result": if is_audited { "warn" } else { "fail" },
        "scored": !is_audited,
        "timestamp": { "seconds": finding.last.as_second(),
            "nanos": finding.last.subsec_nanosecond() },
        "resources": [pod],
        "message": cut(&finding.message, MESSAGE),
        "properties": properties,
    })
}

/// The name of a node's reports.
fn name(node: &str) -> String {
    let name = format!("lockc-{node}");
    if name.len() <= NAME {
        return name;
    }
    let pod = PodKey { namespace: String::new(), name: String::new(), uid: node.into() };
    let hash = finding::key(&pod, &[]);
    let short: String = name.chars().take(NAME - hash.len() - 1).collect();
    format!("{}-{hash}", short.trim_end_matches(['.', '-']))
}

/// A report that is in the cluster.
struct There {
    keys: BTreeSet<String>,
    content: Value,
    at: Instant,
}

impl There {
    fn is_due(&self, report: &Report, now: Instant) -> bool {
        let ago = now.saturating_duration_since(self.at);
        (self.keys != report.keys && ago >= NEW)
            || (self.content != report.content && ago >= COUNTS)
    }
}

/// The reports of this node in the cluster.
pub struct Reports {
    client: Client,
    node: String,
    resource: Option<ApiResource>,
    asked: Option<Instant>,
    /// Those of an earlier process are there with nothing in them.
    there: BTreeMap<String, There>,
}

impl Reports {
    /// Nothing is asked before the first [`Reports::write`].
    pub fn new(client: Client, node: &str) -> Self {
        Self { client, node: node.into(), resource: None, asked: None, there: BTreeMap::new() }
    }

    /// Writes what changed, and removes what is empty.
    ///
    /// # Errors
    ///
    /// Where the API server does not answer, or refuses.
    pub async fn write(
        &mut self,
        reports: &BTreeMap<String, Report>,
        uid: &str,
        now: Instant,
    ) -> Result<()> {
        if self.resource.is_none() && !self.find(now).await? {
            return Ok(());
        }
        let Some(resource) = self.resource.clone() else { return Ok(()) };
        let name = name(&self.node);
        let api = |namespace: &str| -> Api<DynamicObject> {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        };
        for (namespace, report) in reports {
            if self.there.get(namespace).is_some_and(|there| !there.is_due(report, now)) {
                continue;
            }
            let object = object(&resource, namespace, &self.node, uid, report);
            let parameters = PatchParams::apply("lockc-node").force();
            match api(namespace).patch(&name, &parameters, &Patch::Apply(object)).await {
                Ok(_) => {}
                // The namespace is going away.
                Err(Error::Api(status)) if [403, 404].contains(&status.code) => {
                    tracing::warn!("no report in {namespace}: {}", status.message);
                }
                Err(error) => return Err(error).context("a report cannot be written"),
            }
            let (keys, content) = (report.keys.clone(), report.content.clone());
            self.there.insert(namespace.clone(), There { keys, content, at: now });
        }
        let empty: Vec<String> =
            self.there.keys().filter(|it| !reports.contains_key(*it)).cloned().collect();
        for namespace in empty {
            match api(&namespace).delete(&name, &DeleteParams::default()).await {
                Ok(_) => {}
                Err(Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error).context("a report cannot be removed"),
            }
            self.there.remove(&namespace);
        }
        Ok(())
    }

    /// Looks which kind the cluster has, and for the reports of an earlier process.
    async fn find(&mut self, now: Instant) -> Result<bool> {
        if self.asked.is_some_and(|asked| now.saturating_duration_since(asked) < ASK) {
            return Ok(false);
        }
        for (group, version, kind, plural) in KINDS {
            let resources =
                self.client.list_api_group_resources(&format!("{group}/{version}")).await;
            let has_it = match resources {
                Ok(list) => list.resources.iter().any(|resource| resource.name == plural),
                Err(Error::Api(status)) if [403, 404].contains(&status.code) => false,
                Err(error) => return Err(error).context("the cluster's kinds cannot be listed"),
            };
            if !has_it {
                continue;
            }
            let resource = ApiResource {
                group: group.into(),
                version: version.into(),
                api_version: format!("{group}/{version}"),
                kind: kind.into(),
                plural: plural.into(),
            };
            let all: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
            let own = ListParams::default().fields(&format!("metadata.name={}", name(&self.node)));
            let own = all.list(&own).await.context("the reports cannot be listed")?;
            for report in own.items {
                let (keys, content) = (BTreeSet::new(), Value::Null);
                let namespace = report.metadata.namespace.unwrap_or_default();
                let Some(at) = now.checked_sub(COUNTS) else { continue };
                self.there.insert(namespace, There { keys, content, at });
            }
            info!("reports are of the kind {kind} ({group}/{version})");
            self.resource = Some(resource);
            return Ok(true);
        }
        if self.asked.is_none() {
            let [one, other] = KINDS.map(|(group, _, kind, _)| format!("{kind} of {group}"));
            info!("the cluster has neither the kind {one} nor {other}: there are no reports");
        }
        self.asked = Some(now);
        Ok(false)
    }
}

fn object(
    resource: &ApiResource,
    namespace: &str,
    node: &str,
    uid: &str,
    report: &Report,
) -> Value {
    let mut object = report.content.clone();
    object["apiVersion"] = resource.api_version.clone().into();
    object["kind"] = resource.kind.clone().into();
    object["metadata"] = json!({
        "name": name(node), "namespace": namespace,
        "labels": { "app.kubernetes.io/managed-by": "lockc" },
        // Without the node, nobody would remove it.
        "ownerReferences": [{ "apiVersion": "v1", "kind": "Node", "name": node, "uid": uid }],
    });
    if resource.group == KINDS[0].0 {
        object["source"] = "lockc".into();
    }
    object
}

#[cfg(test)]
#[path = "reports_tests.rs"]
mod tests;
