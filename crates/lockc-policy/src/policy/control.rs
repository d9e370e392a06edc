//! What is checked before a container starts. After the Pod Security Standards, and what only the
//! OCI runtime specification knows.

/// Something that is checked before a container starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the table is in `Control::checks`
pub enum Control {
    HostMounts,
    HostSockets,
    MountTypes,
    MountNamespace,
    HostNamespaces,
    Capabilities,
    Devices,
    Rootfs,
    RunAsRoot,
    RuntimeHandlers,
    Restore,
    OwnFiles,
    Seccomp,
    AppArmor,
    SeLinux,
    ProcMount,
    Sysctls,
    PrivilegeEscalation,
    Hooks,
    RootfsPropagation,
    Resources,
}

impl Control {
    /// Every control.
    pub const ALL: [Self; 21] = [
        Self::HostMounts,
        Self::HostSockets,
        Self::MountTypes,
        Self::MountNamespace,
        Self::HostNamespaces,
        Self::Capabilities,
        Self::Devices,
        Self::Rootfs,
        Self::RunAsRoot,
        Self::RuntimeHandlers,
        Self::Restore,
        Self::OwnFiles,
        Self::Seccomp,
        Self::AppArmor,
        Self::SeLinux,
        Self::ProcMount,
        Self::Sysctls,
        Self::PrivilegeEscalation,
        Self::Hooks,
        Self::RootfsPropagation,
        Self::Resources,
    ];

    /// The name used in configuration and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostMounts => "host-mounts",
            Self::HostSockets => "host-sockets",
            Self::MountTypes => "mount-types",
            Self::MountNamespace => "mount-namespace",
            Self::HostNamespaces => "host-namespaces",
            Self::Capabilities => "capabilities",
            Self::Devices => "devices",
            Self::Rootfs => "rootfs",
            Self::RunAsRoot => "run-as-root",
            Self::RuntimeHandlers => "runtime-handlers",
            Self::Restore => "restore",
            Self::OwnFiles => "own-files",
            Self::Seccomp => "seccomp",
            Self::AppArmor => "apparmor",
            Self::SeLinux => "selinux",
            Self::ProcMount => "proc-mount",
            Self::Sysctls => "sysctls",
            Self::PrivilegeEscalation => "privilege-escalation",
            Self::Hooks => "hooks",
            Self::RootfsPropagation => "rootfs-propagation",
            Self::Resources => "resources",
        }
    }

    /// The control of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|control| control.name() == name)
    }

    /// What is checked, in a few words for messages.
    pub const fn checks(self) -> &'static str {
        match self {
            Self::HostMounts => "bind mounts of the host's files",
            Self::HostSockets => "unix sockets of the host",
            Self::MountTypes => "types of file systems that are mounted",
            Self::MountNamespace => "a mount namespace of its own",
            Self::HostNamespaces => "namespaces and network devices of the host",
            Self::Capabilities => "capabilities beyond the engines' default set",
            Self::Devices => "devices beyond the default set",
            Self::Rootfs => "where the root file system is",
            Self::RunAsRoot => "running as uid 0",
            Self::RuntimeHandlers => "annotations that make the runtime do something else",
            Self::Restore => "restoring from a checkpoint",
            Self::OwnFiles => "writable mounts of lockc's own configuration and programs",
            Self::Seccomp => {
                "a seccomp profile that refuses anything; agents that it hands system calls to"
            }
            Self::AppArmor => "the AppArmor profile unconfined",
            Self::SeLinux => {
                "SELinux users, roles and types that are not a container's; a label left out"
            }
            Self::ProcMount => "masked and read-only paths of procfs and sysfs",
            Self::Sysctls => "sysctls beyond the safe ones",
            Self::PrivilegeEscalation => "no_new_privs, where the kernel rule privilege is off",
            Self::Hooks => "programs that the runtime executes on the host",
            Self::RootfsPropagation => "a root file system whose mounts reach the host",
            Self::Resources => {
                "real-time scheduling, memory policy, cache allocation, execution domain, others' \
                 cgroups, oom_score_adj"
            }
        }
    }

    /// Whether a policy may take the control away. Without the others the kernel side never gets to
    /// check the container, so that only `privileged`, which says so, is without them.
    pub const fn optional(self) -> bool {
        !matches!(
            self,
            Self::MountNamespace | Self::RuntimeHandlers | Self::Restore | Self::OwnFiles
        )
    }

    /// The control in a set of them.
    pub(super) const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// The controls that a policy may take away, for messages.
pub(super) fn optional_names() -> String {
    let names: Vec<_> =
        Control::ALL.into_iter().filter(|control| control.optional()).map(Control::name).collect();
    names.join(", ")
}

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

#[cfg(test)]
mod tests {
    use super::*;

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
