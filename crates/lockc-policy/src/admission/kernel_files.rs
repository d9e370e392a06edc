//! What of procfs, sysfs and the sysctls a container sees and changes.
//!
//! The kernel side checks procfs and sysfs by itself; the masks are what holds for a policy without
//! its rules, and what the Pod Security Standards ask for.

use std::path::{Component, Path, PathBuf};

use crate::{admission::findings::Findings, engines::Request};
use crate::{
    config::globs::fits,
    policy::{Control, Key, Setting},
    spec::Linux,
};
use lockc_core::rules::Rule;

/// Paths that every engine hides (Docker 26 and 28, containerd 1.7 and 2.1, Podman 5.4 and 5.8,
/// `runc spec`, `crun spec`).
pub const MASKED: [&str; 9] = [
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

/// Paths that every engine makes read-only, or hides.
pub const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Sysctls that the Pod Security Standards' baseline admits (Kubernetes 1.34): namespaced, and
/// harmless for others.
const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// Checks masked and read-only paths, and sysctls.
pub(super) fn check(request: &Request<'_>, findings: &mut Findings<'_>) {
    let linux = &request.spec.linux;
    // containerd hides nothing from a pod's sandbox, in which only the administrator's image runs.
    if !request.sandbox {
        masks(linux, findings);
    }
    let unsafe_names: Vec<&str> = linux
        .sysctl
        .keys()
        .map(String::as_str)
        .filter(|name| {
            !is_safe(name)
                && !findings
                    .policy
                    .more
                    .sysctls
                    .iter()
                    .any(|glob| fits(glob, &name.replace('/', ".")))
        })
        .collect();
    if !unsafe_names.is_empty() {
        let dotted = |name: &&str| Setting::new(Key::Sysctls, name.replace('/', "."));
        findings.add_unless_set(
            Control::Sysctls,
            unsafe_names.join(", "),
            "remove --sysctl (securityContext.sysctls), add the sysctl to a policy's sysctls",
            unsafe_names.iter().map(dotted).collect::<Vec<_>>(),
        );
    }
}

fn masks(linux: &Linux, findings: &mut Findings<'_>) {
    // What a policy lets be read need not be hidden: the kernel side denies the rest of it.
    let let_be_read = |path: &str| {
        let rule = if path.starts_with("/sys") { Rule::Sysfs } else { Rule::Procfs };
        let near = |read: &PathBuf| read.starts_with(path) || Path::new(path).starts_with(read);
        findings.policy.rules.has(rule) && findings.policy.more.reads.iter().any(near)
    };
    let hidden = |path: &str| linux.masked_paths.iter().any(|masked| is_same(masked, path));
    let read_only = |path: &str| linux.readonly_paths.iter().any(|masked| is_same(masked, path));
    let seen: Vec<&str> =
        MASKED.into_iter().filter(|path| !hidden(path) && !let_be_read(path)).collect();
    let changeable: Vec<&str> =
        READ_ONLY.into_iter().filter(|path| !hidden(path) && !read_only(path)).collect();
    let remedy = "remove systempaths=unconfined (unmask=…, procMount: Unmasked, --privileged)";
    for (paths, what) in [(seen, "not hidden"), (changeable, "not read-only")] {
        if !paths.is_empty() {
            findings.add(Control::ProcMount, format!("{} {what}", paths.join(", ")), remedy);
        }
    }
}

/// The masked path that hides what a policy lets be read: the mount of the runtime stands before
/// the kernel side.
pub fn hides<'a>(linux: &'a Linux, read: &Path) -> Option<&'a Path> {
    linux.masked_paths.iter().map(PathBuf::as_path).find(|masked| read.starts_with(masked))
}

/// Whether `path` is written otherwise, but the same (`/proc//kcore/`).
fn is_same(path: &Path, plain: &str) -> bool {
    path.components().filter(|part| *part != Component::CurDir).eq(Path::new(plain).components())
}

/// Runtimes take slashes for dots too.
fn is_safe(name: &str) -> bool {
    SYSCTLS.contains(&name.replace('/', ".").as_str())
}
