//! A precondition of lockc's, and how its check ended.

use std::fmt;

use lockc_policy::messages;
use serde::Serialize;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Met.
    Ok,
    /// Not met, and lockc works without it.
    Warning,
    /// Not met: no container starts under lockc.
    Failed,
}

/// One precondition.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What is checked.
    pub name: &'static str,
    /// How it ended.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do; empty where there is nothing to do.
    pub remedy: String,
    /// The id of the message, by which `docs/troubleshooting.md` lists it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'static str>,
}

/// A check that ended; what is met needs no remedy.
pub fn check(
    name: &'static str,
    state: State,
    found: impl Into<String>,
    remedy: impl Into<String>,
) -> Check {
    let remedy = if state == State::Ok { String::new() } else { remedy.into() };
    let mut check = Check { name, state, found: found.into(), remedy, id: None };
    if state != State::Ok {
        check.id = messages::id_of(&check.to_string());
    }
    check
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.name, self.found, self.remedy)?;
        self.id.map_or(Ok(()), |id| write!(f, " ({id})"))
    }
}

/// Met, or failed.
pub fn verdict(good: bool) -> State {
    if good { State::Ok } else { State::Failed }
}
