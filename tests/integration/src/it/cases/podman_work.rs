//! Ordinary work with Podman under baseline, and under restricted where that is meant to do: as
//! without lockc.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Row, Test, both, row};
use crate::command::{self, Run};
use crate::lab::Lab;
use crate::launch::Runtime;
use crate::podman::{self, Background, IMAGE};

pub const ROWS: &[Row] = &[
    both("podman/shell", Test::Code(shell)).smoke(),
    both("podman/exec-cp-logs-stop", Test::Code(exec_cp_stop)).thorough_with_runc(),
    row("podman/pause-top-update-stats", Test::Code(manage)).thorough(),
    both("podman/restart", Test::Code(restart)).thorough(),
    row("podman/terminal", Test::Code(terminal)),
    row("podman/volumes", Test::Code(volumes)).thorough(),
    row("podman/init-tmpfs-read-only-secret", Test::Code(options)).thorough(),
    row("podman/exit-codes", Test::Code(exit_codes)).thorough(),
    row("podman/healthcheck", Test::Code(healthcheck)).thorough(),
    both("podman/user-namespace", Test::Code(user_namespace)).thorough_with_runc(),
    row("podman/bridge", Test::Code(bridge)),
    row("podman/shared-namespaces", Test::Code(shared)).thorough(),
    row("podman/restricted", Test::Code(restricted)),
    both("podman/notify-socket", Test::Code(notify)).thorough_with_runc(),
    row("podman/preserved-descriptors", Test::Code(preserved)),
    row("podman/checkpoint", Test::Code(checkpoint)),
];

