//! Where the wrapper refuses nothing, a runtime behaves as without it: files from pipes, exit
//! codes, signals, standard streams, a working directory that is gone. And the registry follows
//! what the runtime did.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Row, Test, both, one_kernel};
use crate::bundle::Bundle;
use crate::command::{self, Run};
use crate::config;
use crate::lab::{self, Lab};
use crate::launch::{self, By, Running, Runtime};

/// The runtime's own behaviour, with the wrapper before it.
pub const ROWS: &[Row] = &one_kernel([
    both("transparent/files-from-pipes", Test::Code(pipes)),
    both("transparent/no-such-container", Test::Code(no_such)),
    both("transparent/entered-from-outside", Test::Code(bare)),
    both("transparent/signals", Test::Code(signals)),
    both("transparent/closed-streams", Test::Code(streams)),
    both("transparent/directory-that-is-gone", Test::Code(directory)),
    both("transparent/delete-that-is-refused", Test::Code(refused_delete)),
    both("transparent/ended-without-delete", Test::Code(ended)),
]);

const PROCESS: &str = "/srv/lockc-it/process.json";

/// Whoever starts them, the same must come out.
fn alike(lab: &Lab, runtime: Runtime, run: impl Fn(By) -> Result<Run>) -> Result<String> {
    let told = |run: &Run| (run.status, run.stdout.clone());
    let plain = run(By::Plain(runtime))?;
    if lab.plain {
        return Ok(format!("status {}: {}", plain.status, plain.stdout.trim()));
    }
    config::write(runtime)?;
    let wrapped = run(By::Lockc("privileged"))?;
    if told(&plain) != told(&wrapped) {
        bail!(
            "without lockc status {}: {}\nwith lockc status {}: {}",
            plain.status,
            plain.said(),
            wrapped.status,
            wrapped.said()
        );
    }
    Ok(format!("status {}: {}", plain.status, plain.stdout.trim()))
}

/// A shell line with the runtime's command as `"$@"`.
fn shell(by: By, line: &str, rest: &[&str], input: &str) -> Result<Run> {
    // The machine's shell ignores SIGINT; what runc makes of that is not always the same.
    let mut words = ["env", "--default-signal=INT,QUIT", "bash", "-c", line, "bash"]
        .map(str::to_owned)
        .to_vec();
    words.extend(by.words());
    words.extend(rest.iter().map(|word| (*word).to_owned()));
    command::run_for(120, &words, input)
}

/// `exec --process` and crun's `--config` read a file once, wherever it comes from; the container
/// inherits nothing of it.
fn pipes(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let script = "echo read; ls /proc/self/fd | tr '\\n' ' '";
    let process = json!({
        "args": ["sh", "-c", script], "cwd": "/", "env": ["PATH=/bin:/usr/bin"], "user": {"uid": 0,
            "gid": 0},
    });
    fs::write(PROCESS, process.to_string()).context("cannot write a process file")?;
    let exec = |by: By, line: &str, rest: &[&str], input: &str| {
        let running = Running::start(by, &Bundle::new(&["sleep", "1000"]))?;
        let run = shell(by, line, &[&["exec"], rest, &[&running.id]].concat(), input)?;
        if run.stdout.starts_with("read") {
            Ok(run)
        } else {
            bail!("{by:?} {line} {rest:?}: {}", run.said())
        }
    };
    let mut said = Vec::new();
    for (line, rest, input) in [
        ("exec \"$@\"", &["-p", PROCESS][..], ""),
        ("exec \"${@:1:$#-1}\" -p <(cat /srv/lockc-it/process.json) \"${@: -1}\"", &[], ""),
        ("exec \"$@\"", &["--process=/dev/stdin"], &process.to_string()),
    ] {
        said.push(alike(lab, runtime, |by| exec(by, line, rest, input))?);
    }
    if runtime == Runtime::Crun {
        let folder =
            Bundle::new(&["sh", "-c", script]).write(By::Plain(runtime))?.display().to_string();
        let run = |by: By| {
            let line = "exec \"$@\" --config <(cat $0/config.json) $1";
            let line =
                line.replace("$0", &folder).replace(" $1", &format!(" {}", launch::fresh_id()));
            let run = shell(by, &line, &["run", "--bundle", &folder], "")?;
            if run.stdout.starts_with("read") { Ok(run) } else { bail!("{by:?}: {}", run.said()) }
        };
        said.push(alike(lab, runtime, run)?);
    }
    Ok(said.join(" | "))
}

