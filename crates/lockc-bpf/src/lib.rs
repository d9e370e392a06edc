//! Loader of the LSM programs and what the `lockc` command knows about the machine.

pub mod btf;
pub mod config;
mod docker;
pub mod doctor;
pub mod events;
pub mod explain;
pub mod guard;
pub mod loader;
pub mod manifest;
mod pod;
pub mod programs;
pub mod status;
