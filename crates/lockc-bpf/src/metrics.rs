//! Metrics in the OpenMetrics text format, from the pinned maps and lockc's files: nothing has to
//! run between two scrapes.
//!
//! The text is valid Prometheus text too (node_exporter reads files of that): it has no metric of a
//! type that only OpenMetrics knows.

pub mod http;
mod snapshot;

use anyhow::Result;
use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use lockc_core::hooks::PROGRAMS;
use lockc_policy::policy::Control;
use snapshot::Containers;
pub use snapshot::Snapshot;

use crate::programs;

/// The content type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge>;
type Counters = Family<Labels, Counter>;
type Seconds = Family<Labels, Counter<f64, std::sync::atomic::AtomicU64>>;

/// The metrics of this host.
///
/// # Errors
///
/// Where only root may read what they say. A host where nothing is loaded has metrics: they say so.
pub fn render() -> Result<String> {
    Ok(encode(&Snapshot::take()?)?)
}

/// A snapshot as text.
fn encode(snapshot: &Snapshot) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("lockc");
    add_state(&mut registry, snapshot);
    add_containers(&mut registry, &snapshot.containers);
    add_denials(&mut registry, snapshot);
    if !snapshot.costs.is_empty() {
        add_costs(&mut registry, &snapshot.costs);
    }
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: usize) {
    let gauge = <Gauge>::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(name, help, gauge);
}

fn gauges(registry: &mut Registry, name: &str, help: &str) -> Gauges {
    let family = Gauges::default();
    registry.register(name, help, family.clone());
    family
}

fn counters(registry: &mut Registry, name: &str, help: &str) -> Counters {
    let family = Counters::default();
    registry.register(name, help, family.clone());
    family
}

fn set(family: &Gauges, labels: Labels, value: usize) {
    family.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
}

fn add(family: &Counters, labels: Labels, count: u64) {
    family.get_or_create(&labels).inc_by(count);
}

fn add_state(registry: &mut Registry, snapshot: &Snapshot) {
    gauge(
        registry,
        "enforcing",
        "1 if every LSM program is attached, 0 if not",
        usize::from(snapshot.is_enforcing),
    );
    let build = gauges(registry, "build_info", "Versions of this command and its programs; 1");
    let abi = snapshot.abi.map_or_else(String::new, |abi| abi.to_string());
    let loaded = snapshot.loaded_version.clone().unwrap_or_default();
    let own = snapshot.version.clone();
    set(&build, vec![("version", own), ("loaded_version", loaded), ("abi", abi)], 1);
    gauge(registry, "programs_attached", "LSM programs that are attached", snapshot.attached);
    gauge(registry, "programs_missing", "LSM programs that are not attached", snapshot.missing);
    let errors = counters(
        registry,
        "internal_errors",
        "Errors in LSM programs, by hook; a program denies what it cannot check, if its hook can \
         deny",
    );
    // Series that begin at 0 show their first increase.
    for program in PROGRAMS {
        add(&errors, vec![("hook", program.name.to_owned())], 0);
    }
    for (hook, count) in &snapshot.errors {
        add(&errors, vec![("hook", hook.clone())], *count);
    }
    if let Some(age) = snapshot.labels_age {
        let gauge = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
        gauge.set(age);
        registry.register_with_unit(
            "namespace_labels_age",
            "Age of the node's copy of the cluster's namespace labels",
            Unit::Seconds,
            gauge,
        );
    }
}

fn add_containers(registry: &mut Registry, containers: &Containers) {
    let confined = gauges(
        registry,
        "containers",
        "Confined containers that have a process, by policy and mode",
    );
    for ((policy, level, mode), count) in &containers.confined {
        let level = (*level).to_owned();
        let labels = vec![("policy", policy.clone()), ("level", level), ("mode", (*mode).into())];
        set(&confined, labels, *count);
    }
    if let Some(unconfined) = &containers.unconfined {
        let family = gauges(
            registry,
            "unconfined_containers",
            "Containers of every engine on the host that lockc does not confine, by cause",
        );
        for (cause, count) in unconfined {
            set(&family, vec![("cause", cause.name().into())], *count);
        }
    }
    gauge(
        registry,
        "quarantined_containers",
        "Containers under quarantine",
        containers.quarantined,
    );
    gauge(
        registry,
        "registered_containers",
        "Places of the registry in use",
        containers.registered,
    );
    gauge(registry, "registry_size", "Places of the registry", containers.places);
}

fn enforce() -> (&'static str, String) {
    ("mode", "enforce".into())
}

fn add_denials(registry: &mut Registry, snapshot: &Snapshot) {
    let denials = counters(
        registry,
        "denials",
        "Denials by rule; with mode=\"audit\" what would have been denied",
    );
    for (rule, denied, audited) in &snapshot.denials {
        for (mode, count) in [("enforce", denied), ("audit", audited)] {
            let labels = vec![("rule", rule.name().into()), ("mode", mode.into())];
            add(&denials, labels, *count);
        }
    }
    let unrecorded = counters(
        registry,
        "unrecorded_denials",
        "Denials that are not on record: newer ones replaced them, or there was no room",
    );
    for (reason, count) in [("replaced", snapshot.replaced), ("no-room", snapshot.lost)] {
        add(&unrecorded, vec![("reason", reason.into())], count);
    }
    let refusals = counters(
        registry,
        "refusals",
        "Refused commands of the runtime since boot, by the control of the first reason and its \
         id; with mode=\"audit\" what would have been refused",
    );
    for control in Control::ALL {
        let labels =
            vec![("control", control.name().into()), ("id", control.id().into()), enforce()];
        add(&refusals, labels, 0);
    }
    add(&refusals, vec![("control", String::new()), ("id", String::new()), enforce()], 0);
    for refusal in &snapshot.refusals {
        let control = refusal.control.map_or("", Control::name);
        let mode = if refusal.is_audited { "audit" } else { "enforce" };
        let labels =
            vec![("control", control.into()), ("id", refusal.id.clone()), ("mode", mode.into())];
        add(&refusals, labels, refusal.count);
    }
}

fn add_costs(registry: &mut Registry, costs: &[programs::Counter]) {
    let runs = counters(
        registry,
        "program_runs",
        "Runs of an LSM program; the kernel counts while kernel.bpf_stats_enabled is 1",
    );
    let time = Seconds::default();
    registry.register_with_unit(
        "program_run_time",
        "Time in an LSM program; the kernel measures while kernel.bpf_stats_enabled is 1",
        Unit::Seconds,
        time.clone(),
    );
    let memory = gauges(registry, "program_memory_bytes", "Memory that an LSM program occupies");
    for cost in costs {
        let labels = vec![("program", cost.name.to_owned())];
        add(&runs, labels.clone(), cost.calls);
        time.get_or_create(&labels).inc_by(cost.time.as_secs_f64());
        set(&memory, labels, cost.memory as usize);
    }
}

#[cfg(test)]
mod tests;
