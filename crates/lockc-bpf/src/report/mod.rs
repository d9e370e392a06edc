//! `lockc report`: a bundle for support, without what is not known to be harmless.

mod bundle;
mod engines;
mod gather;
mod journal;
mod kernel;
mod mounts;
mod read;
mod redact;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use bundle::put;
pub use gather::{Options, make};
