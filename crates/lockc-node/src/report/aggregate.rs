//! Findings of the node's pods, gathered into Events: one for each distinct finding of a pod, with
//! a count. How many Events a pod may have, and how often they are written, is limited; what is
//! left out is counted.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    finding::{Finding, PodKey},
    limits::{Bucket, Rate},
};

/// Distinct findings of a pod that become Events.
const DISTINCT: usize = 64;
/// Containers of one name in a pod whose counts are kept apart.
const SOURCES: usize = 32;
/// Writes for one pod.
const POD: Rate = Rate { burst: 16, every: Duration::from_secs(60) };
/// Writes for all pods of the node.
const NODE: Rate = Rate { burst: 64, every: Duration::from_secs(1) };
/// Until the count of an Event is written again.
const AGAIN: Duration = Duration::from_secs(60);
/// How long a pod may be unknown before its findings are forgotten: the watch may be late.
const UNKNOWN: Duration = Duration::from_secs(60);

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The finding, as it was told last.
    pub finding: Finding,
    /// How often it happened in the pod.
    pub count: u64,
    /// When it happened first.
    pub first: Timestamp,
}

/// Findings that became no Event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Their pods have enough others.
    pub too_many: u64,
    /// Their pods are not on the node any more, or never were.
    pub without_pod: u64,
}

struct Entry {
    finding: Finding,
    first: Timestamp,
    counts: BTreeMap<String, u64>,
    /// The counts of containers that are not kept apart any more.
    earlier: u64,
    /// It happened while this process looked.
    is_fresh: bool,
    /// How often the Event says it happened, and when that was written.
    written: Option<(u64, Instant)>,
}

impl Entry {
    fn count(&self) -> u64 {
        self.earlier + self.counts.values().sum::<u64>()
    }

    fn is_due(&self, now: Instant) -> bool {
        self.written.is_none_or(|(count, at)| {
            self.count() > count && now.saturating_duration_since(at) >= AGAIN
        })
    }
}

struct Pod {
    bucket: Bucket,
    entries: BTreeMap<String, Entry>,
    /// Keys of findings beyond those; no more of them than of entries.
    beyond: Vec<String>,
    /// How many of those the pod's owner was told of, and when.
    told: Option<(usize, Instant)>,
    seen: Instant,
}

/// Findings that are, or will be, Events.
pub struct Aggregate {
    pods: HashMap<PodKey, Pod>,
    bucket: Bucket,
    dropped: Dropped,
}

impl Aggregate {
    /// Without any.
    pub fn new(now: Instant) -> Self {
        Self { pods: HashMap::new(), bucket: Bucket::new(NODE, now), dropped: Dropped::default() }
    }

    /// Takes a finding in. `is_old`: it happened before this process looked, and nobody is told of
    /// it before it happens again.
    pub fn add(&mut self, finding: Finding, is_old: bool, now: Instant) {
        let pod = self.pods.entry(finding.pod.clone()).or_insert_with(|| Pod {
            bucket: Bucket::new(POD, now),
            entries: BTreeMap::new(),
            beyond: Vec::new(),
            told: None,
            seen: now,
        });
        if !pod.entries.contains_key(&finding.key) && pod.entries.len() >= DISTINCT {
            if pod.beyond.len() < DISTINCT && !pod.beyond.contains(&finding.key) {
                pod.beyond.push(finding.key);
                self.dropped.too_many += 1;
            }
            return;
        }
        let entry = pod.entries.entry(finding.key.clone()).or_insert_with(|| Entry {
            finding: finding.clone(),
            first: finding.first,
            counts: BTreeMap::new(),
            earlier: 0,
            is_fresh: false,
            written: None,
        });
        entry.first = entry.first.min(finding.first);
        let count = entry.counts.entry(finding.source.clone()).or_default();
        *count = finding.count.max(*count);
        if entry.counts.len() > SOURCES
            && let Some(other) = entry.counts.keys().find(|id| **id != finding.source).cloned()
        {
            entry.earlier += entry.counts.remove(&other).unwrap_or_default();
        }
        entry.is_fresh |= !is_old;
        if !entry.is_fresh {
            entry.written = Some((entry.count(), now));
        }
        if finding.last >= entry.finding.last {
            entry.finding = finding;
        }
    }

    /// Forgets pods that are not on the node, a while after they were there.
    pub fn retain(&mut self, is_here: impl Fn(&PodKey) -> bool, now: Instant) {
        self.pods.retain(|key, pod| {
            if is_here(key) {
                pod.seen = now;
                return true;
            }
            let stays = now.saturating_duration_since(pod.seen) < UNKNOWN;
            if !stays {
                let unwritten = pod.entries.values().filter(|entry| entry.written.is_none());
                self.dropped.without_pod += unwritten.count() as u64;
            }
            stays
        });
    }

    /// What may be written now of the pods that are here: what was never told first, then counts.
    pub fn due(&mut self, is_here: impl Fn(&PodKey) -> bool, now: Instant) -> Vec<Write> {
        let mut due: Vec<(bool, &PodKey, &String)> = self
            .pods
            .iter()
            .filter(|(key, _)| is_here(key))
            .flat_map(|(key, pod)| {
                let due = pod.entries.iter().filter(|(_, entry)| entry.is_due(now));
                due.map(move |(name, entry)| (entry.written.is_some(), key, name))
            })
            .collect();
        due.sort();
        let due: Vec<(PodKey, String)> =
            due.into_iter().map(|(_, key, name)| (key.clone(), name.clone())).collect();
        let mut writes = Vec::new();
        for (key, name) in due {
            let Some(pod) = self.pods.get_mut(&key) else { continue };
            if !self.bucket.has_token(now) {
                break;
            }
            if !pod.bucket.has_token(now) {
                continue;
            }
            let Some(entry) = pod.entries.get_mut(&name) else { continue };
            self.bucket.take();
            pod.bucket.take();
            let count = entry.count();
            entry.written = Some((count, now));
            writes.push(Write { finding: entry.finding.clone(), count, first: entry.first });
        }
        writes
    }

    /// Notes that something could not be written, and has to be tried again.
    pub fn failed(&mut self, write: &Write) {
        let pod = self.pods.get_mut(&write.finding.pod);
        if let Some(entry) = pod.and_then(|pod| pod.entries.get_mut(&write.finding.key)) {
            entry.written = None;
        }
    }

    /// Every finding of the pods that are, or were a moment ago, on the node.
    pub fn all(&self) -> impl Iterator<Item = Write> {
        self.pods.values().flat_map(|pod| pod.entries.values()).map(|entry| Write {
            finding: entry.finding.clone(),
            count: entry.count(),
            first: entry.first,
        })
    }

    /// What became no Event so far.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Pods of which something was left out that nobody was told of yet, and how much in all.
    pub fn beyond(
        &mut self,
        is_here: impl Fn(&PodKey) -> bool,
        now: Instant,
    ) -> Vec<(PodKey, u64)> {
        let mut found = Vec::new();
        for (key, pod) in self.pods.iter_mut().filter(|(key, _)| is_here(key)) {
            let is_due = pod.told.is_none_or(|(count, at)| {
                pod.beyond.len() > count && now.saturating_duration_since(at) >= AGAIN
            });
            if !pod.beyond.is_empty() && is_due && self.bucket.has_token(now) {
                self.bucket.take();
                pod.told = Some((pod.beyond.len(), now));
                found.push((key.clone(), pod.beyond.len() as u64));
            }
        }
        found
    }
}

#[cfg(test)]
#[path = "aggregate_tests.rs"]
mod tests;
