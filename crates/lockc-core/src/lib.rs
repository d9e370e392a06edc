//! What the LSM programs and the user-space commands of lockc share.
//!
//! Principles of this crate:
//! - The [`abi`] is the contract across the privilege boundary: plain integers, no padding, sizes
//!   asserted. Raw values become enums only through a checked conversion.
//! - A handle to a container carries a generation, so that a stale handle is detected instead of
//!   matched.
//! - Every level and rule is defined once, in [`rules`]; kernel side, commands and docs follow that
//!   table.
//! - `user` (feature, on by default) is user space's half and never reaches the BPF target.
#![cfg_attr(not(feature = "user"), no_std)]

pub mod abi;
pub mod families;
pub mod fields;
pub mod hooks;
pub mod rules;
#[cfg(feature = "user")]
pub mod user;
