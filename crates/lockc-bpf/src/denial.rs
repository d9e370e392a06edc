//! A denial: an entry of the record in words.

mod clock;
mod event;
mod names;
mod remedy;
mod setting;

use std::fmt;

use jiff::Timestamp;
use lockc_core::{
    abi::{ARG_DESCRIPTOR, Hook, MODE_AUDIT},
    hooks::{Argument, Described},
    maps,
    rules::{Level, Rule},
};
use lockc_policy::{container_names::ContainerNames, policy::Setting};
use serde::Serialize;

pub use clock::Clock;
pub use event::Event;

use names::names;
use remedy::remedy;
use setting::setting;

use crate::out;

/// A container, as far as the maps still know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: String,
    /// Its policy.
    pub policy: String,
    /// Where the policy came from.
    pub origin: String,
    /// What people call it.
    pub names: ContainerNames,
}

/// One distinct denial in words.
#[derive(Clone, Debug, Serialize)]
pub struct Denial {
    /// When it happened last.
    pub last: Timestamp,
    /// When it happened first.
    pub first: Timestamp,
    /// How often it happened.
    pub count: u64,
    /// The container's id; its key where nothing is known of it any more.
    pub container: String,
    /// What people call it.
    #[serde(flatten)]
    pub names: ContainerNames,
    /// Its level.
    pub level: &'static str,
    /// Its policy.
    pub policy: String,
    /// Where the level came from.
    pub origin: String,
    /// The id of the rule's denials, by which `docs/troubleshooting.md` lists them.
    pub id: &'static str,
    /// Name of the rule.
    pub rule: &'static str,
    /// What the rule denies.
    pub denies: &'static str,
    /// The LSM hook.
    pub hook: String,
    /// In the initial PID namespace; of the task that was denied it first, or of a later one.
    pub pid: u32,
    /// Name of that task.
    pub comm: String,
    /// The file's path inside of its file system, or what else it was about.
    pub detail: String,
    /// `enforce`: it was denied. `audit`: it would have been.
    pub mode: &'static str,
    /// What the task got to see.
    pub errno: i32,
    /// What would change it.
    pub remedy: String,
    /// The narrowest setting of a policy that would allow it.
    pub setting: Option<Setting>,
}

/// A denial in words, by what is known of its container.
pub fn explain(event: &Event, known: Option<&Known>, clock: &Clock) -> Denial {
    let Event { key, denial } = event;
    let rule = Rule::from_raw(key.rule.into());
    let hook = Hook::from_raw(key.hook.into());
    let name = rule.map_or("unknown", Rule::name);
    let known = known.cloned().unwrap_or_default();
    Denial {
        last: clock.at(denial.last_ns),
        first: clock.at(denial.first_ns),
        count: denial.count,
        container: if known.id.is_empty() {
            format!("{}.{}", key.container.slot, key.container.generation)
        } else {
            known.id
        },
        level: Level::from_raw(denial.level).map_or("", Level::name),
        names: known.names,
        policy: known.policy,
        origin: known.origin,
        id: rule.map_or("", Rule::id),
        rule: name,
        denies: rule.map_or("unknown", Rule::denies),
        hook: hook.map_or_else(|| key.hook.to_string(), |hook| hook.program().name.to_owned()),
        pid: denial.pid,
        comm: out::printable(&maps::text(&denial.comm)),
        detail: detail(event, hook),
        mode: if key.mode == MODE_AUDIT { "audit" } else { "enforce" },
        errno: denial.errno.wrapping_neg(),
        remedy: remedy(event, hook, rule),
        setting: setting(event, hook, rule),
    }
}

fn detail(event: &Event, hook: Option<Hook>) -> String {
    let Event { key, denial } = event;
    let names = names(denial);
    let described = Described {
        argument: hook.map_or(Argument::Unused, |hook| hook.program().argument),
        number: key.arg,
        rule: Rule::from_raw(key.rule.into()),
    };
    if names.is_empty() {
        return described.to_string();
    }
    // A file system's root is called `/`.
    let mut path = names.into_iter().rev().collect::<Vec<_>>().join("/").replacen("//", "/", 1);
    if described.argument == Argument::Descriptor && key.arg & ARG_DESCRIPTOR != 0 {
        path = format!("{described}: {path}");
    }
    if described.rule == Some(Rule::Files) {
        let file = denial.file;
        let (major, minor) = (file.dev >> 20, file.dev & 0xf_ffff);
        path += &format!(" (mount root {major}:{minor} inode {})", file.ino);
    }
    out::printable(&path)
}