fn no_such(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let mut said = Vec::new();
    for rest in [
        &["exec", "lockc-it-nope", "true"][..],
        &["exec", "-p", "/nonexistent", "lockc-it-nope"],
        &["state", "lockc-it-nope"],
        &["start", "lockc-it-nope"],
        &["delete", "lockc-it-nope"],
        &["delete", "--force", "lockc-it-nope"],
    ] {
        said.push(alike(lab, runtime, |by| shell(by, "exec \"$@\"", rest, ""))?);
    }
    Ok(said.join(" | "))
}

/// A container of the bare runtime's: under a policy that confines nothing, and under no other.
fn bare(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let running = Running::start(By::Plain(runtime), &Bundle::new(&["sleep", "1000"]))?;
    let said = alike(lab, runtime, |by| {
        shell(by, "exec \"$@\"", &["exec", &running.id, "sh", "-c", "echo in; exit 7"], "")
    })?;
    if lab.plain {
        return Ok(said);
    }
    let run = shell(By::Lockc("baseline"), "exec \"$@\"", &["exec", &running.id, "true"], "")?;
    if run.ok() || !run.stderr.contains("is not registered") {
        bail!("NOT REFUSED: {}", run.said());
    }
    Ok(said)
}

/// What a hook and the container's process have as the engine gave it.
fn signals(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let out = "/tmp/lockc-it-signals";
    let mut said = Vec::new();
    for line in ["exec \"$@\"", "trap '' PIPE; exec \"$@\"", "trap '' PIPE HUP USR1; exec \"$@\""] {
        said.push(alike(lab, runtime, |by| {
            let hook = json!([{
                "path": "/bin/sh",
                "args": ["sh", "-c", format!("grep -E '^Sig(Ign|Blk)' /proc/self/status > {out}")],
            }]);
            let bundle = Bundle::new(&["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"]);
            let bundle = bundle.set("/hooks", json!({ "createRuntime": hook }));
            let folder = bundle.write(by)?.display().to_string();
            let mut run = shell(by, line, &["run", "--bundle", &folder, &launch::fresh_id()], "")?;
            run.stdout.push_str(&fs::read_to_string(out).context("the hook wrote nothing")?);
            Ok(run)
        })?);
    }
    Ok(said.join(" | "))
}

fn streams(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let mut said = Vec::new();
    for (line, rest) in [
        ("exec \"$@\" <&-", &["run"][..]),
        ("exec \"$@\" 2>&-", &["run"]),
        ("exec \"$@\" <&- 2>&-", &["run"]),
        ("exec \"$@\" 0<&- 1<&- 2>&-", &["state"]),
    ] {
        said.push(alike(lab, runtime, |by| {
            // No pipeline: while the shell makes one, a closed stream is a pipe for a moment.
            let script = "cd /proc/self/fd; for n in 0 1 2; do readlink $n; done; true";
            let folder = Bundle::new(&["sh", "-c", script]).write(by)?.display().to_string();
            let id = launch::fresh_id();
            let bundle = if rest == ["run"] { vec!["--bundle", &folder] } else { Vec::new() };
            let mut run = shell(by, line, &[rest, &bundle, &[&id]].concat(), "")?;
            // The numbers of pipes.
            run.stdout.retain(|letter| !letter.is_ascii_digit());
            Ok(run)
        })?);
    }
    Ok(said.join(" | "))
}

