//! Which devices a specification gives.

use lockc_core::abi::GrantedDevice;

use super::linux::{DeviceRule, Linux};

/// Whether the specification gives every device there is.
pub fn gives_all(linux: &Linux) -> bool {
    granted(linux).1
}

/// What the specification gives, and whether that is every device there is: the policy has let it
/// through.
pub fn granted(linux: &Linux) -> (Vec<GrantedDevice>, bool) {
    let (mut devices, mut all) = (Vec::new(), false);
    let mut add = |kind: &str, major: Option<i64>, minor: Option<i64>| {
        let number = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
        match (kind, number(major)) {
            ("c" | "u" | "b", Some(major)) => {
                devices.push(GrantedDevice { block: kind == "b", major, minor: number(minor) });
            }
            ("p", _) => {}
            _ => all = true,
        }
    };
    for device in &linux.devices {
        add(&device.kind, Some(device.major), Some(device.minor));
    }
    let granting =
        |rule: &&DeviceRule| rule.allow && rule.access.contains(['r', 'w']) && !is_console(rule);
    for rule in linux.resources.devices.iter().filter(granting) {
        add(rule.kind.as_deref().unwrap_or("a"), rule.major, rule.minor);
    }
    (devices, all)
}

/// Whether a rule is about the host's console. Docker writes one for every container, whoever
/// asked, so that it neither is an offence nor gives anything; a node in `linux.devices` does.
pub fn is_console(rule: &DeviceRule) -> bool {
    matches!((rule.kind.as_deref(), rule.major, rule.minor), (Some("c" | "u"), Some(5), Some(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_specification_gives() {
        let linux: Linux = serde_json::from_value(serde_json::json!({
            "devices": [
                {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229},
                {"path": "/run/pipe", "type": "p"},
            ],
            "resources": {"devices": [
                {"allow": false, "access": "rwm"},
                {"allow": true, "type": "c", "access": "m"},
                {"allow": true, "type": "b", "major": 8, "minor": -1, "access": "r"},
            ]},
        }))
        .unwrap();
        let fuse = GrantedDevice { block: false, major: 10, minor: Some(229) };
        let disks = GrantedDevice { block: true, major: 8, minor: None };
        assert_eq!(granted(&linux), (vec![fuse, disks], false));
    }

    #[test]
    fn every_device() {
        for rule in [
            serde_json::json!({"allow": true, "access": "rwm"}),
            serde_json::json!({"allow": true, "type": "b", "access": "r"}),
        ] {
            let linux: Linux =
                serde_json::from_value(serde_json::json!({"resources": {"devices": [rule]}}))
                    .unwrap();
            assert_eq!(granted(&linux), (Vec::new(), true));
        }
    }
}
