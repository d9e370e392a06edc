//! OCI bundles for bare runtimes: the smallest configuration that a container starts with, and what
//! a case adds.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::command;
use crate::launch::By;

/// Where bundles live: on the disk, in a folder that may be given to containers.
pub const PLACE: &str = "/srv/lockc-it";

/// This machine's architecture, as seccomp profiles and OCI images say it.
pub const SECCOMP_ARCH: &str =
    if cfg!(target_arch = "x86_64") { "SCMP_ARCH_X86_64" } else { "SCMP_ARCH_AARCH64" };
pub const OCI_ARCH: &str = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };

/// What engines grant by default.
const DEFAULT_CAPS: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// What the attempts of the suite need beyond it.
const MORE_CAPS: [&str; 6] = [
    "CAP_SYS_ADMIN",
    "CAP_SYS_PTRACE",
    "CAP_SYSLOG",
    "CAP_DAC_READ_SEARCH",
    "CAP_CHECKPOINT_RESTORE",
    "CAP_NET_ADMIN",
];

/// What engines hide and make read-only.
const MASKED: [&str; 9] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// A bundle in the making.
#[derive(Clone, Debug)]
pub struct Bundle {
    args: Vec<String>,
    caps: Vec<&'static str>,
    pub mounts: Vec<Value>,
    namespaces: Vec<Value>,
    devices: Vec<Value>,
    annotations: serde_json::Map<String, Value>,
    pub cwd: String,
    uid: u32,
    /// Capabilities for programs only, not for the process.
    only_bounding: bool,
    /// What of the host's the runtime inherits as descriptor 3 and passes on: a path, or with `>`
    /// before it one that is opened for writing as well.
    pub leak: Option<String>,
    /// Root of the container, if not the common one.
    pub rootfs: Option<String>,
    /// What else is put into the configuration: JSON pointer and value.
    changes: Vec<(&'static str, Value)>,
}

impl Bundle {
    /// A container that runs `args`.
    pub fn new<S: AsRef<str>>(args: &[S]) -> Self {
        let namespace = |kind: &str| json!({ "type": kind });
        let sysfs = ["nosuid", "noexec", "nodev"];
        Self {
            args: args.iter().map(|arg| arg.as_ref().to_owned()).collect(),
            caps: DEFAULT_CAPS.to_vec(),
            mounts: vec![
                json!({"destination": "/proc", "type": "proc", "source": "proc", "options": sysfs}),
                json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": [
                    "nosuid", "mode=755", "size=65536k"]}),
                json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                    "options": ["newinstance", "ptmxmode=0666", "mode=0620"]}),
                json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [
                    "nosuid", "nodev", "mode=1777"]}),
                json!({"destination": "/sys", "type": "sysfs", "source": "sysfs",
                    "options": sysfs}),
                json!({"destination": "/mnt/a", "type": "tmpfs", "source": "tmpfs", "options": [
                    "mode=755"]}),
            ],
            namespaces: ["mount", "pid", "network", "ipc", "uts"].map(namespace).to_vec(),
            devices: Vec::new(),
            annotations: serde_json::Map::new(),
            cwd: "/".into(),
            uid: 0,
            only_bounding: false,
            leak: None,
            rootfs: None,
            changes: Vec::new(),
        }
    }

    /// A container that runs the probe.
    pub fn probe<S: AsRef<str>>(args: &[S]) -> Self {
        let args: Vec<&str> =
            std::iter::once("/probe").chain(args.iter().map(AsRef::as_ref)).collect();
        Self::new(&args)
    }

    /// With the capabilities that mounting, tracing and reading the log need.
    pub fn admin(mut self) -> Self {
        self.caps.extend(MORE_CAPS);
        self
    }

    /// One capability more.
    pub fn cap(mut self, cap: &'static str) -> Self {
        self.caps.push(cap);
        self
    }

    /// As an ordinary user, without capabilities.
    pub fn user(mut self, uid: u32) -> Self {
        self.uid = uid;
        self.caps.clear();
        self
    }

    /// As an ordinary user that programs may give capabilities to.
    pub fn user_with_bounds(mut self, uid: u32) -> Self {
        self.uid = uid;
        self.only_bounding = true;
        self
    }

    /// Without a namespace of its own of this kind.
    pub fn host(mut self, kind: &str) -> Self {
        self.namespaces.retain(|namespace| namespace["type"] != kind);
        self
    }

    /// With a namespace of its own of this kind.
    pub fn new_namespace(mut self, kind: &str) -> Self {
        self = self.host(kind);
        self.namespaces.push(json!({ "type": kind }));
        self
    }

    /// In the namespace of this kind that `path` names.
    pub fn join(mut self, kind: &str, path: &str) -> Self {
        self = self.host(kind);
        self.namespaces.push(json!({ "type": kind, "path": path }));
        self
    }

    /// A bind mount.
    pub fn bind(mut self, source: &str, destination: &str) -> Self {
        self.mounts.push(
            json!({"destination": destination, "type": "bind", "source": source, "options": [
                "rbind", "rw"]}),
        );
        self
    }

    /// A read-only bind mount, with all that is mounted below.
    pub fn bind_read_only(mut self, source: &str, destination: &str) -> Self {
        self.mounts.push(
            json!({"destination": destination, "type": "bind", "source": source, "options": [
                "rbind", "rro"]}),
        );
        self
    }

    /// Any mount.
    pub fn mount(mut self, mount: Value) -> Self {
        self.mounts.push(mount);
        self
    }

    /// A device node, allowed in the device cgroup too.
    pub fn device(mut self, path: &str, major: u32, minor: u32) -> Self {
        self.devices.push(
            json!({"path": path, "type": "c", "major": major, "minor": minor, "fileMode": 0o666,
                "uid": 0, "gid": 0}),
        );
        self
    }

    /// Any value at a JSON pointer of the configuration, in the place of what stands there.
    pub fn set(mut self, pointer: &'static str, value: Value) -> Self {
        self.changes.push((pointer, value));
        self
    }

    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// Writes it for whom it is started by, and returns its folder.
    pub fn write(&self, by: By) -> Result<PathBuf> {
        let folder = PathBuf::from(PLACE).join("bundles").join(crate::launch::fresh_id());
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let root = match &self.rootfs {
            Some(root) => root.clone(),
            None => common_rootfs()?,
        };
        let mut rules = vec![json!({"allow": false, "access": "rwm"})];
        for device in &self.devices {
            rules.push(json!({"allow": true, "type": "c", "major": device["major"],
                "minor": device["minor"], "access": "rwm"}));
        }
        let caps = &self.caps;
        let own = if self.only_bounding { &Vec::new() } else { caps };
        let mut spec = json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false, "cwd": self.cwd, "args": self.args,
                "user": {"uid": self.uid, "gid": self.uid},
                "env": ["PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/root"],
                "capabilities": {"bounding": caps, "effective": own, "permitted": own},
                "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            },
            "root": {"path": root, "readonly": false},
            "hostname": "it",
            "mounts": self.mounts,
            "annotations": self.annotations,
            "linux": {"namespaces": self.namespaces, "devices": self.devices,
                "resources": {"devices": rules}},
        });
        if by.as_engines_do() {
            spec["linux"]["maskedPaths"] = json!(MASKED);
            spec["linux"]["readonlyPaths"] = json!(READ_ONLY);
            // One call that nobody misses: everything else is for lockc to check.
            spec["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW", "architectures": [SECCOMP_ARCH],
                "syscalls": [{"names": ["lookup_dcookie"], "action": "SCMP_ACT_ERRNO"}],
            });
        }
        for (path, value) in &self.changes {
            let (parent, key) = path.rsplit_once('/').context("a pointer begins with a slash")?;
            let place =
                spec.pointer_mut(parent).with_context(|| format!("the bundle has no {parent}"))?;
            place[key] = value.clone();
        }
        let path = folder.join("config.json");
        fs::write(&path, spec.to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(folder)
    }
}

/// Busybox and the probe, unpacked once.
pub fn common_rootfs() -> Result<String> {
    static DONE: OnceLock<String> = OnceLock::new();
    if let Some(path) = DONE.get() {
        return Ok(path.clone());
    }
    let path = unpack("rootfs", "busybox")?;
    Ok(DONE.get_or_init(|| path).clone())
}

/// Unpacks one of the image's container trees under a name.
pub fn unpack(name: &str, image: &str) -> Result<String> {
    let path = format!("{PLACE}/{name}");
    command::sh(&format!(
        "mkdir -p {path} && tar xf /opt/img/{image}.tar -C {path} --exclude='./dev/*' && \
         cp /usr/local/bin/lockc-probe {path}/probe && mkdir -p {path}/mnt/a {path}/mnt/x && \
         cp {path}/probe {path}/setuid && chmod 4755 {path}/setuid && \
         cp {path}/probe {path}/setgid && chmod 2755 {path}/setgid && \
         cp {path}/probe {path}/filecaps && {path}/probe give-capability {path}/filecaps 10"
    ))?;
    Ok(path)
}
