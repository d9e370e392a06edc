//! With which rights a container's process, the first one or one that joins, starts.

use super::Findings;
use crate::user::{
    policy::{Control, Strength},
    spec::Process,
};

/// What engines give by default, and the Pod Security Standards' baseline allows; NET_RAW is in Docker's and containerd's
/// default set.
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

/// The capabilities that a container's tasks may use, as bits of the kernel's numbers: those that admission lets its
/// processes start with, and all of them where the policy admits any.
pub fn usable(strength: Strength) -> u64 {
    let allowed: &[&str] = match strength {
        Strength::Off => return u64::MAX,
        Strength::Baseline => &BASELINE,
        Strength::Restricted => &RESTRICTED,
    };
    allowed
        .iter()
        .filter_map(|name| format!("CAP_{name}").parse::<caps::Capability>().ok())
        .fold(0, |bits, capability| bits | 1 << capability.index())
}

/// Judges capabilities and user.
pub(super) fn judge(process: &Process, findings: &mut Findings<'_>) {
    let strength = findings.strength(Control::Capabilities);
    let allowed: &[&str] = if strength == Strength::Restricted { &RESTRICTED } else { &BASELINE };
    let mut refused: Vec<String> = Vec::new();
    for name in process.capabilities.all() {
        // crun takes names in any case and without the prefix.
        let upper = name.to_ascii_uppercase();
        let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if !allowed.contains(&short) && !refused.iter().any(|seen| seen == short) {
            refused.push(short.into());
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
        findings.add(Control::RunAsRoot, "the process would run as uid 0".into(), "set another user (--user)");
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

    #[test]
    fn every_admitted_capability_has_its_bit() {
        assert_eq!(usable(Strength::Baseline).count_ones() as usize, BASELINE.len());
        // include/uapi/linux/capability.h: CAP_NET_BIND_SERVICE is 10, CAP_SYS_ADMIN is 21.
        assert_eq!(usable(Strength::Restricted), 1 << 10);
        assert_eq!(usable(Strength::Baseline) >> 21 & 1, 0);
        assert_eq!(usable(Strength::Off), u64::MAX);
    }
}
