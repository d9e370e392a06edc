//! Keyrings, and attributes of files that only an administrator sets.

use anyhow::{Result, bail};
use libc::{EACCES, EDQUOT, ENOKEY, EOPNOTSUPP, EPERM};

use super::{Row, Test, by_of, denied, row, same, works};
use crate::bundle::Bundle;
use crate::command;
use crate::lab::Lab;
use crate::launch::{self, By, Running, Runtime};

pub const ROWS: &[Row] = &[
    row("keys/of-the-user", denied(&["user-keyring"], same, "baseline", ENOKEY, "keyring")).core(),
    // The run without lockc has made it.
    row(
        "keys/persistent-of-root",
        denied(&["persistent-keyring", "0"], same, "baseline", EACCES, "keyring"),
    )
    .one_kernel(),
    row(
        "keys/persistent-of-another",
        denied(&["persistent-keyring", "1000"], same, "baseline", EACCES, "keyring"),
    )
    .one_kernel(),
    row("keys/persistent-new", Test::Code(persistent)),
    row("keys/own", works(&["/probe", "own-key"], same)),
    row("keys/too-many", denied(&["fill-keys", "1500"], same, "baseline", EDQUOT, "keyring")),
    row("keys/one-after-another", works(&["/probe", "churn-keys", "4000"], same)).one_kernel(),
    row("keys/of-others", Test::Code(others)).one_kernel(),
    row("keys/attributes", Test::Code(attributes)),
    row(
        "keys/file-capabilities",
        works(
            &[
                "sh",
                "-c",
                "cp /probe /mnt/a/p && /probe give-capability /mnt/a/p 10 && /probe \
                 remove-capability /mnt/a/p",
            ],
            same,
        ),
    ),
];

/// A keyring that its user on the host does not have yet: the first to make it would own it.
fn persistent(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let bundle = Bundle::probe(&["persistent-keyring", "4242"]);
    lab.forget_events()?;
    let under = launch::attempt(By::Lockc("baseline"), &bundle)?;
    if under.ok || under.errno != EOPNOTSUPP {
        bail!("NOT DENIED with errno {EOPNOTSUPP}: {under:?}");
    }
    let event = lab.expect_event("keyring")?;
    if !event.contains("persistent keyring") {
        bail!("the event does not say what: {event}");
    }
    if command::sh("cat /proc/keys")?.contains("_persistent.4242") {
        bail!("there is a keyring");
    }
    let privileged = launch::attempt(By::Lockc("privileged"), &bundle)?;
    if privileged.ok {
        Ok(under.detail)
    } else {
        bail!("denied under privileged too: {privileged:?}")
    }
}

/// What a container with too many keys does to others: nothing.
fn others(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let by = by_of(lab, runtime, "baseline");
    let script = "/probe keep-key 5 > /mnt/a/kept; sleep 1000";
    let read =
        "for n in $(seq 100); do [ -s /mnt/a/kept ] && break; sleep 0.1; done; cat /mnt/a/kept";
    let running = Running::start(by, &Bundle::new(&["sh", "-c", script]))?;
    let run = launch::run(by, &Bundle::probe(&["fill-keys", "1500"]))?;
    if !lab.plain && run.ok() {
        bail!("NOT DENIED: {}", run.said());
    }
    let kept = running.exec(&["sh", "-c", read])?.must()?;
    if !kept.contains("read back") {
        bail!("the key is gone: {kept}");
    }
    // The next containers have keys, those that take the same places too.
    for _ in 0..2 {
        launch::run(by, &Bundle::probe(&["own-key"]))?.must()?;
    }
    Ok(kept)
}

/// `security.*`, which the kernel lets only an administrator set: before 6.10 nobody, where BPF LSM
/// is active.
fn attributes(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let asks = !command::sh("uname -r")?.starts_with("6.1.");
    let path = "/probe";
    let ways: [(&str, Bundle, &'static str); 4] = [
        ("a user", Bundle::probe(&["security-attributes", path]).user(1000), "baseline"),
        ("root", Bundle::probe(&["security-attributes", path]), "baseline"),
        ("an administrator", Bundle::probe(&["security-attributes", path]).admin(), "test"),
        (
            "a user namespace",
            Bundle::probe(&["unshare", "user", "security-attributes", path]),
            "nesting",
        ),
    ];
    let mut said = Vec::new();
    for (who, bundle, policy) in ways {
        let plain = launch::attempt(By::Plain(runtime), &bundle)?;
        let kernel_denies = asks && plain.errno == EPERM;
        if !plain.ok && !kernel_denies {
            bail!("{who} without lockc: {plain:?}");
        }
        if lab.plain {
            continue;
        }
        lab.forget_events()?;
        let under = launch::attempt(By::Lockc(policy), &bundle)?;
        if under.ok || under.errno != EPERM {
            bail!("NOT DENIED to {who}: {under:?}");
        }
        if plain.ok {
            lab.expect_event_of(&["capability", "mount"])?;
        }
        said.push(format!("{who}: {}", under.detail));
    }
    Ok(said.join(", "))
}
