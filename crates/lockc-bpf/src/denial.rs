//! A denial: an event of the kernel side in words.

mod names;
mod remedy;

use std::fmt;

use lockc_core::{
    abi::{ARG_DESCRIPTOR, Event, Hook, MODE_AUDIT},
    hooks::{Argument, Described},
    maps,
    rules::{Level, Rule},
};
use serde::Serialize;
use zerocopy::FromBytes as _;

use names::names;
use remedy::remedy;

/// One denial in words.
#[derive(Debug, Serialize)]
pub struct Denial {
    /// Seconds since boot.
    pub time: f64,
    /// The container's id; its key where it is gone already.
    pub container: String,
    /// Its level.
    pub level: &'static str,
    /// Its policy.
    pub policy: String,
    /// Where the level came from.
    pub origin: String,
    /// Name of the rule.
    pub rule: &'static str,
    /// What the rule denies.
    pub denies: &'static str,
    /// The LSM hook.
    pub hook: String,
    /// In the initial PID namespace.
    pub pid: u32,
    /// Name of the task.
    pub comm: String,
    /// The file's path inside of its file system, or what else it was about.
    pub detail: String,
    /// `enforce`: it was denied. `audit`: it would have been.
    pub mode: &'static str,
    /// What the task got to see.
    pub errno: i32,
    /// What would change it.
    pub remedy: String,
}

/// An event, which may be the beginning of a longer record.
fn decode(record: &[u8]) -> Option<Event> {
    Event::read_from_prefix(record).ok().map(|(event, _)| event)
}

fn explain(event: &Event) -> Denial {
    let rule = Rule::from_raw(event.rule);
    let hook = Hook::from_raw(event.hook);
    let name = rule.map_or("unknown", Rule::name);
    let id = maps::text(&event.id);
    Denial {
        time: event.time_ns as f64 / 1e9,
        // A task that outlived its container's entry.
        container: if id.is_empty() {
            format!("{}.{}", event.key.slot, event.key.generation)
        } else {
            id
        },
        level: Level::from_raw(event.level).map_or("", Level::name),
        policy: maps::text(&event.policy),
        origin: maps::text(&event.origin),
        rule: name,
        denies: rule.map_or("unknown", Rule::denies),
        hook: hook.map_or_else(|| event.hook.to_string(), |hook| hook.program().name.to_owned()),
        pid: event.pid,
        comm: maps::text(&event.comm),
        detail: detail(event, hook),
        mode: if event.mode == MODE_AUDIT { "audit" } else { "enforce" },
        errno: event.errno.wrapping_neg(),
        remedy: remedy(event, hook, rule),
    }
}

fn detail(event: &Event, hook: Option<Hook>) -> String {
    let names = names(event);
    let described = Described {
        argument: hook.map_or(Argument::Unused, |hook| hook.program().argument),
        number: event.arg,
        rule: Rule::from_raw(event.rule),
    };
    if !names.is_empty() {
        // A file system's root is called `/`.
        let mut path = names.into_iter().rev().collect::<Vec<_>>().join("/").replacen("//", "/", 1);
        if described.argument == Argument::Descriptor && event.arg & ARG_DESCRIPTOR != 0 {
            path = format!("{described}: {path}");
        }
        return match event.rule {
            rule if rule == Rule::Files as u32 => {
                format!(
                    "{path} (mount root {}:{} inode {})",
                    event.file.dev >> 20,
                    event.file.dev & 0xf_ffff,
                    event.file.ino
                )
            }
            _ => path,
        };
    }
    described.to_string()
}

impl Denial {
    /// Reads a record of the ring buffer; nothing where it is none.
    pub fn read(record: &[u8]) -> Option<Self> {
        Some(explain(&decode(record)?))
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id: String = self.container.chars().take(12).collect();
        let verb = if self.mode == "audit" { "would be denied" } else { "denied" };
        let origin =
            if self.origin.is_empty() { String::new() } else { format!(", from {}", self.origin) };
        let detail =
            if self.detail.is_empty() { String::new() } else { format!(": {}", self.detail) };
        write!(
            formatter,
            "lockc: {verb} {} to {} (pid {}) in container {id}{detail} [rule {}, policy {}\
             {origin}, hook {}]; {}",
            self.denies, self.comm, self.pid, self.rule, self.policy, self.hook, self.remedy
        )
    }
}

#[cfg(test)]
mod tests {
    use lockc_core::{
        abi::{DETAIL_NAME_LEN, DETAIL_NAMES},
        families,
    };
    use proptest::prelude::*;

    use super::*;

    fn fields(parts: [&str; DETAIL_NAMES]) -> [u8; 96] {
        let mut detail = [0; 96];
        for (index, part) in parts.into_iter().enumerate() {
            for (offset, byte) in part.bytes().enumerate() {
                detail[index * DETAIL_NAME_LEN + offset] = byte;
            }
        }
        detail
    }

