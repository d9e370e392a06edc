//! The one-line summary of a refusal. Engines show it in one line with their own text around it;
//! everything else is for `lockc explain`.

use crate::admission::findings::Violation;
use crate::policy::Control;

/// A refusal in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What to change first: the option, why not, what instead.
    pub first: String,
    /// The controls of the other reasons, one an entry, so that one control may be there twice.
    pub further: Vec<Control>,
}

/// What `--privileged` (`privileged: true`) makes of a container. An engine writes no trace of the
/// option itself: it is known by the three of its effects that no other single option has together.
const PRIVILEGED: [Control; 7] = [
    Control::Capabilities,
    Control::Devices,
    Control::ProcMount,
    Control::Seccomp,
    Control::AppArmor,
    Control::SeLinux,
    Control::PrivilegeEscalation,
];

/// Sums up why a container is refused; the first reason is the one to change first.
pub fn summary(violations: &[Violation]) -> Summary {
    let is_privileged = is_privileged(violations);
    let left: Vec<&Violation> = violations
        .iter()
        .filter(|violation| {
            !(is_privileged && is_of_privileged(violation) || follows(violation, violations))
        })
        .collect();
    let controls = |left: &[&Violation]| left.iter().map(|violation| violation.control).collect();
    match left.as_slice() {
        left if is_privileged => Summary {
            first: format!(
                "--privileged gives the container every capability and every device of the host, \
                 and disables its security profiles and masked paths [remove it (privileged: \
                 true) and add single capabilities and devices with --cap-add and --device, or \
                 use the privileged level] ({})",
                Control::Capabilities.id()
            ),
            further: controls(left),
        },
        [first, further @ ..] => Summary { first: first.reason(), further: controls(further) },
        [] => Summary { first: String::new(), further: Vec::new() },
    }
}

fn is_privileged(violations: &[Violation]) -> bool {
    let of =
        |control: Control| violations.iter().filter(move |violation| violation.control == control);
    // More capabilities than the message lists.
    of(Control::Capabilities).any(|violation| violation.what.ends_with(" more"))
        && of(Control::Devices).any(is_of_privileged)
        && of(Control::ProcMount).next().is_some()
}

/// Whether the option would explain it. A device that is mounted is an option of its own.
fn is_of_privileged(violation: &Violation) -> bool {
    PRIVILEGED.contains(&violation.control) && !violation.what.starts_with("bind mount")
}

/// Whether another of the reasons brings this one along: engines give a container in the host's
/// network namespace the host's name as well (containerd 2.1,
/// internal/cri/server/podsandbox/sandbox_run_linux.go), and one in the host's IPC namespace the
/// host's /dev/shm and /dev/mqueue.
fn follows(violation: &Violation, all: &[Violation]) -> bool {
    let namespace = |of: &Violation, name: &str| {
        of.control == Control::HostNamespaces
            && of.what == format!("the container uses the host's {name} namespace")
    };
    let told = |name: &str| all.iter().any(|other| namespace(other, name));
    let of_ipc =
        ["bind mount of /dev/shm at /dev/shm ", "bind mount of /dev/mqueue at /dev/mqueue "];
    namespace(violation, "uts") && told("network")
        || violation.control == Control::HostMounts
            && of_ipc.iter().any(|mount| violation.what.starts_with(mount))
            && told("ipc")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(control: Control, what: &str) -> Violation {
        Violation {
            control,
            what: what.into(),
            policy: "level baseline (from default)".into(),
            remedy: "r".into(),
            settings: Vec::new(),
        }
    }

    fn privileged() -> Vec<Violation> {
        vec![
            violation(
                Control::Capabilities,
                "AUDIT_CONTROL, AUDIT_READ, BLOCK_SUSPEND, BPF and 23 more",
            ),
            violation(
                Control::Devices,
                "device /dev/autofs (c 10:235), block device /dev/vda (b 254:0)",
            ),
            violation(Control::Devices, "access to devices a *:* rwm"),
            violation(Control::Seccomp, "no seccomp profile"),
            violation(Control::AppArmor, "the AppArmor profile unconfined"),
            violation(Control::ProcMount, "/proc/acpi not hidden"),
            violation(Control::ProcMount, "/proc/bus not read-only"),
        ]
    }

    #[test]
    fn privileged_is_one_reason() {
        let told = summary(&privileged());
        assert!(told.first.starts_with("--privileged ") && told.further.is_empty(), "{told:?}");
        let mut more = privileged();
        more.insert(0, violation(Control::HostMounts, "bind mount of /etc at /x is the host's"));
        more.push(violation(Control::Devices, "bind mount of /dev/vda at /x is a block device"));
        let told = summary(&more);
        assert!(told.first.starts_with("--privileged "));
        assert_eq!(told.further, [Control::HostMounts, Control::Devices]);
    }

    #[test]
    fn parts_of_it_are_told_as_they_are() {
        for left_out in [Control::Capabilities, Control::Devices, Control::ProcMount] {
            let mut part = privileged();
            part.retain(|violation| violation.control != left_out);
            let told = summary(&part);
            assert!(!told.first.contains("--privileged"), "{told:?}");
            assert_eq!(told.further.len(), part.len() - 1);
        }
        let few = vec![
            violation(Control::Capabilities, "SYS_ADMIN"),
            violation(Control::Devices, "device /dev/fuse (c 10:229)"),
            violation(Control::ProcMount, "/proc/acpi not hidden"),
        ];
        assert_eq!(summary(&few).first, "capabilities: SYS_ADMIN [r] (LOCKC-A006)");
    }

    #[test]
    fn the_first_reason_is_told_and_the_others_are_counted() {
        let told =
            summary(&[violation(Control::HostMounts, "a"), violation(Control::HostMounts, "b")]);
        assert_eq!(
            told,
            Summary {
                first: "host-mounts: a [r] (LOCKC-A001)".into(),
                further: vec![Control::HostMounts]
            }
        );
    }

    #[test]
    fn what_follows_is_not_told() {
        let uses = |name: &str| {
            violation(
                Control::HostNamespaces,
                &format!("the container uses the host's {name} namespace"),
            )
        };
        assert_eq!(summary(&[uses("network"), uses("uts")]).further, []);
        assert_eq!(
            summary(&[uses("uts"), uses("network")]).first,
            summary(&[uses("network")]).first
        );
        assert_eq!(summary(&[uses("uts"), uses("pid")]).further, [Control::HostNamespaces]);
        let shm = violation(
            Control::HostMounts,
            "bind mount of /dev/shm at /dev/shm is in /dev, which …",
        );
        assert_eq!(summary(&[shm.clone(), uses("ipc")]), summary(&[uses("ipc")]));
        assert_eq!(summary(&[shm.clone(), uses("pid")]).further.len(), 1);
        let other =
            violation(Control::HostMounts, "bind mount of /dev/shm at /x is in /dev, which …");
        assert_eq!(summary(&[other, uses("ipc")]).further.len(), 1);
    }
}
