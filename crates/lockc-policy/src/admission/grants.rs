//! What admission lets a container have of the host: objects, opened once.

use std::path::PathBuf;

use super::host_view::Opened;
pub use super::table::Part;

/// An object of the host's, and what is mounted below it, which a recursive bind mount brings
/// along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// The object.
    pub top: Opened,
    /// The roots of what is mounted below.
    pub below: Vec<Opened>,
    /// Whether the host may mount more into it while the container runs (`rslave`, `rshared` and
    /// their like).
    pub propagates: bool,
}

/// A directory that an overlay is made of, or an overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The directory.
    pub opened: Opened,
    /// What it is.
    pub part: Part,
    /// Whether its path may lead elsewhere when somebody mounts the overlay, or did so when it was
    /// mounted: then the kernel side has to tell.
    pub may_move: bool,
}

/// What a container is granted of the host's file systems, as admission opened it.
#[derive(Clone, Debug, Default)]
pub struct GrantedFiles {
    /// Its root file system.
    pub rootfs: Tree,
    /// Sources of its bind mounts.
    pub mounts: Vec<Tree>,
    /// Unix sockets of the host that it may connect to.
    pub sockets: Vec<Opened>,
    /// What `allowed_sockets` names in directories that it is granted.
    pub named_sockets: Vec<PathBuf>,
    /// What its overlays are made of; an overlay itself comes after its layers.
    pub layers: Vec<Layer>,
}
