//! gVisor's runsc as the real runtime: the kernel rules do not reach inside, everything says so,
//! and what is checked before the container starts holds as for any other.

use anyhow::{Context, Result, bail};

use super::podman_select::entry;
use super::{Row, Skip, Test, ctr, row};
use crate::bundle::Bundle;
use crate::command::{self, Run};
use crate::config;
use crate::containerd;
use crate::docker::{self, Docker};
use crate::lab::Lab;
use crate::launch::{By, Runtime, WRAPPER, fresh_id};
use crate::podman::{Background, IMAGE};

pub const RUNSC: &str = "/usr/bin/runsc";
/// No network to set up, no systemd.
pub const FLAGS: [&str; 2] = ["--network=none", "--ignore-cgroups"];

pub const PODMAN: &[Row] = &[
    row("sandbox/bare", Test::Code(bare)),
    row("sandbox/refused", Test::Code(refused)),
    row("sandbox/podman", Test::Code(by_podman)),
    row("sandbox/chosen-by-the-engine-only", Test::Code(chosen)),
];

pub const DOCKER: &[Row] = &[row("docker/gvisor", Test::Code(by_docker)).thorough()];

pub const CONTAINERD: &[Row] = &[row("ctr/gvisor", Test::Code(by_containerd)).thorough()];

/// A configuration whose first runtime is gVisor's; the usual one for the next case.
fn with_runsc<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    config::put(&format!("runtimes = [\"{RUNSC}\", \"/usr/bin/crun\"]\n"))?;
    let result = work();
    config::write(Runtime::Crun)?;
    result
}

/// The wrapper or runsc itself, with the flags of this machine.
fn runsc(program: &str, words: &[&str]) -> Result<Run> {
    command::run(&[&[program, "--root", "/run/lockc-it-runsc"], &FLAGS[..], words].concat())
}

fn bundle(line: &'static [&'static str]) -> Result<String> {
    Ok(Bundle::new(line).write(By::Lockc("baseline"))?.display().to_string())
}

/// Whether gVisor works in this machine.
fn works(folder: &str) -> Result<()> {
    let run = runsc(RUNSC, &["run", "--bundle", folder, &fresh_id()])?;
    if run.ok() {
        Ok(())
    } else {
        Err(Skip(format!("runsc does not run here: {}", run.said())).into())
    }
}

fn bare(lab: &mut Lab, _: Runtime) -> Result<String> {
    let folder = bundle(&["sh", "-c", "cat /proc/version; exec sleep 1000"])?;
    let short = bundle(&["cat", "/proc/version"])?;
    works(&short)?;
    lab.only_with_lockc()?;
    with_runsc(|| {
        let run = runsc(WRAPPER, &["run", "-bundle", &short, &fresh_id()])?.must()?;
        if !run.contains("4.") {
            bail!("not gVisor's kernel: {run}");
        }
        let id = living(&folder)?;
        let state = runsc(WRAPPER, &["state", &id])?.must()?;
        let as_root = runsc(WRAPPER, &["exec", "--cap", "CAP_SYS_ADMIN", &id, "id"])?;
        if as_root.ok() || !as_root.stderr.contains("capabilities: ") {
            bail!("exec --cap: {}", as_root.said());
        }
        let shown = command::run(&["lockc", "status"])?.must()?;
        if !shown.contains("kernel rules do not reach inside") {
            bail!("status: {shown}");
        }
        let explained = command::run(&["lockc", "explain", "--all", &folder])?.must()?;
        for part in ["LOCKC-W004", "gVisor", "unseen", "host-mounts"] {
            if !explained.contains(part) {
                bail!("explain does not say {part}: {explained}");
            }
        }
        // It may have died by itself.
        let _ = runsc(WRAPPER, &["kill", &id, "KILL"])?;
        runsc(WRAPPER, &["delete", "-force", &id])?.must().context("delete")?;
        if command::run(&["lockc", "status", "--json"])?.must()?.contains(&format!("\"{id}\"")) {
            bail!("still registered after delete");
        }
        Ok(state)
    })
}

