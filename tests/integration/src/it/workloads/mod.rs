//! Ordinary workloads: Debian's packages in Docker containers, and what Docker itself does with
//! containers. What lockc breaks of these is a defect of the same rank as an escape.
//!
//! One table a topic; a row runs with plain runc first, which proves that the row is right, then
//! under the levels, where it must end alike. `docs/workloads.md` is written from the same rows.

mod builds;
mod check;
mod docs;
mod engine;
mod network;
mod programs;
mod servers;
mod session;
mod system;
mod volumes;
mod way;

use std::sync::LazyLock;

use anyhow::Result;

use crate::select::{Standing, Tier};

pub use check::prove;
pub use docs::markdown;
pub use session::Sessions;
use way::Way;

/// What a row does.
#[derive(Clone, Copy)]
pub enum Work {
    /// A script for bash in a container, and what its output must contain. All rows of a level
    /// share a container.
    Script(&'static str, &'static str),
    /// Calls of Docker; what they return must not depend on the level.
    Engine(fn(&Way) -> Result<String>),
}

/// Under which levels a row must work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Levels {
    /// Baseline, and restricted as a user without capabilities and privilege gain.
    Both,
    /// Baseline only, with the reason.
    Baseline(&'static str),
}

/// A row.
#[derive(Clone, Copy)]
pub struct Workload {
    pub name: &'static str,
    /// What it does, for a reader.
    title: &'static str,
    /// Debian's packages that do it.
    needs: &'static str,
    levels: Levels,
    work: Work,
    pub standing: Standing,
    /// What lockc denies on the way without breaking it, or what would need a policy.
    exception: &'static str,
}

impl Workload {
    /// A row that runs under both levels.
    const fn new(name: &'static str, title: &'static str, needs: &'static str, work: Work) -> Self {
        Self {
            name,
            title,
            needs,
            levels: Levels::Both,
            work,
            standing: Standing::USUAL,
            exception: "",
        }
    }

    /// For baseline only, because of `why`.
    const fn baseline_only(self, why: &'static str) -> Self {
        Self { levels: Levels::Baseline(why), ..self }
    }

    /// On every kernel.
    const fn smoke(self) -> Self {
        Self { standing: self.standing.tier(Tier::Smoke), ..self }
    }

    /// A variation of what another row shows: not in the gate.
    const fn thorough(self) -> Self {
        Self { standing: self.standing.tier(Tier::All), ..self }
    }

    /// With a note for the administrator.
    const fn exception(self, exception: &'static str) -> Self {
        Self { exception, ..self }
    }
}

/// A row that is a script.
const fn script(
    name: &'static str,
    title: &'static str,
    needs: &'static str,
    text: &'static str,
    expected: &'static str,
) -> Workload {
    Workload::new(name, title, needs, Work::Script(text, expected))
}

/// A row that calls Docker.
const fn engine(
    name: &'static str,
    title: &'static str,
    needs: &'static str,
    code: fn(&Way) -> Result<String>,
) -> Workload {
    Workload::new(name, title, needs, Work::Engine(code))
}

/// Every row, in the order in which they run.
pub static ALL: LazyLock<Vec<Workload>> = LazyLock::new(|| {
    [
        programs::ROWS,
        system::ROWS,
        servers::ROWS,
        engine::ROWS,
        volumes::ROWS,
        network::ROWS,
        builds::ROWS,
    ]
    .concat()
});
