//! Ordinary work with Docker under baseline.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::ordinary::DPKG_WORK;
use super::{Row, Test, row};
use crate::command;
use crate::docker::{DEBIAN, IMAGE};
use crate::lab::Lab;
use crate::launch::Runtime;

const fn case(name: &'static str, code: fn(&mut Lab, Runtime) -> Result<String>) -> Row {
    row(name, Test::Code(code))
}

pub const ROWS: &[Row] = &[
    case("docker/shell", shell).smoke().on_btrfs(),
    case("docker/debian-package-work", packages),
    case("docker/exec-cp-stop", exec_cp_stop).smoke().on_btrfs(),
    row("docker/healthcheck", Test::Code(healthcheck)).thorough(),
    row("docker/named-volume", Test::Code(named_volume)).thorough(),
    row("docker/home-volume", Test::Code(home_volume)).thorough(),
    row("docker/tmpfs-init-user-workdir", Test::Code(options)).thorough(),
    row("docker/terminal", Test::Code(terminal)),
    row("docker/exit-codes", Test::Code(exit_codes)).thorough(),
    row("docker/signals", Test::Code(signals)).thorough(),
    row("docker/restart", Test::Code(restart)).thorough(),
    row("docker/pause-top-update-stats", Test::Code(manage)).thorough(),
    row("docker/read-only", Test::Code(read_only)).thorough(),
    row("docker/shared-namespaces", Test::Code(shared)).thorough(),
];

/// The runtime under test.
fn runtime(lab: &Lab) -> &'static str {
    if lab.plain { "" } else { "lockc" }
}

/// `docker run`, whose output must contain `expected`.
fn says(lab: &mut Lab, args: &[&str], expected: &str) -> Result<String> {
    let runtime = runtime(lab);
    let text = lab.docker()?.run(runtime, args)?.must()?;
    if text.contains(expected) {
        Ok(expected.to_owned())
    } else {
        bail!("{text:?} does not contain {expected:?}")
    }
}

fn shell(lab: &mut Lab, _: Runtime) -> Result<String> {
    says(
        lab,
        &[
            IMAGE,
            "sh",
            "-ec",
            "id; ls / > /dev/null; echo x > /tmp/f; cat /tmp/f /etc/resolv.conf /etc/hosts \
             /etc/hostname; ps; echo all-done",
        ],
        "all-done",
    )
}

fn packages(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.docker()?.with_debian()?;
    says(lab, &[DEBIAN, "bash", "-c", DPKG_WORK], "perl")
}

fn exec_cp_stop(lab: &mut Lab, _: Runtime) -> Result<String> {
    let runtime = runtime(lab);
    let c = lab.docker()?.background(
        runtime,
        &[
            IMAGE,
            "sh",
            "-c",
            "trap 'echo stopping; exit 0' TERM; echo started; while :; do sleep 1; done",
        ],
    )?;
    if c.exec(&["sh", "-c", "echo from-exec; exit 5"])?.status != 5 {
        bail!("docker exec does not pass the exit status on");
    }
    c.exec(&["sh", "-c", "ls /sys/fs/ext4 2>&1 | grep -q denied || test -z \"$CHECK\""])?
        .must()
        .context("exec")?;
    command::sh(&format!("echo copied > /tmp/cp && docker cp /tmp/cp {}:/tmp/cp", c.name))?;
    c.exec(&["cat", "/tmp/cp"])?.must().context("docker cp in")?;
    command::sh(&format!("docker cp {}:/tmp/cp /tmp/cp2 && grep copied /tmp/cp2", c.name))
        .context("docker cp out")?;
    c.call(&["stop", "-t", "10"])?.must()?;
    let logs = c.call(&["logs"])?.must()?;
    if !logs.contains("started") || !logs.contains("stopping") {
        bail!("logs: {logs}");
    }
    Ok("exec, cp in, cp out, stop, logs".into())
}