/// The id of a container that is created, started and answers. gVisor's kernel crashes in emulation
/// now and then, on 7.2 every other time, without lockc as well: one that died by itself says
/// nothing of lockc.
fn living(folder: &str) -> Result<String> {
    let mut last = anyhow::anyhow!("not tried");
    for _ in 0..8 {
        let id = fresh_id();
        let create = format!(
            "{WRAPPER} -root /run/lockc-it-runsc -network=none --ignore-cgroups create -bundle \
             {folder} -pid-file /tmp/{id} {id} > /tmp/{id}.log 2>&1"
        );
        command::run(&["bash", "-c", &create])?;
        let start = runsc(WRAPPER, &["start", &id])?.must().context("start");
        let entry = entry(&id)?;
        if entry["sandbox"] != true
            || entry["policy"] != "baseline"
            || entry["rules"] != serde_json::json!([])
        {
            bail!("the entry does not say that it is a sandbox: {entry}");
        }
        match start.and_then(|_| runsc(WRAPPER, &["exec", &id, "id"])?.must().context("exec")) {
            Ok(_) => return Ok(id),
            Err(error) => last = error,
        }
        if !runsc(WRAPPER, &["state", &id])?.stdout.contains("stopped") {
            break;
        }
        runsc(WRAPPER, &["delete", "-force", &id])?.must()?;
    }
    Err(last)
}

/// What a level refuses it refuses here too.
fn refused(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let bundle =
        Bundle::new(&["true"]).set("/linux/sysctl", serde_json::json!({"kernel.msgmax": "65536"}));
    let folder = bundle.write(By::Lockc("baseline"))?.display().to_string();
    with_runsc(|| {
        let run = runsc(WRAPPER, &["run", "--bundle", &folder, &fresh_id()])?;
        command::shows(&run, &["sysctls: kernel.msgmax", "level baseline"])?;
        // What starts something in a way of runsc's own is not known to be checked.
        command::shows(&runsc(WRAPPER, &["do", "true"])?, &["unknown subcommand"])?;
        command::shows(
            &command::run(&[WRAPPER, "--platform", "ptrace", "run", "-b", &folder, "x"])?,
            &["sysctls: "],
        )
    })
}

fn globals(runtime: &str) -> Vec<String> {
    let mut words = vec!["--runtime".to_owned(), runtime.to_owned()];
    for flag in FLAGS {
        // Podman gives a runtime its flags without dashes.
        words.extend(["--runtime-flag".to_owned(), flag.trim_start_matches('-').to_owned()]);
    }
    words
}

fn by_podman(lab: &mut Lab, _: Runtime) -> Result<String> {
    works(&bundle(&["true"])?)?;
    lab.only_with_lockc()?;
    lab.podman()?;
    with_runsc(|| {
        let globals = globals("lockc");
        let words: Vec<&str> = globals.iter().map(String::as_str).collect();
        let c = Background { name: fresh_id() };
        let run = ["run", "-d", "--network", "none", "--name", &c.name, IMAGE, "sleep", "1000"];
        command::run(&[&["podman"], &words[..], &run].concat())?.must()?;
        let entry = entry(&c.inspect("{{.Id}}")?)?;
        if entry["sandbox"] != true || entry["policy"] != "baseline" {
            bail!("{entry}");
        }
        let inside = command::run(
            &[&["podman"], &words[..], &["exec", &c.name, "cat", "/proc/version"]].concat(),
        )?
        .must()?;
        let privileged = [
            &["podman"],
            &words[..],
            &["run", "--rm", "--network", "none", "--privileged", IMAGE, "true"],
        ];
        command::shows(&command::run(&privileged.concat())?, &["--privileged gives"])?;
        Ok(inside)
    })
}

