//! Tasks: no way of making one loses the label, and other containers' and the host's are out of
//! reach.

use anyhow::{Context, Result, bail};
use libc::{EACCES, EPERM};

use super::{Row, Test, both, denied, row, same, works};
use crate::bundle::Bundle;
use crate::check::Works;
use crate::command;
use crate::lab::Lab;
use crate::launch::{self, By, Running, Runtime};

fn host_pids(bundle: Bundle) -> Bundle {
    bundle.admin().host("pid")
}

/// With the capabilities to change how any task runs.
fn host_pids_nice(bundle: Bundle) -> Bundle {
    host_pids(bundle).cap("CAP_SYS_NICE").cap("CAP_SYS_RESOURCE")
}

const fn changed(args: &'static [&'static str]) -> Test {
    denied(args, host_pids_nice, "test", EPERM, "process")
}

/// By a task of another kind: the same denial as always.
const fn by(args: &'static [&'static str]) -> Test {
    denied(args, same, "baseline", EACCES, "sysfs")
}

const fn on_host(args: &'static [&'static str]) -> Test {
    denied(args, host_pids, "test", EPERM, "process")
}

/// In a browser's sandbox, as an ordinary user.
const fn in_sandbox(args: &'static [&'static str], errno: i32, rule: &'static str) -> Test {
    denied(args, |bundle| bundle.user(1000), "nesting", errno, rule)
}

/// What works there, as an ordinary user too.
const fn sandboxed(args: &'static [&'static str], policy: &'static str) -> Test {
    Test::Works(Works { args, give: |bundle| bundle.user(1000), policy })
}

