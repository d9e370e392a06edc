//! What is read at one moment.

use std::time::Instant;

use jiff::Timestamp;
use lockc_core::abi::ContainerKey;

use crate::{denial::Denial, programs::Counter};

/// Everything that a screen is made of, as it was at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// The same on the wall clock.
    pub time: Timestamp,
    /// The host.
    pub host: Host,
    /// The containers that have a process, or stand for others.
    pub containers: Vec<Container>,
    /// Denials that the last sample did not have; in the first one, those on record.
    pub denials: Vec<Denial>,
    /// What the programs cost.
    pub cost: Cost,
}

/// The host.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Every program is attached.
    pub enforcing: bool,
    /// Release of the kernel.
    pub kernel: String,
    /// Containers in audit mode.
    pub audited: usize,
    /// Internal errors of the programs.
    pub errors: u64,
    /// Denials that are not on record: replaced by newer ones, or without room.
    pub lost: u64,
}

/// A container.
#[derive(Clone, Debug, Default)]
pub struct Container {
    /// Its key in the maps.
    pub key: ContainerKey,
    /// Its id.
    pub id: String,
    /// What people call it, otherwise the beginning of its id.
    pub name: String,
    /// Its image, where its engine tells.
    pub image: String,
    /// Its policy.
    pub policy: String,
    /// `enforce` or `audit`.
    pub mode: &'static str,
    /// Live tasks.
    pub tasks: i64,
    /// Denials so far.
    pub denials: u64,
}

/// What the programs cost.
#[derive(Clone, Debug, Default)]
pub enum Cost {
    /// Nothing is measured.
    #[default]
    Off,
    /// It cannot be measured.
    Unavailable(String),
    /// The kernel's counters.
    Counted(Vec<Counter>),
}
