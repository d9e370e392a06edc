//! What a policy would still deny and refuse of what is on record.

use std::path::Path;

use lockc_core::{families, rules::Rule};
use lockc_policy::{
    config::{Settings, globs},
    policy::{Control, Key, Policy, Setting, Strength},
};
use serde::Serialize;

use super::evidence::Evidence;

/// Something that stays forbidden.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Remaining {
    /// The rule or the control.
    pub by: String,
    /// What it is about.
    pub what: String,
    /// How often it is on record.
    pub count: u64,
    /// What would allow it.
    pub setting: Option<Setting>,
}

/// What the policy would still forbid.
pub fn remaining(evidence: &Evidence, policy: &Policy, settings: &Settings) -> Vec<Remaining> {
    let allows = |setting: &Setting| allows(policy, settings, setting);
    let denials = evidence.denials.iter().filter(|denial| {
        let is_off = Rule::from_name(denial.rule).is_some_and(|rule| !policy.rules.has(rule));
        !is_off && !denial.setting.as_ref().is_some_and(allows)
    });
    let denials = denials.map(|denial| Remaining {
        by: denial.rule.into(),
        what: denial.what(),
        count: denial.count,
        setting: denial.setting.clone(),
    });
    let refusals = evidence.refusals.iter().flat_map(|refused| &refused.reasons);
    let refusals = refusals.filter(|reason| {
        let control = Control::from_name(&reason.control);
        let is_off = control.is_some_and(|control| policy.strength(control) == Strength::Off);
        !is_off && (reason.settings.is_empty() || !reason.settings.iter().all(allows))
    });
    let refusals = refusals.map(|reason| Remaining {
        by: reason.control.clone(),
        what: reason.what.clone(),
        count: 1,
        setting: reason.settings.first().cloned(),
    });
    let mut all: Vec<Remaining> = denials.chain(refusals).collect();
    all.sort();
    all.dedup_by(|again, first| {
        let is_same = again.by == first.by && again.what == first.what;
        if is_same {
            first.count += again.count;
        }
        is_same
    });
    all
}

/// Whether a policy has a setting, or one that includes it.
pub fn allows(policy: &Policy, settings: &Settings, setting: &Setting) -> bool {
    let more = &policy.more;
    let value = setting.value.as_str();
    let path = Path::new(value);
    let off = |control| policy.strength(control) == Strength::Off;
    match setting.key {
        Key::Reads => {
            let rule = if path.starts_with("/sys") { Rule::Sysfs } else { Rule::Procfs };
            !policy.rules.has(rule) || more.reads.iter().any(|own| path.starts_with(own))
        }
        Key::Sysctls => {
            off(Control::Sysctls) || more.sysctls.iter().any(|glob| globs::fits(glob, value))
        }
        Key::SocketFamilies => {
            let family = families::FAMILIES.iter().find(|family| family.name == value);
            let is_named = family.is_some_and(|family| more.families >> family.bit & 1 != 0);
            is_named || !policy.rules.has(Rule::SocketFamily) && !policy.rules.has(Rule::Network)
        }
        // A path in a tree of the host's has to be named exactly.
        Key::AllowedMounts => {
            let named = more.mounts.iter().chain(&settings.allowed_mounts);
            off(Control::HostMounts) || named.into_iter().any(|own| own == path)
        }
        Key::Devices => off(Control::Devices) || more.devices.iter().any(|own| own == path),
        Key::AllowedSockets => {
            let named = more.sockets.iter().chain(&settings.allowed_sockets);
            off(Control::HostSockets) || named.into_iter().any(|own| own == path)
        }
        Key::Capabilities => {
            off(Control::Capabilities) || more.capabilities.iter().any(|own| own == value)
        }
        Key::HookMounts => more.hook_mounts,
        Key::Admit => Control::from_name(value).is_some_and(off),
        Key::WithoutRules => Rule::from_name(value).is_some_and(|rule| !policy.rules.has(rule)),
    }
}

#[cfg(test)]
mod tests {
    use lockc_policy::policy::PolicySet;

    use super::*;

    #[test]
    fn a_policy_allows_what_it_names_and_no_more() {
        let text = "[policies.a]\nextends = 'baseline'\nreads = ['/sys/class/hwmon']\n\
                    socket_families = ['alg']\nallowed_mounts = ['/etc/localtime']\n\
                    sysctls = ['net.core.*']\ncapabilities = ['NET_ADMIN']\n\
                    devices = ['/dev/fuse']\nallowed_sockets = ['/run/x.sock']\n\
                    admit = ['host-namespaces']\nwithout_rules = ['keyring']";
        let set = PolicySet::parse(text, Path::new("x")).unwrap();
        let policy = set.request("a", "").unwrap();
        for (key, yes, no) in [
            (Key::Reads, "/sys/class/hwmon/hwmon0/name", "/sys/class/dmi"),
            (Key::SocketFamilies, "alg", "vsock"),
            (Key::AllowedMounts, "/etc/localtime", "/etc"),
            (Key::Sysctls, "net.core.somaxconn", "kernel.panic"),
            (Key::Capabilities, "NET_ADMIN", "SYS_ADMIN"),
            (Key::Devices, "/dev/fuse", "/dev/mem"),
            (Key::AllowedSockets, "/run/x.sock", "/run/docker.sock"),
            (Key::Admit, "host-namespaces", "devices"),
            (Key::WithoutRules, "keyring", "mount"),
        ] {
            let is_allowed = |value| allows(&policy, &set.settings, &Setting::new(key, value));
            assert!(is_allowed(yes) && !is_allowed(no), "{key:?}");
        }
    }
}
