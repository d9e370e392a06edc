//! Audit mode: every attempt that a rule denies succeeds and is reported, what admission
//! refuses starts with a warning; what lockc itself stands on holds all the same, and nobody gets
//! the mode by asking.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{
    Row, Test, files, kernel_log, mounts, one_kernel, paths, pseudo, row, sockets, surface, tasks,
};
use crate::bundle::Bundle;
use crate::check::Probe;
use crate::command;
use crate::config;
use crate::lab::{self, Lab};
use crate::launch::{self, By, Running, Runtime};

/// One hook shows audit mode as well as any other.
pub const ROWS: &[Row] = &one_kernel([
    row("audit/mounts", Test::Code(|lab, runtime| reported(lab, runtime, mounts::ROWS))),
    row("audit/pseudo", Test::Code(|lab, runtime| reported(lab, runtime, pseudo::ROWS))),
    row("audit/kernel-log", Test::Code(|lab, runtime| reported(lab, runtime, kernel_log::ROWS))),
    row("audit/sockets", Test::Code(|lab, runtime| reported(lab, runtime, sockets::ROWS))),
    row("audit/files", Test::Code(|lab, runtime| reported(lab, runtime, files::ROWS))),
    row("audit/paths", Test::Code(|lab, runtime| reported(lab, runtime, paths::ROWS))),
    row("audit/tasks", Test::Code(|lab, runtime| reported(lab, runtime, tasks::ROWS))),
    row("audit/surface", Test::Code(|lab, runtime| reported(lab, runtime, surface::ROWS))),
    row("audit/admission", Test::Code(|lab, _| admitted(lab))),
    row("audit/exec", Test::Code(exec)),
    row("audit/own-files", Test::Code(|lab, _| own_files(lab))),
    row("audit/ceiling", Test::Code(|lab, _| ceiling(lab))),
]);

/// Every attempt of a topic, with all policies in audit mode.
fn reported(lab: &mut Lab, runtime: Runtime, rows: &[Row]) -> Result<String> {
    let probes: Vec<(&str, Probe)> = rows
        .iter()
        .filter_map(
            |row| if let Test::Denied(probe) = row.test { Some((row.name, probe)) } else { None },
        )
        .collect();
    if lab.plain {
        return Ok("proven by the cases themselves".into());
    }
    config::write_with(runtime, "mode = \"audit\"\n")?;
    let wrong: Result<Vec<String>> = probes
        .iter()
        .map(|(name, probe)| Ok(one(lab, probe)?.map(|problem| format!("{name}: {problem}"))))
        .filter_map(Result::transpose)
        .collect();
    config::write(runtime)?;
    match wrong?.as_slice() {
        [] => Ok(format!("{} attempts succeeded and were reported", probes.len())),
        wrong => bail!("{} of {}: {}", wrong.len(), probes.len(), wrong.join("; ")),
    }
}

/// What is wrong with one of them.
fn one(lab: &Lab, probe: &Probe) -> Result<Option<String>> {
    let bundle = (probe.give)(Bundle::probe(&lab.fill(probe.args)));
    lab.forget_events()?;
    // Under baseline the bundle is as engines write it: the masks would hide some of this.
    let policy = if probe.policy == "baseline" { "test" } else { probe.policy };
    let attempt = launch::attempt(By::Lockc(policy), &bundle)?;
    let events = lab.events()?;
    Ok(match events.iter().find(|event| event["rule"] == probe.rule) {
        _ if !attempt.ok => Some(format!("denied: {} ({})", attempt.detail, attempt.errno)),
        None => Some(format!("not reported; there are {}", Value::from(events))),
        Some(event) if event["mode"] != "audit" => Some(format!("reported as {event}")),
        Some(_) => None,
    })
}

/// A container that baseline refuses for several reasons.
fn refused_bundle(args: &[&str]) -> Bundle {
    Bundle::new(args)
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/rootfsPropagation", json!("rshared"))
}

fn admitted(lab: &mut Lab) -> Result<String> {
    let bundle = refused_bundle(&["true"]);
    if lab.plain {
        return Ok("nothing to prove without lockc".into());
    }
    let enforced = launch::run(By::Lockc("baseline"), &bundle)?;
    if enforced.ok() || !enforced.stderr.contains("refused by level baseline") {
        bail!("proves nothing: status {}: {}", enforced.status, enforced.said());
    }
    let run = launch::run(By::Lockc("audited"), &bundle)?;
    if !run.ok() {
        bail!("status {}: {}", run.status, run.said());
    }
    for part in [
        "would be refused by policy audited",
        "rootfs-propagation: ",
        "proc-mount: ",
        "because of audit mode",
    ] {
        if !run.stderr.contains(part) {
            bail!("not said: {part}: {}", run.stderr);
        }
    }
    let running = Running::start(By::Lockc("audited"), &bundle_of_sleep())?;
    let status: Value = lab::status()?;
    let of = |entry: &&Value| entry["id"] == running.id.as_str();
    let entry = status["containers"]
        .as_array()
        .and_then(|all| all.iter().find(of))
        .context("not registered")?;
    if entry["mode"] != "audit" {
        bail!("status: {entry}");
    }
    let shown = command::run(&["lockc", "status"])?;
    if shown.status != 4 || !shown.stdout.contains("AUDIT: 1 of") {
        bail!("status {}: {}", shown.status, shown.said());
    }
    Ok(run.stderr)
}

fn bundle_of_sleep() -> Bundle {
    refused_bundle(&["sleep", "1000"])
}

/// A process that restricted refuses joins with a warning, and is reported in the kernel too.
fn exec(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    if lab.plain {
        return Ok("nothing to prove without lockc".into());
    }
    config::write_with(runtime, "mode = \"audit\"\n")?;
    let result = (|| {
        let running = Running::start(By::Lockc("restricted"), &bundle_of_sleep())?;
        lab.forget_events()?;
        let run = running.call(&["exec", "--user", "0"], &["cat", "/proc/kallsyms"])?;
        if !run.ok()
            || !run.stderr.contains("run-as-root: ")
            || !run.stderr.contains("the process is started")
        {
            bail!("status {}: {}", run.status, run.said());
        }
        let event = lab.expect_event("procfs")?;
        if !event.contains("\"mode\":\"audit\"") {
            bail!("{event}");
        }
        Ok(run.stderr)
    })();
    config::write(runtime)?;
    result
}

/// What could make lockc another one is refused in every mode.
fn own_files(lab: &mut Lab) -> Result<String> {
    if lab.plain {
        return Ok("nothing to prove without lockc".into());
    }
    let mut bundle = Bundle::new(&["true"]);
    bundle.mounts.push(json!({
        "destination": "/x", "type": "bind", "source": "/etc/lockc", "options": ["rbind", "rw"],
    }));
    let run = launch::run(By::Lockc("audited"), &bundle)?;
    if run.ok()
        || !run.stderr.contains("own-files: ")
        || !run.stderr.contains("audit mode does not allow it")
    {
        // Only where the mount itself is admitted does it come this far.
        bail!("status {}: {}", run.status, run.said());
    }
    Ok(run.stderr)
}

fn ceiling(lab: &mut Lab) -> Result<String> {
    if lab.plain {
        return Ok("nothing to prove without lockc".into());
    }
    let bundle = Bundle::new(&["true"]).annotation("org.lockc.policy", "audited");
    let run = launch::run(By::Lockc(""), &bundle)?;
    if run.ok()
        || !run.stderr.contains("asks for audited, which is looser than the ceiling baseline")
    {
        bail!("status {}: {}", run.status, run.said());
    }
    Ok(run.stderr)
}
