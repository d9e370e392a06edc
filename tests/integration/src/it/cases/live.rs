//! What holds for a container changes while it runs: quarantine, another policy.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Row, Test, row};
use crate::bundle::Bundle;
use crate::command::{self, Run};
use crate::lab::{self, Lab};
use crate::launch::{By, Running, Runtime};

pub const ROWS: &[Row] = &[
    row("live/quarantine", Test::Code(quarantine)).smoke(),
    row("live/policy-set", Test::Code(policy)),
    row("live/quarantine-of-what-is-not-under-any-rule", Test::Code(privileged)).one_kernel(),
];

const PLACE: &str = "/srv/lockc-it/busy";
const JOURNAL: &str = "/run/systemd/journal/socket";
/// Everything that the program tries.
const WORK: [&str; 5] = ["tcp", "unix", "socket", "exec", "memfd"];
const EPERM: i32 = 1;
const EACCES: i32 = 13;
const EAFNOSUPPORT: i32 = 97;

/// A program that does all of [`WORK`] again and again.
struct Busy {
    container: Running,
}

impl Busy {
    fn start(by: By) -> Result<Self> {
        command::sh(&format!("rm -rf {PLACE} && mkdir -p {PLACE}"))?;
        let bundle = Bundle::probe(&["busy", "/work/state"]).bind(PLACE, "/work");
        let busy = Self { container: Running::start(by, &bundle)? };
        busy.expect(&[]).context("proves nothing: it does not work without a change")?;
        Ok(busy)
    }

    fn state() -> Option<Value> {
        serde_json::from_str(&fs::read_to_string(format!("{PLACE}/state")).ok()?).ok()
    }

