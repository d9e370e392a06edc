//! Whose a file in an engine's directory is.

/// What something in an engine's directory is to the container that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Belongs {
    /// Made by the engine for this container: its hosts file, its secrets, its /dev/shm.
    Files,
    /// The same of another container, whose namespace this one joins, if it is that container's.
    Shared,
    /// A volume, which any container of the engine may have. Who made it chose what is mounted
    /// there.
    Volume,
    /// A volume that kubelet mounted for this container's pod.
    PodVolume,
    /// Layers that a builder mounted for a step of a build; it alone chooses which.
    Step,
    /// An image's files, which are not to be changed.
    Image,
    /// Nothing by itself: the engine's second mount of something that has another name.
    Transient,
}
