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
