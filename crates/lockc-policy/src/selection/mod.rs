//! From what describes a container to the policy that holds for it.

pub mod metadata;
mod resolve;
#[cfg(test)]
mod tests;

pub use resolve::{PolicyRequest, resolve};
