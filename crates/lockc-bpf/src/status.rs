//! What is attached, and which containers are registered.

use std::path::PathBuf;

use anyhow::{Result, bail};
use aya::maps::{Array, Map};
use lockc_core::{
    abi::{
        ContainerKey, ENTRY_DELETING, ENTRY_LOOPBACK, ENTRY_QUARANTINED, ENTRY_SANDBOX,
        ERROR_SITES, Hook, MODE_AUDIT,
    },
    hooks::PROGRAMS,
    maps::{self, Record, Registry, RegistryError, container_file, registry},
    paths,
    rules::{Level, Network, Rule, RuleMask},
};
use lockc_policy::{
    container_file::{ContainerFile, Granted},
    container_names::ContainerNames,
};
use serde::Serialize;

use crate::{loader, pinned};

/// All that `lockc status` knows.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Every program is attached, and of this ABI version.
    pub enforcing: bool,
    /// Containers with a process that are in audit mode: nothing is denied to them.
    pub audited: usize,
    /// Version of the attached programs.
    pub version: Option<String>,
    /// ABI version of the pinned maps.
    pub abi: Option<u32>,
    /// Whether the attached programs can tell what an overlayfs is made of.
    pub tells_layers: bool,
    /// Version that this command would load.
    pub own_version: String,
    /// Names of the attached programs.
    pub attached: Vec<&'static str>,
    /// Names of programs that are not attached.
    pub missing: Vec<&'static str>,
    /// What the running kernel cannot enforce, because it lacks an optional hook: the hook, and
    /// what is lost.
    pub not_enforced: Vec<(&'static str, &'static str)>,
    /// Registered containers.
    pub containers: Vec<Container>,
    /// Internal errors by hook, those that are not 0.
    pub errors: Vec<(String, u64)>,
    /// Denials that found no room in the record.
    pub lost_denials: u64,
}

/// Audit mode.
const AUDIT: &str = "audit";

/// The origin of the entry for containers that runtimes start without the wrapper.
const GUARD: &str = "--guard-runtimes";

/// One registered container.
#[derive(Debug, Serialize)]
pub struct Container {
    /// Its id, the first 64 bytes.
    pub id: String,
    /// What people call it.
    #[serde(flatten)]
    pub names: ContainerNames,
    /// Its key in the maps.
    #[serde(skip)]
    pub key: ContainerKey,
    /// Its bundle.
    #[serde(skip)]
    pub bundle: PathBuf,
    /// What it is granted of the host.
    #[serde(skip)]
    pub granted: Granted,
    /// Its level.
    pub level: &'static str,
    /// Its policy; a level's name, or one of the administrator's own.
    pub policy: String,
    /// Where that came from.
    pub origin: String,
    /// The network that the kernel side leaves it: `full`, `loopback` or `none`.
    pub network: &'static str,
    /// Rules that the kernel enforces.
    pub rules: Vec<&'static str>,
    /// Rules that only report.
    pub audited_rules: Vec<&'static str>,
    /// `enforce` or `audit`.
    pub mode: &'static str,
    /// Live tasks.
    pub tasks: i64,
    /// Denials so far.
    pub denials: u64,
    /// It runs on a kernel of its own (gVisor and the like), into which the rules do not reach.
    pub sandbox: bool,
    /// Its engine asked for deletion; its last tasks are still there.
    pub deleting: bool,
    /// It is under quarantine.
    pub quarantined: bool,
}

impl Container {
    /// Whether it has a process. Foreground `run` ends without a `delete`: the entry is then left
    /// until its place is needed.
    pub fn is_alive(&self) -> bool {
        self.tasks > 0
    }

    /// Whether it stands for the containers that runtimes start without the wrapper: it stays, with
    /// tasks or without.
    pub fn is_guard(&self) -> bool {
        self.origin == GUARD
    }
}

