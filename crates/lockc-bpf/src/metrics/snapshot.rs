//! What the metrics say of a host at one time.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use lockc_core::{abi::MAX_CONTAINERS, maps::Record, paths, rules::Rule};
use lockc_policy::{
    config::Labels,
    host::Host,
    refused::{self, RefusalCount},
};

use crate::{
    containers::{self, Cause},
    programs::{self, Counter},
    status::{self, Status},
};

/// The initial PID namespace's inode (include/linux/proc_ns.h, 6.12: `PROC_PID_INIT_INO`).
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// All that the metrics say.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Every program is attached.
    pub is_enforcing: bool,
    /// Version of this command.
    pub version: String,
    /// Version of the attached programs.
    pub loaded_version: Option<String>,
    /// ABI version of the pinned maps.
    pub abi: Option<u32>,
    /// Programs that are attached.
    pub attached: usize,
    /// Programs that are not.
    pub missing: usize,
    /// Containers.
    pub containers: Containers,
    /// Denials by rule: those in enforcement, and those in audit mode.
    pub denials: Vec<(Rule, u64, u64)>,
    /// Denials that newer ones replaced in the record.
    pub replaced: u64,
    /// Denials that found no room in it.
    pub lost: u64,
    /// Refusals by reason.
    pub refusals: Vec<RefusalCount>,
    /// Internal errors by hook.
    pub errors: Vec<(String, u64)>,
    /// Cost of each program that is loaded.
    pub costs: Vec<Counter>,
    /// Age of the copy of the namespace labels, in seconds; nothing where no cluster is synced.
    pub labels_age: Option<f64>,
}

/// The containers of a host.
#[derive(Clone, Debug, Default)]
pub struct Containers {
    /// By policy, level and mode: those that have a process.
    pub confined: BTreeMap<(String, &'static str, &'static str), usize>,
    /// By cause: those that are not confined. Nothing in a container, which sees only a part of the
    /// host.
    pub unconfined: Option<BTreeMap<Cause, usize>>,
    /// Those under quarantine.
    pub quarantined: usize,
    /// Entries in the registry.
    pub registered: usize,
    /// Entries that fit.
    pub places: usize,
}

impl Snapshot {
    /// Takes one.
    ///
    /// # Errors
    ///
    /// Where the maps or a file of lockc's cannot be read. Programs that are not loaded are no
    /// error.
    pub fn take() -> Result<Self> {
        let status = status::gather()?;
        let unconfined = sees_the_host().then(unconfined).transpose()?;
        let counts = Path::new(paths::REFUSAL_COUNTS);
        let refusals =
            refused::counts(counts).with_context(|| format!("cannot read {}", counts.display()))?;
        let mut snapshot = Self {
            is_enforcing: status.enforcing,
            version: status.own_version.clone(),
            loaded_version: status.version.clone(),
            abi: status.abi,
            attached: status.attached.len(),
            missing: status.missing.len(),
            containers: Containers::of(&status, unconfined),
            errors: status.errors,
            refusals,
            costs: programs::counters(),
            labels_age: labels_age(),
            ..Self::default()
        };
        if status.enforcing {
            let record = Record::open()?;
            for rule in Rule::ALL {
                let (denied, audited) = record.by_rule(rule)?;
                snapshot.denials.push((rule, denied, audited));
            }
            (snapshot.replaced, snapshot.lost) = (record.replaced()?, record.lost()?);
        }
        Ok(snapshot)
    }
}

impl Containers {
    fn of(status: &Status, unconfined: Option<BTreeMap<Cause, usize>>) -> Self {
        let mut confined = BTreeMap::new();
        for it in status.containers.iter().filter(|it| it.is_alive()) {
            *confined.entry((it.policy.clone(), it.level, it.mode)).or_default() += 1;
        }
        Self {
            confined,
            unconfined,
            quarantined: status.containers.iter().filter(|it| it.quarantined).count(),
            registered: status.containers.len(),
            places: MAX_CONTAINERS as usize,
        }
    }
}

/// Whether /proc shows every process of the host, and their files can be read at the paths that
/// they know. A pod with `hostPID` has another root directory.
fn sees_the_host() -> bool {
    let object = |path: &str| fs::metadata(path).map(|it| (it.dev(), it.ino())).ok();
    let is_initial = object("/proc/self/ns/pid").is_some_and(|it| it.1 == INITIAL_PID_NAMESPACE);
    is_initial && object("/proc/1/root").is_some_and(|root| Some(root) == object("/"))
}

fn unconfined() -> Result<BTreeMap<Cause, usize>> {
    let mut found: BTreeMap<Cause, usize> = Cause::ALL.map(|cause| (cause, 0)).into();
    for it in containers::unconfined()? {
        *found.entry(it.cause).or_default() += 1;
    }
    Ok(found)
}

fn labels_age() -> Option<f64> {
    let labels = Labels::load(Path::new(paths::NAMESPACES), &Host::default()).ok()??;
    let synced: Timestamp = labels.synced.parse().ok()?;
    Some(Timestamp::now().duration_since(synced).as_secs_f64())
}