/// What the kernel knows of a container that nothing in it can change.
fn is_sandbox(id: &str, policy: &str) -> Result<()> {
    let entry = entry(id)?;
    if entry["sandbox"] == true && entry["policy"] == policy { Ok(()) } else { bail!("{entry}") }
}

fn by_docker(lab: &mut Lab, _: Runtime) -> Result<String> {
    const VERSION: [&str; 2] = ["cat", "/proc/version"];
    lab.docker()?;
    let plain = lab.docker()?.run(docker::GVISOR, &[docker::IMAGE, "cat", "/proc/version"])?;
    if !plain.ok() {
        return Err(Skip(format!("Docker starts no gVisor here: {}", plain.said())).into());
    }
    lab.only_with_lockc()?;
    let docker = lab.docker()?;
    let lockc = Docker::for_level(docker::GVISOR);
    with_runsc(|| {
        let inside = docker.run(&lockc, &[&[docker::IMAGE], &VERSION[..]].concat())?.must()?;
        if inside != plain.stdout.trim_end() {
            bail!("not the kernel that it is without lockc: {inside}, {}", plain.stdout);
        }
        let c = docker.background(
            &lockc,
            &["--label", "org.lockc.policy=offline", docker::IMAGE, "sleep", "1000"],
        )?;
        is_sandbox(&c.inspect("{{.Id}}")?, "offline")?;
        c.exec(&VERSION)?.must().context("exec")?;
        let root = docker.run(&lockc, &["-v", "/:/host", docker::IMAGE, "true"])?;
        command::shows(&root, &["host-mounts: "])?;
        let privileged = docker.run(&lockc, &["--privileged", docker::IMAGE, "true"])?;
        command::shows(&privileged, &["--privileged gives"])?;
        let exec = command::run(&["docker", "exec", "--privileged", &c.name, "true"])?;
        // Docker 26 says it on standard output.
        if exec.ok() || !exec.said().contains("lockc: refused by level offline") {
            bail!("exec --privileged: {}", exec.said());
        }
        Ok(inside)
    })
}

/// Pods of gVisor's need its own shim, which no package has here: without lockc their containers do
/// not start either.
fn by_containerd(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.containerd()?;
    let version = |c: &ctr::Background| {
        command::run(&["ctr", "task", "exec", "--exec-id", "e1", &c.0, "cat", "/proc/version"])?
            .must()
    };
    let (c, run) = ctr::background(containerd::GVISOR, &[])?;
    if !run.ok() {
        return Err(Skip(format!("containerd starts no gVisor here: {}", run.said())).into());
    }
    let plain = version(&c)?;
    lab.only_with_lockc()?;
    with_runsc(|| {
        let (c, run) = ctr::background(
            containerd::LOCKC_GVISOR,
            &["--annotation", "org.lockc.policy=offline"],
        )?;
        run.must()?;
        is_sandbox(&c.0, "offline")?;
        let inside = version(&c)?;
        if inside != plain {
            bail!("not the kernel that it is without lockc: {inside}, {plain}");
        }
        let root = ["--mount", "type=bind,src=/,dst=/host,options=rbind"];
        command::shows(&ctr::background(containerd::LOCKC_GVISOR, &root)?.1, &["host-mounts: "])?;
        Ok(inside)
    })
}

/// `--lockc-runtime` chooses among the administrator's runtimes; nothing that a container brings
/// does.
fn chosen(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let folder = bundle(&["true"])?;
    with_runsc(|| {
        let by = |runtime: &str| {
            command::run(&[
                WRAPPER,
                "--lockc-runtime",
                runtime,
                "--root",
                crate::launch::STATE,
                "run",
                "-b",
                &folder,
                &fresh_id(),
            ])
        };
        by("/usr/bin/crun")?.must().context("the second of `runtimes`")?;
        command::shows(
            &by("/usr/local/bin/lockc-probe")?,
            &["is not in the configuration", "`runtimes`"],
        )
    })
}
