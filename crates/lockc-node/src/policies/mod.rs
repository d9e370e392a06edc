//! `lockc-node sync`: watches the cluster's ConfinementPolicies and keeps those that this node
//! accepts in a file on the node.
//!
//! A complete list decides which objects there are; watch events change that. Until the first list,
//! and while the API server is unreachable, the file is unchanged.

mod decide;
mod object;
mod status;
mod store;

use std::{collections::BTreeMap, path::PathBuf, pin::pin, time::Duration};

use anyhow::{Result, bail};
use futures_util::StreamExt as _;
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use lockc_policy::{config::cluster::KIND, host::Host, with_causes};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use decide::decide;
use object::{Object, PLURAL, Verdict, of, resource};
use status::Writer;
use store::Store;

/// A server that starts may not know its CRDs yet. After that time it knows that there is none.
const ABSENT: Duration = Duration::from_secs(120);

/// After a status that the API server did not take.
const RETRY: Duration = Duration::from_secs(10);

/// Where things are on the node.
pub struct Files {
    /// The policies.
    pub policies: PathBuf,
    /// The configuration.
    pub config: PathBuf,
    /// Whose files are trusted, instead of root's: for tests.
    pub owner: Option<u32>,
}

impl Files {
    fn view(&self) -> Host {
        self.owner.map_or_else(Host::default, Host::owned_by)
    }
}

/// Lists and watches, and lists again after `resync`. Without a node's name no status is written.
///
/// # Errors
///
/// Where the file cannot be written.
pub async fn follow(
    client: Client,
    files: &Files,
    node: Option<String>,
    resync: Duration,
) -> Result<()> {
    let mut follower = Follower::new(files);
    let writer = node.map(|node| Writer::new(client.clone(), node));
    let api: Api<DynamicObject> = Api::all_with(client, &resource());
    loop {
        let stream = watcher::watcher(api.clone(), watcher::Config::default()).default_backoff();
        let mut stream = pin!(stream);
        let end = Instant::now() + resync;
        let mut report: Option<Instant> = None;
        loop {
            let wake = report.map_or(end, |at| at.min(end));
            tokio::select! {
                event = stream.next() => {
                    let Some(event) = event else { bail!("the watch ended") };
                    if follower.take(event)? && report.is_none() {
                        report = writer.as_ref().map(|writer| Instant::now() + writer.delay());
                    }
                }
                // While the API server does not answer, the stream's own backoff holds.
                () = sleep_until(wake), if report.is_some() || follower.reached != Some(false) => {
                    if report.is_some_and(|at| at <= Instant::now()) {
                        report = follower.report(writer.as_ref()).await;
                    } else if Instant::now() >= end {
                        break;
                    }
                }
            }
        }
    }
}

