//! The third boot, without BPF among the active LSMs: the unit fails with the remedy, nothing
//! starts under lockc, everything else does.

use anyhow::{Result, bail};

use super::{Step, fails, sh, step};
use crate::command;

pub const STEPS: &[Step] = &[
    step("system/3-without-bpf/unit-fails-with-the-remedy", unit_fails),
    step("system/3-without-bpf/no-container-under-lockc", nothing_starts),
    step("system/3-without-bpf/others-start", others_start),
];

fn unit_fails() -> Result<String> {
    let active = sh("cat /sys/kernel/security/lsm")?;
    if active.split(',').any(|name| name == "bpf") {
        bail!("BPF is active: {active}");
    }
    fails("systemctl is-active lockc", "failed")?;
    let said = sh("journalctl -b --no-pager -u lockc -o cat")?;
    for text in ["lsm=", "GRUB", "systemd-boot", "bpf"] {
        if !said.contains(text) {
            bail!("the unit's log does not say {text:?}: {said}");
        }
    }
    Ok(said)
}

fn nothing_starts() -> Result<String> {
    fails("docker run --rm --runtime lockc debian true", "lockc")?;
    fails("podman --runtime lockc run --rm debian true", "lockc")?;
    let running = sh("docker inspect -f '{{.State.Running}}' keeper")?;
    if running != "false" {
        bail!("the container with a restart policy runs");
    }
    let said =
        command::run(&["docker", "run", "--rm", "--runtime", "lockc", "debian", "true"])?.said();
    Ok(said)
}

fn others_start() -> Result<String> {
    sh("docker run --rm --runtime runc debian true")?;
    sh("podman --runtime runc run --rm debian true")?;
    Ok("docker, podman".into())
}
