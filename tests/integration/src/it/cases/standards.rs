//! What only the OCI runtime specification knows, and the Pod Security Standards' controls in its
//! words: refused with control, value and remedy; and next to each what must not be refused.

use anyhow::{Result, bail};
use serde_json::json;

use super::{Row, Test, one_kernel, row, works};
use crate::bundle::Bundle;
use crate::command;
use crate::lab::Lab;
use crate::launch::{self, By};

const fn refused(give: fn(Bundle) -> Bundle, reason: &'static str) -> Test {
    Test::Refused { give, policy: "baseline", reason }
}

/// The wrapper alone decides these, whatever the kernel.
pub const BARE: &[Row] = &one_kernel([
    row(
        "standards/masked-paths",
        refused(|b| b.set("/linux/maskedPaths", json!([])), "proc-mount: /proc/acpi, /proc/kcore"),
    ),
    row(
        "standards/read-only-paths",
        refused(
            |b| b.set("/linux/readonlyPaths", json!(["/proc/bus"])),
            "proc-mount: /proc/fs, /proc/irq, /proc/sys",
        ),
    ),
    row(
        "standards/seccomp-that-allows-everything",
        refused(
            |b| b.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"})),
            "seccomp: ",
        ),
    ),
    row(
        "standards/seccomp-missing-under-restricted",
        Test::Refused {
            give: |b| b.user(1000).set("/linux/seccomp", json!(null)),
            policy: "restricted",
            reason: "seccomp: no seccomp profile",
        },
    ),
    row("standards/seccomp-missing", works(&["true"], |b| b.set("/linux/seccomp", json!(null)))),
    row(
        "standards/sysctl",
        refused(
            |b| b.set("/linux/sysctl", json!({"kernel.msgmax": "65536"})),
            "sysctls: kernel.msgmax",
        ),
    ),
    row(
        "standards/safe-sysctl",
        works(&["true"], |b| {
            b.set("/linux/sysctl", json!({"net.ipv4.ip_unprivileged_port_start": "0"}))
        }),
    ),
    row(
        "standards/rootfs-propagation",
        refused(|b| b.set("/linux/rootfsPropagation", json!("rshared")), "rootfs-propagation: "),
    ),
    row(
        "standards/real-time-scheduler",
        refused(
            |b| b.set("/process/scheduler", json!({"policy": "SCHED_FIFO", "priority": 10})),
            "resources: the scheduling policy SCHED_FIFO",
        ),
    ),
    row(
        "standards/property-of-the-unit",
        refused(
            |b| b.annotation("org.systemd.property.DevicePolicy", "'auto'"),
            "runtime-handlers: the annotation org.systemd.property.DevicePolicy",
        ),
    ),
    row("standards/hook-that-others-can-change", Test::Code(|lab, _| hook(lab, "0777", false))),
    row("standards/hook-in-the-container", Test::Code(|lab, _| hook_inside(lab))),
    row("standards/hook", Test::Code(|lab, _| hook(lab, "0755", true))),
    row(
        "standards/nul-byte",
        Test::Code(|lab, _| unreadable(lab, |b| b.annotation("a", "b\0c"), "contains a NUL byte")),
    ),
]);

fn by(lab: &Lab) -> By {
    if lab.plain { By::Plain(launch::Runtime::Crun) } else { By::Lockc("baseline") }
}

/// A hook whose program has that mode.
fn hook(lab: &Lab, mode: &str, runs: bool) -> Result<String> {
    command::sh(&format!("install -m {mode} /bin/true /usr/local/bin/lockc-it-hook"))?;
    let hooks = json!({"prestart": [{"path": "/usr/local/bin/lockc-it-hook"}]});
    outcome(lab, &Bundle::new(&["true"]).set("/hooks", hooks), runs)
}

/// A hook whose program the container could change.
fn hook_inside(lab: &Lab) -> Result<String> {
    let path = format!("{}/probe", crate::bundle::common_rootfs()?);
    outcome(
        lab,
        &Bundle::new(&["true"]).set("/hooks", json!({"poststop": [{"path": path}]})),
        false,
    )
}

fn outcome(lab: &Lab, bundle: &Bundle, runs: bool) -> Result<String> {
    let run = launch::run(by(lab), bundle)?;
    if lab.plain || run.ok() == runs && (runs || run.stderr.contains("hooks: ")) {
        Ok(run.stderr)
    } else {
        bail!("status {}: {}", run.status, run.said())
    }
}

fn unreadable(lab: &Lab, give: fn(Bundle) -> Bundle, reason: &str) -> Result<String> {
    let run = launch::run(by(lab), &give(Bundle::new(&["true"])))?;
    if lab.plain || !run.ok() && run.stderr.contains(reason) {
        Ok(run.stderr)
    } else {
        bail!("status {}: {}", run.status, run.said())
    }
}
