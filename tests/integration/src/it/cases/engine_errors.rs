//! Fail closed as a user of Docker sees it: no start, and the reason in `docker run`'s message.

use anyhow::{Context, Result, bail};

use super::{Row, Test, row};
use crate::command;
use crate::config;
use crate::docker::{Docker, IMAGE};
use crate::lab::Lab;
use crate::launch::Runtime;

pub const ROWS: &[Row] = &[
    row("docker/failclosed-not-loaded", Test::Code(not_loaded)),
    row("docker/failclosed-config-broken", Test::Code(config_broken)).thorough(),
    row("docker/failclosed-pins-removed", Test::Code(pins_removed)).thorough(),
];

/// Docker shows lockc's reason; plain runc works.
fn shown(docker: &Docker, says: &str) -> Result<String> {
    let run = docker.run("lockc", &[IMAGE, "true"])?;
    if run.ok() || !run.stderr.contains("lockc: ") || !run.stderr.contains(says) {
        bail!("status {}: {}", run.status, run.said());
    }
    docker.run("", &[IMAGE, "true"])?.must().context("plain runc is affected")?;
    Ok(run.stderr)
}

fn not_loaded(lab: &mut Lab, _: Runtime) -> Result<String> {
    let plain = lab.plain;
    lab.docker()?;
    if plain {
        return Ok("nothing to prove without lockc".into());
    }
    lab.unload()?;
    let result = shown(lab.docker()?, "lockc load");
    lab.load()?;
    result
}

fn config_broken(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let plain = lab.plain;
    let docker = lab.docker()?;
    if plain {
        return Ok("nothing to prove without lockc".into());
    }
    config::put("this is no configuration\n")?;
    let result = shown(docker, config::PATH);
    config::write(runtime)?;
    result
}

fn pins_removed(lab: &mut Lab, _: Runtime) -> Result<String> {
    let plain = lab.plain;
    lab.docker()?;
    if plain {
        return Ok("nothing to prove without lockc".into());
    }
    command::sh("rm -rf /sys/fs/bpf/lockc/*")?;
    let result = shown(lab.docker()?, "lockc load");
    lab.unload()?;
    lab.load()?;
    result
}
