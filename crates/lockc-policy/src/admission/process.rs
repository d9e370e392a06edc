//! With which rights a container's process, the first one or one that joins, starts.

use super::Findings;
use crate::{
    policy::{Control, Policy, Strength},
    spec::Process,
};

/// What engines give by default, and the Pod Security Standards' baseline allows; NET_RAW is in
/// Docker's and containerd's default set.
const BASELINE: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

const RESTRICTED: [&str; 1] = ["NET_BIND_SERVICE"];

/// The capabilities that a container's tasks may use, as bits of the kernel's numbers: those that
/// admission lets its processes start with, and all of them where the policy admits any.
pub fn usable(policy: &Policy) -> u64 {
    if policy.strength(Control::Capabilities) == Strength::Off {
        return u64::MAX;
    }
    let strength = policy.strength(Control::Capabilities);
    allowed(policy, strength)
        .filter_map(capability)
        .fold(0, |bits, capability| bits | 1 << capability.index())
}

/// The names without `CAP_` of those that a policy admits at that strength, unless it admits any.
fn allowed(policy: &Policy, strength: Strength) -> impl Iterator<Item = &str> {
    let level: &[&str] = match strength {
        Strength::Restricted => &RESTRICTED,
        _ => &BASELINE,
    };
    level.iter().copied().chain(policy.more.capabilities.iter().map(String::as_str))
}

fn capability(short: &str) -> Option<caps::Capability> {
    format!("CAP_{short}").parse().ok()
}

/// Every capability, as `config.json` names it.
pub fn every() -> Vec<String> {
    let mut names: Vec<String> = caps::all().iter().map(ToString::to_string).collect();
    names.sort();
    names
}

/// Those that engines give by default.
pub fn usual() -> Vec<String> {
    BASELINE.map(|name| format!("CAP_{name}")).to_vec()
}

/// Whether the kernel knows a capability of that name.
pub(crate) fn is_known(short: &str) -> bool {
    capability(short).is_some()
}

/// A name in capitals and without `CAP_`: crun takes names in any case and without the prefix.
pub(crate) fn short_name(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    upper.strip_prefix("CAP_").unwrap_or(&upper).into()
}

/// Checks capabilities and user.
pub(super) fn check(process: &Process, findings: &mut Findings<'_>) {
    let strength = findings.strength(Control::Capabilities);
    let mut refused: Vec<String> = Vec::new();
    for name in process.capabilities.all() {
        let short = short_name(name);
        if allowed(findings.policy, strength).all(|allowed| allowed != short)
            && !refused.contains(&short)
        {
            refused.push(short);
        }
    }
    if !refused.is_empty() {
        let remedy = match strength {
            Strength::Restricted => "drop them (--cap-drop ALL)",
            _ => "leave --cap-add (--privileged) out",
        };
        findings.add(Control::Capabilities, list(&refused), remedy);
    }
    if process.user.uid == 0 {
        findings.add(
            Control::RunAsRoot,
            "the process would run as uid 0".into(),
            "set another user (--user)",
        );
    }
}

fn list(names: &[String]) -> String {
    match names {
        [first @ .., _, _, _, _] if first.len() > 4 => {
            format!("{} and {} more", names[..4].join(", "), names.len() - 4)
        }
        names => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockc_core::rules::Level;

    #[test]
    fn every_admitted_capability_has_its_bit() {
        let of = |level| usable(&Policy::for_level(level, "a test"));
        assert_eq!(of(Level::Baseline).count_ones() as usize, BASELINE.len());
        // include/uapi/linux/capability.h: CAP_NET_BIND_SERVICE is 10, CAP_SYS_ADMIN is 21.
        assert_eq!(of(Level::Restricted), 1 << 10);
        assert_eq!(of(Level::Baseline) >> 21 & 1, 0);
        assert_eq!(of(Level::Privileged), u64::MAX);
    }
}
