//! Loader of the LSM programs and what the `lockc` command knows about the machine.

// First: its `println!` is the one of every module.
#[macro_use]
pub mod out;

mod advice;
pub mod btf;
mod check;
pub mod commands;
mod containers;
pub mod denial;
pub mod explain;
mod guard;
pub mod handlers;
mod install;
mod journal;
pub mod kubectl;
mod labels;
mod live;
mod loader;
pub mod manifest;
pub mod metrics;
mod pinned;
mod preconditions;
mod programs;
pub mod records;
mod report;
mod rollout;
mod settings;
pub mod status;
mod suggest;
mod table;
mod top;
