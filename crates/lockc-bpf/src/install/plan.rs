//! What an engine's configuration is to become.

use super::{host::Change, state::State};

/// What an engine's module makes of a request.
pub struct Plan {
    pub changes: Vec<Change>,
    pub state: State,
    pub warnings: Vec<String>,
}
