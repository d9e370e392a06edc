//! What is refused before it starts, with a reason that the user sees.

use anyhow::{Result, bail};

use super::{Row, Test, both, one_kernel, row, works};
use crate::bundle::Bundle;
use crate::check::Works;
use crate::command;
use crate::lab::Lab;
use crate::launch::{self, By, Runtime};

const fn refused(give: fn(Bundle) -> Bundle, reason: &'static str) -> Test {
    Test::Refused { give, policy: "baseline", reason }
}

/// Under a policy that admits mounts of the host.
const fn own_files(give: fn(Bundle) -> Bundle) -> Test {
    Test::Refused { give, policy: "escape-baseline", reason: "own-files" }
}

/// A path with more bytes than the first lockc compared.
const LONG: &str =
    "/etc/../var/lib/../../etc/../var/lib/../../etc/../var/lib/../../etc/../var/lib/../../etc";

/// The wrapper alone decides these, whatever the kernel.
pub const ROWS: &[Row] = &one_kernel([
    both("admission/host-root", refused(|b| b.bind("/", "/rootfs"), "/")).thorough_with_runc(),
    row("admission/etc", refused(|b| b.bind("/etc", "/host-etc"), "/etc")),
    row("admission/etc-file", refused(|b| b.bind("/etc/shadow", "/shadow"), "/etc/shadow")),
    row("admission/long-path", refused(|b| b.bind(LONG, "/host-etc"), "/etc")),
    row("admission/proc", refused(|b| b.bind("/proc", "/host-proc"), "/proc")),
    row("admission/sys", refused(|b| b.bind("/sys", "/host-sys"), "/sys")),
    row("admission/dev", refused(|b| b.bind("/dev", "/host-dev"), "/dev")),
    row("admission/run", refused(|b| b.bind("/run", "/host-run"), "/run")),
    row("admission/var-run", refused(|b| b.bind("/var/run", "/host-run"), "/run")),
    row("admission/parent-of-forbidden", refused(|b| b.bind("/var", "/host-var"), "/var")),
    row("admission/symlink", Test::Code(symlink)),
    row("admission/prefix-is-no-parent", Test::Code(prefix)),
    row(
        "admission/socket",
        refused(|b| b.bind("/srv/lockc-it/sockets/stream.sock", "/s"), "socket"),
    ),
    row(
        "admission/renamed-socket",
        refused(|b| b.bind("/srv/lockc-it/sockets/notes.txt", "/s"), "socket"),
    ),
    row("admission/cap-sys-admin", refused(|b| b.cap("CAP_SYS_ADMIN"), "SYS_ADMIN")),
    row(
        "admission/cap-dac-read-search",
        refused(|b| b.cap("CAP_DAC_READ_SEARCH"), "DAC_READ_SEARCH"),
    ),
    row("admission/host-pid", refused(|b| b.host("pid"), "pid")),
    row("admission/host-network", refused(|b| b.host("network"), "network")),
    row("admission/host-ipc", refused(|b| b.host("ipc"), "ipc")),
    row("admission/host-pid-by-path", refused(|b| b.join("pid", "/proc/1/ns/pid"), "pid")),
    row("admission/device", refused(|b| b.device("/dev/mem2", 1, 1), "/dev/mem2")),
    row(
        "admission/wasm-handler",
        refused(|b| b.annotation("run.oci.handler", "none-such").annotation("x", "y"), "handler"),
    ),
    row(
        "admission/restricted-root",
        Test::Refused { give: super::same, policy: "restricted", reason: "run-as-root" },
    ),
    row(
        "admission/restricted-volume",
        Test::Refused {
            give: |b| b.user(1000).bind("/srv/lockc-it/data", "/data"),
            policy: "restricted",
            reason: "/srv/lockc-it/data",
        },
    ),
    row("admission/own-files", own_files(|b| b.bind("/", "/host"))),
    row("admission/own-files-etc", own_files(|b| b.bind("/etc", "/host"))),
    row("admission/own-program", own_files(|b| b.bind("/usr/local", "/host"))),
    row(
        "admission/own-files-read-only",
        Test::Works(Works {
            args: &["cat", "/host/lockc/lockc.toml"],
            give: |b| b.bind_read_only("/etc", "/host"),
            policy: "escape-baseline",
        }),
    ),
    // Whatever a policy admits: who is granted the root directory is granted every file.
    row(
        "admission/host-root-whatever-is-admitted",
        Test::Refused {
            give: |b| b.bind_read_only("/", "/host"),
            policy: "escape-baseline",
            reason: "is the root directory of the host",
        },
    ),
    row("admission/joined-user-namespace-root", Test::Code(joined_user_namespace)),
    row(
        "admission/allowed-mounts",
        works(&["ls", "/a", "/b"], |b| {
            b.bind("/srv/lockc-it/data", "/a").bind("/home/user/data", "/b")
        }),
    ),
    row("admission/annotation-tighter", Test::Code(tighter)),
    row("admission/annotation-looser", Test::Code(looser)),
    row("admission/unknown-policy", Test::Code(unknown)),
]);

