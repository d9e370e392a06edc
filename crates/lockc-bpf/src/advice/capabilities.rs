//! `capabilities`: those that give the host, and those that the LSM programs deny all the same.

use lockc_core::rules::Rule;
use lockc_policy::policy::PolicySet;

use super::{
    values::Values,
    warning::{Kind, Warning},
};

/// Denied whatever a policy admits (crates/lockc-ebpf/src/creds.rs).
const DENIED: [&str; 10] = [
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_PACCT",
    "SYS_BOOT",
    "SYS_TIME",
    "AUDIT_CONTROL",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "PERFMON",
    "BPF",
];

const DANGEROUS: [(&str, &str); 4] = [
    (
        "DAC_READ_SEARCH",
        "open files of a file system that it has by their handles, outside of its mounts",
    ),
    ("SYS_ADMIN", "change namespaces, mounts and devices where no rule denies it"),
    ("SYS_PTRACE", "trace what it can see, other containers of its pod among it"),
    ("NET_ADMIN", "change the host's network, where it has the host's network namespace"),
];

pub fn warnings(values: &Values<'_>, set: &PolicySet) -> Vec<Warning> {
    let mut found = Vec::new();
    for value in values.names("capabilities", |policy| &policy.capabilities) {
        let upper = value.text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if DENIED.contains(&name) && !lacks_kernel(set, &value.key) {
            let reason = "has no effect: the kernel rule denies it; see without_rules";
            found.extend(values.of(&value, Kind::NoEffect, reason));
        }
        if let Some((_, what)) = DANGEROUS.iter().find(|(known, _)| *known == name) {
            let reason = format!("lets a container {what}");
            found.extend(values.of(&value, Kind::Dangerous, &reason));
        }
    }
    found
}

/// Whether the policy of a key enforces no kernel rule.
fn lacks_kernel(set: &PolicySet, key: &str) -> bool {
    let name = key.trim_start_matches("policies.").trim_end_matches(".capabilities");
    set.all().any(|policy| policy.name == name && !policy.rules.has(Rule::Kernel))
}
