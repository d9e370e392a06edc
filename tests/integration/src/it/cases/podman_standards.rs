//! The Pod Security Standards' controls by Podman's options: what the user of Podman reads when one
//! is refused, and next to each what must not be.

use anyhow::{Context, Result, bail};

use super::{Row, Test, row};
use crate::command;
use crate::lab::Lab;
use crate::podman::IMAGE;

pub const ROWS: &[Row] = &[
    row(
        "podman/privileged",
        Test::Code(|lab, _| refused(lab, &["--privileged"], &["--privileged gives"])),
    ),
    row(
        "podman/cap-add",
        Test::Code(|lab, _| {
            refused(lab, &["--cap-add", "SYS_ADMIN"], &["capabilities: ", "SYS_ADMIN"])
        }),
    ),
    row("podman/host-namespaces", Test::Code(host_namespaces)),
    row(
        "podman/host-directory",
        Test::Code(|lab, _| refused(lab, &["-v", "/etc:/host"], &["host-mounts: ", "/etc"])),
    ),
    row("podman/host-socket", Test::Code(host_socket)),
    row(
        "podman/device",
        Test::Code(|lab, _| refused(lab, &["--device", "/dev/vda"], &["devices: ", "/dev/vda"])),
    ),
    row("podman/security-options", Test::Code(security_options)).thorough(),
    row(
        "podman/sysctl",
        Test::Code(|lab, _| {
            refused(lab, &["--sysctl", "kernel.msgmax=65536"], &["sysctls: ", "kernel.msgmax"])
        }),
    ),
    row("podman/allowed-neighbours", Test::Code(neighbours)).thorough(),
    row("podman/exec-privileged", Test::Code(exec_privileged)),
    row("podman/restricted-refusals", Test::Code(restricted)).thorough(),
    row("podman/runtime-annotations", Test::Code(annotations)).thorough(),
];

/// Starts with the real runtime; is refused under baseline, in Podman's own words, with the remedy.
fn refused(lab: &mut Lab, options: &[&str], says: &[&str]) -> Result<String> {
    refused_under(lab, "lockc-baseline", options, says)
}

fn refused_under(lab: &mut Lab, runtime: &str, options: &[&str], says: &[&str]) -> Result<String> {
    let plain = lab.plain;
    let podman = lab.podman()?;
    let args = [options, &[IMAGE, "true"]].concat();
    podman
        .run("crun", &args)?
        .must()
        .with_context(|| format!("proves nothing: {options:?} fails without lockc too"))?;
    if plain {
        return Ok("starts without lockc".into());
    }
    // The policy, and the remedy.
    let says = [says, &["refused by level ", " [", ", or use "]].concat();
    command::shows(&podman.run(runtime, &args)?, &says).with_context(|| options.join(" "))
}

fn starts(lab: &mut Lab, runtime: &str, options: &[&str]) -> Result<()> {
    let runtime = if lab.plain { "crun" } else { runtime };
    let args = [options, &[IMAGE, "true"]].concat();
    lab.podman()?.run(runtime, &args)?.must().with_context(|| options.join(" "))?;
    Ok(())
}

fn host_namespaces(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let mut said = Vec::new();
    for kind in ["pid", "ipc", "uts"] {
        let option = format!("--{kind}=host");
        said.push(refused(lab, &[&option], &["host-namespaces: ", kind])?);
    }
    said.push(refused(lab, &["--network", "host"], &["host-namespaces: ", "network"])?);
    Ok(said.join("; "))
}

fn host_socket(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let socket = format!("{}/stream.sock", crate::lab::SOCKETS);
    refused(lab, &["-v", &format!("{socket}:/run/docker.sock")], &["host-sockets: ", &socket])
}

fn security_options(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let mut said = Vec::new();
    for (option, control) in [("seccomp=unconfined", "seccomp: "), ("unmask=ALL", "proc-mount: ")] {
        said.push(refused(lab, &["--security-opt", option], &[control])?);
    }
    Ok(said.join("; "))
}

/// What lies beside the refused options, and is nothing to refuse.
fn neighbours(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let all: [&[&str]; 4] = [
        &[
            "--cap-add",
            "MKNOD",
            "--cap-add",
            "NET_RAW",
            "--cap-drop",
            "CHOWN",
            "--ulimit",
            "nofile=1024:1024",
        ],
        &[
            "--device",
            "/dev/null",
            "--sysctl",
            "net.ipv4.ip_unprivileged_port_start=0",
            "--shm-size",
            "16m",
        ],
        &[
            "--security-opt",
            "no-new-privileges",
            "--security-opt",
            "label=disable",
            "--memory",
            "64m",
            "--cpus",
            "0.5",
        ],
        &[
            "--hostname",
            "name",
            "--add-host",
            "a:1.2.3.4",
            "--tz",
            "local",
            "--systemd",
            "always",
            "--stop-signal",
            "INT",
        ],
    ];
    for options in all {
        starts(lab, "lockc-baseline", options)?;
    }
    Ok("all start".into())
}

fn exec_privileged(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let runtime = if lab.plain { "crun" } else { "lockc" };
    let plain = lab.plain;
    let c = lab.podman()?.background(runtime, &[IMAGE, "sleep", "1000"])?;
    let run = crate::command::run(&["podman", "exec", "--privileged", &c.name, "true"])?;
    if plain { run.must() } else { command::shows(&run, &["capabilities: ", "AUDIT_CONTROL"]) }
}

fn restricted(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let modest: &[&str] = &["--user", "1000", "--cap-drop", "ALL"];
    let mut said = Vec::new();
    for (options, control) in [
        (&["--cap-drop", "ALL"][..], "run-as-root: "),
        (&["--user", "1000", "--cap-drop", "ALL", "--cap-add", "CHOWN"], "capabilities: "),
        (&["--user", "1000", "--cap-drop", "ALL", "-v", "/home:/h"], "host-mounts: "),
        (
            &["--user", "1000", "--cap-drop", "ALL", "--security-opt", "seccomp=unconfined"],
            "seccomp: ",
        ),
    ] {
        said.push(refused_under(lab, "lockc-restricted", options, &[control])?);
    }
    starts(lab, "lockc-restricted", modest)?;
    starts(lab, "lockc-restricted", &[modest, &["--cap-add", "NET_BIND_SERVICE"]].concat())?;
    Ok(said.join("; "))
}

/// Annotations that reach the runtime as they are.
fn annotations(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let podman = lab.podman()?;
    let mut said = Vec::new();
    for key in [
        "run.oci.hooks.stdout=/etc/lockc/out",
        "dev.gvisor.spec.rootfs.source=/dev/vda",
        "dev.gvisor.flag.host-uds=all",
    ] {
        let run = podman.run("lockc", &["--annotation", key, IMAGE, "true"])?;
        said.push(command::shows(&run, &["runtime-handlers: ", key])?);
    }
    if std::path::Path::new("/etc/lockc/out").exists() {
        bail!("the runtime wrote where the annotation said");
    }
    Ok(said.join("; "))
}
