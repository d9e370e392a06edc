//! What is checked before a container starts: after the Pod Security Standards, and what only the
//! OCI runtime specification knows. Each control is a row of the table; what checks it is in
//! [`admission`](crate::admission).

use lockc_core::rules::Level;

/// How strictly a control is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Not at all.
    Off,
    /// As `baseline` does.
    Baseline,
    /// As `restricted` does.
    Restricted,
}

macro_rules! controls {
    ($($variant:ident $id:literal $name:literal $baseline:ident $restricted:ident $optional:ident
        $checks:literal;)*) => {
        /// Something that is checked before a container starts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Control {
            $(#[doc = $checks] $variant,)*
        }

        impl Control {
            /// Every control.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The id of its messages, by which `docs/troubleshooting.md` lists them.
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$variant => $id,)*
                }
            }

            /// The name used in configuration and messages.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What is checked, in a few words for messages.
            pub const fn checks(self) -> &'static str {
                match self {
                    $(Self::$variant => $checks,)*
                }
            }

            /// How strictly a level applies it.
            pub const fn strength_at(self, level: Level) -> Strength {
                match (self, level) {
                    (_, Level::Privileged) => Strength::Off,
                    $((Self::$variant, Level::Baseline) => Strength::$baseline,
                    (Self::$variant, Level::Restricted) => Strength::$restricted,)*
                }
            }

            /// Whether a policy may remove the control. lockc depends on the others.
            pub const fn optional(self) -> bool {
                match self {
                    $(Self::$variant => controls!(@$optional),)*
                }
            }
        }
    };
    (@optional) => { true };
    (@always) => { false };
}

// Id, name, how strictly baseline and restricted apply it, whether a policy may take it away, and
// what it checks. An id is never reused: a new control gets the next one.
controls! {
    HostMounts "LOCKC-A001" "host-mounts" Baseline Restricted optional
        "bind mounts of the host's files";
    HostSockets "LOCKC-A002" "host-sockets" Baseline Baseline optional
        "unix sockets of the host";
    MountTypes "LOCKC-A003" "mount-types" Baseline Baseline optional
        "types of file systems that are mounted";
    MountNamespace "LOCKC-A004" "mount-namespace" Baseline Baseline always
        "the container's own mount namespace";
    HostNamespaces "LOCKC-A005" "host-namespaces" Baseline Baseline optional
        "namespaces and network devices of the host";
    Capabilities "LOCKC-A006" "capabilities" Baseline Restricted optional
        "capabilities beyond the engines' default set";
    Devices "LOCKC-A007" "devices" Baseline Baseline optional
        "devices beyond the default set";
    Rootfs "LOCKC-A008" "rootfs" Baseline Baseline optional
        "the location of the root file system";
    RunAsRoot "LOCKC-A009" "run-as-root" Off Restricted optional
        "running as uid 0";
    RuntimeHandlers "LOCKC-A010" "runtime-handlers" Baseline Baseline always
        "annotations that change what the runtime does";
    Restore "LOCKC-A011" "restore" Baseline Baseline always
        "restoring from a checkpoint";
    OwnFiles "LOCKC-A012" "own-files" Baseline Baseline always
        "writable mounts of lockc's own configuration and programs";
    Seccomp "LOCKC-A013" "seccomp" Baseline Restricted optional
        "the seccomp profile, and agents to which it passes system calls";
    AppArmor "LOCKC-A014" "apparmor" Baseline Baseline optional
        "the AppArmor profile unconfined";
    SeLinux "LOCKC-A015" "selinux" Baseline Baseline optional
        "SELinux users, roles and types that are not for containers; a missing label";
    ProcMount "LOCKC-A016" "proc-mount" Baseline Baseline optional
        "masked and read-only paths of procfs and sysfs";
    Sysctls "LOCKC-A017" "sysctls" Baseline Baseline optional
        "sysctls beyond the safe ones";
    PrivilegeEscalation "LOCKC-A018" "privilege-escalation" Off Restricted optional
        "no_new_privs, where the kernel rule privilege is off";
    Hooks "LOCKC-A019" "hooks" Baseline Baseline optional
        "programs that the runtime executes on the host";
    RootfsPropagation "LOCKC-A020" "rootfs-propagation" Baseline Baseline optional
        "a root file system whose mounts reach the host";
    Resources "LOCKC-A021" "resources" Baseline Baseline optional
        "real-time scheduling, memory policy, cache allocation, execution domain, cgroups of \
         others, oom_score_adj";
}

impl Control {
    /// The control of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|control| control.name() == name)
    }

    /// The control of that id, if there is one.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|control| control.id() == id)
    }
}

/// The controls that a policy may take away, for messages.
pub(super) fn optional_names() -> String {
    let names: Vec<_> =
        Control::ALL.into_iter().filter(|control| control.optional()).map(Control::name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use lockc_core::rules::Rule;

    use super::*;

    #[test]
    fn the_packaged_configuration_lists_what_a_policy_may_remove() {
        let text = include_str!("../../../../packaging/lockc.toml").replace("\n#", "");
        let rules = Rule::ALL.map(Rule::name).join(", ");
        for names in [optional_names(), rules] {
            assert!(text.contains(&names), "{names}");
        }
    }

    #[test]
    fn ids_are_unique() {
        let mut ids = Control::ALL.map(Control::id).to_vec();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Control::ALL.len());
        assert!(ids.iter().all(|id| id.len() == 10 && id.starts_with("LOCKC-A")), "{ids:?}");
    }

    #[test]
    fn the_pages_name_every_control() {
        for page in [
            include_str!("../../../../docs/policies.md"),
            include_str!("../../../../docs/troubleshooting.md"),
        ] {
            for control in Control::ALL {
                assert!(page.contains(&format!("`{}`", control.name())), "{}", control.name());
            }
        }
    }
}