/// The runtime under test, which a level may have in its name.
fn by(lab: &Lab, runtime: Runtime, lockc: &'static str) -> &'static str {
    if lab.plain { podman::name(runtime) } else { lockc }
}

fn run(lab: &mut Lab, runtime: Runtime, args: &[&str]) -> Result<Run> {
    let name = by(lab, runtime, "lockc");
    lab.podman()?.run(name, args)
}

/// `podman run`, whose output must contain `expected`.
fn says(lab: &mut Lab, runtime: Runtime, args: &[&str], expected: &str) -> Result<String> {
    let text = run(lab, runtime, args)?.must().with_context(|| args.join(" "))?;
    if text.contains(expected) {
        Ok(expected.to_owned())
    } else {
        bail!("{text:?} does not contain {expected:?}")
    }
}

fn background(lab: &mut Lab, runtime: Runtime, args: &[&str]) -> Result<Background> {
    let name = by(lab, runtime, "lockc");
    lab.podman()?.background(name, args)
}

fn shell(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let line = "id; ls / > /dev/null; echo x > /tmp/f; cat /tmp/f /etc/hosts /etc/hostname \
                /run/.containerenv; ps; cat /sys/fs/cgroup/pids.max; echo all-done";
    says(lab, runtime, &[IMAGE, "sh", "-ec", line], "all-done")
}

fn exec_cp_stop(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let line = "trap 'echo stopping; exit 0' TERM; echo started; while :; do sleep 1; done";
    let c = background(lab, runtime, &[IMAGE, "sh", "-c", line])?;
    if c.exec(&["sh", "-c", "echo from-exec; exit 5"])?.status != 5 {
        bail!("podman exec does not pass the exit status on");
    }
    let user = command::run(&["podman", "exec", "-u", "1000", &c.name, "id", "-u"])?.must()?;
    if user != "1000" {
        bail!("podman exec -u: {user}");
    }
    let as_tty = format!("podman exec -t {} sh -c 'tty; ls -l /proc/self/fd/0'", c.name);
    let tty = command::run(&["script", "-qec", &as_tty, "/dev/null"])?.must()?;
    if !tty.contains("/dev/pts/") {
        bail!("podman exec -t: {tty}");
    }
    command::sh(&format!("echo copied > /tmp/cp && podman cp /tmp/cp {}:/tmp/cp", c.name))?;
    c.exec(&["cat", "/tmp/cp"])?.must().context("podman cp in")?;
    command::sh(&format!("podman cp {}:/tmp/cp /tmp/cp2 && grep copied /tmp/cp2", c.name))
        .context("podman cp out")?;
    c.call(&["stop", "-t", "20"])?.must()?;
    let logs = c.call(&["logs"])?.must()?;
    if !logs.contains("started") || !logs.contains("stopping") {
        bail!("logs: {logs}");
    }
    Ok("exec, exec -u, exec -t, cp in, cp out, stop, logs".into())
}

fn manage(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let c = background(lab, runtime, &[IMAGE, "sleep", "1000"])?;
    for words in [
        &["pause"][..],
        &["unpause"],
        &["top"],
        &["update", "--memory", "128m"],
        &["stats", "--no-stream"],
        &["diff"],
        &["kill", "-s", "USR1"],
        &["generate", "kube"],
    ] {
        c.call(words)?.must().with_context(|| words.join(" "))?;
    }
    Ok("pause, unpause, top, update, stats, diff, kill, generate kube".into())
}

fn restart(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let c = background(lab, runtime, &[IMAGE, "sh", "-c", "echo run; exec sleep 1000"])?;
    c.call(&["restart", "-t", "0"])?.must()?;
    c.exec(&["true"])?.must().context("exec after restart")?;
    c.call(&["stop", "-t", "0"])?.must()?;
    c.call(&["start"])?.must().context("start after stop")?;
    c.exec(&["true"])?.must().context("exec after start")?;
    let runs = c.call(&["logs"])?.must()?.matches("run").count();
    if runs == 3 { Ok("restart, stop, start".into()) } else { bail!("{runs} runs in the log") }
}

fn terminal(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let name = by(lab, runtime, "lockc");
    lab.podman()?;
    let line = format!(
        "podman --runtime {name} run --rm -it --network none {IMAGE} sh -c 'tty; stty size; echo \
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

fn volumes(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    says(
        lab,
        runtime,
        &["-v", "lockc-vol:/data", IMAGE, "sh", "-ec", "echo kept > /data/f; ls -l /data"],
        "f",
    )?;
    says(lab, runtime, &["-v", "lockc-vol:/data:ro", IMAGE, "cat", "/data/f"], "kept")?;
    command::sh("mkdir -p /home/user/project && echo source > /home/user/project/main")?;
    let line = "cp /src/main /src/copy; mv /src/copy /src/built; cat /src/built";
    says(
        lab,
        runtime,
        &["-v", "/home/user/project:/src:rw,U", IMAGE, "sh", "-ec", line],
        "source",
    )?;
    says(
        lab,
        runtime,
        &["-v", "/anonymous", IMAGE, "sh", "-ec", "echo x > /anonymous/f; cat /anonymous/f"],
        "x",
    )?;
    Ok("named, of /home, anonymous".into())
}

fn options(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let line = "cat /proc/1/cmdline; echo; echo x > f; cat f; cat /run/secrets/word; ! touch /x \
                2> /dev/null; echo good";
    command::sh("podman secret exists word || printf hidden | podman secret create word -")?;
    let args =
        ["--init", "--tmpfs", "/scratch", "-w", "/scratch", "--read-only", "--secret", "word"];
    let text = run(lab, runtime, &[&args[..], &[IMAGE, "sh", "-ec", line]].concat())?.must()?;
    for part in ["podman-init", "hidden", "good"] {
        if !text.contains(part) {
            bail!("{text:?} does not contain {part:?}");
        }
    }
    Ok(text)
}

fn exit_codes(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    for (args, status) in [
        (&[IMAGE, "sh", "-c", "exit 42"][..], 42),
        (&[IMAGE, "/none"], 127),
        (&[IMAGE, "/etc/passwd"], 126),
        (&[IMAGE, "sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137),
    ] {
        let run = run(lab, runtime, args)?;
        if run.status != status {
            bail!("{args:?}: {} instead of {status}: {}", run.status, run.said());
        }
    }
    Ok("42, 127, 126, 137".into())
}

fn healthcheck(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    // Without systemd's timers somebody has to run it.
    let health = ["--health-cmd", "test -e /etc/passwd", "--health-interval", "disable"];
    let c = background(lab, runtime, &[&health[..], &[IMAGE, "sleep", "1000"]].concat())?;
    c.call(&["healthcheck", "run"])?.must().context("healthcheck run")
}

fn user_namespace(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let maps = ["--uidmap", "0:200000:5000", "--gidmap", "0:200000:5000"];
    let line = "cat /proc/self/uid_map; touch /tmp/f; ls -ln /tmp/f; echo mapped";
    says(lab, runtime, &[&maps[..], &[IMAGE, "sh", "-ec", line]].concat(), "mapped")?;
    // Since shadow 4.20 or so, ranges of a user that does not exist count for nothing.
    command::sh(
        "id containers > /dev/null 2>&1 || useradd -M -r -s /usr/sbin/nologin containers; grep -q \
         ^containers /etc/subuid 2>/dev/null || echo containers:300000:65536 | tee -a /etc/subuid \
         >> /etc/subgid",
    )?;
    says(lab, runtime, &["--userns", "auto:size=2000", IMAGE, "sh", "-ec", line], "mapped")
}

/// A network of its own by netavark; the machine has no other.
fn bridge(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let name = by(lab, runtime, "lockc");
    lab.podman()?;
    // A closed port answers at once.
    let line = "ip addr show dev eth0 | grep inet; cat /etc/resolv.conf > /dev/null; gw=$(ip \
                route | sed -n 's/default via \\([^ ]*\\).*/\\1/p'); nc -w 20 $gw 9 2>&1 < \
                /dev/null | grep refused && echo reached";
    let words = [
        "podman",
        "--runtime",
        name,
        "run",
        "--rm",
        "--network",
        "bridge",
        IMAGE,
        "sh",
        "-c",
        line,
    ];
    let text = command::run(&words)?.must()?;
    if text.contains("reached") { Ok("bridge".into()) } else { bail!("{text}") }
}

/// A second container in the namespaces of a first, as sidecars are.
fn shared(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let name = by(lab, runtime, "lockc");
    let c = background(lab, runtime, &["--ipc", "shareable", IMAGE, "sleep", "1000"])?;
    let of = format!("container:{}", c.name);
    let mut words = vec![
        "podman",
        "--runtime",
        name,
        "run",
        "--rm",
        "--network",
        &of,
        "--ipc",
        &of,
        "--pid",
        &of,
    ];
    words.extend([
        IMAGE,
        "sh",
        "-c",
        "ls /sys/class/net; echo x > /dev/shm/x; ps | grep sleep; echo joined",
    ]);
    command::run(&words)?.must()
}

fn restricted(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let name = by(lab, runtime, "lockc-restricted");
    let podman = lab.podman()?;
    let modest = [
        "--user",
        "1000",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "-v",
        "lockc-own:/data:U",
    ];
    let line = "echo x > /data/f; cat /data/f /etc/hosts; sleep 1000";
    let c = podman.background(name, &[&modest[..], &[IMAGE, "sh", "-ec", line]].concat())?;
    c.exec(&["id", "-u"])?.must().context("exec")?;
    if lab.plain {
        return Ok("without lockc".into());
    }
    let as_root = command::run(&["podman", "exec", "-u", "0", &c.name, "id"])?;
    if as_root.ok() || !as_root.stderr.contains("run-as-root: ") {
        bail!("exec -u 0: status {}: {}", as_root.status, as_root.said());
    }
    Ok(as_root.stderr)
}

/// `--sdnotify=container`: the runtime gives the container a socket of its own and passes on what
/// is sent to it.
fn notify(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let name = by(lab, runtime, "lockc");
    lab.podman()?;
    let socket = "/run/lockc-it/notify.sock";
    let _ = std::fs::remove_file(socket);
    let host =
        std::os::unix::net::UnixDatagram::bind(socket).context("cannot bind a notify socket")?;
    host.set_read_timeout(Some(Duration::from_secs(20))).context("no timeout")?;
    let (c, sends) = (crate::launch::fresh_id(), "/probe notify $NOTIFY_SOCKET; exec sleep 1000");
    let background = Background { name: c.clone() };
    let line = format!(
        "NOTIFY_SOCKET={socket} podman --runtime {name} run -d --name {c} --network none \
         --sdnotify container {IMAGE} sh -c '{sends}'"
    );
    let start = Instant::now();
    let started = std::thread::spawn(move || command::run(&["bash", "-c", &line]));
    let mut ready = false;
    let mut buffer = [0; 512];
    while !ready && start.elapsed() < Duration::from_secs(60) {
        let Ok(length) = host.recv(&mut buffer) else { continue };
        ready = String::from_utf8_lossy(&buffer[..length]).contains("READY=1");
    }
    let started = started.join().map_err(|_| anyhow::anyhow!("podman run panicked"))??;
    if !ready {
        bail!("the host heard nothing: {}; {}", started.said(), background.call(&["logs"])?.said());
    }
    started.must()
}

/// A descriptor that is passed on purpose: what is a file must be on a mount that the container was
/// given.
fn preserved(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let name = by(lab, runtime, "lockc");
    lab.podman()?;
    let with = |opens: &str, reads: &str| {
        let run = format!(
            "podman --runtime {name} run --rm --network none --preserve-fds 1 {IMAGE} sh -c \
             '{reads}'"
        );
        command::run(&["bash", "-c", &format!("exec 3< {opens}; {run}")])
    };
    let pipe = with("<(echo through-a-pipe)", "cat <&3")?.must()?;
    let file = with("/var/lib/lockc-it-secrets/key", "cat <&3")?;
    match (lab.plain, file.stdout.contains("secret of the host")) {
        (true, true) | (false, false) => Ok(format!("{pipe}; the host's file: {}", file.said())),
        (_, read) => bail!("the host's file was read: {read}: {}", file.said()),
    }
}

/// A checkpoint can be made; what comes of it is not restored.
fn checkpoint(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let c = background(lab, runtime, &[IMAGE, "sleep", "1000"])?;
    let made = c.call(&["container", "checkpoint"])?;
    if !made.ok() {
        return Err(super::Skip(format!("no checkpoints here: {}", made.said())).into());
    }
    command::shows(&c.call(&["container", "restore"])?, &["restore: "])
}
