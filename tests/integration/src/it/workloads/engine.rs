//! What Docker does with containers: their life, and looking into them.

use anyhow::{Context, Result, bail};

use super::way::{IMAGE, Way, docker};
use super::{Workload, engine};
use crate::command;
use crate::docker::Background;

/// Why most rows do not run under `restricted`: starts are what takes the time here.
pub const ENGINE: &str = "Docker's side of it does not depend on the level";

pub const ROWS: &[Workload] = &[
    engine(
        "lifecycle",
        "pause, top, stats, update, restart, stop, logs, wait of a Redis",
        "redis-server",
        lifecycle,
    )
    .thorough()
    .baseline_only(ENGINE),
    engine("health", "a health check by redis-cli", "redis-tools", health)
        .thorough()
        .baseline_only(ENGINE),
    engine(
        "exec-and-attach",
        "exec with a terminal, a user, a directory; attach; exit codes",
        "",
        exec_and_attach,
    )
    .thorough()
    .baseline_only(ENGINE),
    engine("init", "--init: orphans reaped, a signal forwarded", "", init).thorough(),
    engine("restart-policy", "a program that fails is started again", "", restart_policy)
        .thorough()
        .baseline_only(ENGINE),
    engine(
        "limits",
        "--ulimit, --shm-size, --sysctl, --hostname, --add-host, --group-add, --pids-limit",
        "",
        limits,
    ),
    engine("log-drivers", "the drivers local and none", "", log_drivers)
        .thorough()
        .baseline_only(ENGINE),
    engine("checkpoint", "docker checkpoint create, and a start from it", "criu", checkpoint)
        .baseline_only("the program that is dumped is root's")
        .exception(
            "a start from a checkpoint is refused on purpose: a restored program executes \
             nothing, and would never become confined; such containers need the privileged level",
        ),
];

fn redis(way: &Way) -> Result<Background> {
    way.background(&["--memory", "256m", IMAGE, "redis-server", "--save", "", "--dir", "/tmp"])
}

fn ping(c: &Background) -> Result<bool> {
    Ok(c.exec(&["timeout", "5", "redis-cli", "ping"])?.stdout == "PONG")
}

