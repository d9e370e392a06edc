//! Mounted file systems: the kernel's own with their places, others by their number.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};

use super::read::read;

/// File systems of which lockc needs to know the place.
const OWN: [&str; 8] =
    ["bpf", "cgroup2", "cgroup", "securityfs", "debugfs", "tracefs", "proc", "sysfs"];

/// Places of them that are the same on every host.
const USUAL: [&str; 8] = [
    "/sys/fs/bpf",
    "/sys/fs/cgroup",
    "/sys/kernel/security",
    "/sys/kernel/debug",
    "/sys/kernel/debug/tracing",
    "/sys/kernel/tracing",
    "/proc",
    "/sys",
];

/// The mount table below `root`.
///
/// # Errors
///
/// Where it cannot be read.
pub fn table(root: &Path) -> Result<Value, String> {
    let text = read(&root.join("proc/self/mounts"))?;
    let mut own = Vec::new();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(place), Some(kind)) = (fields.next(), fields.next()) else { continue };
        *kinds.entry(kind).or_default() += 1;
        if OWN.contains(&kind) && USUAL.contains(&place) {
            own.push(json!({"type": kind, "at": place}));
        }
    }
    // A subtype is chosen by the program that mounts it.
    let mut by_type: BTreeMap<String, usize> = BTreeMap::new();
    for (kind, count) in kinds {
        let kind = kind.split('.').next().unwrap_or_default();
        *by_type.entry(kind.to_owned()).or_default() += count;
    }
    let others: Vec<Value> =
        by_type.iter().map(|(kind, count)| json!({"type": kind, "mounts": count})).collect();
    Ok(json!({"own": own, "others": others}))
}
