//! Policies: levels, what an administrator's policy adds to one or takes away, and which of two is
//! stricter.

pub mod additions;
pub mod capabilities;
pub mod cluster;
pub mod control;
mod definitions;
pub mod error;
mod issues;
pub(crate) mod paths;
pub mod reads;
pub mod set;
pub mod setting;
pub mod sockets;
mod strictness;
#[cfg(test)]
mod tests;

pub use cluster::{ClusterSet, RejectedPolicy};
pub use control::{Control, Strength};
pub use error::{DefinitionError, RequestError};
pub use set::{ANNOTATION, Bounds, NETWORK_ANNOTATION, PLUGINS, PolicySet};
pub use setting::{Key, Setting};
pub use strictness::{OFFLINE, Policy};