fn outcome(
    lab: &Lab,
    runtime: Runtime,
    bundle: &Bundle,
    policy: &'static str,
    starts: bool,
    says: &str,
) -> Result<String> {
    let run = launch::run(if lab.plain { By::Plain(runtime) } else { By::Lockc(policy) }, bundle)?;
    if lab.plain
        || (starts && run.ok())
        || (!starts && !run.ok() && run.stderr.contains("lockc") && run.stderr.contains(says))
    {
        Ok(run.stderr)
    } else {
        bail!("status {}: {}", run.status, run.said())
    }
}

/// A symlink in an allowed place that leads to a forbidden one.
fn symlink(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    command::sh("ln -sfn /etc /srv/lockc-it/innocent")?;
    outcome(
        lab,
        runtime,
        &Bundle::new(&["true"]).bind("/srv/lockc-it/innocent", "/x"),
        "baseline",
        false,
        "/etc",
    )
}

/// `/srvX` does not lie in `/srv`, and `/etcX` not in `/etc`.
fn prefix(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    command::sh("mkdir -p /srvX /home/../etcX")?;
    outcome(lab, runtime, &Bundle::new(&["true"]).bind("/srvX", "/x"), "baseline", false, "/srvX")
}

fn tighter(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let bundle = Bundle::probe(&["socket", "inet"]).annotation("org.lockc.policy", "offline");
    let attempt =
        launch::attempt(if lab.plain { By::Plain(runtime) } else { By::Lockc("") }, &bundle)?;
    if attempt.ok == lab.plain { Ok(attempt.detail) } else { bail!("{attempt:?}") }
}

fn looser(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let bundle = Bundle::new(&["true"]).annotation("org.lockc.policy", "privileged");
    outcome(lab, runtime, &bundle, "", false, "privileged")
}

fn unknown(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    outcome(lab, runtime, &Bundle::new(&["true"]), "no-such-policy", false, "no-such-policy")
}

/// Root of a user namespace that is joined by its path: another uid of the host's, which becomes
/// root again.
fn joined_user_namespace(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let line = "unshare -U sleep 1000 < /dev/null > /dev/null 2>&1 & p=$!; until [ \"$(readlink \
                /proc/$p/ns/user)\" != \"$(readlink /proc/$$/ns/user)\" ]; do sleep 0.1; done; \
                echo 0 100000 65536 > /proc/$p/uid_map; echo 0 100000 65536 > /proc/$p/gid_map; \
                echo $p";
    let holder = command::sh(line)?;
    let bundle =
        Bundle::probe(&["regain-root", "1000"]).join("user", &format!("/proc/{holder}/ns/user"));
    let result = root_again(lab, runtime, &bundle);
    command::sh(&format!("kill {holder}"))?;
    if !lab.plain {
        let gone = launch::run(By::Lockc("tight"), &bundle)?;
        if gone.ok()
            || !gone.stderr.contains("host-namespaces")
            || !gone.stderr.contains("user namespace")
        {
            bail!("a namespace without a process: {}", gone.said());
        }
    }
    result
}

fn root_again(lab: &Lab, runtime: Runtime, bundle: &Bundle) -> Result<String> {
    let before = launch::attempt(By::Plain(runtime), bundle)?;
    if !before.ok {
        bail!("proves nothing: without lockc it fails too: {before:?}");
    }
    if lab.plain {
        return Ok(before.detail);
    }
    lab.forget_events()?;
    let under = launch::attempt(By::Lockc("tight"), bundle)?;
    if under.ok {
        bail!("NOT DENIED: {under:?}");
    }
    lab.expect_event("privilege")?;
    let baseline = launch::attempt(By::Lockc("baseline"), bundle)?;
    if baseline.ok { Ok(under.detail) } else { bail!("BROKEN under baseline: {baseline:?}") }
}
