//! Where a container's cgroup is.
//!
//! The runtime puts the container into it, sets its limits and at the end kills what is in it. So
//! it must be this container's own, below nobody else's. The forms that engines use
//! (docs/systemd.md of runc; recordings of Docker 26 and 28, Podman 5.4 and 5.8, containerd 1.7
//! and 2.1):
//!
//! | form | engine |
//! |---|---|
//! | `SLICE:PREFIX:ID` | all of them with systemd |
//! | `/docker/ID`, `/docker/buildkit/ID` | Docker |
//! | `/NAMESPACE/ID`, `/kubepods/pod…/ID` | containerd |
//! | `/libpod_parent/libpod-ID`, `/kubepods/…/crio-ID` | Podman, CRI-O |
//! | `/system.slice/own.service/libpod-payload-ID` | Podman, `--cgroups=split` |

use std::path::{Component, Path, PathBuf};

use crate::{admission::findings::Findings, engines::Request, host::HostView};
use crate::{
    enforcement::{Circumstances, KernelSide},
    engine::Engine,
    policy::Control,
};

/// Ends of the names of systemd's units (systemd.unit(5)). Processes are in cgroups of services and
/// scopes, never in those of slices.
const UNITS: [&str; 10] = [
    ".service",
    ".scope",
    ".socket",
    ".mount",
    ".automount",
    ".swap",
    ".target",
    ".device",
    ".timer",
    ".path",
];
const SLICE: &str = ".slice";

/// Checks `linux.cgroupsPath`. Without one the runtime takes a name of its own.
pub(super) fn check(
    request: &Request<'_>,
    circumstances: &Circumstances<'_>,
    view: &dyn HostView,
    findings: &mut Findings<'_>,
) {
    let text = request.spec.linux.cgroups_path.as_str();
    if text.is_empty() {
        return;
    }
    let problem = match text.split_once(':') {
        Some((slice, rest)) => of_systemd(slice, rest, request),
        None => of_path(Path::new(text), request, circumstances, view),
    };
    if let Some(problem) = problem {
        findings.add(
            Control::Resources,
            format!("the cgroup {text} {problem}"),
            "remove --cgroup-parent, or name a slice or cgroup that holds only containers",
        );
    }
}

/// `SLICE:PREFIX:NAME`, by which the runtime makes the unit `PREFIX-NAME.scope` in the slice. A
/// name that is a slice's stands for that slice itself (runc,
/// libcontainer/cgroups/systemd/common.go).
fn of_systemd(slice: &str, rest: &str, request: &Request<'_>) -> Option<String> {
    let plain = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@\\+".contains(&byte))
    };
    let Some((prefix, name)) =
        rest.split_once(':').filter(|(prefix, name)| plain(prefix) && plain(name))
    else {
        return Some("is not of the form SLICE:PREFIX:NAME".into());
    };
    if !(slice.is_empty() || plain(slice) && slice.ends_with(SLICE)) {
        return Some(format!("is not in a slice: {slice:?}"));
    }
    if name.is_empty() || is_unit(name) || name.ends_with(SLICE) {
        return Some(format!("belongs to another unit: {name:?}"));
    }
    // Of a bundle that no engine made nobody knows how its units are called.
    (request.engine.is_some() && name != request.id)
        .then(|| format!("is named {prefix}-{name}, not after the container"))
}

fn of_path(
    path: &Path,
    request: &Request<'_>,
    circumstances: &Circumstances<'_>,
    view: &dyn HostView,
) -> Option<String> {
    if path.components().any(|part| matches!(part, Component::ParentDir | Component::CurDir)) {
        return Some("contains `.` or `..`".into());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let own_name = name.strip_suffix(".scope").unwrap_or(&name);
    let after_id = own_name == request.id
        || own_name.strip_suffix(request.id).is_some_and(|rest| rest.ends_with('-'));
    if request.engine.is_some() && !after_id {
        return Some("is not named after the container".into());
    }
    // `libpod-ID.scope` is no unit of systemd's, as it is not made by it. Whoever chooses an id may
    // call a container after a service.
    if is_unit(own_name) || own_name.ends_with(SLICE) || !after_id && name.ends_with(".scope") {
        return Some("is a systemd unit".into());
    }
    let full = Path::new("/").join(path);
    // runc takes a relative path from beside its own cgroup
    // (libcontainer/cgroups/fs2/defaultpath.go), crun from the root.
    let beside =
        view.own_cgroup().parent().map(|parent| parent.join(path)).filter(|_| path.is_relative());
    let mut places = std::iter::once(&full).chain(&beside);
    if !circumstances.lives && places.any(|path| view.cgroup_is_used(path)) {
        return Some("already contains processes".into());
    }
    // The cgroup of Podman's own service, or of whatever a user runs it from.
    let splits =
        request.engine == Some(Engine::Podman) || circumstances.kernel_side == KernelSide::Rootless;
    let own: PathBuf = if splits { view.own_cgroup() } else { PathBuf::new() };
    let mut parents = full
        .ancestors()
        .skip(1)
        .filter(|parent| *parent != Path::new("/") && !own.starts_with(parent));
    let foreign = parents.find(|parent| {
        let name = parent.file_name().unwrap_or_default().to_string_lossy();
        is_unit(&name) || view.cgroup_is_used(parent)
    })?;
    Some(format!("is below {}, which contains other processes", foreign.display()))
}

fn is_unit(name: &str) -> bool {
    UNITS.iter().any(|end| name.ends_with(end))
}

/// The lowest oom_score_adj that engines give by themselves. kubelet (pkg/kubelet/qos/policy.go,
/// Kubernetes 1.33) gives -997 to guaranteed pods, containerd and CRI-O give -998 to a pod's
/// sandbox. Everywhere else 0 or nothing is the default.
fn lowest_score(request: &Request<'_>) -> i64 {
    match (request.engine.is_some_and(Engine::is_kubernetes), request.sandbox) {
        (true, true) => SANDBOX_SCORE,
        (true, false) => -997,
        (false, _) => 0,
    }
}

/// Of a process that joins, nobody knows which engine asks: they give it the container's own.
pub(super) const SANDBOX_SCORE: i64 = -998;

/// Checks `process.oomScoreAdj` of the first process.
pub(super) fn check_score(request: &Request<'_>, findings: &mut Findings<'_>) {
    let score = request.spec.process.as_ref().and_then(|process| process.oom_score_adj);
    score_at_least(score, lowest_score(request), findings);
}

/// The kernel kills others first where it runs out of memory: at -1000 it never kills the process
/// (proc_pid_oom_score_adj(5)).
pub(super) fn score_at_least(score: Option<i64>, lowest: i64, findings: &mut Findings<'_>) {
    if let Some(score) = score.filter(|score| *score < lowest) {
        findings.add(
            Control::Resources,
            format!(
                "oom_score_adj {score} is below {lowest}: the kernel would kill other processes \
                 first"
            ),
            "remove --oom-score-adj",
        );
    }
}
