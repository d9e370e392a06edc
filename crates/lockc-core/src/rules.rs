//! The table of levels and rules, used by the kernel side, the commands and the docs.

/// A policy level, named after the Kubernetes Pod Security Standards. The order is that of
/// strictness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Level {
    /// Labelled and listed, nothing denied.
    Privileged = 1,
    /// The default.
    Baseline = 2,
    /// Baseline, and the Pod Security Standards' restricted profile.
    Restricted = 3,
}

impl Level {
    /// Every level, loosest first.
    pub const ALL: [Self; 3] = [Self::Privileged, Self::Baseline, Self::Restricted];

    /// The level of a raw value from a map, if it is one. Entries that were written when offline
    /// was a level have 4.
    pub const fn from_raw(raw: u32) -> Option<Self> {
        match raw {
            1 => Some(Self::Privileged),
            2 | 4 => Some(Self::Baseline),
            3 => Some(Self::Restricted),
            _ => None,
        }
    }

    /// The name used in configuration, annotations and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }

    /// The level of that name, if there is one. Names are case-sensitive.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }

    /// The rules that the kernel enforces at this level.
    pub const fn rules(self) -> RuleMask {
        match self {
            Self::Privileged => RuleMask::NONE,
            Self::Baseline => RuleMask::CONFINEMENT,
            Self::Restricted => RuleMask::CONFINEMENT
                .with(Rule::Privilege)
                .with(Rule::IoUring)
                .with(Rule::RawSocket),
        }
    }
}

/// The network that a policy leaves a container, beside its level. The order is that of
/// strictness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// Every socket family that the level leaves.
    #[default]
    Full,
    /// Unix sockets, and IPv4 sockets that are bound or connected to 127.0.0.0/8.
    Loopback,
    /// Unix sockets only.
    None,
}

impl Network {
    /// All of them, loosest first.
    pub const ALL: [Self; 3] = [Self::Full, Self::Loopback, Self::None];

    /// The name used in configuration, annotations and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Loopback => "loopback",
            Self::None => "none",
        }
    }

    /// The network of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|network| network.name() == name)
    }

    /// The network that the kernel side leaves a container with these rules; `loopback`: whether
    /// its entry has [`ENTRY_LOOPBACK`](crate::abi::ENTRY_LOOPBACK).
    pub const fn for_rules(rules: RuleMask, loopback: bool) -> Self {
        match (rules.has(Rule::Network), loopback) {
            (false, _) => Self::Full,
            (true, true) => Self::Loopback,
            (true, false) => Self::None,
        }
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $bit:literal $id:literal $name:literal
        $denies:literal;)*) => {
        /// One thing that the kernel side denies to a confined container. The value is the rule's
        /// bit number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Rule {
            $($(#[$doc])* $variant = $bit,)*
        }

        impl Rule {
            /// Every rule, in the order of the bits.
            pub const ALL: [Self; [$($bit),*].len()] = [$(Self::$variant),*];

            /// The id of its denials, by which `docs/troubleshooting.md` lists them.
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$variant => $id,)*
                }
            }

            /// The name used in configuration, events and messages.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What the rule denies, in a few words for messages.
            pub const fn denies(self) -> &'static str {
                match self {
                    $(Self::$variant => $denies,)*
                }
            }
        }
    };
}

// Bit, id, name, and what it denies. An id is never reused.
rules! {
    /// Mounting, unmounting, remounting, moving mounts, by both mount APIs, and `pivot_root`.
    Mount = 0 "LOCKC-D001" "mount" "changing mounts";
    /// Host information in sysfs; writes to sysfs and to cgroup files.
    Sysfs = 1 "LOCKC-D002" "sysfs" "host information in sysfs";
    /// Host information in procfs; writes outside of `/proc/<pid>` and the namespaced sysctls.
    Procfs = 2 "LOCKC-D003" "procfs" "host information in procfs";
    /// The kernel log: `syslog(2)`, `/dev/kmsg`.
    KernelLog = 3 "LOCKC-D004" "kernel-log" "the kernel log";
    /// Unix sockets of the host, by the identity of the peer.
    UnixSocket = 4 "LOCKC-D005" "unix-socket" "unix sockets of the host";
    /// Files that the container was not granted, by the identity of the mount.
    Files = 5 "LOCKC-D006" "files" "files that the container was not granted";
    /// Tasks outside of the container: ptrace and all that asks for its access, signals, limits,
    /// scheduling.
    Process = 6 "LOCKC-D007" "process" "tasks outside the container";
    /// Every socket family but unix.
    Network = 7 "LOCKC-D008" "network" "sockets other than unix";
    /// New user namespaces.
    UserNamespace = 8 "LOCKC-D009" "user-namespace" "new user namespaces";
    /// The kernel itself: bpf(2), perf events, modules, kexec, what lockdown guards, the clock,
    /// quotas.
    Kernel = 9 "LOCKC-D010" "kernel" "the kernel's own settings and code";
    /// Keys that the container did not create.
    Keyring = 10 "LOCKC-D011" "keyring" "keys that the container did not create";
    /// Capabilities beyond those that the container may have, when they are used.
    Capability = 11 "LOCKC-D012" "capability"
        "capabilities beyond those that the container may have";
    /// Becoming root, and gaining rights at exec.
    Privilege = 12 "LOCKC-D013" "privilege" "becoming root, and gaining rights at exec";
    /// io_uring.
    IoUring = 13 "LOCKC-D014" "io-uring" "io_uring";
    /// Raw and packet sockets.
    RawSocket = 14 "LOCKC-D015" "raw-socket" "raw and packet sockets";
    /// Devices that are neither in every container nor in this one's specification.
    Device = 15 "LOCKC-D016" "device" "devices that the container was not granted";
    /// Socket families and netlink protocols that containers do not need, and their policy does not
    /// name.
    SocketFamily = 16 "LOCKC-D017" "socket-family" "socket families that containers do not need";
    /// With the host's IPC namespace: System V objects and POSIX message queues of the host.
    Ipc = 17 "LOCKC-D018" "ipc" "shared memory, semaphores and message queues of the host";
}

