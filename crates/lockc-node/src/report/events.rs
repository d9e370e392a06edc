//! Events on pods (events.k8s.io/v1). The name of an Event follows from what it is about, so that a
//! process that starts again finds those of the one before. All but the count is written once: the
//! API server lets nothing else of an Event change.

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client, Error,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{
    aggregate::Write,
    finding,
    limits::{INSTANCE, cut},
};

/// Who reports.
pub const CONTROLLER: &str = "lockc.org/node";
/// The reason of the Event that says how many others there are not.
const DROPPED: &str = "LockcDropped";

/// How an Event became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It did, or there is one.
    Yes,
    /// It never will: its namespace is going away, or the API server refuses it.
    Never,
}

/// The Event of a finding.
pub fn of(write: &Write, pod: &ObjectReference, node: &str) -> Event {
    let finding = &write.finding;
    Event {
        metadata: metadata(pod, &finding.key),
        reason: Some(finding.kind.reason().into()),
        note: Some(finding.message.clone()),
        event_time: Some(MicroTime(write.first)),
        series: series(write.count, finding.last),
        ..common(pod, node)
    }
}

/// The Event that says how many findings of a pod became none.
pub fn of_dropped(count: u64, pod: &ObjectReference, node: &str) -> Event {
    let now = Timestamp::now();
    let uid = pod.uid.clone().unwrap_or_default();
    let (namespace, name) =
        (pod.namespace.clone().unwrap_or_default(), pod.name.clone().unwrap_or_default());
    let key = finding::key(&finding::PodKey { namespace, name, uid }, &[DROPPED]);
    Event {
        metadata: metadata(pod, &key),
        reason: Some(DROPPED.into()),
        note: Some(
            "lockc writes no Events for further denials of this pod, because it has many others; \
             `lockc events` on its node, or `kubectl lockc events`, shows them"
                .into(),
        ),
        event_time: Some(MicroTime(now)),
        series: series(count, now),
        ..common(pod, node)
    }
}

fn common(pod: &ObjectReference, node: &str) -> Event {
    Event {
        action: Some("Confining".into()),
        regarding: Some(pod.clone()),
        reporting_controller: Some(CONTROLLER.into()),
        reporting_instance: Some(cut(node, INSTANCE)),
        type_: Some("Warning".into()),
        ..Event::default()
    }
}

/// A name may have 253 characters, a pod's too.
fn metadata(pod: &ObjectReference, key: &str) -> ObjectMeta {
    let name: String = pod.name.iter().flat_map(|name| name.chars()).take(200).collect();
    let name = name.trim_end_matches(['.', '-']);
    ObjectMeta {
        namespace: pod.namespace.clone(),
        name: Some(format!("{name}.{key}")),
        ..ObjectMeta::default()
    }
}

/// The API server takes a series of two at least.
fn series(count: u64, last: Timestamp) -> Option<EventSeries> {
    (count > 1).then(|| EventSeries {
        count: i32::try_from(count).unwrap_or(i32::MAX),
        last_observed_time: MicroTime(last),
    })
}

/// Writes an Event, or the count of the one that is there.
///
/// # Errors
///
/// Where the API server does not answer, or is too busy: it may be tried again.
pub async fn write(client: &Client, event: &Event) -> Result<Written, Error> {
    let namespace = event.metadata.namespace.as_deref().unwrap_or("default");
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let name = event.metadata.name.as_deref().unwrap_or_default();
    match api.create(&PostParams::default(), event).await {
        Ok(_) => Ok(Written::Yes),
        Err(Error::Api(status)) if status.code == 409 => {
            let Some(series) = &event.series else { return Ok(Written::Yes) };
            let patch = json!({ "series": series });
            let patched = api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
            patched.map(|_| Written::Yes).or_else(never)
        }
        Err(error) => never(error),
    }
}

/// Whether an error is an answer that will stay the same.
fn never(error: Error) -> Result<Written, Error> {
    match &error {
        Error::Api(status)
            if (400..500).contains(&status.code) && ![401, 408, 429].contains(&status.code) =>
        {
            tracing::warn!("an Event was not written: {}", status.message);
            Ok(Written::Never)
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::finding::{Finding, Kind, PodKey},
        *,
    };

    fn pod(name: &str) -> ObjectReference {
        ObjectReference {
            namespace: Some("shop".into()),
            name: Some(name.into()),
            uid: Some("1".into()),
            ..ObjectReference::default()
        }
    }

    fn write(count: u64) -> Write {
        let key = PodKey { namespace: "shop".into(), name: "web".into(), uid: "1".into() };
        Write {
            finding: Finding {
                kind: Kind::Refused,
                container: Some("main".into()),
                source: "abc".into(),
                rule: "host-mounts".into(),
                policy: "baseline".into(),
                message: "why".into(),
                count,
                first: Timestamp::UNIX_EPOCH,
                last: Timestamp::UNIX_EPOCH,
                key: finding::key(&key, &["x"]),
                pod: key,
            },
            count,
            first: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn an_event_is_as_the_api_server_takes_it() {
        let event = of(&write(1), &pod("web"), &"n".repeat(253));
        assert_eq!(event.reason.as_deref(), Some("LockcRefused"));
        assert_eq!(event.type_.as_deref(), Some("Warning"));
        assert_eq!(event.series, None, "a series of one is none");
        assert!(event.reporting_instance.is_some_and(|name| name.len() <= INSTANCE));
        let series = of(&write(u64::MAX), &pod("web"), "node").series;
        assert_eq!(series.map(|series| series.count), Some(i32::MAX));
    }

    #[test]
    fn the_name_of_an_event_is_valid_and_the_same_again() {
        let name = |pod_name: &str| of(&write(2), &pod(pod_name), "node").metadata.name.unwrap();
        assert_eq!(name("web"), name("web"));
        let long = format!("{}.{}", "a".repeat(199), "b".repeat(50));
        let name = name(&long);
        assert!(name.len() <= 253 && !name.contains(".."), "{name}");
        let dropped = of_dropped(3, &pod("web"), "node");
        assert_ne!(dropped.metadata.name, of(&write(2), &pod("web"), "node").metadata.name);
        assert!(dropped.note.is_some_and(|note| note.len() <= super::super::limits::NOTE));
    }

    #[test]
    fn an_answer_that_stays_the_same_is_not_asked_for_again() {
        let status = |code| {
            Error::Api(Box::new(kube::core::Status { code, ..kube::core::Status::default() }))
        };
        for code in [400, 403, 404, 422] {
            assert_eq!(never(status(code)).unwrap(), Written::Never);
        }
        for code in [401, 408, 429, 500, 503] {
            assert!(never(status(code)).is_err());
        }
    }
}
