//! What the runtime itself is made to do with its own rights, beyond the kernel's view of the
//! container: attributes of processes that other containers feel.

use crate::admission::findings::Findings;
use crate::{
    policy::Control,
    spec::{Linux, Process},
};

/// Scheduling policies and I/O classes that everybody may choose (sched(7), ioprio_set(2)).
const SCHEDULERS: [&str; 4] = ["", "SCHED_OTHER", "SCHED_BATCH", "SCHED_IDLE"];
const IO_CLASSES: [&str; 4] = ["", "IOPRIO_CLASS_NONE", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"];

/// Checks the rest of `linux`.
pub(super) fn check(linux: &Linux, findings: &mut Findings<'_>) {
    // A shared root gives what is mounted in the container to the host.
    if ["shared", "rshared"].contains(&linux.rootfs_propagation.as_str()) {
        findings.add(
            Control::RootfsPropagation,
            format!("rootfsPropagation is {:?}", linux.rootfs_propagation),
            "use private or slave (in Kubernetes, remove mountPropagation: Bidirectional)",
        );
    }
    if !linux.net_devices.is_empty() {
        let names: Vec<&str> = linux.net_devices.keys().map(String::as_str).collect();
        findings.add(
            Control::HostNamespaces,
            format!("the host's network device {} moves into the container", names.join(", ")),
            "remove netDevices",
        );
    }
    resources(linux, findings);
}

fn resources(linux: &Linux, findings: &mut Findings<'_>) {
    let mut add =
        |what: String, key: &str| findings.add(Control::Resources, what, format!("remove {key}"));
    if linux.intel_rdt.is_some() {
        add("a share of the host's caches and memory bandwidth".into(), "intelRdt");
    }
    if linux.memory_policy.is_some() {
        add("a memory policy".into(), "memoryPolicy");
    }
    let personality = &linux.personality;
    if !["", "LINUX", "LINUX32"].contains(&personality.domain.as_str())
        || !personality.flags.is_empty()
    {
        let flags = personality.flags.join(", ");
        add(
            format!("the execution domain {} {flags}", personality.domain).trim_end().into(),
            "personality",
        );
    }
}

/// Checks how a process competes with others.
pub(super) fn of_process(process: &Process, findings: &mut Findings<'_>) {
    let choices = [
        ("the scheduling policy", &process.scheduler.policy, SCHEDULERS, "scheduler"),
        ("the I/O class", &process.io_priority.class, IO_CLASSES, "ioPriority"),
    ];
    for (what, chosen, usual, key) in choices {
        if !usual.contains(&chosen.as_str()) {
            findings.add(Control::Resources, format!("{what} {chosen}"), format!("remove {key}"));
        }
    }
}
