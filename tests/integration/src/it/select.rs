//! Which cases run: where a case belongs, how much of the suite it belongs to, and the one function
//! that selects.
//!
//! A case says both at its definition, with [`Row::smoke`](crate::cases::Row::smoke) and its
//! siblings. Which part runs with which tier on which kernel is a table of xtask's
//! (`xtask/src/kernels.rs`); `cargo xtask test --everything`, or `--kernel K`, leaves nothing out.

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::cases::Case;

/// What a case needs in its machine. Parts run in machines of their own, or share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// crun and runc, without an engine.
    Bare,
    /// The escape suite, on bare runtimes too.
    Escape,
    Docker,
    /// containerd, by its CRI socket and by ctr.
    Containerd,
    Podman,
    /// Some of these once more, with the host's root on btrfs subvolumes.
    Btrfs,
    /// The workloads, in a machine with their disk.
    Work,
    /// What takes long, in a machine with Docker whose clock counts instructions.
    Hour,
    /// The packages, in a machine with systemd, over several boots.
    System,
    /// The chart, in a machine with systemd and a cluster.
    Kubernetes,
}

impl Part {
    /// Whether it needs a machine that no other part can use. Such a part runs only when it is
    /// named.
    const fn alone(self) -> bool {
        matches!(self, Self::Btrfs | Self::Hour | Self::System | Self::Kubernetes)
    }

    /// The tier of a case that does not say one. Bare cases are about the kernel's hooks, so they
    /// run on every kernel.
    const fn usual(self) -> Tier {
        match self {
            Self::Bare => Tier::Smoke,
            _ => Tier::Gate,
        }
    }
}

/// How much of a part runs. Each tier contains those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Tier {
    /// What another architecture could change: the gate runs it on every kernel of each.
    Core,
    /// What another kernel, or another version of an engine, could change: the gate runs it on
    /// every kernel.
    Smoke,
    /// What the gate runs on one kernel.
    Gate,
    /// Every case, with variations of what another case shows.
    All,
}

/// The tier that a definition gives its case.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    tier: Option<Tier>,
    /// The tier of the variant with runc, if it is higher.
    runc: Option<Tier>,
    /// The tier of the same case on btrfs, if there is one.
    pub btrfs: Option<Tier>,
}

impl Standing {
    /// The usual one of its part, and not on btrfs.
    pub const USUAL: Self = Self { tier: None, runc: None, btrfs: None };

    /// With that tier.
    pub const fn tier(self, tier: Tier) -> Self {
        Self { tier: Some(tier), ..self }
    }

    /// On one kernel, unless it says another tier.
    pub const fn one_kernel(self) -> Self {
        match self.tier {
            None => self.tier(Tier::Gate),
            Some(_) => self,
        }
    }

    /// The variant with runc has that tier.
    pub const fn runc(self, tier: Tier) -> Self {
        Self { runc: Some(tier), ..self }
    }

    /// On btrfs too, with that tier.
    pub const fn btrfs(self, tier: Tier) -> Self {
        Self { btrfs: Some(tier), ..self }
    }

    /// The case's tier in its part.
    pub fn of(self, part: Part) -> Tier {
        self.tier.unwrap_or(part.usual())
    }

    /// The tier of its variant with runc. What depends on the kernel is shown by crun, which
    /// starts six times faster; an engine's case is another one with runc.
    pub fn of_runc(self, part: Part) -> Tier {
        let lowest = if part == Part::Bare { Tier::Gate } else { Tier::Smoke };
        self.runc.unwrap_or(lowest).max(self.of(part))
    }
}

/// A choice of cases, as the command line says it. Names are filtered by libtest's options.
#[derive(clap::Args)]
pub struct Selection {
    /// Only cases of this part; may be given several times; by default all that can share a
    /// machine
    #[arg(long)]
    pub part: Vec<Part>,
    /// How much of them
    #[arg(long, default_value = "all")]
    pub tier: Tier,
}

impl Selection {
    /// Whether the case is one of the choice.
    pub fn has(&self, case: &Case) -> bool {
        let part = match self.part[..] {
            [] => !case.part.alone(),
            _ => self.part.contains(&case.part),
        };
        part && case.tier <= self.tier
    }

    /// Fails if one machine cannot run it.
    pub fn check(&self) -> Result<()> {
        match self.part.iter().find(|part| part.alone()) {
            Some(part) if self.part.len() > 1 => {
                bail!("the part {part:?} needs its own machine")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    fn count(part: Part, tier: Tier) -> usize {
        let selection = Selection { part: vec![part], tier };
        cases::all().iter().filter(|case| selection.has(case)).count()
    }

    #[test]
    fn every_part_has_smoke_cases_and_the_gate_runs_much_of_each() {
        for part in Part::value_variants() {
            if ![Part::Hour, Part::System, Part::Kubernetes].contains(part) {
                assert!(count(*part, Tier::Smoke) >= 4, "{part:?}");
            }
            assert!(3 * count(*part, Tier::Gate) >= count(*part, Tier::All), "{part:?}");
        }
    }

    #[test]
    fn a_part_with_a_machine_of_its_own_runs_only_when_it_is_named() {
        let selection = Selection { part: Vec::new(), tier: Tier::All };
        assert!(cases::all().iter().all(|case| selection.has(case) != case.part.alone()));
        let of = |part: &[Part]| Selection { part: part.to_vec(), tier: Tier::All };
        assert!(of(&[Part::Bare, Part::Docker]).check().is_ok());
        assert!(of(&[Part::Btrfs]).check().is_ok());
        assert!(of(&[Part::Btrfs, Part::Bare]).check().is_err());
    }

    #[test]
    fn a_row_stands_where_it_says() {
        let usual = Standing::USUAL;
        assert_eq!(usual.of(Part::Bare), Tier::Smoke);
        assert_eq!(usual.of_runc(Part::Bare), Tier::Gate);
        assert_eq!(usual.of(Part::Podman), Tier::Gate);
        assert_eq!(usual.tier(Tier::Smoke).of_runc(Part::Podman), Tier::Smoke);
        assert_eq!(usual.one_kernel().of(Part::Bare), Tier::Gate);
        assert_eq!(usual.tier(Tier::All).one_kernel().of(Part::Bare), Tier::All);
        assert_eq!(usual.tier(Tier::All).of_runc(Part::Bare), Tier::All);
        assert_eq!(usual.runc(Tier::All).of(Part::Bare), Tier::Smoke);
        assert_eq!(usual.runc(Tier::All).of_runc(Part::Bare), Tier::All);
    }
}
