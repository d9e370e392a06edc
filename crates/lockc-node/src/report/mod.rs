//! `lockc-node report`: tells the cluster what lockc does on this node. Denials and refusals become
//! Events on their pods, and results of reports; whether pods can be confined here becomes a label
//! and a condition of the node. Probes and metrics are served by HTTP.
//!
//! Only pinned maps and files are read, and the record keeps what it has. Nothing is written down:
//! the name of an Event follows from what it is about, so that a process that starts again goes on
//! with the Events of the one before.

mod aggregate;
mod events;
mod finding;
mod health;
mod host;
mod limits;
mod node;
mod pods;
mod reporter;
mod reports;
mod serve;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Instant,
};

use anyhow::Result;
use futures_util::future::try_join_all;
use lockc_bpf::metrics;

use crate::client;
use health::Health;
use pods::Pods;
use reporter::Reporter;
use serve::{Site, serve};

const EXAMPLES: &str = "\
Examples:
  lockc-node report --node worker-1                      in a pod
  lockc-node report --node worker-1 --kubeconfig /etc/kubernetes/kubelet.conf";

/// Reports to the API server: denials and refusals as Events on their pods and in a report for each
/// namespace, and whether lockc is ready as the node's label lockc.org/ready and condition
/// LockcReady. Reading takes nothing out of the record.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The name of this node.
    #[arg(long, value_name = "NAME")]
    node: String,
    /// Address on which /healthz, /readyz and /metrics are served; may be repeated.
    #[arg(long = "address", value_name = "IP", default_value = "127.0.0.1")]
    addresses: Vec<IpAddr>,
    /// The port of these addresses.
    #[arg(long, value_name = "PORT", default_value_t = 9473)]
    port: u16,
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
        let (pods, health) = (Pods::default(), Health::new(Instant::now()));
        let site = Site {
            health: health.clone(),
            metrics: metrics::render,
            content_type: metrics::CONTENT_TYPE,
        };
        let reporter = Reporter::new(client.clone(), &args.node, pods.clone(), health);
        let served = args
            .addresses
            .iter()
            .map(|address| serve(SocketAddr::new(*address, args.port), site.clone()));
        tokio::try_join!(pods.follow(client, &args.node), reporter.run(), try_join_all(served))?;
        Ok(())
    })
}
