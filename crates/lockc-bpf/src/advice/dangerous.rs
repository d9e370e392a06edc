//! Settings by which a container gets the host.

use std::path::Path;

use lockc_policy::{
    config::{Choice, Fail, Mode, Rootless},
    policy::sockets::NamedSockets,
};

use super::{
    values::Values,
    warning::{Kind, Warning},
};

/// Directories and files that give the host to whoever can mount them.
const MOUNTS: [(&str, &str); 34] = [
    ("/", "every file of the host"),
    ("/etc", "the host's configuration, with its users and services"),
    ("/etc/cron.d", "commands that root executes"),
    ("/etc/kubernetes", "the keys of the cluster"),
    ("/etc/pam.d", "how users log in"),
    ("/etc/passwd", "the host's users"),
    ("/etc/shadow", "the host's passwords"),
    ("/etc/ssh", "the host's keys, and how users log in"),
    ("/etc/sudoers", "who becomes root"),
    ("/etc/sudoers.d", "who becomes root"),
    ("/etc/systemd", "services that root starts"),
    ("/proc", "the host's processes and kernel settings"),
    ("/sys", "the host's kernel and devices"),
    ("/dev", "every device of the host"),
    ("/run", "the sockets of the host's services"),
    ("/var/run", "the sockets of the host's services"),
    ("/boot", "the host's kernel and boot loader"),
    ("/root", "the files with which root logs in"),
    ("/root/.ssh", "the keys with which root logs in"),
    ("/usr", "programs that root executes"),
    ("/usr/bin", "programs that root executes"),
    ("/usr/lib", "programs that root executes"),
    ("/usr/local", "programs that root executes"),
    ("/bin", "programs that root executes"),
    ("/sbin", "programs that root executes"),
    ("/lib", "programs that root executes"),
    ("/opt", "programs that root executes, CNI plugins among them"),
    ("/var", "the state of services, engines and cron"),
    ("/var/lib", "the state of services and engines"),
    ("/var/lib/containers", "the files of every container"),
    ("/var/lib/docker", "the files of every container"),
    ("/var/lib/kubelet", "the volumes and keys of every pod"),
    ("/var/log", "logs, in which kubelet and others follow links as root"),
    ("/var/spool/cron", "commands that root executes"),
];

/// Sockets whose server does what it is told as root.
const SOCKETS: [(&str, &str); 14] = [
    ("/run/docker.sock", "Docker"),
    ("/run/docker/containerd/containerd.sock", "Docker's containerd"),
    ("/run/containerd/containerd.sock", "containerd"),
    ("/run/k3s/containerd/containerd.sock", "k3s' containerd"),
    ("/run/k0s/containerd.sock", "k0s' containerd"),
    ("/run/crio/crio.sock", "CRI-O"),
    ("/run/cri-dockerd.sock", "Docker"),
    ("/run/podman/podman.sock", "Podman"),
    ("/run/buildkit/buildkitd.sock", "BuildKit"),
    ("/run/systemd/private", "systemd"),
    ("/run/dbus/system_bus_socket", "systemd (through D-Bus)"),
    ("/run/snapd.socket", "snapd"),
    ("/run/libvirt/libvirt-sock", "libvirt"),
    ("/var/lib/lxd/unix.socket", "LXD"),
];

/// Controls, and what a container without them is given.
const CONTROLS: [(&str, &str); 8] = [
    ("host-mounts", "any directory of the host, `/` among them"),
    ("host-sockets", "any socket of the host, docker.sock among them"),
    ("mount-types", "any file system, that of the host's disk among them"),
    ("capabilities", "any capability"),
    ("devices", "any device, the host's disks among them"),
    ("rootfs", "any directory of the host as its root"),
    ("hooks", "hooks that the container's user can change, executed as root on the host"),
    ("host-namespaces", "the host's processes and network"),
];

/// Rules, and what a container without them can do.
const RULES: [(&str, &str); 8] = [
    ("mount", "mount file systems and disks of the host, with CAP_SYS_ADMIN"),
    ("files", "use files of the host that it gets hold of"),
    ("process", "trace processes of the host that it can see"),
    ("kernel", "change the kernel, with its capabilities"),
    ("capability", "use capabilities beyond those that were admitted"),
    ("device", "use every device node"),
    ("unix-socket", "connect to every socket of the host that it can reach"),
    ("keyring", "use keys of the host"),
];

