//! The life of a container: exec joins it, delete frees it, and what survives stays confined.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lockc_integration::Attempt;
use serde_json::Value;

use super::{Row, Test, both, row};
use crate::bundle::Bundle;
use crate::command;
use crate::lab::Lab;
use crate::launch::{By, Running, Runtime};

pub const ROWS: &[Row] = &[
    both("lifecycle/create-start-exec-delete", Test::Code(whole)).core().on_btrfs_thorough(),
    both("lifecycle/exec-is-confined", Test::Code(exec)),
    row("lifecycle/hooks-run-on-the-host", Test::Code(hooks)).one_kernel(),
    both("lifecycle/survivor-of-delete-stays-confined", Test::Code(survivor)).thorough_with_runc(),
    row("lifecycle/deleted-is-gone-from-status", Test::Code(gone)),
    row("lifecycle/hundred-containers", Test::Code(hundred)).thorough(),
    row("lifecycle/same-id-again", Test::Code(same_id)).one_kernel(),
    row("lifecycle/two-at-once-keep-their-levels", Test::Code(two)),
    row("lifecycle/reload-keeps-containers-confined", Test::Code(reload)),
];

fn by(lab: &Lab, runtime: Runtime, policy: &'static str) -> By {
    if lab.plain { By::Plain(runtime) } else { By::Lockc(policy) }
}

fn sleeper(lab: &Lab, runtime: Runtime, policy: &'static str) -> Result<Running> {
    Running::start(by(lab, runtime, policy), &Bundle::new(&["sleep", "1000"]))
}

/// Whether `list /sys/fs/ext4` is denied in a running container.
fn is_confined(running: &Running) -> Result<bool> {
    let run = running.exec(&["/probe", "list", "/sys/fs/ext4"])?;
    let attempt = crate::launch::parse(&run).with_context(|| format!("exec: {}", run.said()))?;
    if attempt.ok || attempt.errno == libc::EACCES { Ok(!attempt.ok) } else { bail!("{attempt:?}") }
}

fn whole(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let running = sleeper(lab, runtime, "baseline")?;
    let state: Value = serde_json::from_str(&running.call(&["state"], &[])?.must()?)
        .context("state is not valid JSON")?;
    if state["status"] != "running" {
        bail!("state is {state}");
    }
    if running.exec(&["sh", "-c", "echo hi; exit 7"])?.status != 7 {
        bail!("exec did not pass the exit status on");
    }
    running.call(&["kill"], &["KILL"])?.must().context("kill")?;
    running.call(&["delete", "--force"], &[])?.must().context("delete")?;
    if running.call(&["state"], &[])?.ok() {
        bail!("state still knows it after delete");
    }
    Ok("create, start, state, exec, kill, delete".into())
}

fn exec(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let running = sleeper(lab, runtime, "baseline")?;
    if is_confined(&running)? == lab.plain {
        bail!("exec runs with another level than its container");
    }
    Ok("as its container".into())
}

/// Hooks are the engine's: they run on the host's root and are not confined.
fn hooks(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let out = "/tmp/lockc-it-hook";
    let _ = fs::remove_file(out);
    let by = by(lab, runtime, "baseline");
    let folder = Bundle::new(&["true"]).write(by)?;
    let path = folder.join("config.json");
    let mut spec: Value =
        serde_json::from_str(&fs::read_to_string(&path).context("cannot read the bundle")?)?;
    let line = format!("ls /sys/fs/ext4 > {out} && cat /etc/shadow > /dev/null && touch {out}.$1");
    let script = "/usr/local/bin/lockc-it-lifecycle-hook";
    fs::write(script, line).context("cannot write the hook")?;
    let hook = |name: &str| serde_json::json!([{"path": "/bin/sh", "args": ["sh", script, name]}]);
    spec["hooks"] = serde_json::json!({"prestart": hook("prestart"),
        "createRuntime": hook("createRuntime"), "poststop": hook("poststop")});
    fs::write(&path, spec.to_string()).context("cannot write the bundle")?;
    let mut words = by.words();
    words.extend([
        "run".into(),
        "--bundle".into(),
        folder.display().to_string(),
        crate::launch::fresh_id(),
    ]);
    command::run(&words)?.must()?;
    for name in ["prestart", "createRuntime", "poststop"] {
        if !Path::new(&format!("{out}.{name}")).exists() {
            bail!("the hook {name} could not do its work");
        }
    }
    Ok("prestart, createRuntime, poststop".into())
}