fn lifecycle(way: &Way) -> Result<String> {
    let c = redis(way)?;
    command::patiently("a PONG", || ping(&c))?;
    c.exec(&["redis-cli", "set", "a", "b"])?.must()?;
    docker(&["pause", &c.name])?;
    let paused = c.inspect("{{.State.Status}}")?;
    docker(&["unpause", &c.name])?;
    let kept = c.exec(&["redis-cli", "get", "a"])?.must()?;
    let top =
        docker(&["top", &c.name])?.lines().filter(|line| line.contains("redis-server")).count();
    let stats = docker(&["stats", "--no-stream", "--format", "{{.MemUsage}}", &c.name])?;
    docker(&["update", "--memory", "128m", "--memory-swap", "128m", "--cpus", "0.5", &c.name])?;
    let limits = c.exec(&["cat", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/cpu.max"])?.must()?;
    docker(&["restart", "-t", "20", &c.name])?;
    command::patiently("a PONG after the restart", || ping(&c))?;
    docker(&["stop", "-t", "30", &c.name])?;
    let status = docker(&["wait", &c.name])?;
    let logs = docker(&["logs", &c.name])?;
    let starts = logs.matches("Ready to accept connections").count();
    let ends = logs.matches("ready to exit").count();
    let total = stats.split('/').nth(1).unwrap_or("").trim();
    Ok(format!(
        "{paused}, {kept}, {top} in top, of {total}, {limits:?}, status {status}, {starts} \
         starts, {ends} ends"
    ))
}

fn health(way: &Way) -> Result<String> {
    let check = [
        "--health-cmd",
        "redis-cli ping | grep PONG",
        "--health-interval",
        "1s",
        "--health-timeout",
        "30s",
    ];
    let c = way.background(
        &[&check[..], &[IMAGE, "redis-server", "--save", "", "--dir", "/tmp"]].concat(),
    )?;
    command::patiently("healthy", || Ok(c.inspect("{{.State.Health.Status}}")? == "healthy"))?;
    c.inspect("{{(index .State.Health.Log 0).Output}}")
}

fn exec_and_attach(way: &Way) -> Result<String> {
    let c = way.background(&[
        "-i",
        IMAGE,
        "bash",
        "-c",
        "while read -r line; do echo \"read $line\"; done; sleep 1000",
    ])?;
    let line = format!("docker exec -it {} sh -c 'tty; head -n 1 > /dev/null'", c.name);
    let tty =
        command::run_with_input(&["script", "-qec", &line, "/dev/null"], "typed\n")?.must()?;
    // `script` may echo the end of its input before the program speaks.
    let tty = tty
        .lines()
        .find_map(|line| line.split_once("/dev/pts"))
        .map_or("none", |(_, rest)| rest.trim())
        .to_owned();
    let user = command::run(&[
        "docker",
        "exec",
        "-u",
        "1000:1000",
        "-w",
        "/usr",
        "-e",
        "A=b",
        &c.name,
        "sh",
        "-c",
        "id -u; pwd; echo $A",
    ])?
    .must()?;
    let status = command::run(&["docker", "exec", &c.name, "sh", "-c", "exit 7"])?.status;
    let missing = command::run(&["docker", "exec", &c.name, "/none"])?.status;
    command::run(&["docker", "exec", "-d", &c.name, "sleep", "100"])?.must()?;
    command::patiently("a detached exec", || Ok(docker(&["top", &c.name])?.contains("sleep 100")))?;
    // Docker now and then drops what an attached client says or hears in its last moment, with
    // every runtime: the log is looked at, and one of the attempts must arrive.
    command::patiently("an attached client's line", || {
        command::run_with_input(
            &["timeout", "-s", "KILL", "10", "docker", "attach", &c.name],
            "attached\n",
        )?;
        Ok(docker(&["logs", &c.name])?.contains("read attached"))
    })?;
    Ok(format!("{tty}, {user:?}, {status}, {missing}"))
}

fn init(way: &Way) -> Result<String> {
    let program = "trap 'exit 12' TERM; (sleep 0.2 &); echo ready; while :; do sleep 0.1; done";
    let c = way.background(&["--init", IMAGE, "bash", "-c", program])?;
    command::patiently("ready", || Ok(docker(&["logs", &c.name])?.contains("ready")))?;
    let first = c.exec(&["cat", "/proc/1/comm"])?.must()?;
    let zombies = c.exec(&["sh", "-c", "ps -eo stat | grep -c '^Z' || true"])?.must()?;
    docker(&["kill", "-s", "TERM", &c.name])?;
    Ok(format!("{first}, {zombies} zombies, status {}", docker(&["wait", &c.name])?))
}

fn restart_policy(way: &Way) -> Result<String> {
    let c =
        way.background(&["--restart", "on-failure:2", IMAGE, "sh", "-c", "echo run; exit 3"])?;
    command::patiently("two restarts", || {
        Ok(c.inspect("{{.State.Status}} {{.RestartCount}}")? == "exited 2")
    })?;
    Ok(format!("{} runs", docker(&["logs", &c.name])?.matches("run").count()))
}

fn limits(way: &Way) -> Result<String> {
    way.says(&[
        "--ulimit",
        "nofile=333:444",
        "--shm-size",
        "8m",
        "--sysctl",
        "net.ipv4.ip_unprivileged_port_start=77",
        "--sysctl",
        "kernel.shm_rmid_forced=1",
        "--hostname",
        "named",
        "--add-host",
        "other:192.0.2.1",
        "--group-add",
        "2000",
        "--pids-limit",
        "50",
        IMAGE,
        "sh",
        "-ec",
        "ulimit -Sn; df -k --output=size /dev/shm | tail -n 1; cat \
         /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced; \
         hostname; getent hosts other; id -G | grep -o 2000; cat /sys/fs/cgroup/pids.max; cat \
         /etc/hostname; test -s /etc/resolv.conf",
    ])
}

fn log_drivers(way: &Way) -> Result<String> {
    let c =
        way.background(&["--log-driver", "local", IMAGE, "sh", "-c", "echo out; echo err >&2"])?;
    docker(&["wait", &c.name])?;
    let local = command::run(&["docker", "logs", &c.name])?.said();
    let none = way.says(&["--log-driver", "none", IMAGE, "echo", "not kept"])?;
    Ok(format!("{local:?}, {none}"))
}

/// A counter is dumped; without lockc it goes on from there, with lockc that is refused with its
/// reason.
fn checkpoint(way: &Way) -> Result<String> {
    if !command::run(&["criu", "--version"])?.ok() {
        bail!("the guest has no criu");
    }
    // criu's own judgement of this kernel.
    let probe = command::run(&["criu", "check"])?;
    if !probe.ok() {
        return Err(crate::cases::Skip(format!("criu check: {}", probe.said())).into());
    }
    let c = way.background(&[
        "--security-opt",
        "seccomp=unconfined",
        IMAGE,
        "sh",
        "-c",
        "n=0; while :; do n=$((n + 1)); echo $n > /tmp/n; sleep 0.5; done",
    ])?;
    command::patiently("a count", || Ok(c.exec(&["test", "-s", "/tmp/n"])?.ok()))?;
    let made = command::run(&["docker", "checkpoint", "create", &c.name, "one"])?;
    if !made.ok() && way.runtime() == Way::PLAIN.runtime() {
        return Err(crate::cases::Skip(format!(
            "criu cannot dump it, without lockc too: {}",
            made.said()
        ))
        .into());
    }
    made.must().context("criu dumps it")?;
    let stopped = c.inspect("{{.State.Status}}")?;
    let again = command::run(&["docker", "start", "--checkpoint", "one", &c.name])?;
    // The one thing that must not be alike: said in docs/workloads.md.
    match (way.runtime() == Way::PLAIN.runtime(), again.ok()) {
        (true, true) => {}
        (true, false) => {
            bail!("without lockc it does not start from its checkpoint: {}", again.said())
        }
        (false, true) => bail!("lockc lets a restored container run, which it cannot confine"),
        (false, false) if again.said().contains("never become confined") => {}
        (false, false) => bail!("not started, but not for lockc's reason: {}", again.said()),
    }
    Ok(format!("dumped: {stopped}"))
}
