//! The wrapper's parts, for the program and for fuzzing; `main` has the overview.
#![forbid(unsafe_code)]

pub mod argv;
mod commands;
mod flags;
pub mod flow;
pub mod judge;
pub mod kernel;
pub mod log;
mod options;
pub mod runtime;
