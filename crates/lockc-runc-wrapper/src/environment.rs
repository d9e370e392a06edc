//! What a decision is made with, and what comes of it.

use std::{
    ffi::OsString,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use lockc_core::{
    abi::{ContainerEntry, ENTRY_QUARANTINED},
    maps::NewContainer,
};
use lockc_policy::{
    admission::grants::GrantedFiles,
    config::{CONFIG_PATH, Fail, SyncedFiles},
    decision,
    host::{HostView, privilege::Privilege},
    policy::{Policy, PolicySet},
    with_causes,
};

use crate::{containers::Containers, log};

/// What the flow asks of the kernel side; each call opens the pinned maps again, so that none stays
/// open at exec.
pub trait ContainerRegistry {
    /// Registers and labels this process.
    fn register(&self, new: &NewContainer, grants: GrantedFiles) -> Result<()>;
    /// Labels this process as joining a container.
    fn join(&self, root: &Path, id: &str) -> Result<()>;
    /// The entry of a container, if it is registered.
    fn entry(&self, root: &Path, id: &str) -> Result<Option<ContainerEntry>>;
    /// Lets the container's slot be taken once its last task is gone; only under that generation,
    /// if one is given.
    fn mark_deleting(&self, root: &Path, id: &str, generation: Option<u32>) -> Result<()>;
}

/// Where things are; other places in tests.
pub struct Environment<'a> {
    /// The configuration file.
    pub config: &'a Path,
    /// What is written down of a cluster.
    pub synced: SyncedFiles<'a>,
    /// The directory that a bundle defaults to; empty where that is gone.
    pub directory: &'a Path,
    /// What `--config` names, where only another process could read it.
    pub granted_file: Option<&'a [u8]>,
    /// User that runs the wrapper.
    pub uid: u32,
    /// Whether it is the host's root.
    pub privilege: Privilege,
    /// Whether the engine wants to be notified by the container (`NOTIFY_SOCKET`).
    pub notify: bool,
    /// The kernel side.
    pub kernel: &'a dyn ContainerRegistry,
    /// What the real runtime knows.
    pub containers: &'a dyn Containers,
    /// The host.
    pub view: &'a dyn HostView,
    /// Where refusals are kept for `lockc explain`; nowhere in tests.
    pub refused: Option<&'a Path>,
    /// Finds the real runtime.
    pub find: &'a dyn Fn(&[PathBuf]) -> Result<PathBuf>,
}

/// What is to be marked once the runtime has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// The runtime's state root.
    pub root: PathBuf,
    /// The container.
    pub id: String,
    /// The generation of its entry.
    pub generation: u32,
    /// Whether the runtime has it.
    pub existed: bool,
}

/// What to execute.
#[derive(Debug)]
pub struct Plan {
    /// The runtime.
    pub runtime: PathBuf,
    /// Its arguments, without its name.
    pub args: Vec<OsString>,
    /// What was registered, to be undone if the runtime cannot be executed.
    pub registered: Option<(PathBuf, String)>,
    /// The file that the runtime is to read in place of the one that `file_at` of the invocation
    /// names.
    pub handed: Option<OwnedFd>,
    /// What is to be marked once the runtime has ended.
    pub deletion: Option<Deletion>,
    /// Whether the runtime is to find no container.
    pub empty_root: bool,
}

impl Plan {
    /// Executes a runtime, and nothing else.
    pub fn of(runtime: PathBuf) -> Self {
        Self {
            runtime,
            args: Vec::new(),
            registered: None,
            handed: None,
            deletion: None,
            empty_root: false,
        }
    }
}

/// Why nothing is executed: one line a reason.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal(pub Vec<String>);

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self(vec![with_causes(&error)])
    }
}

/// The policy of a pod's sandbox. Without an entry it was started around lockc, and says nothing.
pub(crate) fn pod_sandbox(
    config: &PolicySet,
    root: &Path,
    id: &str,
    environment: &Environment<'_>,
) -> Result<Option<Policy>> {
    if environment.privilege != Privilege::Root {
        return Ok(None);
    }
    match environment.kernel.entry(root, id) {
        Ok(Some(entry)) if entry.flags & ENTRY_QUARANTINED != 0 => {
            Err(quarantined(id).context("its pod's sandbox cannot be joined"))
        }
        Ok(entry) => entry.map(|entry| decision::registered(config, &entry)).transpose(),
        Err(error) => fail(config, error, "its pod's sandbox cannot be looked up").map(|()| None),
    }
}

/// Why nothing starts in a container.
pub(crate) fn quarantined(id: &str) -> anyhow::Error {
    let short: String = id.chars().take(12).collect();
    anyhow::anyhow!("{short} is under quarantine; `lockc quarantine --release {short}` ends that")
}

/// A path of the engine's.
///
/// # Errors
///
/// Where it is relative to a working directory that is gone.
pub fn absolute(path: &Path, environment: &Environment<'_>) -> Result<PathBuf> {
    let path = environment.directory.join(path);
    if path.is_absolute() {
        return Ok(path);
    }
    bail!(
        "the working directory was deleted, so {:?} cannot be resolved; use an absolute path",
        path.display()
    );
}

/// What `fail` says about a kernel side that does not answer.
pub(crate) fn fail(
    config: &PolicySet,
    error: anyhow::Error,
    consequence: &'static str,
) -> Result<()> {
    match config.settings.fail {
        Fail::Closed => Err(error.context(consequence)),
        Fail::Open => {
            log::warn(&format!(
                "{}; it runs UNCONFINED, because {CONFIG_PATH} has fail = \"open\"",
                with_causes(&error)
            ));
            Ok(())
        }
    }
}
