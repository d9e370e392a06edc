//! `lockc-node`: what a Kubernetes node needs beyond `lockc` itself. A program of its own, so that
//! hosts without Kubernetes carry neither client nor TLS.

mod cache;
mod install;
mod sync;

use std::{io, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{Parser, Subcommand};
use lockc_core::paths;
use lockc_policy::with_causes;

/// Installs lockc on a Kubernetes node, and keeps the node's copy of what the cluster says of its
/// namespaces.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes:\n  0  done\n  1  an error, said on standard error\n  2  the command \
                  line is wrong"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes down the namespaces' labels pod-security.kubernetes.io/enforce, from now on and for
    /// good. While the API server is out of reach the file stays as it is.
    #[command(after_help = "Examples:\n  lockc-node sync                                        \
                            in a pod\n  lockc-node sync --kubeconfig \
                            /etc/kubernetes/kubelet.conf --resync 60")]
    Sync {
        /// The file to write; lockc reads the default only.
        #[arg(long, value_name = "FILE", default_value = paths::NAMESPACES)]
        cache: PathBuf,
        /// Seconds after which all namespaces are listed anew, from 1.
        #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
        resync: u64,
        /// How to reach the API server; without it: as a pod.
        #[arg(long, value_name = "FILE")]
        kubeconfig: Option<PathBuf>,
    },
    /// Copies the programs to the node, loads them now and at boot, and makes lockc a runtime of
    /// its containerd.
    #[command(after_help = "Examples:\n  lockc-node install --host-root /host\n  lockc-node \
                            install --host-root /host --level restricted --level baseline \
                            --restart")]
    Install(install::Args),
    /// Takes back what `install` did, but for the programs, which running containers need until
    /// they are gone.
    #[command(after_help = "Examples:\n  lockc-node uninstall --host-root /host\n  lockc-node \
                            uninstall --host-root /host --purge     on a node without containers \
                            under lockc")]
    Uninstall(install::UninstallArgs),
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).with_target(false).init();
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lockc-node: {}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Sync { cache, resync, kubeconfig } => {
            sync::run(&cache, Duration::from_secs(resync), kubeconfig.as_deref())
        }
        Command::Install(args) => install::install(&args),
        Command::Uninstall(args) => install::uninstall(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_show_commands_that_exist() {
        lockc_pages::check_commands::<Cli>("lockc-node");
    }
}