fn healthcheck(lab: &mut Lab, _: Runtime) -> Result<String> {
    let runtime = runtime(lab);
    let health = [
        "--health-cmd",
        "test -e /etc/passwd",
        "--health-interval",
        "1s",
        "--health-timeout",
        "20s",
    ];
    let c =
        lab.docker()?.background(runtime, &[&health[..], &[IMAGE, "sleep", "1000"]].concat())?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) {
        if c.inspect("{{.State.Health.Status}}")? == "healthy" {
            return Ok("healthy".into());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    bail!("not healthy: {}", c.inspect("{{json .State.Health}}")?)
}

fn named_volume(lab: &mut Lab, _: Runtime) -> Result<String> {
    says(
        lab,
        &["-v", "lockc-vol:/data", IMAGE, "sh", "-ec", "echo kept > /data/f; ls -l /data"],
        "f",
    )?;
    says(lab, &["-v", "lockc-vol:/data:ro", IMAGE, "cat", "/data/f"], "kept")
}

fn home_volume(lab: &mut Lab, _: Runtime) -> Result<String> {
    command::sh("mkdir -p /home/user/project && echo source > /home/user/project/main")?;
    says(
        lab,
        &[
            "-v",
            "/home/user/project:/src",
            IMAGE,
            "sh",
            "-ec",
            "cp /src/main /src/copy; mv /src/copy /src/built; cat /src/built",
        ],
        "source",
    )?;
    command::sh("cat /home/user/project/built")
}

fn options(lab: &mut Lab, _: Runtime) -> Result<String> {
    says(
        lab,
        &[
            "--tmpfs",
            "/scratch",
            "--init",
            "-w",
            "/scratch",
            "-e",
            "A=b",
            IMAGE,
            "sh",
            "-ec",
            "echo x > f; cat f; echo $A; ps | head -3; echo good",
        ],
        "good",
    )?;
    says(lab, &["-u", "1000", IMAGE, "id", "-u"], "1000")
}

fn terminal(lab: &mut Lab, _: Runtime) -> Result<String> {
    let runtime = runtime(lab);
    lab.docker()?;
    let name = if runtime.is_empty() { "runc" } else { runtime };
    let line = format!(
        "docker run --rm -it --network none --runtime {name} {IMAGE} sh -c 'tty; stty size; echo \
         typed: $(head -n1)'"
    );
    let text =
        command::run_with_input(&["script", "-qec", &line, "/dev/null"], "hello\n")?.must()?;
    if text.contains("/dev/pts/0") && text.contains("typed: hello") {
        Ok("/dev/pts/0".into())
    } else {
        bail!("{text:?}")
    }
}

fn exit_codes(lab: &mut Lab, _: Runtime) -> Result<String> {
    let runtime = runtime(lab);
    let docker = lab.docker()?;
    for (args, status) in [
        (&[IMAGE, "sh", "-c", "exit 42"][..], 42),
        (&[IMAGE, "/none"], 127),
        (&[IMAGE, "/etc/passwd"], 126),
        (&[IMAGE, "sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137),
    ] {
        let run = docker.run(runtime, args)?;
        if run.status != status {
            bail!("{args:?}: {} instead of {status}: {}", run.status, run.said());
        }
    }
    Ok("42, 127, 126, 137".into())
}

fn signals(lab: &mut Lab, _: Runtime) -> Result<String> {
    let runtime = runtime(lab);
    let c = lab.docker()?.background(
        runtime,
        &[IMAGE, "sh", "-c", "trap 'exit 33' USR1; echo ready; while :; do sleep 0.2; done"],
    )?;
    for _ in 0..50 {
        if c.call(&["logs"])?.stdout.contains("ready") {
            break;
        }
    }
    c.call(&["kill", "-s", "USR1"])?.must()?;
    let status = c.call(&["wait"])?.must()?;
    if status == "33" { Ok("USR1 arrives".into()) } else { bail!("exit status {status}") }
}

fn restart(lab: &mut Lab, _: Runtime) -> Result<String> {
    let runtime = runtime(lab);
    let c = lab.docker()?.background(runtime, &[IMAGE, "sh", "-c", "echo run; exec sleep 1000"])?;
    c.call(&["restart", "-t", "1"])?.must()?;
    c.exec(&["true"])?.must().context("exec after restart")?;
    c.call(&["stop", "-t", "1"])?.must()?;
    c.call(&["start"])?.must().context("start after stop")?;
    c.exec(&["true"])?.must().context("exec after start")?;
    let runs = c.call(&["logs"])?.must()?.matches("run").count();
    if runs == 3 { Ok("restart, stop, start".into()) } else { bail!("{runs} runs in the log") }
}

fn manage(lab: &mut Lab, _: Runtime) -> Result<String> {
    let runtime = runtime(lab);
    let c = lab.docker()?.background(runtime, &[IMAGE, "sleep", "1000"])?;
    for words in [
        &["pause"][..],
        &["unpause"],
        &["top"],
        &["update", "--memory", "128m", "--memory-swap", "128m"],
        &["stats", "--no-stream"],
        &["diff"],
        &["inspect"],
    ] {
        c.call(words)?.must().with_context(|| words.join(" "))?;
    }
    Ok("pause, unpause, top, update, stats, diff".into())
}

fn read_only(lab: &mut Lab, _: Runtime) -> Result<String> {
    says(
        lab,
        &[
            "--read-only",
            "--tmpfs",
            "/tmp",
            "--cap-drop",
            "ALL",
            "--security-opt",
            "no-new-privileges",
            IMAGE,
            "sh",
            "-ec",
            "echo x > /tmp/f; ! touch /x 2> /dev/null; echo good",
        ],
        "good",
    )
}

/// A second container in the network and IPC namespaces of a first, as sidecars are.
fn shared(lab: &mut Lab, _: Runtime) -> Result<String> {
    let runtime = runtime(lab);
    let docker = lab.docker()?;
    let c = docker.background(runtime, &["--ipc", "shareable", IMAGE, "sleep", "1000"])?;
    let (net, ipc) = (format!("container:{}", c.name), format!("container:{}", c.name));
    let mut words = vec!["docker", "run", "--rm", "--network", &net, "--ipc", &ipc];
    if !runtime.is_empty() {
        words.extend(["--runtime", runtime]);
    }
    words.extend([IMAGE, "sh", "-c", "ls /sys/class/net; echo x > /dev/shm/x; echo joined"]);
    command::run(&words)?.must()
}
