//! Makes an engine read its configuration without stopping containers.

use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use nix::time::{ClockId, clock_gettime};
use serde_json::Value;

use super::host::{Change, Host, run};
use super::{engine::Engine, runtimes, state::State};

/// How long an engine may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command for people. dockerd reads `runtimes` and `default-runtime` again on SIGHUP (moby,
/// daemon/reload.go); containerd and CRI-O leave containers alone when they restart; Podman reads
/// its configuration every time.
pub fn command(engine: Engine, state: &State) -> Option<String> {
    let unit = unit(engine, state);
    match engine {
        Engine::Docker => Some(format!("systemctl reload {unit}")),
        Engine::Containerd | Engine::Crio => Some(format!("systemctl restart {unit}")),
        Engine::Podman => None,
    }
}

/// The unit that starts it.
fn unit(engine: Engine, state: &State) -> &str {
    state.unit.as_deref().unwrap_or(engine.name())
}

/// Whether systemd runs it.
pub fn is_running(host: &Host, engine: Engine, state: &State) -> bool {
    command(engine, state).is_some()
        && host.program("systemctl").is_some_and(|mut command| {
            run(command.args(["is-active", "--quiet", unit(engine, state)])).is_ok()
        })
}

/// Whether it may not have read what is there by now: an earlier run may have left that out. One
/// that did is not disturbed again.
pub fn is_behind(host: &Host, engine: Engine, changed: bool, state: &State) -> bool {
    if changed || engine == Engine::Docker {
        return true;
    }
    let newest = [Some(&state.config), state.drop_in.as_ref()].into_iter().flatten();
    let newest = newest
        .filter_map(|path| fs::metadata(host.at(path)).and_then(|meta| meta.modified()).ok())
        .max();
    newest.is_none_or(|newest| {
        started(host, unit(engine, state)).is_none_or(|started| started < newest)
    })
}

/// When its unit's process was started.
fn started(host: &Host, unit: &str) -> Option<SystemTime> {
    let show = ["show", "--value", "-p", "ExecMainStartTimestampMonotonic", unit];
    let since_boot = run(host.program("systemctl")?.args(show)).ok()?.trim().parse().ok()?;
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).ok()?;
    let ago = Duration::from(now).checked_sub(Duration::from_micros(since_boot))?;
    SystemTime::now().checked_sub(ago)
}

/// What an engine is to know of lockc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Its runtimes.
    There,
    /// Nothing, or only names that lead to other runtimes.
    Gone,
}

/// Makes it read what is there now.
pub fn reread(host: &Host, engine: Engine, goal: Goal, state: &State) -> Result<()> {
    let (unit, config) = (unit(engine, state), state.config.as_path());
    let systemctl = |verb: &str| {
        let mut command = host.program("systemctl").context("systemctl not found")?;
        run(command.args([verb, unit])).with_context(|| format!("systemctl {verb} {unit}"))
    };
    if engine != Engine::Docker {
        systemctl("restart")?;
        return Ok(());
    }
    let text = host.read(config)?;
    let mut value: Value = match text.as_deref().map(str::trim) {
        None | Some("") => serde_json::json!({}),
        Some(text) => serde_json::from_str(text)
            .with_context(|| format!("{} cannot be parsed", config.display()))?,
    };
    let expected = Known::in_file(&value);
    if goal == Goal::There {
        systemctl("reload")?;
        return wait(host, &expected);
    }
    // A key that is gone changes nothing when dockerd reloads: it is told of an empty list, and the
    // file follows.
    let object = value.as_object_mut().context("the configuration is not an object")?;
    object.entry("runtimes").or_insert_with(|| serde_json::json!({}));
    object.entry("default-runtime").or_insert_with(|| "runc".into());
    let told = Change {
        path: config.into(),
        before: text.clone(),
        after: Some(value.to_string()),
        mode: 0o644,
    };
    host.apply(&told, super::host::Backup::Leave)?;
    let done = systemctl("reload").and_then(|_| wait(host, &expected));
    let back = Change { path: config.into(), before: told.after, after: text, mode: 0o644 };
    host.apply(&back, super::host::Backup::Leave)?;
    done
}

/// What dockerd knows of lockc's runtime.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    /// The program; nothing where it does not know the runtime.
    program: Option<String>,
    /// Whether it is the default.
    default: bool,
}

impl Known {
    fn in_file(config: &Value) -> Self {
        Self::new(&config["runtimes"], &config["default-runtime"])
    }

    fn new(runtimes: &Value, default: &Value) -> Self {
        Self {
            program: runtimes[runtimes::NAME]["path"].as_str().map(str::to_owned),
            default: default == runtimes::NAME,
        }
    }

    /// From `docker info`.
    fn by_dockerd(text: &str) -> Option<Self> {
        let info: Value = serde_json::from_str(text).ok()?;
        Some(Self::new(&info["Runtimes"], &info["DefaultRuntime"]))
    }
}

/// Until dockerd knows what is in the file.
fn wait(host: &Host, expected: &Known) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let Some(mut docker) = host.program("docker") else { return Ok(()) };
        if let Ok(text) = run(docker.args(["info", "--format", "{{json .}}"]))
            && Known::by_dockerd(&text).as_ref() == Some(expected)
        {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(300));
    }
    bail!(
        "dockerd did not load the configuration within {} s; see journalctl -u docker",
        PATIENCE.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockerd_knows_a_runtime_by_its_program_and_as_the_default() {
        let info = r#"{"Runtimes":{"runc":{"path":"runc"},"lockc":{"path":"/w","status":{}}},
            "DefaultRuntime":"lockc"}"#;
        let known = Known::by_dockerd(info).unwrap();
        let file = |text: &str| Known::in_file(&serde_json::from_str(text).unwrap());
        assert_eq!(
            known,
            file(r#"{"runtimes":{"lockc":{"path":"/w"}},"default-runtime":"lockc"}"#)
        );
        for other in [
            r#"{"runtimes":{"lockc":{"path":"/w"}}}"#,
            r#"{"runtimes":{"lockc":{"path":"/usr/bin/runc"}},"default-runtime":"lockc"}"#,
            "{}",
        ] {
            assert_ne!(known, file(other), "{other}");
        }
        assert_eq!(Known::by_dockerd(r#"{"Runtimes":{}}"#).unwrap(), file("{}"));
    }
}
