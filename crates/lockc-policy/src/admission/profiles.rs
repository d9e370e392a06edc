//! What other security modules are told to do with a container: seccomp, AppArmor, SELinux,
//! no_new_privs.

use crate::{admission::findings::Findings, engines::Request, host::HostView};
use crate::{
    config::{CONFIG_PATH, Settings},
    engine::Engine,
    policy::{Control, Strength},
    spec::{Process, Seccomp},
};
use lockc_core::rules::Rule;

/// SELinux types that the Pod Security Standards' baseline admits, and the engines' own for init
/// systems and nested virtual machines.
const SELINUX_TYPES: [&str; 4] =
    ["container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
/// Users and roles that engines fill in themselves; the standards admit none to be asked for.
const SELINUX_USERS: [&str; 2] = ["system_u", "unconfined_u"];
const SELINUX_ROLES: [&str; 1] = ["system_r"];

/// Actions that let the system call happen (seccomp(2); OCI runtime specification 1.2,
/// config-linux.md).
const LETTING: [&str; 2] = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"];

/// Checks the profiles that hold for every process of the container.
pub(super) fn check(
    request: &Request<'_>,
    settings: &Settings,
    view: &dyn HostView,
    findings: &mut Findings<'_>,
) {
    // What runs in a pod's sandbox is the administrator's image, and containerd gives it no profile
    // by itself.
    if !request.sandbox {
        seccomp(request, findings);
        missing_apparmor(request, view, findings);
        missing_label(request, view, findings);
    }
    let listener = request.spec.linux.seccomp.as_ref().map(|profile| &profile.listener_path);
    if let Some(path) = listener.filter(|path| {
        !path.as_os_str().is_empty()
            && !settings
                .allowed_sockets
                .iter()
                .chain(&findings.policy.more.sockets)
                .any(|allowed| allowed == *path)
    }) {
        findings.add(
            Control::Seccomp,
            format!("the seccomp profile passes system calls to {}", path.display()),
            format!(
                "use a profile without listenerPath, or add it to allowed_sockets in {CONFIG_PATH}"
            ),
        );
    }
}

fn seccomp(request: &Request<'_>, findings: &mut Findings<'_>) {
    let profile = request.spec.linux.seccomp.as_ref();
    if profile.is_some_and(refuses) {
        return;
    }
    // Docker and Podman have a default profile: without one, somebody asked for that. Elsewhere
    // none is what the Pod Security Standards call undefined, which baseline allows.
    let query =
        profile.is_some() || matches!(request.engine, Some(Engine::Docker | Engine::Podman));
    if query || findings.strength(Control::Seccomp) == Strength::Restricted {
        let what = if profile.is_some() {
            "a seccomp profile that allows every system call"
        } else {
            "no seccomp profile"
        };
        findings.add(
            Control::Seccomp,
            what.into(),
            "remove seccomp=unconfined (in Kubernetes, set seccompProfile: RuntimeDefault)",
        );
    }
}

/// Whether any system call could be refused.
fn refuses(profile: &Seccomp) -> bool {
    let letting = |action: &str| LETTING.contains(&action);
    !letting(&profile.default_action) || profile.syscalls.iter().any(|rule| !letting(&rule.action))
}

/// containerd's CRI plugin writes `unconfined` nowhere: it leaves its default profile out.
fn missing_apparmor(request: &Request<'_>, view: &dyn HostView, findings: &mut Findings<'_>) {
    let missing =
        request.spec.process.as_ref().is_some_and(|process| process.apparmor_profile.is_empty());
    if missing && request.engine == Some(Engine::Cri) && view.containerd_uses_apparmor() {
        findings.add(
            Control::AppArmor,
            "no AppArmor profile, although containerd has a default one on this host".into(),
            "remove appArmorProfile: Unconfined (privileged: true)",
        );
    }
}

/// An engine that labels containers leaves the label out for `label=disable`, and where the
/// container shares the host's PID or IPC namespace, which is another control's to refuse (Podman
/// 5.4, pkg/specgen/generate/security_linux.go; moby 28, daemon/create.go).
fn missing_label(request: &Request<'_>, view: &dyn HostView, findings: &mut Findings<'_>) {
    let missing =
        request.spec.process.as_ref().is_some_and(|process| process.selinux_label.is_empty());
    let has =
        |kind: &str| request.spec.linux.namespaces.iter().any(|namespace| namespace.kind == kind);
    if missing
        && has("pid")
        && has("ipc")
        && request.engine.is_some_and(|engine| view.labels_containers(engine))
    {
        findings.add(
            Control::SeLinux,
            "no SELinux label, although the engine sets one for every container on this host"
                .into(),
            "remove label=disable (--privileged)",
        );
    }
}

/// Checks the profiles of one process.
pub(super) fn of_process(process: &Process, findings: &mut Findings<'_>) {
    // `unconfined` may stand in another namespace or on a stack of profiles (apparmor(7)).
    if process.apparmor_profile.split([':', '/', '&']).any(|part| part == "unconfined") {
        findings.add(
            Control::AppArmor,
            "the AppArmor profile unconfined".into(),
            "remove apparmor=unconfined (--privileged)",
        );
    }
    if let Some(what) = selinux(&process.selinux_label) {
        findings.add(
            Control::SeLinux,
            format!("the SELinux label {:?} has {what}", process.selinux_label),
            "remove label=… (seLinuxOptions), or use a type for containers",
        );
    }
    // The kernel rule lets nobody gain rights at exec, whatever the process says.
    if !process.no_new_privileges && !findings.policy.rules.has(Rule::Privilege) {
        findings.add(
            Control::PrivilegeEscalation,
            "the process may gain privileges through set-uid programs".into(),
            "set no-new-privileges (allowPrivilegeEscalation: false)",
        );
    }
}

/// What of a label `user:role:type:level` is not a container's.
fn selinux(label: &str) -> Option<String> {
    if label.is_empty() {
        return None;
    }
    let mut parts = label.splitn(4, ':');
    for (what, admitted) in
        [("user", &SELINUX_USERS[..]), ("role", &SELINUX_ROLES), ("type", &SELINUX_TYPES)]
    {
        let part = parts.next().unwrap_or("");
        if !admitted.contains(&part) {
            return Some(format!("the {what} {part:?}"));
        }
    }
    None
}
