//! A container that is asked for, as its engine describes it.

use std::path::Path;

use crate::{engine::Engine, spec::Spec};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The container's id.
    pub id: &'a str,
    /// The bundle's directory, absolute.
    pub bundle: &'a Path,
    /// Its configuration.
    pub spec: &'a Spec,
    /// Whether the container is restored from a checkpoint.
    pub restore: bool,
    /// The engine, where it is known.
    pub engine: Option<Engine>,
    /// Whether it is a pod's sandbox, as an engine says that lets nobody else say it.
    pub sandbox: bool,
}