pub const ROWS: &[Row] = &[
    row("tasks/fork", by(&["fork", "list", "/sys/fs/ext4"])),
    both("tasks/double-fork", by(&["double-fork", "list", "/sys/fs/ext4"])),
    row("tasks/setsid", by(&["setsid", "list", "/sys/fs/ext4"])),
    row("tasks/thread", by(&["thread", "list", "/sys/fs/ext4"])),
    row(
        "tasks/thread-in-double-fork",
        by(&["double-fork", "setsid", "thread", "list", "/sys/fs/ext4"]),
    ),
    row("tasks/vfork", by(&["vfork", "list", "/sys/fs/ext4"])).core(),
    row("tasks/posix-spawn", by(&["spawn", "list", "/sys/fs/ext4"])),
    row("tasks/clone-files", by(&["clone-files", "list", "/sys/fs/ext4"])).core(),
    row("tasks/clone-parent", by(&["fork", "clone-parent", "list", "/sys/fs/ext4"])),
    row("tasks/exec-by-thread", by(&["thread-exec", "list", "/sys/fs/ext4"])),
    row(
        "tasks/unshare-user",
        denied(&["unshare", "user", "list", "/sys/fs/ext4"], same, "nesting", EACCES, "sysfs"),
    ),
    row(
        "tasks/unshare-pid",
        denied(
            &["unshare", "user,pid", "fork", "list", "/sys/fs/ext4"],
            same,
            "nesting",
            EACCES,
            "sysfs",
        ),
    ),
    // A browser's own sandbox works by one setting, which opens nothing outside of its namespaces.
    row(
        "tasks/no-browser-sandbox",
        denied(&["browser-sandbox"], same, "baseline", EPERM, "user-namespace"),
    ),
    row("tasks/browser-sandbox", sandboxed(&["/probe", "browser-sandbox"], "nesting")),
    row(
        "tasks/browser-sandbox-restricted",
        sandboxed(&["/probe", "browser-sandbox"], "tight-nesting"),
    )
    .one_kernel(),
    row(
        "tasks/sandbox-clock",
        sandboxed(&["/probe", "in-sandbox", "expect-fail", "1", "set-clock"], "nesting"),
    )
    .one_kernel(),
    row(
        "tasks/sandbox-nice",
        sandboxed(&["/probe", "in-sandbox", "expect-fail", "13", "hurry"], "nesting"),
    )
    .one_kernel(),
    row(
        "tasks/sandbox-sysfs",
        in_sandbox(&["in-sandbox", "list", "/sys/fs/ext4"], EACCES, "sysfs"),
    )
    .one_kernel(),
    row(
        "tasks/sandbox-mount",
        in_sandbox(&["in-sandbox", "unshare", "mnt", "mount", "tmpfs", "/mnt/a"], EPERM, "mount"),
    )
    .one_kernel(),
    row(
        "tasks/sandbox-bind",
        in_sandbox(&["in-sandbox", "unshare", "mnt", "bind", "/etc", "/mnt/a"], EPERM, "mount"),
    )
    .one_kernel(),
    row(
        "tasks/sandbox-open-tree",
        in_sandbox(&["in-sandbox", "unshare", "mnt", "open-tree", "/etc", "."], EPERM, "mount"),
    )
    .one_kernel(),
    row(
        "tasks/sandbox-fsmount",
        in_sandbox(&["in-sandbox", "unshare", "mnt", "fsmount", "tmpfs", "."], EPERM, "mount"),
    )
    .one_kernel(),
    row(
        "tasks/sandbox-in-sandbox",
        in_sandbox(&["in-sandbox", "unshare", "user,mnt", "fsmount", "tmpfs", "."], EPERM, "mount"),
    )
    .one_kernel(),
    row("tasks/sandbox-tree-namespace", Test::Code(tree_namespace)).one_kernel(),
    row("tasks/unshare-files", by(&["unshare", "fs,files", "list", "/sys/fs/ext4"])),
    row("tasks/chroot", by(&["chroot", "/sys", "list", "/fs/ext4"])),
    row("tasks/fork-storm", by(&["forks", "2000", "list", "/sys/fs/ext4"])).slow(),
    row("tasks/fork-storm-100000", Test::Code(storm)).thorough(),
    row("tasks/pid-reused-by-the-host", Test::Code(reused_by_host)),
    row("tasks/pid-reused-by-a-container", Test::Code(reused_by_container)),
    both("tasks/ptrace-host", on_host(&["ptrace", "{victim}"])).core().thorough_with_runc(),
    row("tasks/vm-read-host", on_host(&["vm-read", "{victim}"])).core(),
    row("tasks/pidfd-getfd-host", on_host(&["pidfd-getfd", "{victim}", "0"])),
    row(
        "tasks/setns-host",
        denied(&["setns", "{victim}", "mnt"], host_pids, "test", EACCES, "process"),
    ),
    row(
        "tasks/environ-host",
        denied(&["read", "/proc/{victim}/environ"], host_pids, "test", EACCES, "process"),
    ),
    row("tasks/kill-host", on_host(&["kill", "{victim}", "0"])),
    row("tasks/kill-host-pidfd", on_host(&["pidfd-kill", "{victim}", "0"])),
    row("tasks/prlimit-host", changed(&["prlimit", "{victim}"])),
    row("tasks/affinity-host", changed(&["affinity", "{victim}"])),
    row("tasks/nice-host", changed(&["nice", "{victim}"])),
    row("tasks/ionice-host", changed(&["ionice", "{victim}"])),
    row("tasks/owner-self", works(&["/probe", "set-owner", "self", "fcntl"], same)),
    row(
        "tasks/owner-group",
        works(&["/probe", "setsid", "set-owner", "self", "fcntl-group"], same),
    ),
    // In a PID namespace of its own every number is that of a task in it.
    row("tasks/owner-extended-self", works(&["/probe", "set-owner", "self", "fcntl-ex"], same)),
    row("tasks/owner-ioctl-self", works(&["/probe", "set-owner", "self", "ioctl"], same)),
    row("tasks/own-files", works(&["sh", "-c", OWN_FILES], same)),
    row(
        "tasks/host-pids",
        Test::Works(Works { args: &["sh", "-c", OWN_FILES], give: host_pids, policy: "test" }),
    ),
    row(
        "tasks/owner-self-host-pids",
        Test::Works(Works {
            args: &["/probe", "set-owner", "self", "fcntl"],
            give: host_pids,
            policy: "test",
        }),
    ),
    row("tasks/shared-pids", Test::Code(shared_pids)).one_kernel(),
    row("tasks/kill-thread", on_host(&["thread", "kill", "{victim}", "0"])),
    row("tasks/ptrace-own", works(&["/probe", "own-child"], same)),
    row(
        "tasks/many-at-once",
        works(&["sh", "-c", "for i in $(seq 60); do sleep 2 & done; wait"], same),
    ),
];

