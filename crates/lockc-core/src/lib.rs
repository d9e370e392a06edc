//! The contract between lockc's LSM programs and user space, and user space's access to it.
//!
//! Principles of this crate:
//! - The [`abi`] is the contract across the privilege boundary: plain integers, no padding, sizes
//!   asserted. Raw values become enums only through a checked conversion.
//! - A handle to a container carries a generation, so that a stale handle is detected instead of
//!   matched.
//! - Every level and rule is defined once, in [`rules`].
//! - Without features the crate is `no_std` and has no dependency: the BPF target builds it like
//!   that. The feature `maps` adds the pinned maps: registry, registration, labels.
#![cfg_attr(not(any(feature = "maps", test)), no_std)]

pub mod abi;
pub mod families;
pub mod fields;
pub mod hooks;
#[cfg(feature = "maps")]
pub mod maps;
pub mod paths;
pub mod pointers;
pub mod rules;
