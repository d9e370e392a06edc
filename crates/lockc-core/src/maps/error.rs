//! Why a container could not be registered. Each message ends with what the operator can do.

use std::{io, path::PathBuf};

use aya::maps::MapError;
use thiserror::Error;

use crate::paths;

/// Why the registry could not do what it was asked for. Every one of them means: the container does
/// not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A map or link is not pinned.
    #[error(
        "lockc's programs are not loaded ({path} is missing); run `lockc load`, and `lockc \
         doctor` if that fails"
    )]
    NotLoaded {
        /// The pin.
        path: PathBuf,
    },
    /// Only root may see what is pinned.
    #[error("only root may read {path}, so it is not known what is loaded; run this as root")]
    NotRoot {
        /// The pin.
        path: PathBuf,
    },
    /// The loader was killed before everything was attached.
    #[error(
        "only part of lockc's programs is loaded, because `lockc load` was interrupted; run it \
         again"
    )]
    HalfLoaded,
    /// Another version of the programs.
    #[error(
        "the loaded programs have ABI version {found}, this program has {wanted}; install all \
         parts of lockc from one release and run `lockc load`"
    )]
    Abi {
        /// Version in the pinned map.
        found: u32,
        /// [`ABI_VERSION`](crate::abi::ABI_VERSION).
        wanted: u32,
    },
    /// A pinned map could not be opened, read or written.
    #[error("{action} the pinned map {}/{map} failed: {source}; run `lockc doctor`", paths::MAPS)]
    Map {
        /// What was tried.
        action: &'static str,
        /// Name of the map.
        map: &'static str,
        /// Why it failed.
        source: MapError,
    },
    /// The label could not be read or written.
    #[error(
        "the label of this process could not be {action}: {source}; lockc must run as root in the \
         host's PID namespace"
    )]
    Label {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The programs are pinned but did not do their part.
    #[error("lockc's programs are pinned but do not respond; run `lockc unload` and `lockc load`")]
    NotAnswering,
    /// An overlayfs is not made of what its options name.
    #[error(
        "the layers of the overlay {path} are not the directories that its options name: one of \
         them was replaced after the mount; mount the overlay again"
    )]
    OtherLayers {
        /// Where it is mounted.
        path: PathBuf,
    },
    /// Nothing tells of what an overlayfs is made.
    #[error(
        "{path} is an overlay or part of one, and lockc cannot read the layers of an overlay on \
         this kernel; run `modprobe overlay` and `lockc load`, or use a volume on the engine's own \
         disk"
    )]
    LayersUntold {
        /// The directory.
        path: PathBuf,
    },
    /// No container of that id.
    #[error(
        "container {id} is not registered with lockc: it was created by another runtime or before \
         `lockc load`; create it again under the lockc runtime"
    )]
    NotRegistered {
        /// The id.
        id: String,
    },
    /// No rule reaches its processes, or it stands for the processes of many.
    #[error(
        "what holds for {id} cannot be changed: it runs on a kernel of its own, or stands for the \
         containers of guarded runtimes"
    )]
    Unreachable {
        /// The id.
        id: String,
    },
    /// A live container has that id.
    #[error("a container with the id {id} is registered and has live processes; delete it first")]
    AlreadyRegistered {
        /// The id.
        id: String,
    },
    /// Every slot is taken.
    #[error(
        "all {} container slots are taken by containers with live processes; delete some of them \
         (`lockc status` lists them)",
        crate::abi::MAX_CONTAINERS
    )]
    Full,
    /// Every number of a set of what may be read is used up.
    #[error(
        "the pinned map reads is full; run `lockc unload` and `lockc load` when no container runs"
    )]
    NoReads,
    /// A root or a volume that is the root directory of this process.
    #[error(
        "{path} is the root directory of the host, and granting it would grant every file; mount \
         the directories that the container needs, or use the privileged level"
    )]
    OwnRoot {
        /// The path.
        path: PathBuf,
    },
    /// The map `grants` or `tags` is full, or the kernel has no memory.
    #[error(
        "lockc's maps have no room for the container's grants; delete containers (`lockc status` \
         lists them)"
    )]
    NoRoom,
    /// A path that is to be granted could not be opened.
    #[error("cannot open {path} to grant it to the container: {source}")]
    Identity {
        /// The path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// More names than the kernel side compares.
    #[error(
        "{path}: allowed_sockets has more than {} entries for this directory; use `*` to name \
         several sockets in one entry",
        crate::abi::SOCKET_NAMES
    )]
    SocketNames {
        /// The entry.
        path: PathBuf,
    },
    /// The lock or the table of mounts.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}
