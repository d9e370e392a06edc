//! Which namespaces a container shares with the host.
//!
//! `user` and `cgroup` are the host's in the engines' defaults (Docker without userns-remap; cgroup v1; CRI sandboxes),
//! so that only their being *joined* by path could be an offence, and joining the host's own changes nothing.

use std::path::Path;

use super::{
    Findings,
    facts::{Facts, Namespace},
};
use crate::user::{
    policy::Control,
    spec::{self, Spec},
};

/// Namespaces that a container must have of its own or share with its pod: name in the configuration, kind, and the
/// option of the engines that gives the host's.
const OWN: [(&str, Namespace, &str); 4] = [
    ("pid", Namespace::Pid, "--pid=host"),
    ("ipc", Namespace::Ipc, "--ipc=host"),
    ("network", Namespace::Net, "--network=host"),
    ("uts", Namespace::Uts, "--uts=host"),
];

/// Judges `linux.namespaces`.
pub(super) fn judge(spec: &Spec, facts: &dyn Facts, findings: &mut Findings<'_>) {
    let of = |kind: &'static str| spec.linux.namespaces.iter().filter(move |namespace| namespace.kind == kind);
    let joins = |namespace: &spec::Namespace| !namespace.path.as_os_str().is_empty();
    if of("mount").next().is_none() || of("mount").any(joins) {
        findings.add(
            Control::MountNamespace,
            "the container has no new mount namespace, by which the kernel side tells it from its runtime".into(),
            "give it a mount namespace without a path",
        );
    }
    for (name, kind, option) in OWN {
        let mut namespaces = of(name).peekable();
        let shared = if namespaces.peek().is_none() {
            Some(format!("the container uses the host's {name} namespace"))
        } else {
            namespaces.find_map(|namespace| {
                host_path(&namespace.path, kind, facts).map(|why| format!("the {name} namespace {why}"))
            })
        };
        if let Some(what) = shared {
            findings.add(Control::HostNamespaces, what, format!("leave {option} (hostNetwork, hostPID, hostIPC) out"));
        }
    }
}

fn host_path(path: &Path, kind: Namespace, facts: &dyn Facts) -> Option<String> {
    if path.as_os_str().is_empty() {
        return None;
    }
    match facts.is_host_namespace(path, kind) {
        Ok(false) => None,
        Ok(true) => Some(format!("{} is the host's", path.display())),
        Err(error) => Some(format!("{} cannot be read: {error}", path.display())),
    }
}