    /// That a round which begins from now on fails in these ways, and in no other.
    fn expect(&self, failing: &[(&str, i32)]) -> Result<Value> {
        let round = |state: &Option<Value>| state.as_ref().and_then(|it| it["round"].as_u64());
        let before = round(&Self::state()).unwrap_or(0);
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let state = Self::state();
            // The one that was under way may be mixed.
            if round(&state) > Some(before + 1) || Instant::now() > end {
                let state = state.context("it writes nothing")?;
                for kind in WORK {
                    let errno = failing.iter().find(|it| it.0 == kind).map_or(0, |it| it.1);
                    if state[kind] != errno {
                        bail!("{kind} should give {errno}: {state}");
                    }
                }
                return if round(&Some(state.clone())) > Some(before + 1) {
                    Ok(state)
                } else {
                    bail!("it does not go on: {state}")
                };
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn status(&self) -> Result<Value> {
        let status = lab::status()?;
        let all = status["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let own = all.iter().find(|entry| entry["id"] == *self.container.id);
        own.cloned().context("it is not registered")
    }
}

fn lockc(words: &[&str]) -> Result<Run> {
    command::run(&[&["lockc"], words].concat())
}

/// A container under quarantine starts no program and uses no socket, whether it was open or not;
/// nothing joins it; and release gives back what it had.
fn quarantine(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let journal = Journal::open()?;
    let busy = Busy::start(By::Lockc("test"))?;
    let id = busy.container.id.as_str();
    let before = busy.status()?;
    let work_before = busy.container.exec(&["true"])?;
    work_before.must().context("proves nothing: nothing joins it")?;
    lockc(&["quarantine", id])?.must()?;
    let all = [
        ("tcp", EACCES),
        ("unix", EACCES),
        ("socket", EAFNOSUPPORT),
        ("exec", EPERM),
        ("memfd", EPERM),
    ];
    busy.expect(&all)?;
    let joined = busy.container.exec(&["true"])?;
    if joined.ok() || !joined.stderr.contains("under quarantine") {
        bail!("something joins it: status {}: {}", joined.status, joined.said());
    }
    let during = busy.status()?;
    if during["level"] != "restricted" || during["network"] != "none" || during["mode"] != "enforce"
    {
        bail!("{during}");
    }
    let entry = journal.entry()?;
    for part in ["LOCKC_CONTAINER", id, "under quarantine"] {
        if !entry.contains(part) {
            bail!("no {part:?} in the journal's entry: {entry}");
        }
    }
    let again = lockc(&["quarantine", id, "--json"])?.must()?;
    if serde_json::from_str::<Value>(&again)?[0]["changed"] != false {
        bail!("{again}");
    }
    let refused = lockc(&["policy", "set", id, "baseline", "--loosen"])?;
    if refused.ok() || !refused.stderr.contains("under quarantine") {
        bail!("another policy: status {}: {}", refused.status, refused.said());
    }
    let events = lab::events(&["--container", id, "--rule", "process"])?;
    if !events.iter().any(|event| event["hook"] == "bprm_check_security") {
        bail!("no record of the exec: {events:?}");
    }
    lockc(&["quarantine", "--release", id])?.must()?;
    busy.expect(&[])?;
    busy.container.exec(&["true"])?.must().context("after the release")?;
    let after = busy.status()?;
    let parts = ["policy", "level", "network", "mode", "rules", "origin"];
    if parts.iter().any(|part| after[part] != before[part]) {
        bail!("not what it was: {before} {after}");
    }
    let nothing = lockc(&["quarantine", "--release", id])?.must()?;
    if !nothing.contains("not under quarantine") {
        bail!("{nothing}");
    }
    Ok(entry)
}

/// A stricter policy holds at once; a looser one only if that is said, and within the ceiling.
fn policy(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let busy = Busy::start(By::Lockc("baseline"))?;
    let id = busy.container.id.as_str();
    lockc(&["policy", "set", id, "offline"])?.must()?;
    let cut = [("tcp", EACCES), ("socket", EAFNOSUPPORT)];
    busy.expect(&cut)?;
    if busy.status()?["policy"] != "offline" || busy.status()?["origin"] != "lockc policy set" {
        bail!("{}", busy.status()?);
    }
    let mut said = String::new();
    for (words, reason) in [
        (&["policy", "set", id, "baseline"][..], "--loosen"),
        (&["policy", "set", id, "privileged", "--loosen"], "ceiling"),
        (&["policy", "set", id, "nonsense"], "nonsense"),
    ] {
        let run = lockc(words)?;
        if run.ok() || !run.stderr.contains(reason) {
            bail!("{words:?}: status {}: {}", run.status, run.said());
        }
        said = run.stderr;
    }
    busy.expect(&cut)?;
    lockc(&["policy", "set", id, "baseline", "--loosen"])?.must()?;
    busy.expect(&[])?;
    let listed = lockc(&["policy", "list", "--json"])?.must()?;
    let listed: Value = serde_json::from_str(&listed)?;
    let shown: Value =
        serde_json::from_str(&lockc(&["policy", "show", "offline", "--json"])?.must()?)?;
    let all = listed.as_array().map(Vec::as_slice).unwrap_or_default();
    if !all.contains(&shown) || shown["network"] != json!("none") {
        bail!("{shown}: {listed}");
    }
    Ok(said)
}

/// Even a privileged container is cut off, and gets back what it had.
fn privileged(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let busy = Busy::start(By::Lockc("privileged"))?;
    let id = busy.container.id.as_str();
    lockc(&["quarantine", id])?.must()?;
    let state = busy.expect(&[
        ("tcp", EACCES),
        ("unix", EACCES),
        ("socket", EAFNOSUPPORT),
        ("exec", EPERM),
        ("memfd", EPERM),
    ])?;
    lockc(&["quarantine", "--release", id])?.must()?;
    busy.expect(&[])?;
    Ok(state.to_string())
}

/// The journal's socket, on a machine without systemd.
struct Journal {
    socket: UnixDatagram,
}

impl Journal {
    fn open() -> Result<Self> {
        let path = Path::new(JOURNAL);
        if path.exists() {
            fs::remove_file(path)?;
        }
        command::sh("mkdir -p /run/systemd/journal")?;
        let socket = UnixDatagram::bind(path).context("the journal's socket")?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { socket })
    }

    fn entry(&self) -> Result<String> {
        let mut text = vec![0; 1 << 16];
        loop {
            let length = self.socket.recv(&mut text).context("nothing in the journal")?;
            // An empty one asks whether the journal is there.
            if length > 0 {
                return Ok(String::from_utf8_lossy(&text[..length]).into_owned());
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = fs::remove_file(JOURNAL);
    }
}
