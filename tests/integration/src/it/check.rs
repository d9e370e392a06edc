//! The core proof: allowed without lockc, denied under a level with the exact errno and rule,
//! allowed for privileged.

use anyhow::{Context, Result, bail};

use crate::bundle::Bundle;
use crate::config;
use crate::lab::Lab;
use crate::launch::{self, By, Runtime};
use crate::select::Tier;

/// An attempt that a level denies.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// The probe's arguments; `{victim}` is the PID of a host process.
    pub args: &'static [&'static str],
    /// What the container gets beyond the usual.
    pub give: fn(Bundle) -> Bundle,
    /// The policy that denies it.
    pub policy: &'static str,
    /// The errno that it gets then.
    pub errno: i32,
    /// The rule in the event.
    pub rule: &'static str,
}

/// Proves it in three containers; that it works under privileged is shown on the kernel that has
/// the whole part only.
pub fn allowed_then_denied(lab: &Lab, runtime: Runtime, probe: &Probe) -> Result<String> {
    let bundle = (probe.give)(Bundle::probe(&lab.fill(probe.args)));
    let before = launch::attempt(By::Plain(runtime), &bundle)?;
    if !before.ok {
        bail!("proves nothing: without lockc it fails too: {} ({})", before.detail, before.errno);
    }
    if lab.plain {
        return Ok(format!("possible without lockc: {}", before.detail));
    }
    config::write(runtime)?;
    lab.forget_events()?;
    let under = launch::attempt(By::Lockc(probe.policy), &bundle)?;
    if under.ok {
        bail!("NOT DENIED under {}: {}", probe.policy, under.detail);
    }
    if under.errno != probe.errno {
        bail!(
            "denied under {}, but with errno {} ({}) instead of {}",
            probe.policy,
            under.errno,
            under.detail,
            probe.errno
        );
    }
    lab.expect_event(probe.rule)?;
    if lab.tier == Tier::Smoke {
        return Ok(format!("{} by {}", under.detail, probe.rule));
    }
    let privileged = launch::attempt(By::Lockc("privileged"), &bundle)?;
    if !privileged.ok {
        bail!("denied under privileged too: {} ({})", privileged.detail, privileged.errno);
    }
    Ok(format!("{} by {}", under.detail, probe.rule))
}

/// The other direction: an attempt that must work under a level as it does without lockc.
#[derive(Clone, Copy, Debug)]
pub struct Works {
    /// The program and its arguments.
    pub args: &'static [&'static str],
    /// What the container gets beyond the usual.
    pub give: fn(Bundle) -> Bundle,
    /// The policy under which it must work.
    pub policy: &'static str,
}

/// Proves it in two containers: the program succeeds in both.
pub fn works_alike(lab: &Lab, runtime: Runtime, works: &Works) -> Result<String> {
    let bundle = (works.give)(Bundle::new(&lab.fill(works.args)));
    let before = launch::run(By::Plain(runtime), &bundle)?;
    if !before.ok() {
        bail!(
            "proves nothing: without lockc it fails too: status {}: {}",
            before.status,
            before.said()
        );
    }
    if lab.plain {
        return Ok("works without lockc".into());
    }
    config::write(runtime)?;
    lab.forget_events()?;
    let under = launch::run(By::Lockc(works.policy), &bundle)?;
    if !under.ok() {
        let events = lab
            .events()
            .map(|events| serde_json::Value::from(events).to_string())
            .unwrap_or_default();
        bail!(
            "BROKEN under {}: status {}: {}; events {events}",
            works.policy,
            under.status,
            under.said()
        );
    }
    Ok(format!("under {}", works.policy))
}

/// A container that must not start under a policy, with `reason` in what the user sees; without
/// lockc it starts.
pub fn refused(
    lab: &Lab,
    runtime: Runtime,
    bundle: &Bundle,
    policy: &'static str,
    reason: &str,
) -> Result<String> {
    let before = launch::run(By::Plain(runtime), bundle)?;
    if !before.ok() {
        bail!(
            "proves nothing: without lockc it fails too: status {}: {}",
            before.status,
            before.said()
        );
    }
    if lab.plain {
        return Ok("starts without lockc".into());
    }
    config::write(runtime)?;
    let under = launch::run(By::Lockc(policy), bundle)?;
    if under.ok() {
        bail!("NOT REFUSED under {policy}: {}", under.said());
    }
    let line = under
        .stderr
        .lines()
        .find(|line| line.contains("lockc"))
        .context("refused, but without lockc's reason")?;
    if !under.stderr.contains(reason) {
        bail!("refused, but the reason does not name {reason:?}: {}", under.stderr);
    }
    launch::run(By::Lockc("privileged"), bundle)?.must().context("refused under privileged too")?;
    Ok(line.to_owned())
}
