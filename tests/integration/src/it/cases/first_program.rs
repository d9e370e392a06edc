//! The container's first program, and the first of each `exec`: what it may gain, and what it may
//! have as its standard input.

use anyhow::{Context, Result, bail};

use super::{Row, Test, both, by_of, row};
use crate::bundle::Bundle;
use crate::command::{self, Run};
use crate::lab::Lab;
use crate::launch::{self, By, Running, Runtime, fresh_id};

pub const ROWS: &[Row] = &[
    both("first-program/gains-nothing", Test::Code(gains)).core(),
    row("first-program/network-as-input", Test::Code(input)),
    row("first-program/host-file-under-hook-mounts", Test::Code(host_file)),
];

/// Programs of the image that gain another user, another group, a capability.
const PROGRAMS: [&[&str]; 3] = [
    &["/setuid", "is-root"],
    &["/setgid", "is-root-group"],
    &["/filecaps", "has-capability", "10"],
];

fn gains(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let of_user = |program: &[&str]| Bundle::new(program).user_with_bounds(1000);
    for program in PROGRAMS {
        for by in [By::Plain(runtime), by_of(lab, runtime, "test")] {
            let gained = launch::attempt(by, &of_user(program))?;
            if !gained.ok {
                bail!("proves nothing, {by:?}: {program:?}: {gained:?}");
            }
        }
    }
    if lab.plain {
        return Ok("gained without lockc".into());
    }
    let c = Running::start(By::Lockc("tight"), &of_user(&["sleep", "1000"]))?;
    for program in PROGRAMS {
        lab.forget_events()?;
        is_denied(lab, &launch::run(By::Lockc("tight"), &of_user(program))?, "privilege")?;
        is_denied(lab, &c.exec(program)?, "privilege")
            .with_context(|| format!("exec {program:?}"))?;
    }
    c.exec(&["true"])?.must().context("an ordinary program")?;
    Ok("neither at the first exec nor at that of an `exec`".into())
}

/// That the program was not executed, by this rule.
fn is_denied(lab: &Lab, run: &Run, rule: &str) -> Result<()> {
    let said = run.said().to_lowercase();
    if run.ok()
        || !["permission denied", "operation not permitted"].iter().any(|text| said.contains(text))
    {
        bail!("NOT DENIED: status {}: {}", run.status, run.said());
    }
    lab.expect_event(rule).map(|_| ())
}

/// A connected socket of the host's network as standard input or output: splice(2) asks no security
/// module about it.
fn input(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let folder = |by: By| Bundle::new(&["true"]).write(by);
    let run = |by: By, fd: u32| -> Result<Run> {
        let mut words = vec!["bash".to_owned(), "-c".into()];
        words.extend([format!("exec {fd}<>/dev/udp/127.0.0.1/9; exec \"$@\""), "bash".into()]);
        words.extend(by.words());
        words.extend([
            "run".into(),
            "--bundle".into(),
            folder(by)?.display().to_string(),
            fresh_id(),
        ]);
        command::run(&words)
    };
    for fd in 0..3 {
        for by in [By::Plain(runtime), by_of(lab, runtime, "test")] {
            run(by, fd)?
                .must()
                .with_context(|| format!("proves nothing: {by:?}, descriptor {fd}"))?;
        }
        if lab.plain {
            continue;
        }
        lab.forget_events()?;
        let run = run(By::Lockc("offline"), fd)?;
        // What the runtime says goes to the socket where that is its standard error.
        if run.ok() {
            bail!("NOT DENIED: descriptor {fd}: {}", run.said());
        }
        lab.expect_event("network")?;
    }
    Ok("refused to a container without network".into())
}

/// What a policy lets hooks of root's do, which execute programs of the host's in the container, is
/// no way to hand over files of the host.
fn host_file(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let run = |by: By| -> Result<Run> {
        let folder = Bundle::new(&["/proc/self/fd/4", "is-root"]).write(by)?.display().to_string();
        let line = "exec 3</etc/shadow 4</usr/local/bin/lockc-probe; exec \"$@\"";
        let mut words = ["bash", "-c", line, "bash"].map(str::to_owned).to_vec();
        words.extend(by.words());
        words.extend(["run", "--preserve-fds", "2", "--bundle", &folder].map(str::to_owned));
        words.push(fresh_id());
        command::run(&words)
    };
    if !launch::parse(&run(By::Plain(runtime))?)?.ok {
        bail!("proves nothing: the host's program is not executed");
    }
    if lab.plain {
        return Ok("executed without lockc".into());
    }
    lab.forget_events()?;
    is_denied(lab, &run(By::Lockc("hooks"))?, "files")?;
    Ok("not executed".into())
}
