//! The API server, and how long a command runs that follows it.

use std::{future::Future, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::signal::unix::{SignalKind, signal};

/// Runs what `work` makes of a client until it ends, or this process is told to stop.
///
/// # Errors
///
/// Where it cannot know whom to ask, and those of `work`.
pub fn run<W: Future<Output = Result<()>>>(
    kubeconfig: Option<&Path>,
    work: impl FnOnce(Client) -> W,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let client = Client::try_from(config(kubeconfig).await?)
            .context("the API server's address is invalid")?;
        tokio::select! {
            result = work(client) => result,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        }
    })
}

async fn config(kubeconfig: Option<&Path>) -> Result<Config> {
    let mut config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).with_context(|| path.display().to_string())?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?
        }
        None => Config::incluster().context("not running in a pod; pass --kubeconfig FILE")?,
    };
    // A watch is never silent that long: the API server ends it before.
    config.read_timeout = Some(Duration::from_secs(330));
    Ok(config)
}
