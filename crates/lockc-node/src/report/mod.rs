//! `lockc-node report`: tells the cluster what lockc does on this node. Denials and refusals become
//! Events on their pods; whether pods can be confined here becomes a label and a condition of the
//! node.
//!
//! Only pinned maps and files are read, and the record keeps what it has. Nothing is written down:
//! the name of an Event follows from what it is about, so that a process that starts again goes on
//! with the Events of the one before.

mod aggregate;
mod events;
mod finding;
mod host;
mod limits;
mod node;
mod pods;

use std::{
    future::Future,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use kube::Client;
use lockc_bpf::{handlers, status};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use crate::client;
use aggregate::{Aggregate, Dropped};
use events::Written;
use host::Host;
use node::{Steady, Told};
use pods::Pods;

/// How often this process looks for what is new.
const LOOK: Duration = Duration::from_secs(5);
/// How many looks apart the node is read from the API server.
const NODE: u32 = 12;
/// How long the API server may take for an answer.
const ANSWER: Duration = Duration::from_secs(30);

const EXAMPLES: &str = "\
Examples:
  lockc-node report --node worker-1                      in a pod
  lockc-node report --node worker-1 --kubeconfig /etc/kubernetes/kubelet.conf";

/// Reports to the API server: denials and refusals as Events on their pods, and whether lockc is
/// ready as the node's label lockc.org/ready and condition LockcReady. Reading takes nothing out of
/// the record.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The name of this node.
    #[arg(long, value_name = "NAME")]
    node: String,
    /// Kubeconfig for the API server; default: the pod's service account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// Runs until it is told to stop.
///
/// # Errors
///
/// Where it cannot know whom to ask. An API server that does not respond is not an error, and
/// programs that are not loaded are what it reports.
pub fn run(args: &Args) -> Result<()> {
    client::run(args.kubeconfig.as_deref(), |client| async move {
        let pods = Pods::default();
        let reporter = Reporter::new(client.clone(), &args.node, pods.clone());
        tokio::try_join!(pods.follow(client, &args.node), reporter.run())?;
        Ok(())
    })
}

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

struct Reporter {
    client: Client,
    node: String,
    pods: Pods,
    host: Host,
    events: Aggregate,
    dropped: Dropped,
    steady: Steady,
    told: Option<Told>,
    looks: u32,
    troubles: [Trouble; 4],
}

impl Reporter {
    fn new(client: Client, node: &str, pods: Pods) -> Self {
        Self {
            client,
            node: node.into(),
            pods,
            host: Host::new(),
            events: Aggregate::new(Instant::now()),
            dropped: Dropped::default(),
            steady: Steady::default(),
            told: None,
            looks: 0,
            troubles: Default::default(),
        }
    }

    async fn run(mut self) -> Result<()> {
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
        let is_here = |pod: &finding::PodKey| self.pods.find(pod).is_some();
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

    async fn write(&self, event: &k8s_openapi::api::events::v1::Event) -> Result<Written> {
        answer(async { Ok(events::write(&self.client, event).await?) }).await
    }
}

/// An answer of the API server, within reasonable time.
async fn answer<T>(request: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(ANSWER, request).await.context("the API server does not answer")?
}