/// Removes what this node said of the policies.
///
/// # Errors
///
/// Where the API server does not answer, or does not take it.
pub async fn withdraw(client: Client, node: String) -> Result<()> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource());
    match api.list(&ListParams::default()).await {
        Ok(list) => {
            let objects = list.items.into_iter().filter_map(of).collect();
            Writer::new(client, node).withdraw(&objects).await
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What the watch told so far.
struct Follower<'a> {
    store: Store,
    files: &'a Files,
    /// Nothing before the first list.
    objects: Option<BTreeMap<String, Object>>,
    /// A list that is coming in.
    listing: BTreeMap<String, Object>,
    verdicts: BTreeMap<String, Verdict>,
    /// Whether a list came in since entries of other nodes were looked at.
    is_listed: bool,
    /// Whether the API server answered the last time.
    reached: Option<bool>,
    /// Since when it answers that there is no such resource.
    absent: Option<Instant>,
    /// Whether a status was not taken the last time.
    is_untold: bool,
}

impl<'a> Follower<'a> {
    fn new(files: &'a Files) -> Self {
        Self {
            store: Store::open(&files.policies, &files.view()),
            files,
            objects: None,
            listing: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            is_listed: false,
            reached: None,
            absent: None,
            is_untold: false,
        }
    }

    /// True if there is something to say of the policies.
    fn take(&mut self, event: watcher::Result<Event<DynamicObject>>) -> Result<bool> {
        match event {
            Err(error) => return self.lost(&error),
            Ok(Event::Init) => {
                self.listing.clear();
                return Ok(false);
            }
            Ok(Event::InitApply(object)) => {
                self.listing.extend(of(object));
                return Ok(false);
            }
            Ok(Event::InitDone) => {
                self.objects = Some(std::mem::take(&mut self.listing));
                self.is_listed = true;
            }
            Ok(Event::Apply(object)) => {
                let (Some(known), Some((name, object))) = (&mut self.objects, of(object)) else {
                    return Ok(false);
                };
                let is_same = known.get(&name).is_some_and(|other| other.is_same(&object));
                known.insert(name, object);
                if is_same {
                    // Only a status, of which each node writes one.
                    return Ok(true);
                }
            }
            Ok(Event::Delete(object)) => {
                if let (Some(known), Some((name, object))) = (&mut self.objects, of(object))
                    // Another one of that name may have come already.
                    && known.get(&name).is_some_and(|other| other.uid == object.uid)
                {
                    known.remove(&name);
                }
            }
        }
        self.found();
        self.settle()
    }

    /// Decides about every object. The configuration is read each time: it may have changed.
    fn settle(&mut self) -> Result<bool> {
        let Some(objects) = &self.objects else { return Ok(false) };
        let view = self.files.view();
        if self.is_listed {
            self.store.look(&view);
        }
        let config = store::config(&self.files.config, &view);
        let (policies, verdicts) = decide(&config, objects, self.store.kept());
        let changed = self.store.write(&policies)?;
        for (name, verdict) in &verdicts {
            if self.verdicts.get(name) != Some(verdict) {
                let generation = verdict.observed_generation;
                match verdict.ready {
                    true => info!("{KIND} {name}, generation {generation}: ready"),
                    false => {
                        warn!("{KIND} {name}, generation {generation}: {}", verdict.message);
                    }
                }
            }
        }
        let changed = changed || self.is_listed || verdicts != self.verdicts;
        self.verdicts = verdicts;
        Ok(changed)
    }

    /// Tells the API server; when to try again, if it did not take it.
    async fn report(&mut self, writer: Option<&Writer>) -> Option<Instant> {
        let (writer, objects) = (writer?, self.objects.as_mut()?);
        let told = writer.write(objects, &self.verdicts).await;
        if told.is_ok() && std::mem::take(&mut self.is_listed) {
            // Tried again after the next list.
            if let Err(error) = writer.tidy(objects).await {
                warn!("entries of nodes that are gone stay: {}", with_causes(&error));
            }
        }
        let Err(error) = told else {
            self.is_untold = false;
            return None;
        };
        if !self.is_untold {
            warn!("{}; the status is written later", with_causes(&error));
        }
        self.is_untold = true;
        Some(Instant::now() + RETRY)
    }

    /// The file stays; but where the server answers for a while that there is no CRD, no object of
    /// it is left.
    fn lost(&mut self, error: &watcher::Error) -> Result<bool> {
        let was_reached = self.reached.replace(false);
        if !is_absent(error) {
            self.absent = None;
            if was_reached != Some(false) {
                warn!("{error}; the policies that this node accepted stay in use");
            }
            return Ok(false);
        }
        match self.absent {
            None => {
                info!("the cluster has no CRD of {KIND}; lockc-node looks again");
                self.absent = Some(Instant::now());
            }
            Some(since) if since.elapsed() >= ABSENT => {
                self.objects = Some(BTreeMap::new());
                return self.settle();
            }
            Some(_) => {}
        }
        Ok(false)
    }

    fn found(&mut self) {
        if self.reached.replace(true) != Some(true) {
            info!("the API server responds; watching its {PLURAL}");
        }
        self.absent = None;
    }
}

/// Whether the API server says that it has no such resource.
fn is_absent(error: &watcher::Error) -> bool {
    let error = match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => error,
        _ => return false,
    };
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
