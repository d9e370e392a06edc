//! The configuration that is meant: what is asked for, what an earlier run changed, what the daemon
//! reads.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{
    containerd::place::{self, Place},
    docker::told,
    engine::Engine,
    host::Host,
    state::State,
};

/// A file, or containerd's place.
pub enum Target {
    File(PathBuf),
    Containerd(Place),
}

impl Target {
    /// # Errors
    ///
    /// Where several files may be meant, or somebody else writes the file.
    pub fn find(
        host: &Host,
        engine: Engine,
        asked: Option<&Path>,
        state: Option<&State>,
    ) -> Result<Self> {
        let earlier = state.map(|state| state.config.as_path());
        if engine == Engine::Containerd {
            return place::find(host, asked, earlier).map(Self::Containerd);
        }
        if let Some(file) = asked.or(earlier) {
            return Ok(Self::File(file.into()));
        }
        let told = if engine == Engine::Docker { told::config(host) } else { None };
        Ok(Self::File(told.unwrap_or_else(|| engine.config().into())))
    }

    pub fn file(&self) -> &Path {
        match self {
            Self::File(file) => file,
            Self::Containerd(place) => &place.file,
        }
    }

    pub fn place(&self) -> Result<&Place> {
        match self {
            Self::Containerd(place) => Ok(place),
            Self::File(_) => None.context("no place of containerd's"),
        }
    }
}
