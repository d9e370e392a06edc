//! `lockc-node sync`: watches the cluster's namespaces and keeps their labels in a file on the
//! node; the ConfinementPolicies beside them.
//!
//! A complete list replaces the file; watch events update it. Until the first list, and while the
//! API server is unreachable, the file is unchanged, and containers start with the last known
//! labels.

use std::{collections::BTreeMap, path::PathBuf, pin::pin, time::Duration};

use anyhow::{Result, bail};
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Namespace as Object;
use kube::{
    Api, Client,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use lockc_core::paths;
use lockc_policy::{config::labels::Namespace, with_causes};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

use crate::{cache::Cache, client, policies};

/// Until the API server is asked again.
const RETRY: Duration = Duration::from_secs(30);

/// All of a namespace but its metadata stays with the API server.
type Metadata = PartialObjectMeta<Object>;

const EXAMPLES: &str = "\
Examples:
  lockc-node sync --node worker-1                        in a pod
  lockc-node sync --kubeconfig /etc/kubernetes/kubelet.conf --resync 60";

/// Keeps the namespace labels pod-security.kubernetes.io/enforce in a file, and the
/// ConfinementPolicies that this node accepts in another. The files are unchanged while the API
/// server is unreachable.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The file to write; lockc reads the default only.
    #[arg(long, value_name = "FILE", default_value = paths::NAMESPACES)]
    cache: PathBuf,
    /// The file for the ConfinementPolicies; lockc reads the default only.
    #[arg(long, value_name = "FILE", default_value = paths::CLUSTER_POLICIES)]
    policies: PathBuf,
    /// Does not follow the ConfinementPolicies, and removes this node from their status.
    #[arg(long)]
    no_policies: bool,
    /// This node's name, under which it writes into the status of the ConfinementPolicies; without
    /// it, the status is not written.
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Seconds between complete lists of the objects, at least 1.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 600,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    resync: u64,
    /// Kubeconfig for the API server; default: the pod's service account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// Runs until it is told to stop.
///
/// # Errors
///
/// Where it cannot know whom to ask, or cannot write the file. An API server that does not respond
/// is not an error.
pub fn run(args: &Args) -> Result<()> {
    let (cache, resync) = (&args.cache, Duration::from_secs(args.resync));
    client::run(args.kubeconfig.as_deref(), |client| async move {
        let follower = Follower::new(Cache::new(cache));
        tokio::select! {
            result = follow(client.clone(), follower, resync) => result,
            result = policies(client.clone(), args) => result,
        }
    })
}

/// Follows the policies, or takes back what the node said of them.
async fn policies(client: Client, args: &Args) -> Result<()> {
    if !args.no_policies {
        let files = policies::Files {
            policies: args.policies.clone(),
            config: paths::CONFIG.into(),
            owner: None,
        };
        let resync = Duration::from_secs(args.resync);
        return policies::follow(client, &files, args.node.clone(), resync).await;
    }
    if let Some(node) = &args.node {
        while let Err(error) = policies::withdraw(client.clone(), node.clone()).await {
            warn!("{}; lockc-node tries again", with_causes(&error));
            sleep(RETRY).await;
        }
    }
    std::future::pending().await
}

/// Lists and watches, and lists again after `resync`.
async fn follow(client: Client, mut follower: Follower, resync: Duration) -> Result<()> {
    let api: Api<Metadata> = Api::all(client);
    loop {
        let stream = watcher::watcher(api.clone(), watcher::Config::default()).default_backoff();
        follower.until(pin!(stream), Instant::now() + resync).await?;
    }
}

/// What the watch told so far.
struct Follower {
    cache: Cache,
    /// What stands in the file; nothing before the first list.
    known: Option<BTreeMap<String, Namespace>>,
    /// A list that is coming in.
    listing: BTreeMap<String, Namespace>,
    /// Whether the API server answered the last time.
    reached: Option<bool>,
}

impl Follower {
    fn new(cache: Cache) -> Self {
        Self { cache, known: None, listing: BTreeMap::new(), reached: None }
    }

    /// Follows one stream until a time. While the API server does not answer there is nothing to
    /// list again.
    async fn until(
        &mut self,
        mut stream: impl Stream<Item = watcher::Result<Event<Metadata>>> + Unpin,
        end: Instant,
    ) -> Result<()> {
        loop {
            match timeout_at(end, stream.next()).await {
                Ok(Some(event)) => self.take(event)?,
                Ok(None) => bail!("the watch ended"),
                Err(_) if self.reached == Some(false) => self.take_event_of(&mut stream).await?,
                Err(_) => return Ok(()),
            }
        }
    }

    /// Waits for the stream's own backoff, which a new stream would begin again.
    async fn take_event_of(
        &mut self,
        stream: &mut (impl Stream<Item = watcher::Result<Event<Metadata>>> + Unpin),
    ) -> Result<()> {
        match stream.next().await {
            Some(event) => self.take(event),
            None => bail!("the watch ended"),
        }
    }

    fn take(&mut self, event: watcher::Result<Event<Metadata>>) -> Result<()> {
        match event {
            Err(error) => self.lost(&error),
            Ok(Event::Init) => self.listing.clear(),
            Ok(Event::InitApply(object)) => {
                self.listing.extend(of(object));
            }
            Ok(Event::InitDone) => {
                self.found();
                let listing = std::mem::take(&mut self.listing);
                self.cache.write(&listing, true)?;
                self.known = Some(listing);
            }
            Ok(Event::Apply(object)) => self.change(|known| known.extend(of(object)))?,
            Ok(Event::Delete(object)) => self.change(|known| {
                if let Some((name, _)) = of(object) {
                    known.remove(&name);
                }
            })?,
        }
        Ok(())
    }

    /// The watch tells of changes only after a list.
    fn change(&mut self, change: impl FnOnce(&mut BTreeMap<String, Namespace>)) -> Result<()> {
        self.found();
        if let Some(known) = &mut self.known {
            change(known);
            self.cache.write(known, false)?;
        }
        Ok(())
    }

    fn lost(&mut self, error: &watcher::Error) {
        if self.reached != Some(false) {
            warn!("{error}; the last known labels stay in use, and lockc-node tries again");
        }
        self.reached = Some(false);
    }

    fn found(&mut self) {
        if self.reached != Some(true) {
            info!("the API server responds; watching its namespaces");
        }
        self.reached = Some(true);
    }
}

/// Its name and labels.
fn of(object: Metadata) -> Option<(String, Namespace)> {
    let metadata = object.metadata;
    let labels = metadata.labels.unwrap_or_default();
    Some((metadata.name?, Namespace::new(&labels)))
}

#[cfg(test)]
mod tests {
    use lockc_policy::config::labels::LABEL;
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use futures_util::stream;
    use lockc_policy::config::labels::Labels;

    use super::*;

    fn object(name: &str, enforce: Option<&str>) -> Metadata {
        let labels =
            enforce.map(|enforce| BTreeMap::from([(LABEL.to_owned(), enforce.to_owned())]));
        Metadata {
            metadata: kube::api::ObjectMeta {
                name: Some(name.into()),
                labels,
                ..Default::default()
            },
            ..Metadata::default()
        }
    }

    fn place() -> (tempfile::TempDir, PathBuf, Follower) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("namespaces.json");
        let follower = Follower::new(Cache::new(&path));
        (dir, path, follower)
    }

    fn names(path: &Path) -> Vec<(String, Option<String>)> {
        let labels = Labels::parse(&fs::read_to_string(path).unwrap(), path).unwrap();
        labels.namespaces.into_iter().map(|(name, namespace)| (name, namespace.enforce)).collect()
    }

    #[test]
    fn the_file_stays_until_a_whole_list_is_in() {
        let (_dir, path, mut follower) = place();
        fs::write(&path, "old").unwrap();
        follower.take(Ok(Event::Init)).unwrap();
        follower.take(Ok(Event::InitApply(object("a", Some("baseline"))))).unwrap();
        follower.take(Ok(Event::Apply(object("z", None)))).unwrap();
        follower.take(Err(watcher::Error::NoResourceVersion)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        // The list begins again, and what was in the first part is gone.
        follower.take(Ok(Event::Init)).unwrap();
        follower.take(Ok(Event::InitApply(object("b", None)))).unwrap();
        follower.take(Ok(Event::InitDone)).unwrap();
        assert_eq!(names(&path), [("b".into(), None)]);
        follower.take(Ok(Event::Apply(object("b", Some("restricted"))))).unwrap();
        follower.take(Ok(Event::Apply(object("c", None)))).unwrap();
        assert_eq!(names(&path), [("b".into(), Some("restricted".into())), ("c".into(), None)]);
        follower.take(Ok(Event::Delete(object("b", None)))).unwrap();
        assert_eq!(names(&path), [("c".into(), None)]);
        // The watch fell out of the server's window: nothing is forgotten before the new list is
        // in.
        follower.take(Ok(Event::Init)).unwrap();
        assert_eq!(names(&path), [("c".into(), None)]);
    }

    #[test]
    fn a_stream_is_left_for_another_list_only_while_the_server_answers() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (_dir, _path, mut follower) = place();
            follower.reached = Some(true);
            follower.until(stream::pending(), Instant::now()).await.unwrap();
            follower.reached = Some(false);
            let waiting = follower.until(stream::pending(), Instant::now());
            assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
            assert!(
                follower.until(stream::empty(), Instant::now()).await.is_err(),
                "the watch never ends by itself"
            );
        });
    }
}
