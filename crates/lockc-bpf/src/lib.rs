//! Loader of the LSM programs and what the `lockc` command knows about the machine.

// First: its `println!` is the one of every module.
#[macro_use]
pub mod out;

pub mod btf;
pub mod config;
mod docker;
pub mod doctor;
pub mod events;
pub mod explain;
pub mod guard;
mod labels;
pub mod loader;
pub mod manifest;
mod pod;
pub mod programs;
pub mod status;
