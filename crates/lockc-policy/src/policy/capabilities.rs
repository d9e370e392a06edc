//! Capabilities by name, and those that the levels let containers have.

use super::control::Strength;

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

pub(crate) fn capability(short: &str) -> Option<caps::Capability> {
    format!("CAP_{short}").parse().ok()
}

/// The name without `CAP_` of the capability with that number (include/uapi/linux/capability.h).
pub fn name(number: u32) -> Option<String> {
    let found =
        caps::all().into_iter().find(|capability| u32::from(capability.index()) == number)?;
    Some(short_name(&found.to_string()))
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

/// The names without `CAP_` of those that a level admits at that strength.
pub(crate) fn of_level(strength: Strength) -> &'static [&'static str] {
    match strength {
        Strength::Restricted => &RESTRICTED,
        _ => &BASELINE,
    }
}
