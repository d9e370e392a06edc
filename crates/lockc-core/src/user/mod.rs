//! User space's half: configuration, policy decision, pinned maps.

mod additions;
pub mod admission;
pub mod config;
pub mod control;
pub mod decision;
pub mod enforcement;
pub mod error;
mod guard;
pub mod handlers;
pub mod hold;
pub mod metadata;
pub mod names;
pub mod paths;
pub mod policy;
mod read_sets;
pub mod reads;
pub mod refused;
mod register;
pub mod registry;
pub mod sandbox;
pub mod selection;
pub mod sockets;
pub mod spec;
pub mod sys;
pub mod userns;

#[doc(inline)]
pub use error::RegistryError;
#[doc(inline)]
pub use guard::GUARD_ID;
#[doc(inline)]
pub use register::{GrantedDevice, NewContainer};
#[doc(inline)]
pub use registry::Registry;
