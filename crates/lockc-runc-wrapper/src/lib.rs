//! The wrapper's parts, for the program and for fuzzing; `main` has the overview.
#![deny(unsafe_code)]

pub mod argv;
pub mod check;
mod commands;
pub mod containers;
pub mod delete;
pub mod environment;
mod flags;
pub mod flow;
pub mod hand;
pub mod hold;
pub mod invocation;
pub mod kernel;
pub mod log;
mod options;
pub mod runtime;
#[allow(unsafe_code)]
pub mod sys;
pub mod unregistered;
mod watched;
pub mod words;
