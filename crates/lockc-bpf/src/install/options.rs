//! Options of both `lockc install` and `lockc uninstall`.

use std::path::PathBuf;

use super::engine::Engine;

/// Options that both have.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// The engine
    #[arg(value_enum)]
    pub engine: Engine,
    /// Prints the diff, writes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Makes the engine read its configuration: reloads Docker, restarts containerd and CRI-O;
    /// containers keep running
    #[arg(long)]
    pub restart: bool,
    /// Configuration file, if not the default one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Mount point of the host's root, for an installer in a container
    #[arg(long, value_name = "DIRECTORY", default_value = "/")]
    pub root: PathBuf,
    /// JSON output
    #[arg(long)]
    pub json: bool,
}

/// What `lockc uninstall` leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Nothing: it stops where a container depends on lockc.
    Nothing,
    /// Containers that do not start again.
    Containers,
    /// The runtimes' names, which lead to another runtime.
    Names,
}
