//! What a runtime does with a container that runs: CRIU makes an image of it, its limits change,
//! crun mounts something in it, a process joins it.

use std::path::{Path, PathBuf};

use crate::{
    admission::{
        cgroups,
        create::check_process,
        devices,
        findings::{Findings, Violation},
        hooks,
    },
    host::HostView,
};
use crate::{
    policy::{Control, Policy},
    spec::{Linux, Process, Resources, Spec},
};

type Outcome = Result<Vec<Violation>, Vec<Violation>>;

/// Checks a process that joins a container; what audit mode lets pass, or everything that the
/// policy refuses.
pub fn admit_process(process: &Process, policy: &Policy) -> Outcome {
    admit_joining(process, None, None, policy)
}

/// As [`admit_process`], for a process that is described as a whole: where the `container` has an
/// SELinux label, it must have one too. `cgroup`: below the container's.
pub fn admit_joining(
    process: &Process,
    container: Option<&Process>,
    cgroup: Option<&str>,
    policy: &Policy,
) -> Outcome {
    let mut findings = Findings::new(policy, false);
    check_process(process, &mut findings);
    cgroups::score_at_least(process.oom_score_adj, cgroups::SANDBOX_SCORE, &mut findings);
    if process.selinux_label.is_empty()
        && container.is_some_and(|container| !container.selinux_label.is_empty())
    {
        findings.add(
            Control::SeLinux,
            "the process has no SELinux label, but the container has one".into(),
            "use the container's label",
        );
    }
    // `PATH` or `CONTROLLERS:PATH` (runc 1.3, exec.go).
    if let Some(cgroup) = cgroup.filter(|cgroup| cgroup.split([':', '/']).any(|part| part == ".."))
    {
        findings.add(
            Control::Resources,
            format!("the cgroup {cgroup} leads out of the container's cgroup"),
            "remove --cgroup",
        );
    }
    findings.outcome(true)
}

/// Checks a checkpoint. CRIU reads the file that the annotation `org.criu.config` names, executes
/// the scripts that stand in it, and writes its images, all as the host's root.
///
/// `container`: its bundle and configuration, where they are known; `paths`: what CRIU reads and
/// writes.
pub fn admit_checkpoint(
    container: Option<(&Path, &Spec)>,
    paths: &[PathBuf],
    policy: &Policy,
    view: &dyn HostView,
) -> Outcome {
    let mut findings = Findings::new(policy, false);
    let remedy = "use a directory that only root can change and that no container can reach";
    let mut within = Vec::new();
    if let Some((bundle, spec)) = container {
        for (key, value) in spec.annotations.iter().filter(|(key, _)| key.starts_with("org.criu."))
        {
            let what = format!("the container's annotation {key}={value} changes what CRIU does");
            findings.add(Control::Hooks, what, "create the container without the annotation");
        }
        let roots = spec.root.iter().map(|root| bundle.join(&root.path));
        let sources = spec
            .mounts
            .iter()
            .filter(|mount| mount.is_bind())
            .map(|mount| bundle.join(&mount.source));
        within.extend(roots.chain(sources).filter_map(|path| view.canonicalize(&path).ok()));
    }
    let within: Vec<&Path> = within.iter().map(PathBuf::as_path).collect();
    for path in paths {
        if let Some(problem) = hooks::of_path(path, &within, view) {
            findings.add(
                Control::Hooks,
                format!("CRIU would use {}, which {problem}", path.display()),
                remedy,
            );
        }
    }
    findings.outcome(true)
}

/// Checks new limits: crun sets the devices among them, both set shares of the caches.
pub fn admit_update(
    resources: Option<Resources>,
    container: Option<&Spec>,
    intel_rdt: bool,
    policy: &Policy,
    view: &dyn HostView,
) -> Outcome {
    let mut findings = Findings::new(policy, false);
    let mut resources = resources.unwrap_or_default();
    if let Some(container) = container {
        resources.devices.retain(|rule| !container.linux.resources.devices.contains(rule));
    }
    let linux = Linux { resources, ..Linux::default() };
    devices::check(&linux, &devices::Named::of(&policy.more.devices, view), &mut findings);
    if intel_rdt {
        let what = "a share of the host's caches and memory bandwidth".into();
        findings.add(Control::Resources, what, "remove --l3-cache-schema and --mem-bw-schema");
    }
    findings.outcome(true)
}

/// Checks what crun mounts in a container that runs.
pub fn admit_mounts(policy: &Policy) -> Outcome {
    let mut findings = Findings::new(policy, false);
    findings.add(
        Control::HostMounts,
        "a mount into a running container, whose source lockc does not check".into(),
        "create the container with that mount",
    );
    findings.outcome(true)
}