impl Denial {
    /// `denied`, or what it would be in audit mode.
    pub fn verdict(&self) -> &'static str {
        if self.mode == "audit" { "would be denied" } else { "denied" }
    }

    /// What was denied to whom, without the container.
    pub fn what(&self) -> String {
        let detail =
            if self.detail.is_empty() { String::new() } else { format!(": {}", self.detail) };
        format!("{} to {}{detail}", self.denies, self.comm)
    }

    /// What people call the container; otherwise the first 12 characters of its id, as engines
    /// print it.
    pub fn name(&self) -> String {
        let short = || self.container.chars().take(12).collect();
        self.names.full_name().map_or_else(short, |name| out::printable(&name))
    }

    /// Whether a person may mean the container by this: its id, the beginning of it, or a name.
    pub fn is_of(&self, container: &str) -> bool {
        self.container.starts_with(container) || self.names.is_called(container)
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin =
            if self.origin.is_empty() { String::new() } else { format!(", from {}", self.origin) };
        let detail =
            if self.detail.is_empty() { String::new() } else { format!(": {}", self.detail) };
        let id = if self.id.is_empty() { String::new() } else { format!(" ({})", self.id) };
        let times = if self.count > 1 { format!(", {} times", self.count) } else { String::new() };
        write!(
            formatter,
            "lockc: {} {} to {} (pid {}) in container {}{detail}{times} [rule {}, policy \
             {}{origin}, hook {}]; {}{id}",
            self.verdict(),
            self.denies,
            self.comm,
            self.pid,
            self.name(),
            self.rule,
            self.policy,
            self.hook,
            self.remedy
        )
    }
}

#[cfg(test)]
mod tests {
    use lockc_core::{
        abi::{self, ContainerKey, DenialKey, FileId, PATH_LEN, PATH_NAME_LEN},
        families,
    };
    use proptest::prelude::*;

    use super::*;

    fn event(rule: Rule, hook: Hook, arg: u64, names: &[&str]) -> Event {
        let mut path = [0; PATH_LEN];
        for (index, name) in names.iter().enumerate() {
            for (offset, byte) in name.bytes().enumerate() {
                path[index * PATH_NAME_LEN + offset] = byte;
            }
        }
        let container = ContainerKey { slot: 3, generation: 7 };
        let (rule, hook) = (rule as u16, hook as u16);
        let key = DenialKey { container, rule, hook, arg, ..DenialKey::default() };
        let denial = abi::Denial {
            count: 1,
            first_ns: 1,
            last_ns: 1,
            logged_ns: 1,
            file: FileId::default(),
            pid: 1,
            tid: 1,
            errno: -1,
            level: 2,
            comm: [0; 16],
            path,
        };
        Event { key, denial }
    }

    fn said(event: &Event) -> Denial {
        explain(event, None, &Clock::default())
    }

    #[test]
    fn names_are_put_in_order() {
        let path = |names: &[&str]| said(&event(Rule::Sysfs, Hook::file_open, 1, names)).detail;
        assert_eq!(path(&["vda", "ext4", "fs"]), "fs/ext4/vda");
        assert_eq!(path(&["vda", "ext4", "fs", "/"]), "/fs/ext4/vda");
        assert_eq!(path(&["8"; 8]), "8/8/8/8/8/8/8/8");
    }

