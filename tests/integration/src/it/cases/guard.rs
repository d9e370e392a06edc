//! Containers that a runtime starts without the wrapper, while `lockc load --guard-runtimes` holds.

use anyhow::{Result, bail};
use libc::{EACCES, EPERM};

use super::{Row, Test, both, one_kernel, row};
use crate::bundle::Bundle;
use crate::command;
use crate::lab::{Lab, SECRETS};
use crate::launch::{self, By, Runtime};

/// The guard reads the kernel's events, which are alike on every kernel.
pub const ROWS: &[Row] = &one_kernel([
    both(
        "guard/enforce",
        Test::Code(|lab, runtime| guarded(lab, "--guard-runtimes", |lab| enforced(lab, runtime))),
    )
    .thorough_with_runc(),
    row(
        "guard/report",
        Test::Code(|lab, runtime| {
            guarded(lab, "--guard-runtimes=report", |lab| reported(lab, runtime))
        }),
    ),
    row("guard/off-by-default", Test::Code(off)),
]);

/// Whatever comes of `work`, the next case finds no guard.
fn guarded(
    lab: &mut Lab,
    option: &str,
    work: impl Fn(&mut Lab) -> Result<String>,
) -> Result<String> {
    if lab.plain {
        bail!("proves nothing: needs lockc to be loaded");
    }
    command::run(&["lockc", "load", option])?.must()?;
    let result = work(lab);
    command::run(&["lockc", "load"])?.must()?;
    result
}

fn leak() -> Bundle {
    let mut bundle = Bundle::probe(&["read", "fd:3/key"]);
    bundle.leak = Some(SECRETS.into());
    bundle
}

fn attempts() -> [(&'static str, Bundle, i32); 4] {
    [
        ("sysfs", Bundle::probe(&["list", "/sys/fs/ext4"]), EACCES),
        ("mount", Bundle::probe(&["mount", "tmpfs", "/mnt/x"]).admin(), EPERM),
        ("files", leak(), EACCES),
        ("user-namespace", Bundle::probe(&["double-fork", "unshare", "user", "list", "/"]), EPERM),
    ]
}

fn enforced(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    for (rule, bundle, errno) in attempts() {
        lab.forget_events()?;
        let under = launch::attempt(By::Plain(runtime), &bundle)?;
        if under.ok || under.errno != errno {
            bail!("{rule}: NOT DENIED with errno {errno}: {under:?}");
        }
        lab.expect_event(rule)?;
    }
    // Without static admission, what the host gives is the container's.
    let ordinary = Bundle::new(&[
        "sh",
        "-ec",
        "echo x > /data/f; ls -l /data/f; touch /data/f; rm /data/f; ps; ls / > /dev/null",
    ])
    .bind("/srv/lockc-it/data", "/data");
    launch::run(By::Plain(runtime), &ordinary)?.must()?;
    let status = command::run(&["lockc", "status"])?.must()?;
    if !status.contains("--guard-runtimes") {
        bail!("status does not say it: {status}");
    }
    // The wrapper's containers stay its own.
    let own = launch::attempt(By::Lockc("privileged"), &Bundle::probe(&["list", "/sys/fs/ext4"]))?;
    if own.ok {
        Ok("four rules".into())
    } else {
        bail!("the wrapper's level was not the one: {own:?}")
    }
}

fn reported(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    for (rule, bundle, _) in attempts() {
        lab.forget_events()?;
        let under = launch::attempt(By::Plain(runtime), &bundle)?;
        if !under.ok {
            bail!("{rule}: denied, not only reported: {under:?}");
        }
        let event = lab.expect_event(rule)?;
        if !event.contains("audit") {
            bail!("{rule}: the event does not say that nothing was denied: {event}");
        }
    }
    Ok("four rules".into())
}

fn off(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    lab.forget_events()?;
    let under = launch::attempt(By::Plain(runtime), &Bundle::probe(&["list", "/sys/fs/ext4"]))?;
    let events = if lab.plain { Vec::new() } else { lab.events()? };
    if under.ok && events.is_empty() {
        Ok("not checked".into())
    } else {
        bail!("{under:?} {events:?}")
    }
}
