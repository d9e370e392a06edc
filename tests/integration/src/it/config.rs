//! `/etc/lockc/lockc.toml` of the tests.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::launch::Runtime;

/// Where lockc reads it.
pub const PATH: &str = "/etc/lockc/lockc.toml";

/// Files of the administrator's beside it.
const DROP_INS: &str = "/etc/lockc/lockc.d";

/// Policies of the tests' own: kernel rules alone, without the static admission that stands before
/// them.
const POLICIES: &str = r#"
[policies.test]
extends = "baseline"
admit = ["capabilities", "host-namespaces", "proc-mount", "apparmor", "seccomp", "hooks"]

[policies.reach]
extends = "test"
without_rules = ["process"]

[policies.hooks]
extends = "test"
hook_mounts = true

[policies.devices]
extends = "test"
admit = ["devices"]

[policies.sockets]
extends = "test"
without_rules = ["unix-socket"]

[policies.offline-sockets]
extends = "offline"
admit = ["capabilities", "host-namespaces", "proc-mount", "apparmor", "seccomp"]
without_rules = ["unix-socket"]

[policies.tight-sockets]
extends = "restricted"
admit = ["capabilities", "run-as-root", "proc-mount", "seccomp", "host-mounts"]
without_rules = ["unix-socket"]

[policies.families]
extends = "test"
socket_families = ["vsock", "netlink-connector", "netlink-uevent"]

[policies.escape-baseline]
extends = "baseline"
admit = [
  "host-mounts", "host-sockets", "mount-types", "host-namespaces", "capabilities", "devices",
  "rootfs", "run-as-root", "proc-mount", "seccomp", "rootfs-propagation",
]

[policies.escape-restricted]
extends = "restricted"
admit = [
  "host-mounts", "host-sockets", "mount-types", "host-namespaces", "capabilities", "devices",
  "rootfs", "run-as-root", "proc-mount", "seccomp", "rootfs-propagation",
]

[policies.escape-offline]
extends = "offline"
admit = [
  "host-mounts", "host-sockets", "mount-types", "host-namespaces", "capabilities", "devices",
  "rootfs", "run-as-root", "proc-mount", "seccomp", "rootfs-propagation",
]

[policies.nesting]
extends = "test"
without_rules = ["user-namespace"]

[policies.tight]
extends = "restricted"
admit = ["capabilities", "run-as-root", "proc-mount", "seccomp"]

[policies.tight-nesting]
extends = "restricted"
admit = ["proc-mount", "seccomp"]
without_rules = ["user-namespace"]

[policies.named-sockets]
extends = "test"
allowed_sockets = [
  "/srv/lockc-it/named/here/app.sock", "/var/run/none-such/x.sock",
  "/srv/lockc-it/named/here/w-*.sock", "/srv/lockc-it/sockets/stream.sock",
  "/srv/lockc-it/sockets/dgram.*", "/srv/lockc-it/named/link.sock",
]

[policies.named-mounting]
extends = "named-sockets"
without_rules = ["mount"]
[policies.ipc]
extends = "test"
without_rules = ["ipc"]

[policies.mounting]
extends = "test"
without_rules = ["mount"]

[policies.mounting-fuse]
extends = "mounting"
devices = ["/dev/fuse"]

[policies.reads-dmi]
extends = "test"
reads = ["/proc/kallsyms", "/sys/class/dmi/id"]

[policies.reads-block]
extends = "test"
reads = ["/proc/interrupts", "/sys/class/block", "/sys/fs/ext4"]

[policies.reads-nothing-there]
extends = "test"
reads = ["/sys/class/none-such"]

[policies.audited]
extends = "baseline"
mode = "audit"
"#;

/// Writes the configuration for one real runtime.
pub fn write(runtime: Runtime) -> Result<()> {
    write_for(runtime.path())
}

/// As [`write`], and what comes before the tables.
pub fn write_with(runtime: Runtime, keys: &str) -> Result<()> {
    put(&format!("{keys}runtimes = [\"{}\"]\nceiling = \"baseline\"\n{POLICIES}", runtime.path()))
}

/// Writes it for another program in the runtime's place.
pub fn write_for(runtime: &str) -> Result<()> {
    put(&format!("runtimes = [\"{runtime}\"]\nceiling = \"baseline\"\n{POLICIES}"))
}

/// Writes any text as the configuration, as its owner would.
pub fn put(text: &str) -> Result<()> {
    fs::create_dir_all(Path::new(PATH).parent().unwrap_or(Path::new("/")))
        .context("cannot create /etc/lockc")?;
    if fs::read_to_string(PATH).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(PATH, text).with_context(|| format!("cannot write {PATH}"))
}

/// Whatever comes of `work`, the next case finds no drop-in; without text there is none.
pub fn with_drop_in<T>(text: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    if text.is_empty() {
        return work();
    }
    fs::create_dir_all(DROP_INS).with_context(|| format!("cannot create {DROP_INS}"))?;
    let path = format!("{DROP_INS}/50-case.toml");
    fs::write(&path, text).with_context(|| format!("cannot write {path}"))?;
    let result = work();
    fs::remove_file(&path).with_context(|| format!("cannot remove {path}"))?;
    result
}
