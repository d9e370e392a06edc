//! Devices: nodes that the runtime makes, and what the device cgroup lets the container use.

use std::path::PathBuf;

use crate::{
    admission::findings::Findings,
    host::{HostView, Kind},
};
use crate::{
    policy::{Control, Key, Setting},
    spec::{Device, DeviceRule, Linux, devices::is_console},
};
use lockc_core::abi::is_default_device;

/// Whether a character device is in every container.
pub(super) fn is_default(major: i64, minor: i64) -> bool {
    matches!((u32::try_from(major), u32::try_from(minor)), (Ok(major),
        Ok(minor)) if is_default_device(major, minor))
}

/// Checks `linux.devices` and `linux.resources.devices`.
/// `more`: what the policy names and the engine gives by itself.
pub(super) fn check(linux: &Linux, more: &Named, findings: &mut Findings<'_>) {
    let harmless =
        |device: &&Device| harmless(device) || more.has(&device.kind, device.major, device.minor);
    let refused: Vec<&Device> = linux.devices.iter().filter(|device| !harmless(device)).collect();
    if !refused.is_empty() {
        let paths = refused.iter().map(|device| device.path.to_string_lossy());
        let settings: Vec<Setting> = paths.map(|path| Setting::new(Key::Devices, path)).collect();
        let refused: Vec<String> = refused.into_iter().map(describe).collect();
        let remedy = "remove --device (--privileged)";
        findings.add_unless_set(Control::Devices, list(&refused), remedy, settings);
    }
    let harmless = |rule: &&DeviceRule| {
        let named = |major, minor| more.has(rule.kind.as_deref().unwrap_or("a"), major, minor);
        harmless_rule(rule)
            || matches!((rule.major, rule.minor), (Some(major), Some(minor)) if named(major, minor))
    };
    let rules: Vec<_> =
        linux.resources.devices.iter().filter(|rule| !harmless(rule)).map(describe_rule).collect();
    if !rules.is_empty() {
        findings.add(
            Control::Devices,
            format!("access to {}", list(&rules)),
            "remove --device-cgroup-rule (--privileged)",
        );
    }
}

/// Devices that a policy names by their nodes on the host; a node that does not exist names none.
pub(super) struct Named(Vec<Kind>);

impl Named {
    pub(super) fn of(nodes: &[PathBuf], view: &dyn HostView) -> Self {
        Self(nodes.iter().filter_map(|node| view.kind(node).ok()).collect())
    }

    fn has(&self, kind: &str, major: i64, minor: i64) -> bool {
        let (Ok(major), Ok(minor)) = (u32::try_from(major), u32::try_from(minor)) else {
            return false;
        };
        match kind {
            "c" | "u" => self.0.contains(&Kind::Char(major, minor)),
            "b" => self.0.contains(&Kind::Block(major, minor)),
            _ => false,
        }
    }

    /// Whether it is the device of a node that is mounted.
    pub(super) fn is(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Char(..) | Kind::Block(..)) && self.0.contains(&kind)
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
    if !rule.allow || !rule.access.contains(['r', 'w']) || is_console(rule) {
        return true;
    }
    // Absent and negative numbers stand for all.
    let number = |number: Option<i64>| number.filter(|number| *number >= 0);
    match (rule.kind.as_deref(), number(rule.major), number(rule.minor)) {
        (Some("c" | "u"), Some(major), Some(minor)) => is_default(major, minor),
        (Some("c" | "u"), Some(major), None) => is_default(major, 0) && is_default(major, 255),
        _ => false,
    }
}

fn describe(device: &Device) -> String {
    let kind = if device.kind == "b" { "block device" } else { "device" };
    format!("{kind} {} ({} {}:{})", device.path.display(), device.kind, device.major, device.minor)
}

fn describe_rule(rule: &DeviceRule) -> String {
    let number = |number: Option<i64>| {
        number.filter(|number| *number >= 0).map_or("*".into(), |number| number.to_string())
    };
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

#[cfg(test)]
mod tests {
    use lockc_core::abi::GrantedDevice;

    use super::*;
    use crate::spec::devices::granted;

    #[test]
    fn the_console_is_given_by_a_node_alone() {
        let console = |list: &str| -> Linux {
            let device = serde_json::json!({"allow": true, "access": "rwm", "path": "/dev/console",
                "type": "c", "major": 5, "minor": 1});
            let linux = match list {
                "devices" => serde_json::json!({"devices": [device]}),
                _ => serde_json::json!({"resources": {"devices": [device]}}),
            };
            serde_json::from_value(linux).unwrap()
        };
        let docker = console("rules");
        assert_eq!(granted(&docker), (Vec::new(), false));
        assert!(docker.resources.devices.iter().all(harmless_rule));
        let node = console("devices");
        assert_eq!(granted(&node).0, [GrantedDevice { block: false, major: 5, minor: Some(1) }]);
        assert!(!node.devices.iter().all(harmless));
    }
}
