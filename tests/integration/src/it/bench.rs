//! `lockc-it bench`: the same operations in the same kind of container, once for each thing that
//! lockc may do to a task.
//!
//! All configurations run in one boot and on one root file system, so that they differ by lockc
//! alone.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use lockc_integration::Measured;

use crate::bundle::{self, Bundle, PLACE};
use crate::command;
use crate::config;
use crate::lab::Lab;
use crate::launch::{self, By, Runtime};
use crate::select::Tier;

/// More than the slowest configuration takes in an emulated machine.
const SECONDS: u32 = 600;

/// Measures every configuration and prints the costs by configuration.
pub fn run(count: u32) -> Result<()> {
    let mut lab = Lab::new(true, Tier::All)?;
    config::write(Runtime::Crun)?;
    let bundle = bundle(count)?;
    let mut all = BTreeMap::new();
    all.insert("none", measure(By::Plain(Runtime::Crun), &bundle).context("without lockc")?);
    lab.load()?;
    // Nothing labels what the runtime itself starts: for lockc this is a process of the host's.
    for (name, by) in [
        ("host", By::Plain(Runtime::Crun)),
        ("baseline", By::Lockc("test")),
        ("privileged", By::Lockc("privileged")),
    ] {
        all.insert(name, measure(by, &bundle).context(name)?);
    }
    println!("{}", serde_json::to_string_pretty(&all)?);
    Ok(())
}

fn bundle(count: u32) -> Result<Bundle> {
    let lower = bundle::common_rootfs()?;
    let place = format!("{PLACE}/bench");
    command::sh(&format!(
        "cd {PLACE} && mkdir -p bench/upper bench/work bench/root data && (mountpoint -q \
         bench/root || mount -t overlay overlay -o \
         lowerdir={lower},upperdir={place}/upper,workdir={place}/work bench/root)"
    ))?;
    let mut bundle =
        Bundle::probe(&["bench", &count.to_string()]).bind(&format!("{PLACE}/data"), "/vol");
    bundle.rootfs = Some(format!("{place}/root"));
    Ok(bundle)
}

fn measure(by: By, bundle: &Bundle) -> Result<Measured> {
    let run = launch::run_for(SECONDS, by, bundle)?;
    if !run.ok() {
        bail!("status {}: {}", run.status, run.said());
    }
    let measured: Measured =
        serde_json::from_str(&run.stdout).with_context(|| format!("no costs: {}", run.said()))?;
    if measured.failed.is_empty() {
        Ok(measured)
    } else {
        bail!("not measured: {:?}", measured.failed)
    }
}