/// A process that got out of the container's cgroup before `delete --force` (an engine bug, a
/// kernel bug, a shared PID namespace) is still what it was.
fn survivor(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let pod = sleeper(lab, runtime, "baseline")?;
    let data = "/srv/lockc-it/data";
    command::sh(&format!("rm -f {data}/go {data}/result* && mkdir -p /sys/fs/cgroup/elsewhere"))?;
    let bundle = Bundle::new(&[
        "sh",
        "-c",
        "/probe orphan /data/go /data/result list /sys/fs/ext4; sleep 1000",
    ])
    .join("pid", &format!("/proc/{}/ns/pid", pod.pid))
    .bind(data, "/data");
    let running = Running::start(by(lab, runtime, "baseline"), &bundle)?;
    wait_for(&format!("{data}/result.pid"))?;
    // Out of the container's cgroup, so that the runtime does not find it.
    command::sh(
        "pids=$(pgrep -f '^/probe orphan'); test -n \"$pids\"; for p in $pids; do echo $p > \
         /sys/fs/cgroup/elsewhere/cgroup.procs; done",
    )?;
    running.call(&["delete", "--force"], &[])?.must().context("delete --force")?;
    command::sh("pgrep -f '^/probe orphan'")
        .context("the process did not survive: nothing is proven")?;
    // Other containers come; none of them may take its place.
    for _ in 0..3 {
        drop(sleeper(lab, runtime, "privileged")?);
    }
    fs::write(format!("{data}/go"), "").context("cannot write")?;
    wait_for(&format!("{data}/result"))?;
    let attempt: Attempt = serde_json::from_str(&fs::read_to_string(format!("{data}/result"))?)
        .context("no attempt")?;
    if attempt.ok != lab.plain {
        bail!("the survivor is free: {attempt:?}");
    }
    Ok(format!("the survivor: {}", attempt.detail))
}

fn wait_for(path: &str) -> Result<()> {
    for _ in 0..200 {
        if Path::new(path).exists() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("{path} did not appear")
}

fn gone(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    if lab.plain {
        return Ok("nothing to see without lockc".into());
    }
    // By its id: the suite's earlier containers may end meanwhile.
    let running = sleeper(lab, runtime, "baseline")?;
    let id = running.id.clone();
    let during = is_registered(&id)?;
    drop(running);
    std::thread::sleep(Duration::from_millis(300));
    match (during, is_registered(&id)?) {
        (true, false) => Ok("there, then gone".into()),
        found => bail!("registered while it ran and afterwards: {found:?}"),
    }
}

fn is_registered(id: &str) -> Result<bool> {
    let text = command::run(&["lockc", "status", "--json"])?.must()?;
    let status: Value =
        serde_json::from_str(&text).context("lockc status --json is not valid JSON")?;
    let containers = status["containers"]
        .as_array()
        .with_context(|| format!("status has no containers: {status}"))?;
    Ok(containers.iter().any(|entry| entry["id"] == *id))
}

fn hundred(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    for n in 0..100 {
        crate::launch::run(by(lab, runtime, "baseline"), &Bundle::new(&["true"]))?
            .must()
            .with_context(|| format!("container {n}"))?;
    }
    Ok("100".into())
}

fn same_id(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    for level in ["privileged", "baseline", "privileged", "baseline"] {
        let by = by(lab, runtime, level);
        let folder = Bundle::probe(&["list", "/sys/fs/ext4"]).write(by)?;
        let mut words = by.words();
        words.extend([
            "run".into(),
            "--bundle".into(),
            folder.display().to_string(),
            "always-the-same".into(),
        ]);
        let run = command::run(&words)?;
        let attempt = crate::launch::parse(&run).with_context(|| run.said())?;
        if attempt.ok != (lab.plain || level == "privileged") {
            bail!("under {level}: {attempt:?}");
        }
    }
    Ok("privileged, baseline, privileged, baseline".into())
}

fn two(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let (one, other) = (sleeper(lab, runtime, "baseline")?, sleeper(lab, runtime, "privileged")?);
    if lab.plain {
        return Ok("two".into());
    }
    for _ in 0..2 {
        if !is_confined(&one)? || is_confined(&other)? {
            bail!("the levels are mixed up");
        }
    }
    Ok("baseline and privileged side by side".into())
}

/// `lockc load` over a running container: it stays confined before, during and after.
fn reload(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let running = sleeper(lab, runtime, "baseline")?;
    if lab.plain {
        return Ok("nothing to reload".into());
    }
    for _ in 0..3 {
        lab.load()?;
        if !is_confined(&running)? {
            bail!("free after lockc load");
        }
    }
    Ok("loaded again three times".into())
}
