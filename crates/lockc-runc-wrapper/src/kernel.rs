//! The kernel side through its pinned maps. Each call opens and closes them: an open map is full
//! authority over lockc, and the runtime must not inherit one.

use std::path::Path;

use anyhow::Result;
use lockc_core::{
    abi::ContainerEntry,
    maps::{Held, NewContainer, Registry},
};
use lockc_policy::admission::grants::GrantedFiles;

use crate::{environment::ContainerRegistry, hold};

/// The maps below `/sys/fs/bpf/lockc`.
pub struct Pinned;

impl Pinned {
    /// Registers a container that is granted what is held, and labels this process.
    pub fn register_held(&self, new: &NewContainer, held: &[Held]) -> Result<()> {
        Registry::open()?.register(new, held)?;
        Ok(())
    }
}

impl ContainerRegistry for Pinned {
    fn register(&self, new: &NewContainer, grants: GrantedFiles) -> Result<()> {
        self.register_held(new, &hold::hold(grants, &new.root, &|_| {})?)
    }

    fn join(&self, root: &Path, id: &str) -> Result<()> {
        Registry::open()?.join(root, id)?;
        Ok(())
    }

    fn entry(&self, root: &Path, id: &str) -> Result<Option<ContainerEntry>> {
        Ok(Registry::open()?.entry(root, id)?.map(|(_, entry)| entry))
    }

    fn mark_deleting(&self, root: &Path, id: &str, generation: Option<u32>) -> Result<()> {
        Registry::open()?.mark_deleting(root, id, generation)?;
        Ok(())
    }
}
