//! What a runtime is made to do on the host with its own rights: annotations, handlers, cgroups,
//! hooks, and what it does with containers that run.

use std::fs;

use anyhow::{Context as _, Result, bail};
use lockc_policy::admission::annotations;
use serde_json::{Value, json};

use super::{Row, Test, both, one_kernel, row};
use crate::bundle::Bundle;
use crate::command;
use crate::config;
use crate::lab::Lab;
use crate::launch::{self, By, Running, Runtime, STATE, WRAPPER};

const fn refused(give: fn(Bundle) -> Bundle, reason: &'static str) -> Test {
    Test::Refused { give, policy: "baseline", reason }
}

/// A cgroup of the host's, with a process in it.
const VICTIM: &str = "/lockc-it-victim.service";

/// The wrapper alone decides these, whatever the kernel.
pub const ROWS: &[Row] = &one_kernel([
    both(
        "host-side/annotation-criu",
        refused(|b| b.annotation("org.criu.config", "/home/data/evil.conf"), "org.criu.config"),
    )
    .thorough_with_runc(),
    row(
        "host-side/annotation-subgroup",
        refused(
            |b| b.annotation("run.oci.systemd.subgroup", "../../victim"),
            "run.oci.systemd.subgroup",
        ),
    ),
    row("host-side/annotation-bundle", refused(|b| b.annotation("bundle", "/etc"), "bundle=/etc")),
    row(
        "host-side/annotation-unit",
        refused(
            |b| b.annotation("org.systemd.property.ExecStopPost", "x"),
            "org.systemd.property.ExecStopPost",
        ),
    ),
    row(
        "host-side/annotations-of-engines",
        super::works(&["true"], |b| {
            b.annotation("org.systemd.property.KillSignal", "15")
                .annotation("org.systemd.property.TimeoutStopUSec", "uint64 10000000")
                .annotation("org.opencontainers.image.title", "x")
        }),
    ),
    both("host-side/unsafe-annotations-are-known", Test::Code(unsafe_annotations)),
    row("host-side/handler-by-name", Test::Code(handler_by_name)),
    both("host-side/cgroup-of-a-service", Test::Code(foreign_cgroup)),
    row(
        "host-side/oom-score",
        refused(|b| b.set("/process/oomScoreAdj", json!(-1000)), "oom_score_adj -1000"),
    ),
    row(
        "host-side/hook-shell",
        refused(
            |b| {
                b.set(
                    "/hooks",
                    json!({"poststop": [{"path": "/bin/sh", "args": ["sh", "-c",
                    "touch /tmp/x"]}]}),
                )
            },
            "hooks",
        ),
    ),
    both("host-side/exec-options", Test::Code(exec_options)).thorough_with_runc(),
    both("host-side/update", Test::Code(update)),
    both("host-side/checkpoint", Test::Code(checkpoint)).thorough_with_runc(),
]);

/// Whatever the runtime of this machine calls unsafe is in lockc's table.
fn unsafe_annotations(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let program = if lab.plain { runtime.path() } else { WRAPPER };
    let features: Value = serde_json::from_str(&command::run(&[program, "features"])?.must()?)?;
    // runc names them since 1.2.
    let keys: Option<Vec<String>> =
        serde_json::from_value(features["potentiallyUnsafeConfigAnnotations"].clone())?;
    let keys = keys.unwrap_or_default();
    if keys.is_empty() && runtime == Runtime::Crun {
        bail!("the runtime names no unsafe annotations: {features}");
    }
    if let Some(key) = keys.iter().find(|key| !annotations::covers(key)) {
        bail!("{key} is in no table of lockc's: {keys:?}");
    }
    Ok(keys.join(" "))
}

/// As Fedora installs crun for WebAssembly.
fn handler_by_name(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    const LINK: &str = "/usr/local/bin/crun-wasm";
    command::sh(&format!("ln -sfn {} {LINK}", Runtime::Crun.path()))?;
    config::write_for(LINK)?;
    let run = launch::run(By::Lockc("baseline"), &Bundle::new(&["true"]));
    config::write(Runtime::Crun)?;
    let run = run?;
    if run.ok() || !run.stderr.contains("runtime-handlers") || !run.stderr.contains("crun-wasm") {
        bail!("status {}: {}", run.status, run.said());
    }
    Ok(run.stderr)
}