/// A task's own entries in procfs, those of another task of the container, and ps and top.
const OWN_FILES: &str = "echo 7 > /proc/self/oom_score_adj && cat /proc/self/net/unix \
                         /proc/net/unix /proc/mounts > /dev/null && cat /proc/thread-self/limits \
                         > /dev/null && sleep 5 & sleep 1; echo 9 > /proc/$!/oom_score_adj && cat \
                         /proc/$!/mountinfo /proc/$!/net/dev /proc/$!/task/$!/limits > /dev/null \
                         && kill $! && ps > /dev/null && top -b -n 1 > /dev/null && cat \
                         /proc/1/stat /proc/1/status /proc/1/cmdline > /dev/null";

/// What acts as another task, or tells what it holds.
const ACTS: [&[&str]; 5] = [
    &["ptrace", "1"],
    &["vm-read", "1"],
    &["read", "/proc/1/environ"],
    &["readlink", "/proc/1/fd/0"],
    &["list", "/proc/1/fdinfo"],
];

/// Containers that share a PID namespace: one takes over another only where that one may do no
/// more.
fn shared_pids(lab: &mut Lab, _: Runtime) -> Result<String> {
    if lab.plain {
        return Ok("nothing to prove without lockc".into());
    }
    // The one that is there, the one that joins, and whether the second may act as the first.
    let pairs = [
        ("baseline", "baseline", true),
        ("audited", "baseline", false),
        ("privileged", "baseline", false),
        ("test", "baseline", false),
        ("devices", "test", false),
        ("devices", "devices", true),
        ("restricted", "baseline", true),
        ("baseline", "restricted", false),
        ("reads-dmi", "test", false),
        ("reads-dmi", "reads-dmi", true),
        ("test", "reads-dmi", true),
        ("offline", "baseline", true),
        ("baseline", "offline", false),
    ];
    let user = |bundle: Bundle, policy: &str| {
        if policy == "restricted" { bundle.user(1000) } else { bundle }
    };
    for (theirs, own, may) in pairs {
        // Equal users and capabilities, so that the kernel itself lets the second trace the first.
        let as_user = |bundle: Bundle| {
            if [theirs, own].contains(&"restricted") { user(bundle, "restricted") } else { bundle }
        };
        let first = Running::start(By::Lockc(theirs), &as_user(Bundle::new(&["sleep", "1000"])))
            .with_context(|| format!("{theirs} does not start"))?;
        let path = format!("/proc/{}/ns/pid", first.pid);
        let attempt = |args: &[&str]| {
            launch::attempt(By::Lockc(own), &as_user(Bundle::probe(args)).join("pid", &path))
        };
        for args in ACTS {
            lab.forget_events()?;
            let done = attempt(args)?;
            if done.ok != may {
                bail!("{args:?} by {own} at {theirs}: {done:?}");
            }
            if !may {
                lab.expect_event("process")
                    .with_context(|| format!("{args:?} by {own} at {theirs}"))?;
            }
        }
        // The numbers of its descriptors are shown to the same user, as the task itself is: the
        // kernel asks for ptrace access only for what they lead to (fs/proc/fd.c,
        // `proc_fd_permission`).
        if theirs == "audited" {
            let numbers = attempt(&["list", "/proc/1/fd"])?;
            if !numbers.ok || !numbers.detail.starts_with("0 1 2") {
                bail!("the numbers of descriptors by {own} at {theirs}: {numbers:?}");
            }
        }
        // Signals stay possible: whoever runs them lets them see each other.
        let signal = attempt(&["kill", "1", "0"])?;
        if !signal.ok {
            bail!("a signal by {own} to {theirs}: {signal:?}");
        }
    }
    Ok(format!("{} pairs", pairs.len()))
}

