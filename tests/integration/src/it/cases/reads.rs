//! What a policy lets its containers read in procfs and sysfs beyond the table: that, and nothing
//! beside it; read only; each policy its own; over a reload.

use anyhow::{Result, bail};
use libc::EACCES;

use super::{Row, Test, both, denied, one_kernel, row, same};
use crate::bundle::Bundle;
use crate::check::Works;
use crate::command;
use crate::lab::Lab;
use crate::launch::{By, Running};

const fn works(script: &'static [&'static str], policy: &'static str) -> Test {
    Test::Works(Works { args: script, give: same, policy })
}

const fn sysfs(args: &'static [&'static str], policy: &'static str) -> Test {
    denied(args, same, policy, EACCES, "sysfs")
}

const fn procfs(args: &'static [&'static str], policy: &'static str) -> Test {
    denied(args, same, policy, EACCES, "procfs")
}

/// Read by the policy `reads-dmi` and by `reads-block` only.
const DMI: &str =
    "head -c 9 /proc/kallsyms > /dev/null && cat /sys/class/dmi/id/sys_vendor > /dev/null";
const BLOCK: &str =
    "head -c 9 /proc/interrupts > /dev/null && cat /sys/class/block/vda/size > /dev/null";

/// What a machine without DMI lacks.
const DMI_OF_MACHINE: &str = "/sys/class/dmi/id";

/// One rule by one hook, with many paths.
pub const ROWS: &[Row] = &one_kernel([
    both(
        "reads/file-and-link",
        works(
            &[
                "sh",
                "-c",
                "head -c 9 /proc/kallsyms > /dev/null && cat /sys/class/dmi/id/sys_vendor \
                 /sys/devices/virtual/dmi/id/bios_vendor && ls /sys/class/dmi/id/ \
                 /sys/devices/virtual/dmi/id/power",
            ],
            "reads-dmi",
        ),
    )
    .needs(DMI_OF_MACHINE)
    .thorough_with_runc(),
    row(
        "reads/links-in-a-directory",
        works(
            &[
                "sh",
                "-c",
                "ls /sys/class/block && cat /sys/class/block/vda/size \
                 /sys/block/vda/queue/rotational",
            ],
            "reads-block",
        ),
    ),
    row(
        "reads/with-all-below",
        works(&["sh", "-c", "ls /sys/fs/ext4/vda > /dev/null"], "reads-block"),
    ),
    row(
        "reads/looks",
        works(
            &[
                "sh",
                "-c",
                "readlink /sys/class/dmi/id && stat /sys/class/dmi /sys/devices/virtual/dmi \
                 /sys/class/dmi/id/ /proc/kallsyms /sys/devices/virtual/dmi/id/sys_vendor",
            ],
            "reads-dmi",
        ),
    )
    .needs(DMI_OF_MACHINE),
    row("reads/link-of-another-policy", sysfs(&["readlink", "/sys/class/dmi/id"], "test"))
        .needs(DMI_OF_MACHINE),
    row("reads/looks-beside", sysfs(&["stat", "/sys/devices/virtual/vtconsole"], "reads-dmi")),
    row("reads/without", sysfs(&["list", "/sys/class/dmi/id/"], "test")).needs(DMI_OF_MACHINE),
    row("reads/nothing-there", sysfs(&["list", "/sys/class/dmi/id/"], "reads-nothing-there"))
        .needs(DMI_OF_MACHINE),
    row("reads/other-policys", sysfs(&["read", "/sys/class/block/vda/size"], "reads-dmi")),
    row("reads/other-policys-proc", procfs(&["read", "/proc/kallsyms"], "reads-block")),
    row("reads/beside-in-procfs", procfs(&["read", "/proc/interrupts"], "reads-dmi")),
    row("reads/beside-in-sysfs", sysfs(&["list", "/sys/devices/virtual/vtconsole"], "reads-dmi")),
    row("reads/above", sysfs(&["list", "/sys/devices/virtual/dmi"], "reads-dmi"))
        .needs(DMI_OF_MACHINE),
    row("reads/where-a-link-stands", sysfs(&["list", "/sys/class/dmi"], "reads-dmi"))
        .needs(DMI_OF_MACHINE),
    row(
        "reads/by-a-link-out-of-it",
        sysfs(&["list", "/sys/devices/virtual/dmi/id/subsystem/"], "reads-dmi"),
    )
    .needs(DMI_OF_MACHINE),
    row(
        "reads/relative",
        sysfs(&["list", "/sys/devices/virtual/dmi/id/../../vtconsole"], "reads-dmi"),
    )
    .needs(DMI_OF_MACHINE),
    row("reads/same-name-elsewhere", sysfs(&["list", "/sys/block/vda/power"], "reads-dmi")),
    row("reads/write", sysfs(&["write", "/sys/class/block/vda/uevent", "change"], "reads-block")),
    both("reads/at-once-and-over-a-reload", Test::Code(|lab, _| at_once(lab)))
        .needs(DMI_OF_MACHINE)
        .thorough_with_runc(),
    row("reads/one-set-for-all", Test::Code(|lab, _| one_set(lab)))
        .needs(DMI_OF_MACHINE)
        .thorough(),
]);

