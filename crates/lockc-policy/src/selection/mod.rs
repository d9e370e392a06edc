//! Selects the policy of a container from its description.

pub mod metadata;
mod resolve;
#[cfg(test)]
mod tests;

pub use resolve::{PolicyRequest, Reported, reported, resolve};
