//! Rootless Podman: what it is told, what an ordinary user may ask lockc, and what confines it all
//! the same.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{Row, Test, row};
use crate::command::{self, Run};
use crate::config;
use crate::lab::Lab;
use crate::launch::{Runtime, WRAPPER};
use crate::podman;

const USER: &str = "lockcu";

pub const ROWS: &[Row] = &[
    row("podman/rootless-refused", Test::Code(refused)).smoke(),
    row("podman/rootless-admission", Test::Code(admission)),
    row("podman/rootless-guarded", Test::Code(guarded)).thorough(),
    row("podman/ordinary-user-asks", Test::Code(asks)),
    row("podman/ordinary-user-runs", Test::Code(runs)),
];

/// A shell line of the user's.
fn as_user(line: &str) -> Result<Run> {
    let line = format!("export XDG_RUNTIME_DIR=/run/user/4242 HOME=/home/{USER}; cd; {line}");
    command::run(&["su", USER, "-s", "/bin/bash", "-c", &line])
}

/// The user, with identities of its own and the image.
fn prepare(lab: &mut Lab) -> Result<()> {
    lab.podman()?;
    if Path::new("/run/user/4242").exists() {
        return Ok(());
    }
    command::sh(&format!(
        "useradd -m -u 4242 {USER} && echo {USER}:500000:65536 | tee -a /etc/subuid >> \
         /etc/subgid && mkdir -p /run/user && install -d -o {USER} -m 700 /run/user/4242 && chmod \
         1777 /tmp"
    ))?;
    as_user(&podman::import("podman"))?.must().context("podman import as a user")?;
    Ok(())
}

fn run_as_user(runtime: &str, args: &str) -> Result<Run> {
    as_user(&format!(
        "podman --runtime {runtime} run --rm --network none --cgroups=disabled {args}"
    ))
}

/// Whatever a case configures, the next one finds the usual.
fn with_config<T>(text: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    config::put(text)?;
    let result = work();
    config::write(Runtime::Crun)?;
    result
}

fn refused(lab: &mut Lab, _: Runtime) -> Result<String> {
    prepare(lab)?;
    run_as_user("crun", "localhost/bb id")?
        .must()
        .context("proves nothing: rootless Podman does not work here")?;
    lab.only_with_lockc()?;
    let says =
        ["rootless engine", "user namespace", "--guard-runtimes", "rootless = \"admission\""];
    command::shows(&run_as_user("lockc", "localhost/bb id")?, &says)
}

fn admission(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    prepare(lab)?;
    with_config("runtimes = [\"/usr/bin/crun\"]\nrootless = \"admission\"\n", || {
        let line = "localhost/bb sh -c 'id; echo x > /tmp/f; echo works'";
        let text = run_as_user("lockc", line)?.must().context("an ordinary container")?;
        if !text.contains("works") {
            bail!("{text}");
        }
        let says = ["host-mounts: ", "/etc"];
        command::shows(&run_as_user("lockc", "-v /etc:/host localhost/bb true")?, &says)?;
        command::shows(
            &run_as_user("lockc", "--privileged localhost/bb true")?,
            &["further reasons (", "capabilities", "proc-mount"],
        )
    })
}

/// The guard reaches what a rootless engine starts, whether the wrapper is in between or not.
fn guarded(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    prepare(lab)?;
    let probe = "localhost/bb /probe list /sys/fs/ext4";
    let before = run_as_user("crun", probe)?;
    if !before.stdout.contains("\"ok\":true") {
        bail!("proves nothing: without lockc it fails too: {}", before.said());
    }
    command::run(&["lockc", "load", "--guard-runtimes"])?.must()?;
    let all = (|| {
        let line = "localhost/bb sh -c 'id; ls / > /dev/null; echo x > /tmp/f; cat /tmp/f \
                    /etc/hosts; ps; echo works'";
        let work = run_as_user("crun", line)?.must().context("ordinary work")?;
        lab.forget_events()?;
        let under = run_as_user("crun", probe)?;
        let event = lab.expect_event("sysfs")?;
        let wrapped =
            with_config("runtimes = [\"/usr/bin/crun\"]\nrootless = \"admission\"\n", || {
                run_as_user("lockc", probe)
            })?;
        for run in [&under, &wrapped] {
            if !run.stdout.contains("\"errno\":13") {
                bail!("not denied: {}", run.said());
            }
        }
        if work.contains("works") { Ok(event) } else { bail!("{work}") }
    })();
    command::run(&["lockc", "load"])?.must()?;
    all
}

/// What needs no rights is answered without.
fn asks(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    prepare(lab)?;
    as_user("lockc config check")?.must().context("config check")?;
    as_user("lockc config show")?.must().context("config show")?;
    let status = as_user("lockc status")?;
    if status.ok() || !status.stderr.contains("as root") {
        bail!("status: {}", status.said());
    }
    // Who may not look is not told that nothing is loaded.
    for line in ["events", "ps", "ps --all", "inspect x", "refusals", "programs"] {
        let run = as_user(&format!("lockc {line}"))?;
        let is_answered = line == "programs";
        if run.ok() != is_answered
            || !run.stderr.contains("root")
            || run.said().contains("not loaded")
        {
            bail!("lockc {line}: status {}: {}", run.status, run.said());
        }
    }
    let unconfined = seen_by_root()?;
    let manifest = "apiVersion: v1\\nkind: Pod\\nmetadata: {name: x}\\nspec: {hostPID: true, \
                    containers: [{name: a, image: b}]}\\n";
    let lint = as_user(&format!("printf '{manifest}' > pod.yaml; lockc explain -f pod.yaml"))?;
    if lint.status != 3 || !lint.stdout.contains("host-namespaces") {
        bail!("explain -f: status {}: {}", lint.status, lint.said());
    }
    let made = "podman --runtime crun create --network none --cgroups=disabled -v /etc:/h --name \
                asked localhost/bb true > /dev/null && podman init asked > /dev/null";
    let explained = as_user(&format!(
        "{made} && lockc explain podman:asked; s=$?; podman rm -f asked > /dev/null; exit $s"
    ))?;
    if explained.status != 3
        || !explained.stdout.starts_with("podman:asked: not confined; lockc would refuse it by ")
        || !explained.stdout.contains("/etc")
    {
        bail!("explain podman:NAME: status {}: {}", explained.status, explained.said());
    }
    Ok(format!("{unconfined}\n{}", explained.stdout))
}

/// A container of the user's is one that lockc does not confine.
fn seen_by_root() -> Result<String> {
    let started = "podman --runtime crun run -d --network none --cgroups=disabled --name seen \
                   localhost/bb sleep 1000";
    as_user(started)?.must().context("proves nothing: it does not start")?;
    let listed = command::run(&["lockc", "ps", "--all"]);
    as_user("podman rm -f -t 0 seen")?.must()?;
    let listed = listed?;
    let line = listed.stdout.lines().find(|line| line.contains("rootless engine of uid 4242"));
    match line.filter(|line| listed.status == 3 && line.contains("seen")) {
        Some(line) => Ok(line.to_owned()),
        None => bail!("status {}: {}", listed.status, listed.said()),
    }
}

/// The wrapper by hand, as a user of the host without a user namespace.
fn runs(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    prepare(lab)?;
    let run = as_user(&format!("{WRAPPER} run -b /tmp c"))?;
    command::shows(&run, &["rootless engine", "uid 4242, not root"])?;
    as_user(&format!("{WRAPPER} --version && {WRAPPER} features > /dev/null"))?.must()
}
