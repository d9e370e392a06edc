//! How much of a part runs.

/// How much of a part runs: `lockc-it --tier`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    Core,
    Smoke,
    Gate,
    All,
}

impl Tier {
    /// As `lockc-it` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Smoke => "smoke",
            Self::Gate => "gate",
            Self::All => "all",
        }
    }
}
