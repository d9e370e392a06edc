//! What an engine's configuration is to become.

use super::{host::Change, state::State};

/// What an engine's module makes of a request.
#[derive(Default)]
pub struct Plan {
    pub changes: Vec<Change>,
    pub state: State,
    pub warnings: Vec<String>,
    /// `uninstall`: the runtimes that start the wrapper and no longer will.
    pub active: Vec<String>,
}

impl Plan {
    pub fn changes_nothing(&self) -> bool {
        self.changes.iter().all(|change| change.before == change.after)
    }
}
