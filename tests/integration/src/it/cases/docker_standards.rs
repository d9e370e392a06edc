//! The Pod Security Standards, control by control, as Docker's options: what each level says, read
//! in Docker's own output.
//!
//! Each row is started without lockc, under baseline, under restricted (as a container that is
//! otherwise fit for it), and under privileged; a refusal names control, value and remedy. SELinux
//! and `hostProcess` are not in the table: Debian's dockerd passes no label on without SELinux, and
//! Windows has no runc.

use anyhow::{Context, Result, bail};

use super::{Row, Test, row};
use crate::docker::{Docker, IMAGE};
use crate::lab::Lab;

/// What is asked for, and what is said about it.
#[derive(Clone, Copy)]
pub struct Control {
    options: &'static [&'static str],
    /// `control: value` of baseline's refusal; empty: it starts.
    baseline: &'static str,
    /// The same under restricted, with [`FIT`].
    restricted: &'static str,
}

/// What restricted asks of every container.
const FIT: [&str; 4] = ["--user", "1000", "--cap-drop", "ALL"];

/// Refused at both levels.
const fn refused(options: &'static [&'static str], reason: &'static str) -> Test {
    Test::Docker(Control { options, baseline: reason, restricted: reason })
}

/// Refused by restricted only.
const fn restricted(options: &'static [&'static str], reason: &'static str) -> Test {
    Test::Docker(Control { options, baseline: "", restricted: reason })
}

/// Refused at neither.
const fn admitted(options: &'static [&'static str]) -> Test {
    Test::Docker(Control { options, baseline: "", restricted: "" })
}

pub const ROWS: &[Row] = &[
    row(
        "docker/standard-host-pid",
        refused(&["--pid", "host"], "host-namespaces: the container uses the host's pid"),
    )
    .thorough(),
    row(
        "docker/standard-host-ipc",
        refused(&["--ipc", "host"], "host-namespaces: the container uses the host's ipc"),
    )
    .thorough(),
    row(
        "docker/standard-host-network",
        refused(&["--network", "host"], "host-namespaces: the container uses the host's network"),
    )
    .thorough(),
    row(
        "docker/standard-host-uts",
        refused(&["--uts", "host"], "host-namespaces: the container uses the host's uts"),
    )
    .thorough(),
    row("docker/standard-privileged", refused(&["--privileged"], "--privileged gives")),
    row(
        "docker/standard-capability",
        refused(&["--cap-add", "NET_ADMIN"], "capabilities: NET_ADMIN"),
    ),
    row(
        "docker/standard-default-capability",
        restricted(&["--cap-add", "CHOWN"], "capabilities: CHOWN"),
    )
    .thorough(),
    row("docker/standard-bind-service", admitted(&["--cap-add", "NET_BIND_SERVICE"])).thorough(),
    row(
        "docker/standard-host-path",
        refused(&["-v", "/etc:/host-etc"], "host-mounts: bind mount of /etc"),
    ),
    row(
        "docker/standard-allowed-path",
        restricted(
            &["-v", "/srv/lockc-it/data:/data"],
            "host-mounts: bind mount of /srv/lockc-it/data",
        ),
    )
    .thorough(),
    row(
        "docker/standard-volumes",
        admitted(&["-v", "lockc-it-standard:/data", "--tmpfs", "/scratch"]),
    )
    .thorough(),
    row(
        "docker/standard-socket",
        refused(&["-v", "/run/docker.sock:/s"], "host-sockets: bind mount of /run/docker.sock"),
    )
    .thorough(),
    row(
        "docker/standard-device",
        refused(&["--device", "/dev/vda:/dev/x"], "devices: block device /dev/x"),
    )
    .thorough(),
    row("docker/standard-harmless-device", admitted(&["--device", "/dev/null:/dev/x"])).thorough(),
    row(
        "docker/standard-apparmor",
        refused(
            &["--security-opt", "apparmor=unconfined"],
            "apparmor: the AppArmor profile unconfined",
        ),
    )
    .thorough(),
    row(
        "docker/standard-seccomp",
        refused(&["--security-opt", "seccomp=unconfined"], "seccomp: no seccomp profile"),
    )
    .thorough(),
    row(
        "docker/standard-proc-mount",
        refused(
            &["--security-opt", "systempaths=unconfined"],
            "proc-mount: /proc/acpi, /proc/kcore",
        ),
    )
    .thorough(),
    row(
        "docker/standard-sysctl",
        refused(&["--sysctl", "kernel.msgmax=65536"], "sysctls: kernel.msgmax"),
    )
    .thorough(),
    row("docker/standard-safe-sysctl", admitted(&["--sysctl", "net.ipv4.ping_group_range=0 1"]))
        .thorough(),
    row(
        "docker/standard-root",
        restricted(&["--user", "0"], "run-as-root: the process would run as uid 0"),
    )
    .thorough(),
    row("docker/standard-no-new-privileges", admitted(&["--security-opt", "no-new-privileges"]))
        .thorough(),
];

/// The verdict of each level.
pub fn prove(lab: &mut Lab, control: &Control) -> Result<String> {
    let plain = lab.plain;
    let docker = lab.docker()?;
    let go = |runtime: &str, fit: &[&str]| {
        // A network of its own is none of these options' business, but for the host's.
        let network: &[&str] =
            if control.options.contains(&"--network") { &[] } else { &["--network", "none"] };
        docker.run_in(runtime, &[network, fit, control.options, &[IMAGE, "true"]].concat())
    };
    go("", &[])?.must().context("proves nothing: it fails without lockc too")?;
    if plain {
        return Ok("starts without lockc".into());
    }
    let mut said = Vec::new();
    for (level, fit, reason) in [
        ("baseline", &[][..], control.baseline),
        ("restricted", &FIT[..], control.restricted),
        ("privileged", &[], ""),
    ] {
        let run = go(&Docker::for_level(level), fit)?;
        let told = run.stderr.contains(&format!("refused by level {level} "))
            && run.stderr.contains(reason)
            && run.stderr.contains(" [");
        match (reason.is_empty(), run.ok()) {
            (true, true) => said.push(format!("{level}: starts")),
            (false, false) if told => said.push(format!("{level}: {}", run.stderr)),
            _ => bail!("{level}: status {}: {}", run.status, run.said()),
        }
    }
    Ok(said.join(" | "))
}