    #[test]
    fn a_container_that_nobody_knows_is_called_by_its_key() {
        let event = event(Rule::Sysfs, Hook::file_open, 1, &["vda"]);
        assert_eq!(said(&event).container, "3.7");
        let known = Known {
            id: "abc".into(),
            policy: "web".into(),
            origin: "a test".into(),
            ..Known::default()
        };
        let denial = explain(&event, Some(&known), &Clock::default());
        assert_eq!((denial.container.as_str(), denial.policy.as_str()), ("abc", "web"));
        assert!(denial.to_string().contains("policy web, from a test"), "{denial}");
        assert!(denial.to_string().ends_with(" (LOCKC-D002)"), "{denial}");
        let names = ContainerNames { name: Some("web".into()), ..ContainerNames::default() };
        let denial = explain(&event, Some(&Known { names, ..known }), &Clock::default());
        assert!(denial.to_string().contains("in container web:"), "{denial}");
        assert!(denial.is_of("ab") && denial.is_of("web") && !denial.is_of("we"));
    }

    #[test]
    fn no_name_is_a_command_to_the_terminal() {
        let mut event = event(Rule::Files, Hook::file_open, 1, &["\x1b[2J", "/"]);
        event.denial.comm[..4].copy_from_slice(b"\x1b[1m");
        let names = ContainerNames { name: Some("\x1b[3m".into()), ..ContainerNames::default() };
        let known = Known { names, ..Known::default() };
        let text = explain(&event, Some(&known), &Clock::default()).to_string();
        assert!(!text.contains('\x1b') && text.contains(r"\u{1b}[1m"), "{text}");
    }

    #[test]
    fn repetitions_are_counted() {
        let mut event = event(Rule::Sysfs, Hook::file_open, 1, &["vda"]);
        assert!(!said(&event).to_string().contains("times"));
        event.denial.count = 3;
        assert!(said(&event).to_string().contains(": vda, 3 times ["), "{}", said(&event));
    }

    #[test]
    fn a_read_that_is_denied_names_the_smallest_setting() {
        let remedy =
            |rule, names: &[&str], mode| said(&event(rule, Hook::file_open, mode, names)).remedy;
        assert!(
            remedy(Rule::Procfs, &["kallsyms", "/"], 1).contains("reads = [\"/proc/kallsyms\"]")
        );
        assert!(
            remedy(Rule::Sysfs, &["vda", "ext4", "fs", "/"], 1)
                .contains("reads = [\"/sys/fs/ext4/vda\"]")
        );
        assert!(
            remedy(Rule::Sysfs, &["product_uuid", "id", "dmi", "virtual"], 1)
                .contains("a directory above it, in reads")
        );
        for (rule, names, mode) in [
            (Rule::Procfs, ["kallsyms", "/"], 2),
            (Rule::Procfs, ["kcore", "/"], 1),
            (Rule::Files, ["x", "/"], 1),
        ] {
            assert!(!remedy(rule, &names, mode).contains("reads"), "{rule:?}");
        }
    }

    #[test]
    fn a_family_that_a_policy_can_name_is_named() {
        let told = |rule, arg| {
            let denial = said(&event(rule, Hook::socket_create, arg, &[]));
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
        let arg = 3 | ARG_DESCRIPTOR;
        let denial = said(&event(Rule::Network, Hook::bprm_creds_for_exec, arg, &[]));
        assert!(
            denial.detail.contains("descriptor 3") && !denial.remedy.contains("socket_families"),
            "{denial:?}"
        );
    }

    #[test]
    fn a_browsers_sandbox_is_told_its_setting() {
        let remedy = said(&event(Rule::UserNamespace, Hook::userns_create, 0, &[])).remedy;
        assert!(
            remedy.contains("without_rules = [\"user-namespace\"]") && remedy.contains("browser"),
            "{remedy}"
        );
    }

    proptest! {
        #[test]
        fn anything_is_explained_without_a_panic(
            rule in any::<u16>(), hook in any::<u16>(), arg in any::<u64>(), at in any::<u64>(),
            bytes in proptest::collection::vec(any::<u8>(), PATH_LEN),
        ) {
            let mut event = event(Rule::Sysfs, Hook::file_open, arg, &[]);
            (event.key.rule, event.key.hook) = (rule, hook);
            event.denial.path.copy_from_slice(&bytes);
            (event.denial.first_ns, event.denial.last_ns) = (at, at);
            let _ = said(&event).to_string();
        }
    }
}
