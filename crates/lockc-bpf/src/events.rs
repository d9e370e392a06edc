//! `lockc events`: denials, from the ring buffer. Each event goes to one reader only.

use std::{
    io::{self, Write},
    os::fd::AsFd as _,
    path::Path,
};

use anyhow::{Context as _, Result};
use aya::maps::{Map, RingBuf};
use lockc_core::{
    abi::{ARG_DESCRIPTOR, ContainerKey, DETAIL_NAME_LEN, DETAIL_NAMES, Event, Hook, MODE_AUDIT},
    families,
    hooks::{Argument, Described},
    maps::{self, registry},
    rules::{Level, Rule},
};
use lockc_policy::policy::reads;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;

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

/// Prints the events that are there; with `follow`, those that come, until it is ended by a signal.
///
/// # Errors
///
/// Where the ring buffer cannot be opened (not loaded, not root) or the output is closed.
pub fn print(json: bool, follow: bool, out: &mut dyn Write) -> Result<()> {
    let map = registry::open_map("events")?;
    let mut ring = RingBuf::try_from(Map::RingBuf(map)).context("opening the ring buffer")?;
    loop {
        while let Some(item) = ring.next() {
            let Some(event) = decode(&item) else { continue };
            let denial = explain(&event);
            if json {
                serde_json::to_writer(&mut *out, &denial)?;
                writeln!(out)?;
            } else {
                writeln!(out, "{}", sentence(&denial))?;
            }
        }
        out.flush()?;
        if !follow {
            return Ok(());
        }
        let mut fds = [PollFd::new(ring.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(io::Error::from(errno).into()),
        }
    }
}

/// Reads a record field by field, as `abi::Event` lays it out.
fn decode(bytes: &[u8]) -> Option<Event> {
    const {
        assert!(size_of::<Event>() == 328);
    }
    if bytes.len() < size_of::<Event>() {
        return None;
    }
    let u32_at = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let u64_at = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes);
    Some(Event {
        time_ns: u64_at(0)?,
        key: ContainerKey { slot: u32_at(8)?, generation: u32_at(12)? },
        rule: u32_at(16)?,
        hook: u32_at(20)?,
        pid: u32_at(24)?,
        tid: u32_at(28)?,
        file: lockc_core::abi::FileId { ino: u64_at(32)?, dev: u32_at(40)?, pad: 0 },
        arg: u64_at(48)?,
        errno: u32_at(56)?.cast_signed(),
        mode: u32_at(60)?,
        level: u32_at(64)?,
        pad: 0,
        id: bytes.get(72..136)?.try_into().ok()?,
        policy: bytes.get(136..168)?.try_into().ok()?,
        origin: bytes.get(168..216)?.try_into().ok()?,
        comm: bytes.get(216..232)?.try_into().ok()?,
        detail: bytes.get(232..328)?.try_into().ok()?,
    })
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

/// `FMODE_WRITE`, include/linux/fs.h.
const FMODE_WRITE: u64 = 2;

/// The setting that would change it: for a file of procfs or sysfs that was to be read, the smaller
/// one.
fn remedy(event: &Event, hook: Option<Hook>, rule: Option<Rule>) -> String {
    let without = format!("without_rules = [{:?}]", rule.map_or("unknown", Rule::name));
    // The rules that a named family is let by.
    if matches!(rule, Some(Rule::SocketFamily | Rule::Network))
        && !matches!(hook, Some(Hook::socket_setsockopt | Hook::bprm_creds_for_exec))
        && let Some(family) = families::needed(event.arg)
    {
        return format!(
            "a policy in lockc.toml with socket_families = [{:?}], or with {without}, allows it",
            family.name
        );
    }
    if rule == Some(Rule::UnixSocket) && hook == Some(Hook::inode_rename) {
        return format!(
            "allowed_sockets grants sockets in that directory by their names, which only the host \
             may change; a policy in lockc.toml with {without} allows it"
        );
    }
    if rule == Some(Rule::UnixSocket) && !names(event).is_empty() {
        return format!(
            "allowed_sockets in lockc.toml, or in a policy, with the socket's full path on the \
             host (without links, `*` in the last name) allows it; so does a policy with {without}"
        );
    }
    if rule == Some(Rule::UserNamespace) {
        return format!(
            "a policy in lockc.toml with {without} allows it, and with it a browser's own \
             sandbox; mounts stay denied"
        );
    }
    let root = match rule {
        Some(Rule::Procfs) => "/proc",
        Some(Rule::Sysfs) => "/sys",
        _ => "",
    };
    if rule == Some(Rule::Files)
        && !matches!(hook, Some(Hook::file_receive | Hook::file_ioctl | Hook::file_ioctl_compat))
    {
        let to_whom = match event.arg & ARG_DESCRIPTOR {
            0 => "where a hook of root's mounted or executed it",
            _ => "to a hook of root's that may only read it",
        };
        return format!(
            "a policy in lockc.toml with hook_mounts = true allows it {to_whom}, one with \
             {without} everywhere"
        );
    }
    let looks = matches!(hook, Some(Hook::file_open | Hook::inode_getattr | Hook::inode_readlink));
    if root.is_empty() || !looks || event.arg & FMODE_WRITE != 0 {
        return format!("a policy in lockc.toml with {without} allows it");
    }
    let names = names(event);
    // The root's own name is `/`; a name that fills its field may have been cut.
    let whole = names.last().is_some_and(|name| name == "/")
        && names.iter().all(|name| name.len() < DETAIL_NAME_LEN - 1);
    if !whole {
        return format!(
            "a policy in lockc.toml with its path, or a directory above it, in reads, or with \
             {without} allows it"
        );
    }
    let path =
        names.iter().rev().skip(1).fold(root.to_owned(), |path, name| format!("{path}/{name}"));
    match reads::check(Path::new(&path)) {
        Ok(_) => {
            format!("a policy in lockc.toml with reads = [{path:?}], or with {without}, allows it")
        }
        Err(_) => format!("a policy in lockc.toml with {without} allows it"),
    }
}

fn names(event: &Event) -> Vec<String> {
    (0..DETAIL_NAMES)
        .filter_map(|index| {
            event.detail.get(index * DETAIL_NAME_LEN..(index + 1) * DETAIL_NAME_LEN)
        })
        .map(maps::text)
        .take_while(|name| !name.is_empty())
        .collect()
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

fn sentence(denial: &Denial) -> String {
    let id: String = denial.container.chars().take(12).collect();
    let verb = if denial.mode == "audit" { "would be denied" } else { "denied" };
    let origin =
        if denial.origin.is_empty() { String::new() } else { format!(", from {}", denial.origin) };
    let detail =
        if denial.detail.is_empty() { String::new() } else { format!(": {}", denial.detail) };
    format!(
        "lockc: {verb} {} to {} (pid {}) in container {id}{detail} [rule {}, policy {}{origin}, \
         hook {}]; {}",
        denial.denies,
        denial.comm,
        denial.pid,
        denial.rule,
        denial.policy,
        denial.hook,
        denial.remedy
    )
}

#[cfg(test)]
mod tests {
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
        fn any_bytes_are_explained_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 300..340)) {
            if let Some(event) = decode(&bytes) {
                let _ = sentence(&explain(&event));
            }
        }
    }
}
