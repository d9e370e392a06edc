//! A command line that was read.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::PathBuf,
};

/// The command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// `--lockc-policy`.
    pub policy: Option<String>,
    /// `--lockc-runtime`.
    pub runtime: Option<PathBuf>,
    /// Everything for the runtime: the arguments without lockc's own.
    pub passed: Vec<OsString>,
    /// `--root`.
    pub root: Option<PathBuf>,
    /// Where in `passed` that stands.
    pub root_at: Option<At>,
    /// Where in `passed` the file of `exec --process` or of crun's `--config` is named.
    pub file_at: Option<At>,
    /// `--log`.
    pub log: Option<OsString>,
    /// `--log-format`.
    pub log_format: Option<OsString>,
    /// What to do.
    pub call: Call,
}

/// What the engine wants done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Call {
    /// Nothing that concerns lockc.
    #[default]
    Other,
    /// `--lockc-help`.
    Help,
    /// `--lockc-version`.
    Version,
    /// `create`, `run`, `restore`.
    Create(Create),
    /// `exec`.
    Exec(Exec),
    /// `start`; the id where it is clear which one is meant.
    Start(Option<String>),
    /// `delete`; the id where it is clear which one is meant.
    Delete(Option<String>),
    /// `checkpoint`.
    Checkpoint(Checkpoint),
    /// `update`.
    Update(Update),
    /// crun's `mounts`: the container.
    Mounts(String),
}

/// A container of which CRIU makes an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// `--image-path`.
    pub image: Option<PathBuf>,
    /// `--work-path`.
    pub work: Option<PathBuf>,
    /// `--parent-path`, below the image's.
    pub parent: Option<PathBuf>,
    /// The container.
    pub id: String,
}

/// A container whose limits change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// `--resources`.
    pub resources: Option<PathBuf>,
    /// Whether it gets a share of the host's caches or memory bandwidth.
    pub intel_rdt: bool,
    /// The container.
    pub id: String,
}

/// A container to be started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Create {
    /// From a checkpoint.
    pub restore: bool,
    /// `--bundle`; the working directory if absent.
    pub bundle: Option<PathBuf>,
    /// crun's `--config`.
    pub config: Option<PathBuf>,
    /// The container.
    pub id: String,
}

/// A process to join a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// `--process`.
    pub process: Option<PathBuf>,
    /// `--cap`.
    pub caps: Vec<String>,
    /// `--user`.
    pub user: Option<String>,
    /// `--apparmor`.
    pub apparmor: Option<String>,
    /// `--process-label`.
    pub label: Option<String>,
    /// `--no-new-privs`, where it is given.
    pub no_new_privs: Option<bool>,
    /// `--cgroup`, below the container's.
    pub cgroup: Option<String>,
    /// The container.
    pub id: String,
}

/// A command line that cannot be read in one way only; the sentence is for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmbiguousArgs(pub String);

impl std::fmt::Display for AmbiguousArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AmbiguousArgs {}

/// Where in a command line the value of an option stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Which argument.
    pub index: usize,
    /// From which byte of it on.
    pub start: usize,
}

impl At {
    /// Puts another value there.
    pub fn put(self, args: &mut [OsString], value: &OsStr) {
        if let Some(arg) = args.get_mut(self.index) {
            let mut bytes = arg.as_bytes().get(..self.start).unwrap_or_default().to_vec();
            bytes.extend_from_slice(value.as_bytes());
            *arg = OsString::from_vec(bytes);
        }
    }
}

/// The error for an option in no table.
pub(crate) fn unclear(arg: &OsStr, args: &[OsString]) -> AmbiguousArgs {
    let before = if args.is_empty() { "" } else { " before the subcommand" };
    AmbiguousArgs(format!(
        "unknown option {arg:?}{before}: lockc does not know whether it takes a value, so the \
         container is not started; write --option=value, or remove it"
    ))
}
