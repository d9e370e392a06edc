//! The reporter: looks at the node every few seconds, and tells the API server what is new.

use std::{
    future::Future,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use k8s_openapi::api::events::v1::Event;
use kube::Client;
use lockc_bpf::{handlers, status};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use super::{
    aggregate::{Aggregate, Dropped},
    events::{self, Written},
    finding::PodKey,
    health::Health,
    host::Host,
    node::{self, Steady, Told},
    pods::Pods,
    reports::{self, Reports},
};

/// How often this process looks for what is new.
const LOOK: Duration = Duration::from_secs(5);
/// How many looks apart the node is read from the API server.
const NODE: u32 = 12;
/// How long the API server may take for an answer.
const ANSWER: Duration = Duration::from_secs(30);

/// What went wrong the last time, so that it is said once.
#[derive(Default)]
struct Trouble(Option<String>);

impl Trouble {
    fn with(&mut self, what: &str, result: Result<()>) {
        let error = result.err().map(|error| format!("{error:#}"));
        match &error {
            Some(error) if self.0.as_ref() != Some(error) => warn!("{what}: {error}"),
            None if self.0.is_some() => info!("{what}: it works again"),
            _ => {}
        }
        self.0 = error;
    }
}

/// The reporter of a node.
pub struct Reporter {
    client: Client,
    node: String,
    pods: Pods,
    host: Host,
    health: Health,
    events: Aggregate,
    reports: Reports,
    dropped: Dropped,
    steady: Steady,
    told: Option<Told>,
    looks: u32,
    troubles: [Trouble; 5],
}

impl Reporter {
    /// Before its first look.
    pub fn new(client: Client, node: &str, pods: Pods, health: Health) -> Self {
        Self {
            reports: Reports::new(client.clone(), node),
            client,
            node: node.into(),
            pods,
            host: Host::new(),
            health,
            events: Aggregate::new(Instant::now()),
            dropped: Dropped::default(),
            steady: Steady::default(),
            told: None,
            looks: 0,
            troubles: Default::default(),
        }
    }

    /// Looks again and again.
    ///
    /// # Errors
    ///
    /// None: what goes wrong is logged, and tried again.
    pub async fn run(mut self) -> Result<()> {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.look().await;
        }
    }

    async fn look(&mut self) {
        let ready = self.readiness().await;
        self.troubles[0].with("the node", ready);
        self.gather();
        let written = self.write_events().await;
        self.troubles[1].with("Events", written);
        let reported = self.write_reports().await;
        self.troubles[4].with("reports", reported);
        self.health.looked(Instant::now(), self.dropped);
        self.looks = self.looks.wrapping_add(1);
    }

    /// Tells whether the node is ready, if the API server does not know that.
    async fn readiness(&mut self) -> Result<()> {
        let is_due = self.looks.is_multiple_of(NODE) || self.told.is_none();
        let read = match is_due {
            true => Some(answer(node::read(&self.client, &self.node)).await),
            false => None,
        };
        // What was read before holds, until the API server says otherwise.
        let (read, error) = match read {
            Some(Ok(told)) => (Some(told), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        self.told = read.or(self.told.take());
        let known = self.told.as_ref().map(|told| told.handlers.clone()).unwrap_or_default();
        let recorded = handlers::of_kubernetes(Path::new("/"));
        let look = node::assess(&status::gather(), &recorded, &known);
        let readiness = self.steady.after(look);
        if let Some(error) = error {
            return Err(error);
        }
        if let Some(told) = &mut self.told {
            let was_told = answer(node::tell(&self.client, &self.node, told, &readiness)).await?;
            if was_told {
                info!("{}: {} ({})", self.node, readiness.message, readiness.reason);
            }
            self.health.told();
        }
        Ok(())
    }

    /// Takes in what happened on the node.
    fn gather(&mut self) {
        let now = Instant::now();
        let mut found = Vec::new();
        let denials = self.host.denials().map(|denials| found.extend(denials));
        self.troubles[2].with("the record of denials", denials);
        let refusals = self.host.refusals().map(|refusals| found.extend(refusals));
        self.troubles[3].with("refusals", refusals);
        for (finding, is_old) in found {
            self.events.add(finding, is_old, now);
        }
        self.events.retain(|pod| self.pods.find(pod).is_some(), now);
        let dropped = self.events.dropped();
        if dropped != self.dropped {
            warn!(
                "denials and refusals without an Event so far: {} whose pods have many others, {} \
                 whose pods are not on this node",
                dropped.too_many, dropped.without_pod
            );
        }
        self.dropped = dropped;
    }

    async fn write_events(&mut self) -> Result<()> {
        let now = Instant::now();
        let is_here = |pod: &PodKey| self.pods.find(pod).is_some();
        let mut failed = None;
        for write in self.events.due(is_here, now) {
            let Some(pod) = self.pods.find(&write.finding.pod) else { continue };
            let event = events::of(&write, &pod, &self.node);
            // The others of this round come in the next one.
            if failed.is_none() {
                failed = self.write(&event).await.err();
            }
            if failed.is_some() {
                self.events.failed(&write);
            }
        }
        for (pod, count) in self.events.beyond(is_here, now) {
            let Some(pod) = self.pods.find(&pod) else { continue };
            self.write(&events::of_dropped(count, &pod, &self.node)).await?;
        }
        failed.map_or(Ok(()), Err)
    }

    async fn write(&self, event: &Event) -> Result<Written> {
        let written = answer(async { Ok(events::write(&self.client, event).await?) }).await;
        self.health.wrote(matches!(written, Ok(Written::Yes)));
        written
    }

    /// Writes the reports, once the node's uid is known: it is their owner.
    async fn write_reports(&mut self) -> Result<()> {
        let Some(uid) = self.told.as_ref().and_then(|told| told.uid.clone()) else {
            return Ok(());
        };
        let reports = reports::gather(self.events.all(), |pod| self.pods.find(pod));
        answer(self.reports.write(&reports, &uid, Instant::now())).await
    }
}

/// An answer of the API server, within reasonable time.
async fn answer<T>(request: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(ANSWER, request).await.context("the API server does not answer")?
}