fn directory(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let gone = "d=$(mktemp -d) && cd $d && rmdir $d && exec \"$@\"";
    alike(lab, runtime, |by| {
        let running = Running::start(by, &Bundle::new(&["sleep", "1000"]))?;
        let call = |rest: &[&str]| shell(by, gone, rest, "");
        let state = call(&["state", &running.id])?;
        let exec = call(&["exec", &running.id, "echo", "in"])?;
        let kill = call(&["kill", &running.id, "KILL"])?;
        let delete = call(&["delete", "--force", &running.id])?;
        let after = call(&["state", &running.id])?;
        let statuses = [state, exec, kill, delete, after].map(|run| run.status.to_string());
        Ok(Run { stdout: statuses.join(" "), ..command::run(&["true"])? })
    })
}

/// A `delete` that the runtime refuses changes nothing; a second `create` of the id is refused, and
/// the next `exec` has the policy of the container that runs.
fn refused_delete(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    if lab.plain {
        return Ok("nothing to follow without lockc".into());
    }
    config::write(runtime)?;
    let running = Running::start(By::Lockc("baseline"), &Bundle::new(&["sleep", "1000"]))?;
    let plain = Running::start(By::Plain(runtime), &Bundle::new(&["sleep", "1000"]))?;
    let (refused, as_ever) = (running.call(&["delete"], &[])?, plain.call(&["delete"], &[])?);
    if refused.status != as_ever.status || refused.ok() {
        bail!(
            "delete of a running container: status {} instead of {}",
            refused.status,
            as_ever.status
        );
    }
    if entry(&running.id)?["deleting"] != json!(false) {
        bail!("marked though the runtime refused: {}", entry(&running.id)?);
    }
    let folder =
        Bundle::new(&["sleep", "1000"]).write(By::Lockc("privileged"))?.display().to_string();
    let create = ["create", "--bundle", &folder, &running.id];
    let again = shell(By::Lockc("privileged"), "exec \"$@\"", &create, "")?;
    if again.ok() || !again.stderr.contains("already exists") {
        bail!("created twice: {}", again.said());
    }
    let attempt = launch::parse(&running.exec(&["/probe", "list", "/sys/fs/ext4"])?)?;
    if attempt.ok || entry(&running.id)?["policy"] != "baseline" {
        bail!("the exec has another policy: {attempt:?}, {}", entry(&running.id)?);
    }
    // A failing hook fails the command, not the removal.
    running.call(&["kill"], &["KILL"])?.must()?;
    running.call(&["delete", "--force"], &[])?.must()?;
    for _ in 0..50 {
        if entry(&running.id)?.is_null() {
            return Ok(format!("refused with {}, then gone", refused.status));
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    bail!("still registered after delete: {}", entry(&running.id)?)
}

/// What `lockc status` has of a container.
fn entry(id: &str) -> Result<Value> {
    let status: Value = lab::status()?;
    let containers = status["containers"].as_array().context("no containers in status")?;
    Ok(containers.iter().find(|entry| entry["id"] == *id).cloned().unwrap_or_default())
}

/// Containers that ended without a `delete` are no living ones to `lockc status`.
fn ended(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    if lab.plain {
        return Ok("nothing to see without lockc".into());
    }
    config::write(runtime)?;
    let folder = Bundle::new(&["true"]).write(By::Lockc("baseline"))?.display().to_string();
    let id = launch::fresh_id();
    shell(By::Lockc("baseline"), "exec \"$@\"", &["run", "--bundle", &folder, &id], "")?.must()?;
    let text = command::run(&["lockc", "status"])?.must()?;
    let shown: String = id.chars().take(12).collect();
    if text.lines().any(|line| line.trim_start().starts_with(&format!("{shown} "))) {
        bail!("listed as a container: {text}");
    }
    if !text.contains("without a process: ") {
        bail!("not told: {text}");
    }
    Ok(text.lines().find(|line| line.starts_with("without")).unwrap_or_default().to_owned())
}
