//! nerdctl, which keeps files and volumes of containers that containerd runs.

use std::path::Path;

use super::{belongs::Belongs, layout::Layout, query::Query};
use crate::engine::Engine;

const DIRS: [&str; 1] = ["/var/lib/nerdctl"];

pub(super) struct Nerdctl;

impl Layout for Nerdctl {
    fn name(&self) -> &'static str {
        "nerdctl"
    }

    fn engines(&self) -> &'static [Engine] {
        &[Engine::Containerd]
    }

    fn usual_dirs(&self) -> &'static [&'static str] {
        &DIRS
    }

    fn belongs(&self, _dir: &Path, rest: &[&str], query: &Query<'_>) -> Option<Belongs> {
        match rest {
            [_, "containers", _, owner, _, ..] | [_, "etchosts", _, owner, _, ..] => {
                (*owner == query.id()).then_some(Belongs::Files)
            }
            [_, "volumes", _, _, "_data", ..] => Some(Belongs::Volume),
            _ => None,
        }
    }
}
