//! The kernel side through its pinned maps. Each call opens and closes them: an open map is full authority over lockc, and
//! the runtime must not inherit one.

use std::path::Path;

use anyhow::Result;
use lockc_core::{
    abi::ContainerEntry,
    user::{NewContainer, Registry},
};

use crate::flow::Kernel;

/// The maps below `/sys/fs/bpf/lockc`.
pub struct Pinned;

impl Kernel for Pinned {
    fn register(&self, new: &NewContainer) -> Result<()> {
        Registry::open()?.register(new)?;
        Ok(())
    }

    fn join(&self, root: &Path, id: &str) -> Result<()> {
        Registry::open()?.join(root, id)?;
        Ok(())
    }

    fn entry(&self, root: &Path, id: &str) -> Result<Option<ContainerEntry>> {
        Ok(Registry::open()?.entry(root, id)?.map(|(_, entry)| entry))
    }

    fn mark_deleting(&self, root: &Path, id: &str) -> Result<()> {
        Registry::open()?.mark_deleting(root, id)?;
        Ok(())
    }
}