/// Two containers at once each read their own, and not the other's.
fn at_once(lab: &mut Lab) -> Result<String> {
    let bundle = Bundle::new(&["sleep", "1000"]);
    if lab.plain {
        return Ok("nothing to prove without lockc".into());
    }
    let dmi = Running::start(By::Lockc("reads-dmi"), &bundle)?;
    let block = Running::start(By::Lockc("reads-block"), &bundle)?;
    let check = || -> Result<()> {
        for (container, own, other) in [(&dmi, DMI, BLOCK), (&block, BLOCK, DMI)] {
            container.exec(&["sh", "-c", own])?.must()?;
            // Each half of it alone: what the first one is denied must not hide that the second one
            // is not.
            for half in other.split(" && ") {
                let run = container.exec(&["sh", "-c", half])?;
                if run.ok() || !run.said().contains("Permission denied") {
                    bail!("NOT DENIED: {half}: status {}: {}", run.status, run.said());
                }
            }
        }
        Ok(())
    };
    check()?;
    command::run(&["lockc", "load", "--force"])?.must()?;
    check()?;
    Ok("before and after lockc load --force".into())
}

fn sets() -> Result<usize> {
    let count = |map: &str| -> Result<usize> {
        let text = command::sh(&format!(
            "bpftool -j map dump pinned /sys/fs/bpf/lockc/maps/{map} | jq length"
        ))?;
        Ok(text.trim().parse()?)
    };
    // An entry that belongs to no set would never be removed again.
    if count("read_sets")? == 0 && count("reads")? != 0 {
        bail!("names without a set");
    }
    count("read_sets")
}

/// Containers under one policy share a set; sets that nobody uses any more go when the next one
/// comes.
fn one_set(lab: &mut Lab) -> Result<String> {
    if lab.plain {
        return Ok("nothing to prove without lockc".into());
    }
    lab.unload()?;
    lab.load()?;
    let bundle = Bundle::new(&["sleep", "1000"]);
    if sets()? != 0 {
        bail!("there are sets before the first container");
    }
    let first = Running::start(By::Lockc("reads-dmi"), &bundle)?;
    let second = Running::start(By::Lockc("reads-dmi"), &bundle)?;
    let third = Running::start(By::Lockc("reads-nothing-there"), &bundle)?;
    let with_two = sets()?;
    drop((first, third));
    let fourth = Running::start(By::Lockc("reads-block"), &bundle)?;
    let after = sets()?;
    second.exec(&["sh", "-c", DMI])?.must()?;
    fourth.exec(&["sh", "-c", BLOCK])?.must()?;
    if (with_two, after) != (2, 2) {
        bail!("{with_two} sets for three containers, {after} for the two others");
    }
    Ok("two policies, two sets; the one that nobody uses is gone".into())
}
