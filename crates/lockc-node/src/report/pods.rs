//! The pods of this node, as the API server knows them.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Result, bail};
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::{
    Api, Client,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use tracing::{info, warn};

use super::finding::PodKey;

/// All of a pod but its metadata stays with the API server.
type Metadata = PartialObjectMeta<Pod>;

/// The uid that the kubelet gives a static pod, in what the API server has of it (Kubernetes 1.34,
/// pkg/kubelet/types/pod_update.go).
const STATIC_UID: &str = "kubernetes.io/config.hash";

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    uid: String,
    static_uid: Option<String>,
}

/// The pods that the scheduler, or the kubelet itself, put on the node.
#[derive(Clone, Debug, Default)]
pub struct Pods {
    known: Arc<Mutex<HashMap<(String, String), Known>>>,
}

impl Pods {
    /// What an Event about the pod names; nothing where it is not on this node, or another pod has
    /// its name by now.
    pub fn find(&self, pod: &PodKey) -> Option<ObjectReference> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(&(pod.namespace.clone(), pod.name.clone()))?;
        let is_it = found.uid == pod.uid || found.static_uid.as_ref() == Some(&pod.uid);
        is_it.then(|| ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            namespace: Some(pod.namespace.clone()),
            name: Some(pod.name.clone()),
            uid: Some(found.uid.clone()),
            ..ObjectReference::default()
        })
    }

    /// Follows the node's pods.
    ///
    /// # Errors
    ///
    /// Where the watch ends, which it never does by itself.
    pub async fn follow(&self, client: Client, node: &str) -> Result<()> {
        let api: Api<Metadata> = Api::all(client);
        let config = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
        let mut stream = pin!(watcher::watcher(api, config).default_backoff());
        let mut listing = HashMap::new();
        let mut is_reached = None;
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => {
                    if is_reached != Some(true) {
                        info!("the API server responds; watching the pods of {node}");
                    }
                    is_reached = Some(true);
                    self.take(event, &mut listing);
                }
                Err(error) => {
                    if is_reached != Some(false) {
                        warn!("{error}; the last known pods stay, and lockc-node tries again");
                    }
                    is_reached = Some(false);
                }
            }
        }
        bail!("the watch ended")
    }

    fn take(&self, event: Event<Metadata>, listing: &mut HashMap<(String, String), Known>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => listing.clear(),
            Event::InitApply(pod) => listing.extend(entry(pod)),
            Event::InitDone => *known = std::mem::take(listing),
            Event::Apply(pod) => known.extend(entry(pod)),
            Event::Delete(pod) => {
                if let Some((name, gone)) = entry(pod)
                    && known.get(&name) == Some(&gone)
                {
                    known.remove(&name);
                }
            }
        }
    }
}

fn entry(pod: Metadata) -> Option<((String, String), Known)> {
    let metadata = pod.metadata;
    let static_uid = metadata.annotations.and_then(|mut all| all.remove(STATIC_UID));
    Some(((metadata.namespace?, metadata.name?), Known { uid: metadata.uid?, static_uid }))
}

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn metadata(name: &str, uid: &str, annotations: &[(&str, &str)]) -> Metadata {
        let annotations: BTreeMap<_, _> = annotations
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Metadata {
            metadata: kube::api::ObjectMeta {
                namespace: Some("shop".into()),
                name: Some(name.into()),
                uid: Some(uid.into()),
                annotations: Some(annotations),
                ..Default::default()
            },
            ..Metadata::default()
        }
    }

    fn key(name: &str, uid: &str) -> PodKey {
        PodKey { namespace: "shop".into(), name: name.into(), uid: uid.into() }
    }

    #[test]
    fn a_pod_is_found_by_all_that_it_is_called() {
        let pods = Pods::default();
        let mut listing = HashMap::new();
        let mut take = |event| pods.take(event, &mut listing);
        take(Event::Init);
        take(Event::InitApply(metadata("web", "1", &[])));
        assert_eq!(pods.find(&key("web", "1")), None, "the list is not complete");
        take(Event::InitDone);
        let found = pods.find(&key("web", "1")).unwrap();
        assert_eq!((found.kind.as_deref(), found.uid.as_deref()), (Some("Pod"), Some("1")));
        let elsewhere = PodKey { namespace: "other".into(), ..key("web", "1") };
        for other in [key("web", "2"), key("db", "1"), elsewhere] {
            assert_eq!(pods.find(&other), None, "{other:?}");
        }
        // A StatefulSet's pod comes back under its name before the old one's end is told.
        take(Event::Apply(metadata("web", "2", &[])));
        take(Event::Delete(metadata("web", "1", &[])));
        assert_eq!(pods.find(&key("web", "1")), None);
        assert!(pods.find(&key("web", "2")).is_some());
        take(Event::Delete(metadata("web", "2", &[])));
        assert_eq!(pods.find(&key("web", "2")), None);
    }

    #[test]
    fn a_static_pod_has_another_uid_with_the_api_server() {
        let pods = Pods::default();
        let pod = metadata("etcd-node", "of-the-mirror", &[(STATIC_UID, "of-the-kubelet")]);
        pods.take(Event::Apply(pod), &mut HashMap::new());
        let found = pods.find(&key("etcd-node", "of-the-kubelet")).unwrap();
        assert_eq!(found.uid.as_deref(), Some("of-the-mirror"));
        assert!(pods.find(&key("etcd-node", "of-the-mirror")).is_some());
        assert_eq!(pods.find(&key("etcd-node", "")), None);
    }
}
