//! Architectures.

use anyhow::{Context, Result};

/// What programs are built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Arch {
    #[value(name = "x86_64")]
    X86,
    Aarch64,
}

impl Arch {
    /// That of this computer.
    pub fn here() -> Result<Self> {
        let known = [Self::X86, Self::Aarch64].into_iter().find(|arch| arch.runs_here());
        known.with_context(|| format!("lockc is not tested on {}", std::env::consts::ARCH))
    }

    /// As uname(2) and RPM say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// As Debian and OCI say it.
    pub const fn debian(self) -> &'static str {
        match self {
            Self::X86 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// As rustc says it; always named, so that flags do not reach build scripts.
    pub const fn target(self) -> &'static str {
        match self {
            Self::X86 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The architecture of this machine, on which what is built can run.
    pub fn runs_here(self) -> bool {
        self.name() == std::env::consts::ARCH
    }
}