/// A container that joins a service of the host's, which crun would kill at the end.
fn foreign_cgroup(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let root = if fs::exists("/sys/fs/cgroup/cgroup.procs")? {
        "/sys/fs/cgroup"
    } else {
        "/sys/fs/cgroup/pids"
    };
    let line = format!(
        "mkdir -p {root}{VICTIM} && (sleep 1000 < /dev/null > /dev/null 2>&1 & p=$!; echo $p > \
         {root}{VICTIM}/cgroup.procs; echo $p)"
    );
    let victim = command::sh(&line)?;
    let told = [VICTIM.to_owned(), format!("{VICTIM}/x"), format!("/x/..{VICTIM}")].map(|path| {
        let run = launch::run(
            By::Lockc("baseline"),
            &Bundle::new(&["true"]).set("/linux/cgroupsPath", json!(path)),
        )?;
        if run.ok() || !run.stderr.contains("resources") || !run.stderr.contains(&path) {
            bail!("{path}: status {}: {}", run.status, run.said());
        }
        Ok(run.stderr)
    });
    let lives = command::sh(&format!("kill {}", victim.trim()));
    let _ = command::sh(&format!("sleep 0.2; rmdir {root}{VICTIM}"));
    lives.context("the service was killed")?;
    told.into_iter().collect::<Result<Vec<_>>>().map(|told| told.concat())
}

fn sleeper(policy: &'static str) -> Result<Running> {
    Running::start(By::Lockc(policy), &Bundle::new(&["sleep", "1000"]))
}

fn exec_options(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let running = sleeper("baseline")?;
    for (options, control) in [
        (&["exec", "--apparmor", "unconfined"][..], "apparmor"),
        (&["exec", "--process-label", "system_u:system_r:spc_t:s0"], "selinux"),
        (&["exec", "--cap", "CAP_SYS_ADMIN"], "capabilities"),
        (&["exec", "--cgroup", "../.."], "resources"),
    ] {
        let run = running.call(options, &["true"])?;
        if run.ok() || !run.stderr.contains(control) {
            bail!("{options:?}: status {}: {}", run.status, run.said());
        }
    }
    running.call(&["exec", "--no-new-privs"], &["true"])?.must()?;
    Ok("options are checked".into())
}

/// New limits come by standard input, as containerd gives them, and reach the runtime.
fn update(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let path = format!("/lockc-it-{}", launch::fresh_id());
    let bundle = Bundle::new(&["sleep", "1000"]).set("/linux/cgroupsPath", json!(path));
    let running = Running::start(By::Lockc("baseline"), &bundle)?;
    let words = [WRAPPER, "--root", STATE, "update", "--resources", "-", &running.id];
    command::run_with_input(&words, r#"{"pids": {"limit": 77}}"#)?.must()?;
    let limit = command::sh(&format!(
        "cat /sys/fs/cgroup{path}/pids.max /sys/fs/cgroup/pids{path}/pids.max 2> /dev/null || true"
    ))?;
    if limit.trim() != "77" {
        bail!("the runtime did not get the limits: {limit}");
    }
    let devices = r#"{"devices": [{"allow": true, "access": "rwm"}]}"#;
    let run = command::run_with_input(&words, devices)?;
    if run.ok() || !run.stderr.contains("devices") {
        bail!("devices: status {}: {}", run.status, run.said());
    }
    Ok(run.stderr)
}

fn checkpoint(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let bundle = Bundle::new(&["sleep", "1000"]).bind("/srv/lockc-it/data", "/data");
    let running = Running::start(By::Lockc("baseline"), &bundle)?;
    let run = running.call(&["checkpoint", "--image-path", "/srv/lockc-it/data/image"], &[])?;
    if run.ok() || !run.stderr.contains("a file of the container") {
        bail!("status {}: {}", run.status, run.said());
    }
    // Whatever CRIU then says: it is not lockc that refuses.
    let other = running.call(&["checkpoint", "--image-path", "/root/lockc-it-image"], &[])?;
    if other.stderr.contains("lockc:") {
        bail!("a directory of root's: {}", other.said());
    }
    Ok(run.stderr)
}
