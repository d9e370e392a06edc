//! An entry of the record.

use lockc_core::abi::{Denial, DenialKey};

/// A denial as the kernel side writes it.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// What makes it another one.
    pub key: DenialKey,
    /// How often and when it happened, and to what.
    pub denial: Denial,
}
