//! The escape suite: one table of techniques, each tried by plain crun and under every level.
//!
//! Before a level's kernel rules stands its static admission. Where that refuses the container, the
//! attempt is made once more under a policy that extends the level and admits everything, so that a
//! cell shows both. A cell that is not what the table claims fails the case.

mod actors;
pub mod docs;
mod ordinary;
mod privileged;
mod second;

use anyhow::{Context, Result, bail};
use libc::ENOSYS;

use crate::bundle::Bundle;
use crate::cases::Skip;
use crate::config;
use crate::lab::Lab;
use crate::launch::{self, By, Runtime};
use crate::select::{Standing, Tier};

/// Which levels stop a technique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// All but privileged.
    Everywhere,
    Restricted,
    Offline,
}

/// A level, the policy that extends it and admits everything, and the word before the cell.
const LEVELS: [(&str, &str); 3] = [
    ("baseline", "escape-baseline"),
    ("restricted", "escape-restricted"),
    ("offline", "escape-offline"),
];

/// A way out that is known.
#[derive(Clone, Copy, Debug)]
pub struct Technique {
    /// The case's name after `escape/`.
    pub name: &'static str,
    /// CVE, manual page or tool.
    pub reference: &'static str,
    /// The probe's arguments.
    pub args: &'static [&'static str],
    /// What the container gets beyond the usual.
    pub give: fn(Bundle) -> Bundle,
    /// The control by which baseline refuses such a container before it starts; empty: it does
    /// not.
    pub control: &'static str,
    /// The kernel's rule.
    pub rule: &'static str,
    pub stopped: Stopped,
    pub standing: Standing,
}

impl Technique {
    /// On every kernel: no bare case tries it in the same way.
    const fn smoke(self) -> Self {
        Self { standing: self.standing.tier(Tier::Smoke), ..self }
    }

    /// Once more where the host's root is on btrfs, but not in the gate.
    const fn on_btrfs_thorough(self) -> Self {
        Self { standing: self.standing.btrfs(Tier::All), ..self }
    }

    fn stopped_by(&self, level: &str) -> bool {
        match self.stopped {
            Stopped::Everywhere => true,
            Stopped::Restricted => level == "restricted",
            Stopped::Offline => level == "offline",
        }
    }
}

/// Every technique.
pub fn all() -> impl Iterator<Item = &'static Technique> {
    ordinary::TECHNIQUES.iter().chain(privileged::TECHNIQUES)
}

/// Tries a technique in every column; returns the row of the matrix. The gate leaves out the levels
/// that only add rules to baseline's, where those stop it already, and smoke also leaves out
/// privileged.
pub fn run(lab: &Lab, technique: &Technique) -> Result<String> {
    let bundle = (technique.give)(Bundle::probe(&lab.fill(technique.args)));
    let plain = launch::attempt(By::Plain(Runtime::Crun), &bundle)?;
    if plain.errno == ENOSYS {
        return Err(Skip("this kernel has no such call".into()).into());
    }
    if !plain.ok {
        bail!("proves nothing: without lockc it fails too: {} ({})", plain.detail, plain.errno);
    }
    let mut row = vec!["plain: works".to_owned()];
    if lab.plain {
        return Ok(row.remove(0));
    }
    config::write(Runtime::Crun)?;
    if lab.tier != Tier::Smoke {
        let privileged = launch::attempt(By::Lockc("privileged"), &bundle)?;
        if !privileged.ok {
            bail!("denied under privileged too: {} ({})", privileged.detail, privileged.errno);
        }
        row.push("privileged: works".into());
    }
    for (level, open) in LEVELS {
        let differs = technique.stopped != Stopped::Everywhere && technique.stopped_by(level);
        if lab.tier != Tier::All && level != "baseline" && !differs {
            continue;
        }
        let cell = cell(lab, technique, &bundle, level, open).with_context(|| row.join(" | "))?;
        row.push(format!("{level}: {cell}"));
    }
    Ok(row.join(" | "))
}

fn cell(
    lab: &Lab,
    technique: &Technique,
    bundle: &Bundle,
    level: &'static str,
    open: &'static str,
) -> Result<String> {
    lab.forget_events()?;
    let start = launch::run(By::Lockc(level), bundle)?;
    let (mut text, under) = match launch::outcome(bundle, &start) {
        // Once more without what engines hide and refuse, which would be in the way before lockc
        // is.
        Ok(_) => (String::new(), launch::attempt(By::Lockc(open), bundle)?),
        Err(_) => {
            let controls =
                refused_by(&start.stderr).with_context(|| format!("{level}: {}", start.said()))?;
            if level == "baseline" && !controls.contains(&technique.control) {
                bail!("{level}: refused by {controls:?} and not by {:?}", technique.control);
            }
            (format!("refused {}, ", controls.join("+")), launch::attempt(By::Lockc(open), bundle)?)
        }
    };
    if level == "baseline" && text.is_empty() != technique.control.is_empty() {
        bail!("{level}: the table says refused by {:?}; {}", technique.control, start.said());
    }
    match (under.ok, technique.stopped_by(level)) {
        (true, false) => text.push_str("works"),
        (false, true) => {
            let rules: Vec<&str> =
                [technique.rule].into_iter().chain(earlier(level, technique.rule)).collect();
            lab.expect_event_of(&rules)
                .with_context(|| format!("{level}: {} ({})", under.detail, under.errno))?;
            text.push_str("denied ");
            text.push_str(technique.rule);
        }
        (true, true) => bail!("{level}: GOT THROUGH: {}", under.detail),
        (false, false) => bail!("{level}: BROKEN: {} ({})", under.detail, under.errno),
    }
    Ok(text)
}

/// The rule of a level that may deny the way to a technique before its own rule is asked: no
/// network at all, no io_uring.
fn earlier(level: &str, rule: &str) -> Option<&'static str> {
    match (level, rule) {
        ("offline", "socket-family") => Some("network"),
        ("restricted", "capability") => Some("io-uring"),
        _ => None,
    }
}

/// The controls that a refusal names: `lockc: refused by level L (from …): CONTROL: WHAT […]; …`.
fn refused_by(stderr: &str) -> Result<Vec<&'static str>> {
    const CONTROLS: [&str; 8] = [
        "host-mounts",
        "host-sockets",
        "mount-types",
        "host-namespaces",
        "capabilities",
        "devices",
        "rootfs",
        "run-as-root",
    ];
    // The first is told, the others are listed: `…; 2 further reasons (CONTROL, CONTROL): see …`.
    let further =
        stderr.split_once(" further reason").and_then(|(_, rest)| rest.split(['(', ')']).nth(1));
    let further: Vec<&str> = further.unwrap_or_default().split(", ").collect();
    let is_named =
        |control: &&str| stderr.contains(&format!("{control}: ")) || further.contains(control);
    let named: Vec<_> = CONTROLS.into_iter().filter(is_named).collect();
    if named.is_empty() { bail!("neither an attempt nor a refusal") } else { Ok(named) }
}