    #[test]
    fn names_are_put_in_order() {
        let mut bytes = [0; 328];
        bytes[16..20].copy_from_slice(&(Rule::Sysfs as u32).to_ne_bytes());
        bytes[232..].copy_from_slice(&fields(["vda", "ext4", "fs", ""]));
        let event = decode(&bytes).unwrap();
        assert_eq!(detail(&event, Some(Hook::file_open)), "fs/ext4/vda");
    }

    #[test]
    fn a_read_that_is_denied_names_the_smallest_setting() {
        let said = |rule: Rule, parts, mode: u64| {
            let mut bytes = [0; 328];
            bytes[16..20].copy_from_slice(&(rule as u32).to_ne_bytes());
            bytes[20..24].copy_from_slice(&(Hook::file_open as u32).to_ne_bytes());
            bytes[48..56].copy_from_slice(&mode.to_ne_bytes());
            bytes[232..].copy_from_slice(&fields(parts));
            explain(&decode(&bytes).unwrap()).remedy
        };
        assert!(
            said(Rule::Procfs, ["kallsyms", "/", "", ""], 1)
                .contains("reads = [\"/proc/kallsyms\"]")
        );
        assert!(
            said(Rule::Sysfs, ["vda", "ext4", "fs", "/"], 1)
                .contains("reads = [\"/sys/fs/ext4/vda\"]")
        );
        assert!(
            said(Rule::Sysfs, ["product_uuid", "id", "dmi", "virtual"], 1)
                .contains("a directory above it, in reads")
        );
        for (rule, parts, mode) in [
            (Rule::Procfs, ["kallsyms", "/", "", ""], 2),
            (Rule::Procfs, ["kcore", "/", "", ""], 1),
            (Rule::Files, ["x", "/", "", ""], 1),
        ] {
            assert!(!said(rule, parts, mode).contains("reads"), "{rule:?}");
        }
    }

    #[test]
    fn a_family_that_a_policy_can_name_is_named() {
        let told = |rule: Rule, arg: u64| {
            let mut bytes = [0; 328];
            bytes[16..20].copy_from_slice(&(rule as u32).to_ne_bytes());
            bytes[20..24].copy_from_slice(&(Hook::socket_create as u32).to_ne_bytes());
            bytes[48..56].copy_from_slice(&arg.to_ne_bytes());
            let denial = explain(&decode(&bytes).unwrap());
            (denial.detail, denial.remedy)
        };
        let (detail, remedy) = told(Rule::SocketFamily, families::event_number(40, 0));
        assert_eq!(detail, "socket family 40 (vsock)");
        assert!(remedy.contains("socket_families = [\"vsock\"]"), "{remedy}");
        let (detail, remedy) =
            told(Rule::SocketFamily, families::event_number(families::AF_NETLINK, 11));
        assert_eq!(detail, "socket family 16 protocol 11 (netlink-connector)");
        assert!(remedy.contains("netlink-connector"), "{remedy}");
        let (detail, remedy) = told(Rule::Network, families::event_number(families::AF_INET, 6));
        assert_eq!(detail, "socket family 2 (inet)");
        assert!(!remedy.contains("socket_families"), "{remedy}");
    }

    #[test]
    fn the_number_of_a_descriptor_is_no_family() {
        let mut bytes = [0; 328];
        bytes[16..20].copy_from_slice(&(Rule::Network as u32).to_ne_bytes());
        bytes[20..24].copy_from_slice(&(Hook::bprm_creds_for_exec as u32).to_ne_bytes());
        bytes[48..56].copy_from_slice(&(3 | ARG_DESCRIPTOR).to_ne_bytes());
        let denial = explain(&decode(&bytes).unwrap());
        assert!(
            denial.detail.contains("descriptor 3") && !denial.remedy.contains("socket_families"),
            "{denial:?}"
        );
    }

    #[test]
    fn a_browsers_sandbox_is_told_its_setting() {
        let mut bytes = [0; 328];
        bytes[16..20].copy_from_slice(&(Rule::UserNamespace as u32).to_ne_bytes());
        bytes[20..24].copy_from_slice(&(Hook::userns_create as u32).to_ne_bytes());
        let remedy = explain(&decode(&bytes).unwrap()).remedy;
        assert!(
            remedy.contains("without_rules = [\"user-namespace\"]") && remedy.contains("browser"),
            "{remedy}"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_explained_without_a_panic(bytes in proptest::collection::vec(any::<u8>(),
            300..340)) {
            if let Some(event) = decode(&bytes) {
                let _ = explain(&event).to_string();
            }
        }
    }
}