impl Rule {
    /// The rule of a raw value from an event, if it is one.
    pub fn from_raw(raw: u32) -> Option<Self> {
        Self::ALL.get(raw as usize).copied()
    }

    /// The rule of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }
}

/// A set of [`Rule`]s; the bits of a container's entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct RuleMask(pub u64);

impl RuleMask {
    /// No rule.
    pub const NONE: Self = Self(0);
    /// What every level but `privileged` enforces.
    pub const CONFINEMENT: Self = Self::NONE
        .with(Rule::Mount)
        .with(Rule::Sysfs)
        .with(Rule::Procfs)
        .with(Rule::KernelLog)
        .with(Rule::UnixSocket)
        .with(Rule::Files)
        .with(Rule::Process)
        .with(Rule::UserNamespace)
        .with(Rule::Kernel)
        .with(Rule::Keyring)
        .with(Rule::Capability)
        .with(Rule::Device)
        .with(Rule::SocketFamily)
        .with(Rule::Ipc);

    /// This set and `rule`.
    #[must_use]
    pub const fn with(self, rule: Rule) -> Self {
        Self(self.0 | 1 << rule as u32)
    }

    /// The rules of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The rules that are only in this set.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// This set without `rule`.
    #[must_use]
    pub const fn without(self, rule: Rule) -> Self {
        Self(self.0 & !(1 << rule as u32))
    }

    /// Whether `rule` is in the set.
    pub const fn has(self, rule: Rule) -> bool {
        self.0 & 1 << rule as u32 != 0
    }

    /// Whether this set denies everything that `other` denies.
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_raw_values_round_trip() {
        for level in Level::ALL {
            assert_eq!(Level::from_raw(level as u32), Some(level));
            assert_eq!(Level::from_name(level.name()), Some(level));
        }
        for (bit, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, bit);
            assert_eq!(Rule::from_raw(rule as u32), Some(rule));
            assert_eq!(Rule::from_name(rule.name()), Some(rule));
        }
        for network in Network::ALL {
            assert_eq!(Network::from_name(network.name()), Some(network));
        }
        let ids = Rule::ALL.map(Rule::id);
        assert!(
            ids.is_sorted_by(|one, next| one < next) && ids.iter().all(|id| id.len() == 10),
            "{ids:?}"
        );
        assert!(Level::ALL.is_sorted() && Network::ALL.is_sorted());
        assert_eq!(Level::from_raw(0), None);
        assert_eq!(Rule::from_raw(Rule::ALL.len() as u32), None);
    }

    #[test]
    fn without_the_rule_the_network_is_full() {
        let rules = Level::Baseline.rules();
        for loopback in [false, true] {
            assert_eq!(Network::for_rules(rules, loopback), Network::Full);
        }
        assert_eq!(Network::for_rules(rules.with(Rule::Network), true), Network::Loopback);
        assert_eq!(Network::for_rules(rules.with(Rule::Network), false), Network::None);
    }

    #[test]
    fn the_page_names_every_rule() {
        let page = include_str!("../../../docs/policies.md");
        for rule in Rule::ALL {
            assert!(page.contains(&format!("`{}`", rule.name())), "{}", rule.name());
        }
    }

    #[test]
    fn only_privileged_is_without_rules() {
        for level in Level::ALL {
            assert_eq!(level.rules() == RuleMask::NONE, level == Level::Privileged);
        }
        assert!(Level::Restricted.rules().covers(Level::Baseline.rules()));
    }
}
