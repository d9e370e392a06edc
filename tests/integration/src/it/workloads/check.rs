//! The proof of a row: right with plain runc, then alike under each level.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::session::Sessions;
use super::way::Way;
use super::{Levels, Work, Workload};
use crate::lab::Lab;

/// Runs a row; the detail names the levels, and the rules that denied something on the way.
pub fn prove(lab: &mut Lab, workload: &Workload) -> Result<String> {
    lab.docker()?;
    // Taken out so that events can be read meanwhile.
    let mut sessions = std::mem::take(&mut lab.sessions);
    let result = levels(lab, &mut sessions, workload);
    lab.sessions = sessions;
    result
}

fn levels(lab: &Lab, sessions: &mut Sessions, workload: &Workload) -> Result<String> {
    let before = once(sessions, Way::PLAIN, workload)
        .context("proves nothing: it fails without lockc too")?;
    if lab.plain {
        return Ok(format!("works without lockc: {before}"));
    }
    let ways: &[Way] = match workload.levels {
        Levels::Both => &[Way::BASELINE, Way::RESTRICTED],
        Levels::Baseline(_) => &[Way::BASELINE],
    };
    let mut details = Vec::new();
    for &way in ways {
        lab.forget_events()?;
        let under = once(sessions, way, workload);
        let events = lab.events()?;
        let why = match under {
            Ok(under) if under == before => {
                details.push(format!("{}{}", way.name, on_the_way(&events)));
                continue;
            }
            Ok(under) => format!("other output: {under:?} instead of {before:?}"),
            Err(error) => format!("{error:#}"),
        };
        // Without the privileges that `restricted` wants gone it may fail without lockc as well.
        if way.hardened
            && let Err(error) = once(sessions, Way::HARDENED, workload)
        {
            bail!("proves nothing for {}: without lockc it fails too: {error:#}", way.name);
        }
        bail!("BROKEN under {}: {why}; events {}", way.name, Value::from(events));
    }
    Ok(format!("alike under {}", details.join(" and ")))
}

/// Its output, which is right if it is the same everywhere.
fn once(sessions: &mut Sessions, way: Way, workload: &Workload) -> Result<String> {
    match workload.work {
        Work::Engine(code) => code(&way),
        Work::Script(script, expected) => {
            let run = sessions.run(way, script)?;
            if !run.ok() {
                bail!("status {}: {}", run.status, run.said());
            }
            if !run.stdout.contains(expected) {
                bail!(
                    "{:?} does not contain {expected:?}; standard error: {}",
                    run.stdout,
                    run.stderr
                );
            }
            Ok(run.stdout)
        }
    }
}

/// What was denied though the work went well: programs that probe for more than they need.
fn on_the_way(events: &[Value]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for event in events {
        let [rule, comm, detail] =
            ["rule", "comm", "detail"].map(|key| event[key].as_str().unwrap_or("?"));
        let what = format!("{rule} {comm} {detail}");
        *counts.entry(what).or_default() += 1;
    }
    let list: Vec<String> = counts.iter().map(|(what, count)| format!("{what} x{count}")).collect();
    if list.is_empty() {
        String::new()
    } else {
        format!(" (denied on the way: {})", list.join(", "))
    }
}
