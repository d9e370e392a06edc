//! Which namespaces a container shares with the host.
//!
//! `user` is the host's in the engines' defaults (Docker without userns-remap), so that only its
//! being *joined* by path could be an offence, and joining the host's own changes nothing.
//!
//! `cgroup` is the host's on cgroup v1, and for the sandboxes of CRI engines, which see no cgroup
//! file system. On cgroup v2 every engine gives a container that has one a namespace of its own;
//! with the host's, the container lists the cgroups of the whole node, and a read-only mount does
//! not keep clone3(CLONE_INTO_CGROUP) from leaving its limits.

use std::path::Path;

use crate::{
    admission::findings::Findings,
    host::{HostView, Namespace},
};
use crate::{
    policy::Control,
    spec::{self, Linux, Spec},
};
use lockc_core::rules::Rule;

/// Namespaces that a container must have of its own or share with its pod: name in the
/// configuration, kind, and the option of the engines that gives the host's.
const OWN: [(&str, Namespace, &str); 4] = [
    ("pid", Namespace::Pid, "--pid=host"),
    ("ipc", Namespace::Ipc, "--ipc=host"),
    ("network", Namespace::Net, "--network=host"),
    ("uts", Namespace::Uts, "--uts=host"),
];

/// Checks `linux.namespaces`.
pub(super) fn check(spec: &Spec, view: &dyn HostView, findings: &mut Findings<'_>) {
    let of = |kind: &'static str| {
        spec.linux.namespaces.iter().filter(move |namespace| namespace.kind == kind)
    };
    let joins = |namespace: &spec::Namespace| !namespace.path.as_os_str().is_empty();
    if of("mount").next().is_none() || of("mount").any(joins) {
        findings.add(
            Control::MountNamespace,
            "the container has no new mount namespace; lockc needs one to distinguish the \
             container from its runtime"
                .into(),
            "give it a mount namespace without a path",
        );
    }
    for (name, kind, option) in OWN {
        let mut namespaces = of(name).peekable();
        let shared = if namespaces.peek().is_none() {
            Some(format!("the container uses the host's {name} namespace"))
        } else {
            namespaces.find_map(|namespace| {
                host_path(&namespace.path, kind, view)
                    .map(|why| format!("the {name} namespace {why}"))
            })
        };
        if let Some(what) = shared {
            findings.add(
                Control::HostNamespaces,
                what,
                format!("remove {option} (hostNetwork, hostPID, hostIPC)"),
            );
        }
    }
}

/// Checks the cgroup namespace, where the container sees a cgroup file system.
pub(super) fn check_cgroup(spec: &Spec, view: &dyn HostView, findings: &mut Findings<'_>) {
    if !spec.mounts.iter().any(is_cgroup) || !view.has_cgroup_v2() {
        return;
    }
    let mut namespaces =
        spec.linux.namespaces.iter().filter(|namespace| namespace.kind == "cgroup").peekable();
    let shared = if namespaces.peek().is_none() {
        Some("the container uses the host's cgroup namespace".to_owned())
    } else {
        namespaces.find_map(|namespace| {
            host_path(&namespace.path, Namespace::Cgroup, view)
                .map(|why| format!("the cgroup namespace {why}"))
        })
    };
    if let Some(what) = shared {
        findings.add(
            Control::HostNamespaces,
            what,
            "remove --cgroupns=host (or set \"default-cgroupns-mode\": \"private\" in Docker's \
             daemon.json, cgroupns = \"private\" in containers.conf)",
        );
    }
}

fn is_cgroup(mount: &spec::Mount) -> bool {
    !mount.is_bind() && ["cgroup", "cgroup2"].contains(&mount.kind.as_str())
}

/// Whether the runtime lets the container manage what is below its own cgroup, as an init system
/// does: it mounts it writable, and in a namespace whose root it is. A container that sees the
/// processes of others could move them there.
pub(super) fn manages_cgroups(spec: &Spec, view: &dyn HostView) -> bool {
    let new = |kind: &str| {
        let mut namespaces =
            spec.linux.namespaces.iter().filter(|namespace| namespace.kind == kind).peekable();
        namespaces.peek().is_some()
            && namespaces.all(|namespace| namespace.path.as_os_str().is_empty())
    };
    let writable = |mount: &spec::Mount| {
        is_cgroup(mount) && !mount.options.iter().any(|option| option == "ro")
    };
    // Without a path the runtime may leave the container in the cgroup of whoever started it.
    let placed = !spec.linux.cgroups_path.is_empty();
    placed
        && view.has_cgroup_v2()
        && new("cgroup")
        && new("pid")
        && spec.mounts.iter().any(writable)
}

/// The host's number of the container's uid 0: by the mappings of its own user namespace, by those
/// of the one that it joins, or 0 without one.
pub(super) fn root_uid(linux: &Linux, view: &dyn HostView, findings: &mut Findings<'_>) -> u32 {
    let path = linux
        .namespaces
        .iter()
        .find(|namespace| namespace.kind == "user")
        .map(|namespace| &namespace.path);
    let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else {
        return linux.root_uid();
    };
    let why = match view.root_uid(path) {
        Ok(Some(uid)) => return uid,
        Ok(None) => "it has no process or no uid 0".to_owned(),
        Err(error) => error.to_string(),
    };
    // Only this rule asks who is root.
    if findings.policy.rules.has(Rule::Privilege) {
        let what =
            format!("the root user of the user namespace {} is unknown: {why}", path.display());
        findings.add(Control::HostNamespaces, what, "join the namespace of a running container");
    }
    linux.root_uid()
}

fn host_path(path: &Path, kind: Namespace, view: &dyn HostView) -> Option<String> {
    if path.as_os_str().is_empty() {
        return None;
    }
    match view.is_host_namespace(path, kind) {
        Ok(false) => None,
        Ok(true) => Some(format!("{} is the host's", path.display())),
        Err(error) => Some(format!("{} cannot be read: {error}", path.display())),
    }
}