/// Parts of procfs and sysfs that say more than a list should.
const READS: [(&str, &str); 4] = [
    ("/sys/kernel", "the kernel's state, debugfs and tracefs among it"),
    ("/sys/kernel/debug", "the kernel's memory and state"),
    ("/sys/kernel/tracing", "what every process of the host does"),
    ("/proc/kallsyms", "addresses in the kernel, which help to attack it"),
];

pub fn warnings(values: &Values<'_>) -> Vec<Warning> {
    let mut found = Vec::new();
    for value in values.mounts() {
        if let Some(reason) = known(&MOUNTS, value.path()) {
            let reason = format!("lets a container mount {reason}");
            found.extend(values.of(&value, Kind::Dangerous, &reason));
        }
    }
    for value in values.sockets() {
        let named = NamedSockets::new(value.path());
        let Ok(named) = named else { continue };
        let mut servers: Vec<&str> = Vec::new();
        for (_, server) in SOCKETS.iter().filter(|(path, _)| named.has(Path::new(path))) {
            if !servers.contains(server) {
                servers.push(server);
            }
        }
        if !servers.is_empty() {
            let reason =
                format!("lets a container control {} as root on the host", servers.join(" and "));
            found.extend(values.of(&value, Kind::Dangerous, &reason));
        }
    }
    for value in values.reads() {
        if let Some(reason) = known(&READS, value.path()) {
            let reason = format!("lets a container read {reason}");
            found.extend(values.of(&value, Kind::Dangerous, &reason));
        }
    }
    for (lists, table, verb) in [
        (values.names("admit", |policy| &policy.admit), CONTROLS, "admits"),
        (values.names("without_rules", |policy| &policy.without_rules), RULES, "lets a container"),
    ] {
        for value in lists {
            if let Some((_, what)) = table.iter().find(|(name, _)| *name == value.text) {
                found.extend(values.of(&value, Kind::Dangerous, &format!("{verb} {what}")));
            }
        }
    }
    found.extend(settings(values));
    found
}

fn known<'a>(table: &'a [(&'a str, &'a str)], path: &Path) -> Option<&'a str> {
    // `Path` compares without a slash at the end.
    table.iter().find(|(known, _)| path == Path::new(known)).map(|(_, reason)| *reason)
}

/// Single settings.
fn settings(values: &Values<'_>) -> Vec<Warning> {
    let config = values.config();
    let mut found = Vec::new();
    let mut add = |key: &str, is: bool, reason: &str| {
        if is {
            found.extend(values.warning(key, None, Kind::Dangerous, reason));
        }
    };
    let (fail, rootless) = (config.settings.fail, config.settings.rootless);
    add("fail", fail == Fail::Open, "containers start unconfined while lockc is not loaded");
    add(
        "rootless",
        rootless == Rootless::Admission,
        "containers of rootless engines are checked at \
                                                     creation only, and not confined",
    );
    add("mode", config.mode == Mode::Audit, "nothing is refused or denied, only reported");
    add("default", config.default == "privileged", NO_CONFINEMENT);
    add("ceiling", config.ceiling == "privileged", ANYONE);
    for (name, choice) in &config.engines {
        bounds(values, &format!("engines.{}", name.name()), choice, &mut found);
    }
    // Of a namespace by name, somebody decided so.
    for (name, choice) in config.namespaces.iter().filter(|(name, _)| name.contains('*')) {
        bounds(values, &format!("namespaces.{name}"), choice, &mut found);
    }
    for (name, policy) in &config.policies {
        let key = format!("policies.{name}.mode");
        if policy.mode == Some(Mode::Audit) {
            found.extend(values.warning(&key, None, Kind::Dangerous, AUDIT));
        }
    }
    found
}

const NO_CONFINEMENT: &str = "containers are not confined unless they ask for it";
const ANYONE: &str = "whoever writes a container's annotations can ask for privileged, and is not \
                      confined then";
const AUDIT: &str = "nothing is refused or denied, only reported";

fn bounds(values: &Values<'_>, key: &str, choice: &Choice, found: &mut Vec<Warning>) {
    let is_privileged = |text: &Option<String>| text.as_deref() == Some("privileged");
    for (name, is, reason) in [
        ("default", is_privileged(&choice.default), NO_CONFINEMENT),
        ("ceiling", is_privileged(&choice.ceiling), ANYONE),
        ("mode", choice.mode == Some(Mode::Audit), AUDIT),
    ] {
        if is {
            found.extend(values.warning(&format!("{key}.{name}"), None, Kind::Dangerous, reason));
        }
    }
}
