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
pub mod install;
mod labels;
pub mod loader;
pub mod manifest;
pub mod manual;
mod pod;
pub mod programs;
pub mod refused;
pub mod status;