/// Gathers the status.
///
/// # Errors
///
/// Where the pinned maps cannot be read. Programs that are not loaded are no error.
pub fn gather() -> Result<Status> {
    if std::fs::read_dir(paths::LINKS)
        .is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
    {
        bail!("only root can read {}; run `lockc status` as root", paths::PINS);
    }
    let missing = pinned::missing_links();
    let meta = pinned::attached_version();
    let attached: Vec<_> = PROGRAMS
        .iter()
        .filter(|program| {
            !missing.contains(&program.name) && meta.is_some_and(|meta| meta.has(program.hook))
        })
        .map(|program| program.name)
        .collect();
    let absent = PROGRAMS.iter().filter(|program| meta.is_some_and(|meta| !meta.has(program.hook)));
    let not_enforced =
        absent.filter_map(|program| program.loses().map(|what| (program.name, what))).collect();
    let mut status = Status {
        enforcing: false,
        audited: 0,
        version: meta.map(|meta| maps::text(&meta.version)),
        abi: meta.map(|meta| meta.abi),
        tells_layers: meta.is_some_and(|meta| meta.layers_told != 0),
        own_version: loader::version(),
        attached,
        missing,
        not_enforced,
        containers: Vec::new(),
        errors: Vec::new(),
        lost_denials: 0,
    };
    match Registry::open() {
        Ok(registry) => {
            status.enforcing = true;
            status.containers = registry.containers()?.iter().map(container).collect();
            let is_audited = |it: &&Container| it.is_alive() && it.mode == AUDIT;
            status.audited = status.containers.iter().filter(is_audited).count();
            let errors: Array<_, u64> = Array::try_from(Map::Array(registry::open_map("errors")?))?;
            for site in 0..ERROR_SITES {
                let count = errors.get(&site, 0)?;
                if count != 0 {
                    let hook = Hook::from_raw(site)
                        .map_or_else(|| site.to_string(), |hook| hook.program().name.to_owned());
                    status.errors.push((hook, count));
                }
            }
            status.lost_denials = Record::open()?.lost()?;
        }
        Err(
            RegistryError::NotLoaded { .. } | RegistryError::HalfLoaded | RegistryError::Abi { .. },
        ) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(status)
}

fn names_of(rules: RuleMask) -> Vec<&'static str> {
    Rule::ALL.into_iter().filter(|rule| rules.has(*rule)).map(Rule::name).collect()
}

fn container(registered: &registry::Registered) -> Container {
    let entry = &registered.entry;
    let (rules, audited) = (entry.enforced(), RuleMask(entry.audited));
    let id = maps::text(&entry.id);
    let file = container_file::read(registered.key)
        .and_then(|text| ContainerFile::from_text(&text, &id))
        .unwrap_or_default();
    Container {
        names: file.names,
        key: registered.key,
        bundle: file.bundle,
        granted: file.granted,
        id,
        level: Level::from_raw(entry.level).map_or("unknown", Level::name),
        policy: maps::text(&entry.policy),
        origin: maps::text(&entry.origin),
        network: Network::for_rules(rules, entry.flags & ENTRY_LOOPBACK != 0).name(),
        rules: names_of(rules),
        audited_rules: names_of(audited),
        mode: if entry.mode == MODE_AUDIT { AUDIT } else { "enforce" },
        tasks: registered.usage.tasks,
        denials: registered.usage.denials,
        sandbox: entry.flags & ENTRY_SANDBOX != 0,
        deleting: entry.flags & ENTRY_DELETING != 0,
        quarantined: entry.flags & ENTRY_QUARANTINED != 0,
    }
}

#[cfg(test)]
mod tests {
    use lockc_core::{
        abi::{ContainerEntry, Usage},
        maps::registry::Registered,
    };

    use super::*;

    #[test]
    fn the_network_follows_the_rules_and_the_flag() {
        for (rules, flags, network) in [
            (RuleMask::NONE, 0, "full"),
            (Level::Baseline.rules(), ENTRY_LOOPBACK, "full"),
            (Level::Baseline.rules().with(Rule::Network), ENTRY_LOOPBACK, "loopback"),
            (Level::Baseline.rules().with(Rule::Network), 0, "none"),
        ] {
            let entry = ContainerEntry { rules: rules.0, flags, ..ContainerEntry::default() };
            let registered =
                Registered { key: ContainerKey::default(), entry, usage: Usage::default() };
            let json = serde_json::to_value(container(&registered)).unwrap();
            assert_eq!(json["network"], network, "{rules:?} {flags}");
        }
    }
}
