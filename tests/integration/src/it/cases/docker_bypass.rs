//! What a tenant tries with Docker's own switches and from inside, under lockc.

use anyhow::{Context, Result, bail};
use libc::{EAFNOSUPPORT, EPERM};

use super::{Row, Test, row};
use crate::docker::IMAGE;
use crate::lab::Lab;
use crate::launch::{self, Runtime};

pub const ROWS: &[Row] = &[
    row("docker/exec-privileged-refused", Test::Code(exec_privileged)),
    row("docker/exec-is-confined", Test::Code(exec_confined)),
    row(
        "docker/annotation-privileged-refused",
        Test::Code(|lab, _| {
            refused(
                lab,
                &["--annotation", "org.lockc.policy=privileged", IMAGE, "true"],
                "privileged",
            )
        }),
    ),
    row(
        "docker/annotation-offline",
        Test::Code(|lab, _| {
            probe(
                lab,
                "lockc",
                &["--annotation", "org.lockc.policy=offline"],
                &["socket", "inet"],
                EAFNOSUPPORT,
            )
        }),
    ),
    row(
        "docker/offline",
        Test::Code(|lab, _| probe(lab, "lockc-offline", &[], &["socket", "inet"], EAFNOSUPPORT)),
    ),
    row(
        "docker/other-containers-files-refused",
        Test::Code(|lab, _| {
            refused(lab, &["-v", "/var/lib/docker:/d", IMAGE, "true"], "/var/lib/docker")
        }),
    ),
    // Docker's own seccomp filter out of the way: lockc stands alone.
    row(
        "docker/unconfined-mount",
        Test::Code(|lab, _| {
            let args = [
                "--security-opt",
                "seccomp=unconfined",
                "--security-opt",
                "apparmor=unconfined",
                "--cap-add",
                "SYS_ADMIN",
            ];
            probe(lab, "lockc-test", &args, &["mount", "tmpfs", "/tmp"], EPERM)
        }),
    ),
    row(
        "docker/unconfined-new-mount-api",
        Test::Code(|lab, _| {
            let args = [
                "--security-opt",
                "seccomp=unconfined",
                "--security-opt",
                "apparmor=unconfined",
                "--cap-add",
                "SYS_ADMIN",
            ];
            probe(lab, "lockc-test", &args, &["fsmount", "tmpfs", "."], EPERM)
        }),
    )
    .thorough(),
    row(
        "docker/unconfined-userns",
        Test::Code(|lab, _| {
            let args =
                ["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"];
            probe(lab, "lockc-test", &args, &["unshare", "user", "list", "/"], EPERM)
        }),
    )
    .thorough(),
];

/// Works with plain runc, fails with that errno under `runtime`, works under privileged.
fn probe(
    lab: &mut Lab,
    runtime: &str,
    args: &[&str],
    attempt: &[&str],
    errno: i32,
) -> Result<String> {
    let plain = lab.plain;
    let docker = lab.docker()?;
    let go = |runtime: &str, args: &[&str]| -> Result<lockc_integration::Attempt> {
        let run = docker.run(runtime, &[args, &[IMAGE, "/probe"], attempt].concat())?;
        launch::parse(&run).with_context(|| format!("{runtime}: {}", run.said()))
    };
    let before = go("", args)?;
    if !before.ok {
        bail!("proves nothing: without lockc it fails too: {before:?}");
    }
    if plain {
        return Ok("possible without lockc".into());
    }
    let under = go(runtime, args)?;
    if under.ok || under.errno != errno {
        bail!("under {runtime}: {under:?}");
    }
    // The annotation would ask for a level of its own there.
    let own: Vec<&str> = if args.contains(&"--annotation") { Vec::new() } else { args.to_vec() };
    let privileged = go("lockc-privileged", &own)?;
    if privileged.ok { Ok(under.detail) } else { bail!("under privileged: {privileged:?}") }
}

/// Starts with plain runc; under lockc Docker shows lockc's sentence.
fn refused(lab: &mut Lab, args: &[&str], reason: &str) -> Result<String> {
    let plain = lab.plain;
    let docker = lab.docker()?;
    docker.run("", args)?.must().context("proves nothing: it fails without lockc too")?;
    if plain {
        return Ok("starts without lockc".into());
    }
    let run = docker.run("lockc", args)?;
    if run.ok() || !run.stderr.contains("lockc: ") || !run.stderr.contains(reason) {
        bail!("status {}: {}", run.status, run.said());
    }
    Ok(run.stderr)
}

fn exec_privileged(lab: &mut Lab, _: Runtime) -> Result<String> {
    let (plain, runtime) = (lab.plain, if lab.plain { "" } else { "lockc" });
    let c = lab.docker()?.background(runtime, &[IMAGE, "sleep", "1000"])?;
    let run = c
        .call(&["exec", "--privileged"])
        .and_then(|_| crate::command::run(&["docker", "exec", "--privileged", &c.name, "true"]))?;
    match (plain, run.ok()) {
        (true, true) => Ok("works without lockc".into()),
        (false, false) if run.said().contains("lockc: ") => Ok(run.said()),
        _ => bail!("status {}: {}", run.status, run.said()),
    }
}

fn exec_confined(lab: &mut Lab, _: Runtime) -> Result<String> {
    let (plain, runtime) = (lab.plain, if lab.plain { "" } else { "lockc" });
    let c = lab.docker()?.background(runtime, &[IMAGE, "sleep", "1000"])?;
    let run = c.exec(&["/probe", "list", "/sys/fs/ext4"])?;
    let attempt = launch::parse(&run).with_context(|| run.said())?;
    if attempt.ok == plain { Ok(attempt.detail) } else { bail!("{attempt:?}") }
}
