//! The node's label `lockc.org/ready` and its condition `LockcReady`.

use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Node, NodeCondition},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use lockc_bpf::{handlers::Handler, status::Status};
use serde_json::json;

/// The label, by which RuntimeClasses select nodes.
pub const LABEL: &str = "lockc.org/ready";
/// The condition.
const CONDITION: &str = "LockcReady";
/// The handler of lockc's that every installation has.
const HANDLER: &str = "lockc";
/// Until a condition that is still true is written again.
const HEARTBEAT: Duration = Duration::from_secs(300);
/// Looks in a row that must find the same before the node stops being ready: `lockc load` replaces
/// the programs one by one.
const LOOKS: u32 = 2;

/// Whether pods can be confined here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Whether they can.
    pub is_ready: bool,
    /// In one word.
    pub reason: &'static str,
    /// In a sentence.
    pub message: String,
}

/// Derives it from what is loaded, what is installed, and the handlers that the engine has as far
/// as the kubelet told the API server (since Kubernetes 1.30).
pub fn assess(
    status: &Result<Status>,
    recorded: &Result<Handler>,
    handlers: &[String],
) -> Readiness {
    let not = |reason, message| Readiness { is_ready: false, reason, message };
    let status = match status {
        Ok(status) => status,
        Err(error) => {
            return not("Unknown", format!("the loaded programs cannot be read: {error:#}"));
        }
    };
    if !status.enforcing {
        let (missing, total) = (status.missing.len(), status.missing.len() + status.attached.len());
        return match status.version.is_some() && !status.attached.is_empty() {
            true => not(
                "ProgramsMissing",
                format!("{missing} of {total} programs are not attached, or of another version"),
            ),
            false => not("ProgramsNotLoaded", "lockc's programs are not loaded".into()),
        };
    }
    let missing = |message: &str| not("HandlerMissing", message.into());
    match recorded {
        Ok(Handler::NameKept) => {
            return missing("`lockc uninstall --keep-name` left the handler to another runtime");
        }
        Ok(Handler::Unrecorded) if handlers.is_empty() => {
            return missing("lockc is not installed as a handler of the container engine");
        }
        Err(error) if handlers.is_empty() => {
            return not("Unknown", format!("the installed handler cannot be read: {error:#}"));
        }
        _ => {}
    }
    if !handlers.is_empty() && !handlers.iter().any(|name| name == HANDLER) {
        return missing("the container engine has no handler lockc");
    }
    Readiness {
        is_ready: true,
        reason: "Enforcing",
        message: format!("{} programs are attached", status.attached.len()),
    }
}

/// Readiness over time.
#[derive(Debug, Default)]
pub struct Steady {
    told: Option<Readiness>,
    failed: u32,
}

impl Steady {
    /// What is to be told after this look.
    pub fn after(&mut self, look: Readiness) -> Readiness {
        self.failed = if look.is_ready { 0 } else { self.failed + 1 };
        let before = self.told.take().filter(|before| before.is_ready && self.failed < LOOKS);
        let told = if look.is_ready { look } else { before.unwrap_or(look) };
        self.told.insert(told).clone()
    }
}

/// The node as the API server has it.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Its uid.
    pub uid: Option<String>,
    /// The engine's handlers, where the kubelet tells.
    pub handlers: Vec<String>,
    label: Option<String>,
    condition: Option<NodeCondition>,
}

/// Reads it.
///
/// # Errors
///
/// Where the API server does not answer, or has no such node.
pub async fn read(client: &Client, name: &str) -> Result<Told> {
    let node = Api::<Node>::all(client.clone()).get(name).await;
    Ok(told(node.context("the node cannot be read from the API server")?))
}

fn told(node: Node) -> Told {
    let status = node.status.unwrap_or_default();
    let handlers = status.runtime_handlers.unwrap_or_default().into_iter();
    let mut conditions = status.conditions.unwrap_or_default().into_iter();
    Told {
        uid: node.metadata.uid,
        handlers: handlers.filter_map(|handler| handler.name).filter(|it| !it.is_empty()).collect(),
        label: node.metadata.labels.and_then(|mut labels| labels.remove(LABEL)),
        condition: conditions.find(|condition| condition.type_ == CONDITION),
    }
}

/// What has to change: the label, and the condition.
fn changes(
    told: &Told,
    readiness: &Readiness,
    now: Timestamp,
) -> (Option<&'static str>, Option<NodeCondition>) {
    let label = if readiness.is_ready { "true" } else { "false" };
    let label = (told.label.as_deref() != Some(label)).then_some(label);
    let status = if readiness.is_ready { "True" } else { "False" };
    let before = told.condition.as_ref();
    let since = before
        .filter(|before| before.status == status)
        .and_then(|before| before.last_transition_time.clone());
    let is_same = before.is_some_and(|before| {
        let beat = before.last_heartbeat_time.as_ref().map(|time| now.duration_since(time.0));
        before.status == status
            && before.reason.as_deref() == Some(readiness.reason)
            && before.message.as_ref() == Some(&readiness.message)
            && beat.is_some_and(|ago| ago.unsigned_abs() < HEARTBEAT)
    });
    let condition = (!is_same).then(|| NodeCondition {
        type_: CONDITION.into(),
        status: status.into(),
        reason: Some(readiness.reason.into()),
        message: Some(readiness.message.clone()),
        last_heartbeat_time: Some(Time(now)),
        last_transition_time: Some(since.unwrap_or(Time(now))),
    });
    (label, condition)
}

/// Tells the API server what it does not know yet. Whether there was something.
///
/// # Errors
///
/// Where it does not answer, or refuses.
pub async fn tell(
    client: &Client,
    name: &str,
    told: &mut Told,
    readiness: &Readiness,
) -> Result<bool> {
    let api: Api<Node> = Api::all(client.clone());
    let (label, condition) = changes(told, readiness, Timestamp::now());
    if let Some(condition) = &condition {
        let patch = json!({ "status": { "conditions": [condition] } });
        api.patch_status(name, &PatchParams::default(), &Patch::Strategic(patch))
            .await
            .context("the node's condition cannot be written")?;
        told.condition = Some(condition.clone());
    }
    if let Some(label) = label {
        let patch = json!({ "metadata": { "labels": { LABEL: label } } });
        api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .context("the node's label cannot be written")?;
        told.label = Some(label.to_owned());
    }
    Ok(label.is_some() || condition.is_some())
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
