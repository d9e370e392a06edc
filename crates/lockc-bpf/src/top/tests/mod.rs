//! The screen, as text; and the terminal after each way out.

mod screens;
mod terminal;

use std::time::{Duration, Instant};

use jiff::{Timestamp, tz::TimeZone};
use lockc_core::abi::ContainerKey;
use lockc_policy::container_names::ContainerNames;

use super::{
    model::{Model, Sort},
    sample::{Container, Cost, Host, Sample},
};
use crate::{denial::Denial, programs::Counter};

/// The moment of the second sample.
const NOW: &str = "2026-11-28T14:02:11Z";

fn container(slot: u32, name: &str, policy: &str, mode: &'static str, denials: u64) -> Container {
    Container {
        key: ContainerKey { slot, generation: 1 },
        id: format!("{slot:x}").repeat(64),
        name: name.into(),
        image: "docker.io/library/nginx:1.27".into(),
        policy: policy.into(),
        mode,
        tasks: i64::from(slot) * 3,
        denials,
    }
}

fn denial(ago: i64, container: &str, rule: &'static str, detail: &str) -> Denial {
    let last = NOW.parse::<Timestamp>().unwrap() - jiff::SignedDuration::from_secs(ago);
    Denial {
        last,
        first: last,
        count: 57,
        container: container.into(),
        names: ContainerNames { name: Some(container.into()), ..Default::default() },
        level: "baseline",
        policy: "baseline".into(),
        origin: "the default".into(),
        id: "LOCKC-D001",
        rule,
        denies: "reading",
        hook: "file_open".into(),
        pid: 4711,
        comm: "node_exporter".into(),
        detail: detail.into(),
        mode: if rule == "sysfs" { "audit" } else { "enforce" },
        errno: 1,
        remedy: String::new(),
        setting: None,
    }
}

fn counters(factor: u64) -> Cost {
    let counter = |name, guards, calls, nanoseconds| Counter {
        name,
        guards,
        calls: calls * factor,
        time: Duration::from_nanos(calls * nanoseconds * factor),
        memory: 4096,
    };
    Cost::Counted(vec![
        counter("file_open", "open(2)", 20_000, 310),
        counter("inode_permission", "access to inodes", 90_000, 95),
        counter("sb_mount", "mount(2)", 0, 0),
    ])
}

/// A sample; the second is two seconds after the first.
fn sample(second: bool, start: Instant) -> Sample {
    let more = if second { 24 } else { 0 };
    let now: Timestamp = NOW.parse().unwrap();
    Sample {
        at: start + Duration::from_secs(if second { 2 } else { 0 }),
        time: if second { now } else { now - jiff::SignedDuration::from_secs(2) },
        host: Host { enforcing: true, kernel: "6.12.63".into(), audited: 1, errors: 0, lost: 3 },
        containers: vec![
            container(1, "web", "baseline", "enforce", 7),
            container(2, "monitoring/node-exporter-7xk2p/exporter", "node", "audit", 100 + more),
            container(3, "db", "restricted", "enforce", 300),
        ],
        denials: vec![
            denial(700_000, "db", "network", "inet stream"),
            denial(
                5,
                "monitoring/node-exporter-7xk2p/exporter",
                "sysfs",
                "fs/ext4/vda1/lifetime_write_kbytes",
            ),
            denial(1, "web", "procfs", "sys/kernel/core_pattern"),
        ],
        cost: counters(if second { 3 } else { 1 }),
    }
}

/// Two samples.
fn model() -> Model {
    let mut model = Model::new(Sort::Rate, "", TimeZone::UTC);
    let start = Instant::now();
    model.update(sample(false, start));
    model.update(sample(true, start));
    model
}
