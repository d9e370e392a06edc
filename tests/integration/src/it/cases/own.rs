//! lockc's own pins and maps before tasks of the host: uid 0 without CAP_BPF, like a service with a
//! bounding set.

use anyhow::{Context, Result, bail};

use super::{Row, Test, row};
use crate::command::{self, Run};
use crate::lab::Lab;
use crate::launch::Runtime;

pub const ROWS: &[Row] = &[
    row("own/pins-before-host-root-without-bpf", Test::Code(pins)).core(),
    row("own/maps-before-host-root-without-bpf", Test::Code(maps)),
];

const OTHER: &str = "/sys/fs/bpf/lockc-it";

/// Runs a shell line as uid 0 without CAP_BPF and CAP_SYS_ADMIN.
fn weak(line: &str) -> Result<Run> {
    command::run(&[
        "setpriv",
        "--inh-caps=-all",
        "--bounding-set=-cap_39,-sys_admin",
        "sh",
        "-ec",
        line,
    ])
}

/// The same on somebody else's pin, which shows that it is possible at all.
fn other() -> Result<()> {
    command::sh(&format!(
        "rm -rf {OTHER}; bpftool map create {OTHER} type array key 4 value 4 entries 1 name other"
    ))
    .map(|_| ())
}

fn denied(line: &str, says: &str) -> Result<()> {
    let run = weak(line)?;
    if run.ok() || !run.said().contains(says) {
        bail!("NOT DENIED: {line}: status {}: {}", run.status, run.said());
    }
    Ok(())
}

fn pins(lab: &mut Lab, _: Runtime) -> Result<String> {
    other()?;
    let possible = format!(
        "chmod 600 {OTHER}; chown 0 {OTHER}; mv {OTHER} {OTHER}-x; rm {OTHER}-x; mkdir {OTHER}; \
         rmdir {OTHER}"
    );
    weak(&possible)?.must().context("proves nothing: other pins cannot be changed either")?;
    if lab.plain {
        return Ok("possible".into());
    }
    let lines = [
        "rm -f links/file_open",
        "mv maps/containers maps/x",
        "mv maps/containers ../x",
        "rm -rf links",
        "rmdir progs",
        "mv links other",
        "mv ../lockc ../x",
        "chmod 666 maps/containers",
        "chmod 777 .",
        "chown 1000 maps",
        "mkdir maps/more",
        "ln maps/containers ../more",
    ];
    for line in lines {
        denied(&format!("cd /sys/fs/bpf/lockc; {line}"), "ermi")?;
    }
    let status = command::run(&["lockc", "status"])?;
    status.must().context("something is missing all the same")?;
    Ok(format!("{} ways", lines.len()))
}

fn maps(lab: &mut Lab, _: Runtime) -> Result<String> {
    // 6.1 asks for CAP_BPF by itself where unprivileged bpf(2) is off; the host may have it on.
    command::sh("sysctl -qw kernel.unprivileged_bpf_disabled=0")?;
    let result = maps_open_to_all(lab);
    command::sh("sysctl -qw kernel.unprivileged_bpf_disabled=2")?;
    result
}

fn maps_open_to_all(lab: &Lab) -> Result<String> {
    let update = |pin: &str| format!("bpftool map update pinned {pin} key 0 0 0 0 value 1 0 0 0");
    let dump = |pin: &str| format!("bpftool map dump pinned {pin}");
    other()?;
    let possible = weak(&format!("{}; {}", update(OTHER), dump(OTHER)))?.must();
    command::sh(&format!("rm {OTHER}"))?;
    possible.context("proves nothing: other maps cannot be changed either")?;
    if lab.plain {
        return Ok("possible".into());
    }
    for map in ["containers", "grants", "meta", "own_maps", "task_labels", "denials"] {
        let pin = format!("/sys/fs/bpf/lockc/maps/{map}");
        denied(&update(&pin), "not permitted")?;
        denied(&dump(&pin), "not permitted")?;
    }
    // Root as such is let through.
    command::sh(&dump("/sys/fs/bpf/lockc/maps/meta"))?;
    Ok("six maps".into())
}
