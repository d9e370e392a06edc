//! Devices: nodes that the runtime makes, and what the device cgroup lets the container use.

use super::Findings;
use crate::user::{
    policy::Control,
    spec::{Device, DeviceRule, Linux},
};

/// Character devices that the specification gives every container: null, zero, full, random, urandom, tty, console,
/// ptmx.
const DEFAULT: [(i64, i64); 8] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)];

/// Terminals of the container's own devpts.
const PTS_MAJOR: i64 = 136;

/// Whether a character device is in every container.
pub(super) fn is_default(major: i64, minor: i64) -> bool {
    DEFAULT.contains(&(major, minor)) || major == PTS_MAJOR
}

/// Judges `linux.devices` and `linux.resources.devices`.
pub(super) fn judge(linux: &Linux, findings: &mut Findings<'_>) {
    let refused: Vec<_> = linux.devices.iter().filter(|device| !harmless(device)).map(describe).collect();
    if !refused.is_empty() {
        findings.add(Control::Devices, list(&refused), "leave --device (--privileged) out");
    }
    let rules: Vec<_> = linux.resources.devices.iter().filter(|rule| !harmless_rule(rule)).map(describe_rule).collect();
    if !rules.is_empty() {
        findings.add(
            Control::Devices,
            format!("access to {}", list(&rules)),
            "leave --device-cgroup-rule (--privileged) out",
        );
    }
}

fn harmless(device: &Device) -> bool {
    match device.kind.as_str() {
        "p" => true,
        "c" | "u" => is_default(device.major, device.minor),
        _ => false,
    }
}

fn harmless_rule(rule: &DeviceRule) -> bool {
    if !rule.allow || !rule.access.contains(['r', 'w']) {
        return true;
    }
    // Absent and negative numbers stand for all.
    let number = |number: Option<i64>| number.filter(|number| *number >= 0);
    match (rule.kind.as_deref(), number(rule.major), number(rule.minor)) {
        (Some("c" | "u"), Some(major), Some(minor)) => is_default(major, minor),
        (Some("c" | "u"), Some(major), None) => major == PTS_MAJOR,
        _ => false,
    }
}

fn describe(device: &Device) -> String {
    let kind = if device.kind == "b" { "block device" } else { "device" };
    format!("{kind} {} ({} {}:{})", device.path.display(), device.kind, device.major, device.minor)
}

fn describe_rule(rule: &DeviceRule) -> String {
    let number =
        |number: Option<i64>| number.filter(|number| *number >= 0).map_or("*".into(), |number| number.to_string());
    format!(
        "devices {} {}:{} {}",
        rule.kind.as_deref().unwrap_or("a"),
        number(rule.major),
        number(rule.minor),
        rule.access
    )
}

/// `--privileged` brings every device of the host: the first few say enough.
fn list(items: &[String]) -> String {
    match items {
        [a, b, c, rest @ ..] if rest.len() > 1 => format!("{a}, {b}, {c} and {} more", rest.len()),
        items => items.join(", "),
    }
}
