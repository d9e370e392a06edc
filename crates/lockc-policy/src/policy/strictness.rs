//! What holds for a container, and which of two policies is stricter.

use std::{collections::BTreeSet, fmt};

use lockc_core::rules::{Level, Network, Rule, RuleMask};

use super::{
    additions::Additions,
    capabilities,
    control::{Control, Strength},
};
use crate::config::{Mode, cluster::KIND};

/// The name of the level baseline without network.
pub const OFFLINE: &str = "offline";

/// What holds for a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Name of the level or of the administrator's policy.
    pub name: String,
    /// The level that it is or extends.
    pub level: Level,
    /// The network that it leaves.
    pub network: Network,
    /// What the kernel side enforces.
    pub rules: RuleMask,
    /// Whether that is denied, and what the controls forbid refused, or only reported.
    pub mode: Mode,
    /// Whether its definition states the mode: then the mode of a namespace or an engine does not
    /// change it.
    pub(crate) states_mode: bool,
    /// Controls taken away.
    pub(super) admitted: BTreeSet<Control>,
    /// What is admitted beyond the level.
    pub more: Additions,
    /// Whether the cluster defines it, and not the configuration.
    pub is_from_cluster: bool,
    /// Where the choice came from, for messages.
    pub origin: String,
}

impl Policy {
    /// A level as such.
    pub fn for_level(level: Level, origin: impl Into<String>) -> Self {
        Self {
            name: level.name().into(),
            level,
            network: Network::Full,
            rules: level.rules(),
            mode: Mode::Enforce,
            states_mode: false,
            admitted: BTreeSet::new(),
            more: Additions::default(),
            is_from_cluster: false,
            origin: origin.into(),
        }
    }

    /// This policy with another network.
    #[must_use]
    pub fn with_network(mut self, network: Network) -> Self {
        self.network = network;
        self.rules = match network {
            Network::Full => self.rules.without(Rule::Network),
            Network::Loopback | Network::None => self.rules.with(Rule::Network),
        };
        self
    }

    /// This policy in that mode, unless it states one.
    #[must_use]
    pub(crate) fn in_mode(self, mode: Option<Mode>) -> Self {
        match mode {
            Some(mode) if !self.states_mode => Self { mode, ..self },
            _ => self,
        }
    }

    /// This policy, chosen by `origin`.
    #[must_use]
    pub fn chosen_by(&self, origin: impl Into<String>) -> Self {
        Self { origin: origin.into(), ..self.clone() }
    }

    /// This policy without `control`.
    #[must_use]
    pub fn admitting(mut self, control: Control) -> Self {
        self.admitted.insert(control);
        self
    }

    /// This policy with other kernel rules.
    #[must_use]
    pub fn enforcing(&self, rules: RuleMask) -> Self {
        Self { rules, ..self.clone() }
    }

    /// How strictly `control` is applied.
    pub fn strength(&self, control: Control) -> Strength {
        if self.admitted.contains(&control) {
            return Strength::Off;
        }
        control.strength_at(self.level)
    }

    /// The capabilities that a container's tasks may use, as bits of the kernel's numbers: those
    /// that admission lets its processes start with, and all of them where the policy admits any.
    pub fn capabilities(&self) -> u64 {
        let strength = self.strength(Control::Capabilities);
        if strength == Strength::Off {
            return u64::MAX;
        }
        self.allowed_capabilities(strength)
            .filter_map(capabilities::capability)
            .fold(0, |bits, capability| bits | 1 << capability.index())
    }

    /// The names without `CAP_` of the capabilities that it admits at that strength, unless it
    /// admits any.
    pub(crate) fn allowed_capabilities(&self, strength: Strength) -> impl Iterator<Item = &str> {
        let added = self.more.capabilities.iter().map(String::as_str);
        capabilities::of_level(strength).iter().copied().chain(added)
    }

    /// Whether it admits directories, sockets or devices of the host that its level does not: what
    /// a container gets by that cannot be compared with what another policy gives.
    pub fn grants_beyond_level(&self) -> bool {
        const HOSTS: [Control; 5] = [
            Control::HostMounts,
            Control::HostSockets,
            Control::MountTypes,
            Control::Devices,
            Control::Rootfs,
        ];
        let more = &self.more;
        HOSTS.into_iter().any(|control| self.strength(control) == Strength::Off)
            || !(more.mounts.is_empty() && more.sockets.is_empty() && more.devices.is_empty())
    }

    /// Whether nothing is allowed here that `other` refuses or denies.
    pub fn at_least_as_strict_as(&self, other: &Self) -> bool {
        // What is only reported is allowed, so that it is as strict only as what forbids nothing.
        (self.mode == Mode::Enforce || other.mode == Mode::Audit || other.forbids_nothing())
            && self.rules.covers(other.rules)
            && self.network >= other.network
            && Control::ALL
                .into_iter()
                .all(|control| self.strength(control) >= other.strength(control))
            && self.adds_no_more_than(other)
    }

    fn forbids_nothing(&self) -> bool {
        self.rules == RuleMask::NONE
            && Control::ALL.into_iter().all(|control| self.strength(control) == Strength::Off)
    }

    fn adds_no_more_than(&self, other: &Self) -> bool {
        fn within<T: PartialEq>(own: &[T], others: &[T]) -> bool {
            own.iter().all(|item| others.contains(item))
        }
        let off = |control| other.strength(control) == Strength::Off;
        (off(Control::HostMounts) || within(&self.more.mounts, &other.more.mounts))
            && (off(Control::HostSockets) || within(&self.more.sockets, &other.more.sockets))
            && (off(Control::Devices) || within(&self.more.devices, &other.more.devices))
            && (!self.more.hook_mounts || other.more.hook_mounts || !other.rules.has(Rule::Files))
            && (off(Control::Sysctls) || within(&self.more.sysctls, &other.more.sysctls))
            && self.more.reads.iter().all(|path| {
                let rule = if path.starts_with("/sys") { Rule::Sysfs } else { Rule::Procfs };
                // The path itself: what is below may be a link to elsewhere.
                !other.rules.has(rule) || other.more.reads.contains(path)
            })
            && (!other.rules.has(Rule::Network) && !other.rules.has(Rule::SocketFamily)
                || self.more.families & !other.more.families == 0)
            && self.capabilities() & !other.capabilities() == 0
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name == OFFLINE || Level::from_name(&self.name).is_some() {
            write!(f, "level {}", self.name)?;
        } else {
            let kind = if self.is_from_cluster { KIND } else { "policy" };
            write!(f, "{kind} {} of level {}", self.name, self.level.name())?;
        }
        match (self.network, self.name.as_str()) {
            (Network::Full, _) | (Network::None, OFFLINE) => {}
            (network, _) => write!(f, ", network {}", network.name())?,
        }
        write!(f, " (from {})", self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_admitted_capability_has_its_bit() {
        let of = |level| Policy::for_level(level, "a test").capabilities();
        assert_eq!(of(Level::Baseline).count_ones() as usize, capabilities::usual().len());
        // include/uapi/linux/capability.h: CAP_NET_BIND_SERVICE is 10, CAP_SYS_ADMIN is 21.
        assert_eq!(of(Level::Restricted), 1 << 10);
        assert_eq!(of(Level::Baseline) >> 21 & 1, 0);
        assert_eq!(of(Level::Privileged), u64::MAX);
    }
}
