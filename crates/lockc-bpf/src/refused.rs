//! What `lockc explain` tells of a container that was refused and whose configuration is gone.

use std::path::Path;

use lockc_core::paths;
use lockc_policy::refused::Refused;
use serde::Serialize;

use crate::docker;

/// The answer in JSON.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// It did not.
    starts: bool,
    #[serde(flatten)]
    refused: Refused,
}

/// Looks for the record of a container: `docker:NAME`, or an id or the beginning of one, with an
/// engine before it or without.
pub fn find(target: &str) -> Option<Answer> {
    let id = match target.split_once(':') {
        // Docker forgets a container that was started with --rm.
        Some(("docker", name)) => {
            docker::inspect(name).map_or_else(|_| name.to_owned(), |container| container.id)
        }
        Some(("podman", name)) => name.to_owned(),
        _ => target.to_owned(),
    };
    Refused::find(Path::new(paths::REFUSED), &id).map(|refused| Answer { starts: false, refused })
}

impl Answer {
    /// For people.
    pub fn print(&self) {
        let refused = &self.refused;
        println!("container  {}", refused.id);
        println!("engine     {}", refused.engine.as_deref().unwrap_or("unknown"));
        println!("policy     {}", refused.policy);
        println!("starts     no: refused at {}", refused.time);
        println!("\nbefore it starts");
        for reason in &refused.reasons {
            println!("  refused   {:<17} {}", reason.control, reason.what);
            println!("            changed by: {}", reason.remedy);
        }
    }
}
