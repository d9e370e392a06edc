//! The pinned maps: opening them, registering containers, labelling this process.

pub mod container_file;
mod error;
mod guard;
mod held;
mod live;
pub mod names;
mod read_sets;
mod record;
mod register;
pub mod registry;
mod task_storage;

pub use error::RegistryError;
pub use guard::{GUARD_ID, GuardPolicy};
pub use held::Held;
pub use live::Applied;
pub use record::{Logged, Record};
pub use register::NewContainer;
pub use registry::{Registered, Registry};

use crate::abi::unpadded;

/// A text in a map, as far as it is UTF-8.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(unpadded(bytes)).into_owned()
}
