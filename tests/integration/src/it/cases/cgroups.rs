//! cgroups: the host's are out of reach, and an init system manages those below its own.

use anyhow::{Result, bail};
use libc::EACCES;
use serde_json::json;

use super::{Row, Test, both, denied, row};
use crate::bundle::Bundle;
use crate::check::Works;
use crate::lab::Lab;
use crate::launch::{self, By, Runtime};

fn mounted(bundle: Bundle, option: &str) -> Bundle {
    let options = [option, "nosuid", "noexec", "nodev"];
    bundle.mount(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
        "options": options}))
}

/// As `docker run --cgroupns=host`.
fn host(bundle: Bundle) -> Bundle {
    mounted(bundle, "ro")
}

fn host_joined(bundle: Bundle) -> Bundle {
    mounted(bundle.join("cgroup", "/proc/1/ns/cgroup"), "ro")
}

/// As an engine's option for init systems gives it.
fn writable(bundle: Bundle) -> Bundle {
    let path = format!("/lockc-it-{}", launch::fresh_id());
    mounted(bundle.new_namespace("cgroup"), "rw").set("/linux/cgroupsPath", json!(path))
}

fn leaked(mut bundle: Bundle) -> Bundle {
    bundle.leak = Some("/sys/fs/cgroup".into());
    bundle
}

const HOST: &str = "host's cgroup namespace";

pub const ROWS: &[Row] = &[
    both("cgroups/host-namespace", Test::Refused { give: host, policy: "baseline", reason: HOST })
        .thorough_with_runc(),
    row(
        "cgroups/host-namespace-joined",
        Test::Refused {
            give: host_joined,
            policy: "baseline",
            reason: "the cgroup namespace /proc/1/ns/cgroup is the host's",
        },
    ),
    both(
        "cgroups/clone-into",
        denied(&["clone-into-cgroup", "/sys/fs/cgroup"], host, "test", EACCES, "sysfs"),
    )
    .thorough_with_runc(),
    row(
        "cgroups/clone-into-by-a-thread",
        denied(&["thread", "clone-into-cgroup", "/sys/fs/cgroup"], host, "test", EACCES, "sysfs"),
    ),
    row(
        "cgroups/make",
        denied(&["mkdir", "/sys/fs/cgroup/lockc-it-made"], host_writable, "test", EACCES, "sysfs"),
    )
    .core(),
    row(
        "cgroups/move",
        denied(
            &["write", "/sys/fs/cgroup/cgroup.procs", "0"],
            host_writable,
            "test",
            EACCES,
            "sysfs",
        ),
    ),
    row(
        "cgroups/leaked-directory",
        denied(&["mkdir", "/proc/self/fd/3/lockc-it-made"], leaked, "test", EACCES, "sysfs"),
    ),
    row(
        "cgroups/leaked-directory-stat",
        denied(&["stat", "/proc/self/fd/3/cgroup.procs"], leaked, "test", EACCES, "sysfs"),
    ),
    row(
        "cgroups/version-1",
        denied(
            &["mkdir", "/cgroup1/lockc-it-made"],
            |b| b.bind("/srv/lockc-it/cgroup1", "/cgroup1"),
            "escape-baseline",
            EACCES,
            "sysfs",
        ),
    ),
    // A process of the runtime's may still be on its way out of the cgroup (EBUSY).
    both(
        "cgroups/init-system",
        Test::Works(Works {
            args: &[
                "sh",
                "-ec",
                "cd /sys/fs/cgroup; mkdir init.scope a a/b; echo $$ > init.scope/cgroup.procs; \
                 n=0; until echo +pids > cgroup.subtree_control; do n=$((n + 1)); [ $n -lt 50 ]; \
                 sleep 0.1; done 2>/dev/null; echo 50 > a/pids.max; chown 1000:1000 a \
                 a/cgroup.procs; chmod 700 a; /probe clone-into-cgroup /sys/fs/cgroup/a/b; (echo \
                 0 > a/b/cgroup.procs); rmdir a/b a; cat init.scope/cgroup.procs pids.max",
            ],
            give: writable,
            policy: "baseline",
        }),
    ),
    row("cgroups/own-limits", Test::Code(own_limits)),
];

/// As `--cgroupns=host --security-opt writable-cgroups=true`, under a policy that admits it.
fn host_writable(bundle: Bundle) -> Bundle {
    mounted(bundle, "rw")
}

/// The limits of the container itself are its maker's. The kernel says so too where version 2 is
/// mounted with `nsdelegate`, as here: that lockc does not depend on it is seen in its event.
fn own_limits(lab: &mut Lab, _: Runtime) -> Result<String> {
    if lab.plain {
        return Ok("nothing to prove without lockc".into());
    }
    for file in [
        "memory.max",
        "pids.max",
        "cpu.max",
        "cgroup.freeze",
        "cgroup.kill",
        "cgroup.max.descendants",
    ] {
        lab.forget_events()?;
        let bundle = writable(Bundle::probe(&["write", &format!("/sys/fs/cgroup/{file}"), "max"]));
        let attempt = launch::attempt(By::Lockc("test"), &bundle)?;
        if attempt.ok || attempt.errno != EACCES {
            bail!("NOT DENIED: {file}: {} ({})", attempt.detail, attempt.errno);
        }
        lab.expect_event("sysfs")?;
    }
    Ok("what limits the container stays its maker's".into())
}
