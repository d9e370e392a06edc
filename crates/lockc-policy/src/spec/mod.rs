//! What admission looks at in a bundle's `config.json`, and nothing else.
//!
//! Engines and runtimes add fields of their own, so unknown fields are passed over. What admission
//! does read must be read as the runtime will: a duplicate key, or that Go would match in
//! another case, is refused instead of read differently.

pub mod devices;
mod fields;
mod linux;
mod model;
mod read;
pub mod strict;
#[cfg(test)]
mod tests;

pub use linux::{
    Device, DeviceRule, IdMapping, Linux, Namespace, Personality, Resources, Seccomp, Syscalls,
};
pub use model::*;
pub use read::{SIZE_LIMIT, SpecError};
