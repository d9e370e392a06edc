//! The host that decisions are made on: the only place of this crate that does I/O.

pub mod bundle;
pub mod counters;
#[cfg(any(test, feature = "fake-host"))]
pub mod fake;
mod local;
pub mod mount_table;
pub mod privilege;
pub mod records;
mod selinux;
pub mod trusted;
mod view;

pub use local::Host;
pub use mount_table::MountedAt;
pub use view::{HostView, Kind, Namespace, Opened};