/// The number; the confinement holds after it, and the kernel's count of tasks is right
/// again.
fn storm(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let bundle = Bundle::probe(&["forks", "100000", "list", "/sys/fs/ext4"]);
    let by = if lab.plain { By::Plain(runtime) } else { By::Lockc("baseline") };
    let attempt = launch::parse(&launch::run_for(900, by, &bundle)?)?;
    if attempt.ok != lab.plain {
        bail!("after the storm: {attempt:?}");
    }
    if lab.plain {
        return Ok("100000 tasks".into());
    }
    // A host process notices nothing.
    command::sh("ls /sys/fs/ext4 > /dev/null")?;
    Ok(format!("100000 tasks, then: {}", attempt.detail))
}

/// A process of the host's with the PID of a container's that is gone.
fn reused_by_host(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let by = if lab.plain { By::Plain(runtime) } else { By::Lockc("baseline") };
    let running = Running::start(by, &Bundle::new(&["sleep", "1000"]))?;
    let pid = running.pid.to_string();
    running.call(&["kill"], &["KILL"])?.must()?;
    drop(running);
    for _ in 0..50 {
        if !std::path::Path::new(&format!("/proc/{pid}")).exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    for probe in [["list", "/sys/fs/ext4"], ["read", "/etc/shadow"], ["syslog", "3"]] {
        let run = command::run(&["lockc-probe", "with-pid", &pid, probe[0], probe[1]])?;
        let attempt = launch::parse(&run)?;
        if !attempt.ok {
            bail!("a host process with the reused PID {pid} is confined: {attempt:?}");
        }
    }
    Ok(format!("PID {pid} is free"))
}

/// A container's process with the PID of a host process that is gone.
fn reused_by_container(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let pid = command::run(&["sh", "-c", "echo $$"])?.must()?;
    let bundle = host_pids(Bundle::probe(&["with-pid", &pid, "list", "/sys/fs/ext4"]));
    let plain = launch::attempt(By::Plain(runtime), &bundle)?;
    if !plain.ok {
        bail!("proves nothing: {plain:?}");
    }
    if lab.plain {
        return Ok("possible without lockc".into());
    }
    let under = launch::attempt(By::Lockc("test"), &bundle).context("under lockc")?;
    if under.errno == EACCES { Ok(under.detail) } else { bail!("{under:?}") }
}

/// A mount namespace of a directory, which Linux 7 makes in one call and asks for no right to
/// mount: the directory is not what the container was granted, and mounting stays denied.
fn tree_namespace(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let tries = |next: &[&str]| {
        Bundle::probe(&[&["unshare", "user", "open-tree-namespace", "/etc"], next].concat())
    };
    for (next, errno, rule) in
        [(&["list", "/"][..], EACCES, "files"), (&["fsmount", "tmpfs", "."][..], EPERM, "mount")]
    {
        let bundle = tries(next).user(1000);
        let plain = launch::attempt(By::Plain(runtime), &bundle)?;
        if plain.errno == libc::EINVAL {
            return Err(super::Skip("this kernel has no such call".into()).into());
        }
        if !plain.ok {
            bail!("proves nothing: without lockc it fails too: {plain:?}");
        }
        if lab.plain {
            continue;
        }
        lab.forget_events()?;
        let under = launch::attempt(By::Lockc("nesting"), &bundle)?;
        if under.ok || under.errno != errno {
            bail!("NOT DENIED with errno {errno}: {under:?}");
        }
        lab.expect_event(rule)?;
    }
    Ok("its files and mounts are denied".into())
}
