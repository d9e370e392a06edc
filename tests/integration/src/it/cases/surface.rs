//! The kernel itself, user namespaces, keys, capabilities at use, and what only `restricted`
//! denies.

use anyhow::{Context, Result, bail};
use nix::libc::{EACCES, ENOKEY, EPERM};

use super::{Row, Test, both, denied, row, same, works};
use crate::bundle::Bundle;
use crate::config;
use crate::lab::Lab;
use crate::launch::{self, By, Runtime};

fn admin(bundle: Bundle) -> Bundle {
    bundle.admin()
}

fn clock(bundle: Bundle) -> Bundle {
    bundle.cap("CAP_SYS_TIME")
}

/// Without the mount rule, which stands before bpf(2) and perf with CAP_SYS_ADMIN.
const fn kernel(args: &'static [&'static str]) -> Test {
    denied(args, admin, "mounting", EPERM, "kernel")
}

pub const ROWS: &[Row] = &[
    both("surface/bpf", kernel(&["bpf"])).core().thorough_with_runc(),
    row("surface/bpf-thread", kernel(&["thread", "bpf"])),
    row("surface/perf", kernel(&["perf"])),
    row("surface/clock", denied(&["set-clock"], clock, "test", EPERM, "kernel")),
    row(
        "surface/user-namespace",
        denied(&["unshare", "user", "list", "/"], same, "baseline", EPERM, "user-namespace"),
    )
    .core(),
    row(
        "surface/user-namespace-double-fork",
        denied(
            &["double-fork", "unshare", "user", "list", "/"],
            same,
            "baseline",
            EPERM,
            "user-namespace",
        ),
    ),
    row(
        "surface/request-key",
        denied(&["request-key", "user", "it:chosen"], same, "baseline", ENOKEY, "keyring"),
    ),
    row(
        "surface/request-key-offline",
        denied(&["request-key", "user", "it:off"], same, "offline", ENOKEY, "keyring"),
    ),
    row(
        "surface/request-key-thread",
        denied(&["thread", "request-key", "user", "it:t"], same, "baseline", ENOKEY, "keyring"),
    ),
    row("surface/io-uring", works(&["/probe", "io-uring"], same)).core(),
    row("surface/restricted-io-uring", denied(&["io-uring"], same, "tight", EPERM, "io-uring")),
    row(
        "surface/personality",
        denied(&["uring-xattr", "personality", "/probe"], admin, "test", EPERM, "capability"),
    ),
    // A policy without the rule that names the denial is no way around the others.
    row(
        "surface/worker",
        denied(&["uring-xattr", "worker", "/probe"], admin, "test", EPERM, "mount"),
    ),
    row("surface/fsuid", denied(&["regain-fsuid", "1000"], same, "tight", EPERM, "privilege")),
    row("surface/packet", works(&["/probe", "socket", "packet"], same)),
    row(
        "surface/restricted-packet",
        denied(&["socket", "packet"], same, "tight", EACCES, "raw-socket"),
    ),
    row(
        "surface/restricted-root",
        denied(&["regain-root", "1000"], same, "tight", EPERM, "privilege"),
    ),
    row("surface/root", works(&["/probe", "regain-root", "1000"], same)),
    row("surface/capability-by-changed-bundle", Test::Code(changed_bundle)),
];

fn changed_bundle(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let change = "s/\"CAP_CHOWN\"/\"CAP_CHOWN\",\"CAP_SYS_NICE\"/g";
    generous(lab, runtime, change, &Bundle::probe(&["hurry"]), EACCES, "capability")
}

/// A runtime that gives more than what admission saw, as one would that reads `config.json` after
/// somebody changed it.
const GENEROUS: &str = "/run/lockc-it-generous";

/// Proves that the kernel denies what a changed `config.json` gives; `change` is sed's.
pub fn generous(
    lab: &mut Lab,
    runtime: Runtime,
    change: &str,
    bundle: &Bundle,
    errno: i32,
    rule: &str,
) -> Result<String> {
    let script = format!(
        "#!/bin/sh\nfor word; do [ \"$before\" = --bundle ] && sed -i '{change}' \
         \"$word/config.json\"; before=$word; done\nexec {} \"$@\"\n",
        runtime.path()
    );
    std::fs::write(GENEROUS, script).context("cannot write a script")?;
    crate::command::sh(&format!("chmod 755 {GENEROUS}"))?;
    config::write_for(GENEROUS)?;
    if lab.plain {
        bail!("proves nothing: needs lockc between, to give what was not asked for");
    }
    let privileged = launch::attempt(By::Lockc("privileged"), bundle)?;
    if !privileged.ok {
        bail!("proves nothing: the runtime gave no more: {privileged:?}");
    }
    lab.forget_events()?;
    let under = launch::attempt(By::Lockc("baseline"), bundle)?;
    if under.ok || under.errno != errno {
        bail!("NOT DENIED with errno {errno}: {under:?}");
    }
    lab.expect_event(rule)?;
    Ok(under.detail)
}
