//! `lockc explain` for a refused container whose configuration is gone.

use std::path::Path;

use lockc_core::paths;
use lockc_policy::refused::Refused;
use serde::Serialize;

use super::docker;

/// A refusal in JSON.
#[derive(Debug, Serialize)]
pub struct Record {
    /// It did not.
    starts: bool,
    /// The record of the refusal.
    #[serde(flatten)]
    pub refused: Refused,
}

/// Looks for the record of a container: `docker:NAME`, or an id or the beginning of one, with an
/// engine before it or without.
pub fn find(target: &str) -> Option<Record> {
    let id = match target.split_once(':') {
        // Docker forgets a container that was started with --rm.
        Some(("docker", name)) => {
            docker::inspect(name).map_or_else(|_| name.to_owned(), |container| container.id)
        }
        Some(("podman", name)) => name.to_owned(),
        _ => target.to_owned(),
    };
    Refused::find(Path::new(paths::REFUSED), &id).map(|refused| Record { starts: false, refused })
}
