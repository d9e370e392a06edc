//! Rows of the topics' tables, and what a row says of itself.

use super::Test;
use crate::select::{Standing, Tier};

/// A row of a topic's table.
#[derive(Clone, Copy)]
pub struct Row {
    pub name: &'static str,
    pub test: Test,
    /// With runc too, not only with crun (which starts six times faster).
    pub both: bool,
    /// A path of the machine without which it proves nothing.
    pub needs: Option<&'static str>,
    pub standing: Standing,
}

/// A row for crun.
pub const fn row(name: &'static str, test: Test) -> Row {
    Row { name, test, both: false, needs: None, standing: Standing::USUAL }
}

/// A row for crun and runc.
pub const fn both(name: &'static str, test: Test) -> Row {
    Row { both: true, ..row(name, test) }
}

/// Rows that the gate runs on one kernel.
pub const fn one_kernel<const N: usize>(mut rows: [Row; N]) -> [Row; N] {
    let mut at = 0;
    while at < N {
        rows[at] = rows[at].one_kernel();
        at += 1;
    }
    rows
}

impl Row {
    const fn standing(self, standing: Standing) -> Self {
        Self { standing, ..self }
    }

    /// In machines that have this path.
    pub const fn needs(self, path: &'static str) -> Self {
        Self { needs: Some(path), ..self }
    }

    /// On every kernel of every architecture: one case for each kind of thing that the kernel side
    /// does.
    pub const fn core(self) -> Self {
        self.standing(self.standing.tier(Tier::Core))
    }

    /// On every kernel, and with every version of its engine. Bare cases are unless they say
    /// otherwise.
    pub const fn smoke(self) -> Self {
        self.standing(self.standing.tier(Tier::Smoke))
    }

    /// The gate runs it on one kernel: user space alone decides it, or another case shows the same
    /// hook.
    pub const fn one_kernel(self) -> Self {
        self.standing(self.standing.one_kernel())
    }

    /// The gate runs it on one kernel, because it takes long.
    pub const fn slow(self) -> Self {
        self.one_kernel()
    }

    /// A variation of what another case shows: not in the gate.
    pub const fn thorough(self) -> Self {
        self.standing(self.standing.tier(Tier::All))
    }

    /// With runc, it is a variation of what it shows with crun.
    pub const fn thorough_with_runc(self) -> Self {
        self.standing(self.standing.runc(Tier::All))
    }

    /// Once more where the host's root is on btrfs.
    pub const fn on_btrfs(self) -> Self {
        self.standing(self.standing.btrfs(Tier::Smoke))
    }

    /// Once more where the host's root is on btrfs, but not in the gate.
    pub const fn on_btrfs_thorough(self) -> Self {
        self.standing(self.standing.btrfs(Tier::All))
    }
}
