//! The way from audit mode to enforcement, as its page says.

use std::{thread, time::Duration};

use anyhow::{Context, Result, bail};

use super::{Row, Test, row};
use crate::command;
use crate::docker::IMAGE;
use crate::lab::Lab;
use crate::launch::Runtime;
use crate::system::quickstart;

pub const ROWS: &[Row] = &[row("docker/rollout", Test::Code(rollout))];

/// The case of the part `hour`.
pub const HOUR: Row = row("hour/rollout", Test::Code(rollout_hour));

/// A counter of `lockc metrics`; 0 where it is not there.
fn counter(name: &str) -> Result<u64> {
    let text = command::run(&["lockc", "metrics"])?.must()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(Ok(0), |value| value.parse().with_context(|| format!("{name}: {value}")))
}

/// What the page's commands cause: denials in audit mode and in enforcement, a refusal.
const CAUSED: [&str; 3] = [
    "lockc_denials_total{rule=\"procfs\",mode=\"audit\"}",
    "lockc_denials_total{rule=\"sysfs\",mode=\"enforce\"}",
    "lockc_refusals_total{control=\"host-sockets\",id=\"LOCKC-A002\",mode=\"enforce\"}",
];

/// The page about the way from audit mode to enforcement, as it is written; with the metrics before
/// and after it.
fn rollout(lab: &mut Lab, _: Runtime) -> Result<String> {
    rollout_after(lab, Duration::ZERO)
}

/// The same, and an hour passes before anybody reads the record.
fn rollout_hour(lab: &mut Lab, _: Runtime) -> Result<String> {
    rollout_after(lab, PAUSE)
}

/// An hour of the machine's time. Its clock counts instructions, so that waiting takes no time.
const PAUSE: Duration = Duration::from_secs(3600);

fn rollout_after(lab: &mut Lab, pause: Duration) -> Result<String> {
    lab.only_with_lockc()?;
    let docker = lab.docker()?;
    docker.run("", &[IMAGE, "true"])?.must()?;
    command::sh(&format!("docker tag {IMAGE} debian:latest; mkdir -p /etc/lockc/lockc.d"))?;
    let before = CAUSED.iter().map(|name| counter(name)).collect::<Result<Vec<_>>>()?;
    let result = quickstart::run(quickstart::ROLLOUT, &["See who is not confined", "Audit"])
        .and_then(|_| {
            thread::sleep(pause);
            let rest = ["Read the record", "Suggest", "Enforce", "Quarantine"];
            quickstart::run(quickstart::ROLLOUT, &rest)
        });
    command::sh(
        "docker rm -f exporter > /dev/null 2>&1; docker rmi debian:latest > /dev/null; cd \
         /etc/lockc/lockc.d && rm -f 10-audit.toml 60-exporter.toml 70-ceiling.toml",
    )?;
    let said = result?;
    for (name, before) in CAUSED.iter().zip(before) {
        let after = counter(name)?;
        if after <= before {
            bail!("{name} was {before} and is {after}");
        }
    }
    Ok(said)
}
