//! `lockc doctor`: checks every precondition and names a remedy for each failure.

use std::{path::Path, process::ExitCode};

use anyhow::Result;
use lockc_core::{abi::MODE_AUDIT, maps::Registry, paths};
use lockc_policy::{
    host::{Host, HostView as _},
    policy::PolicySet,
};
use nix::sys::statfs::CGROUP2_SUPER_MAGIC;

use crate::{
    check::{Check, State, check},
    install::present::{self, Present},
    labels, out,
    pinned::attached_version,
    preconditions::{self, is_fs},
    table,
};

const EXAMPLES: &str = "\
Examples:
  lockc doctor
  lockc doctor --json | jq '.[] | select(.state == \"failed\")'";

/// Checks every precondition and prints a remedy for each failure.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// JSON output.
    #[arg(long)]
    json: bool,
}

/// Runs it.
///
/// # Errors
///
/// Where standard output cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let checks = all();
    if args.json {
        out::json(&checks)?;
    } else {
        print(&checks);
    }
    Ok(out::answer(checks.iter().all(|check| check.state != State::Failed)))
}

/// Every check that can be made here.
pub fn all() -> Vec<Check> {
    let mut checks = preconditions::all();
    checks.extend([cgroup(), config(), runtime(), loaded(), guard(), objects()]);
    checks.extend(labels::check());
    checks.extend(engines());
    checks
}

fn cgroup() -> Check {
    let good = is_fs("/sys/fs/cgroup", CGROUP2_SUPER_MAGIC);
    let state = if good { State::Ok } else { State::Warning };
    let found =
        if good { "version 2 at /sys/fs/cgroup" } else { "no unified hierarchy at /sys/fs/cgroup" };
    check(
        "cgroup",
        state,
        found,
        "lockc is tested with cgroup version 2; boot with systemd.unified_cgroup_hierarchy=1",
    )
}

fn config() -> Check {
    match PolicySet::of_host() {
        Ok(_) if Path::new(paths::CONFIG).exists() => {
            check("configuration", State::Ok, paths::CONFIG, "")
        }
        Ok(_) => check("configuration", State::Ok, "defaults (no lockc.toml)", ""),
        Err(error) => check(
            "configuration",
            State::Failed,
            format!("{error:#}"),
            "correct the file; until then no container starts under lockc",
        ),
    }
}

fn runtime() -> Check {
    let configured =
        PolicySet::of_host().map(|config| config.settings.runtimes).unwrap_or_default();
    match lockc_policy::runtimes::candidates(&configured).into_iter().find(|path| path.is_file()) {
        Some(path) => check("real runtime", State::Ok, path.display().to_string(), ""),
        None => check(
            "real runtime",
            State::Failed,
            "found neither runc, crun nor youki in the usual places",
            "install runc or crun, or name it in lockc.toml: runtimes = [\"/path/to/runc\"]",
        ),
    }
}

fn loaded() -> Check {
    match Registry::open() {
        Ok(_) => {
            let attached = attached_version()
                .map_or(0, |meta| meta.attached.iter().map(|bits| bits.count_ones()).sum());
            check("programs", State::Ok, format!("{attached} attached"), "")
        }
        Err(error) => check("programs", State::Failed, error.to_string(), "lockc load"),
    }
}

fn guard() -> Check {
    let found = match Registry::open().and_then(|registry| registry.guarded()) {
        Ok(Some((_, entry))) => {
            format!(
                "runtimes without the wrapper: level {}",
                if entry.mode == MODE_AUDIT { "reported" } else { "enforced" }
            )
        }
        Ok(None) => {
            "off: containers that a runtime starts without the wrapper are not confined".into()
        }
        Err(_) => "not loaded".into(),
    };
    check("runtime guard", State::Ok, found, "")
}

/// lockc's own files: whoever can change them decides what is enforced.
fn objects() -> Check {
    let own = std::env::current_exe().unwrap_or_default();
    let paths = [Path::new(paths::PINS), Path::new(paths::CONFIG), &own];
    let host = Host::default();
    let open = |path: &&&Path| {
        // What does not exist yet will be created in the nearest directory that does.
        let there = path.ancestors().find_map(|path| path.canonicalize().ok());
        there.is_some_and(|path| host.others_may_change(&path).unwrap_or(false))
    };
    match paths.iter().find(open) {
        None => check(
            "lockc's files",
            State::Ok,
            "only root can change pins, configuration and programs; while lockc is loaded, pins \
             and maps also need CAP_BPF",
            "",
        ),
        Some(path) => check(
            "lockc's files",
            State::Failed,
            format!("{} can be changed by users other than root", path.display()),
            "run chown root and chmod go-w on it and on its parent directories",
        ),
    }
}

/// Engines that are there, and whether lockc is one of their runtimes.
fn engines() -> Vec<Check> {
    present::engines().into_iter().map(engine).collect()
}

fn engine(Present { engine, named_by, config }: Present) -> Check {
    let name = engine.name();
    match named_by {
        Some(path) => {
            check(name, State::Ok, format!("{} names lockc-runc-wrapper", path.display()), "")
        }
        None => {
            let found = format!("{} does not name lockc-runc-wrapper", config.display());
            check(name, State::Warning, found, format!("lockc install {name} --restart"))
        }
    }
}

fn print(checks: &[Check]) {
    let mut table = table::new();
    for check in checks {
        let state = match check.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Failed => "FAILED",
        };
        let mut found = check.found.clone();
        if !check.remedy.is_empty() {
            found = format!("{found}\n-> {}", check.remedy);
        }
        if let Some(id) = check.id {
            found = format!("{found} ({id})");
        }
        table.add_row([state, check.name, &found]);
    }
    table::print(table);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever this machine lacks.
    #[test]
    fn every_check_that_is_not_met_has_an_id() {
        for check in all().into_iter().filter(|check| check.state != State::Ok) {
            assert!(check.id.is_some(), "{check}");
        }
    }
}
