//! Everything that is checked before a container is created.

use std::path::PathBuf;

use super::{
    annotations, cgroups, devices, hooks, host_side_effects, kernel_files, mounts, namespaces,
    process, profiles,
};
use crate::{
    admission::{
        findings::{Findings, Violation},
        grants::{Grants, Tree},
    },
    config::{CONFIG_PATH, Settings},
    enforcement::Circumstances,
    engines::{self, Engines, Request},
    host::HostView,
    policy::{Policy, control::Control, reads},
    runtimes::handlers,
    spec::{self, Process},
};

/// Checks a container that the kernel side confines; what it is granted, or everything that the
/// policy refuses.
pub fn admit(
    request: &Request<'_>,
    policy: &Policy,
    settings: &Settings,
    engines: &Engines,
    view: &dyn HostView,
) -> Result<Grants, Vec<Violation>> {
    admit_under(request, policy, settings, engines, view, &Circumstances::default())
}

/// As [`admit`], whatever confines the container. The policy has the rules that are enforced.
pub fn admit_under(
    request: &Request<'_>,
    policy: &Policy,
    settings: &Settings,
    engines: &Engines,
    view: &dyn HostView,
    circumstances: &Circumstances<'_>,
) -> Result<Grants, Vec<Violation>> {
    let mut findings = Findings::new(policy, request.sandbox);
    findings.plugin = engines::is_plugin(request.bundle);
    let spec = request.spec;
    let mut granted = mounts::check(request, settings, engines, view, &mut findings);
    (granted.devices, granted.all_devices) = spec::devices::granted(&spec.linux);
    namespaces::check(spec, view, &mut findings);
    namespaces::check_cgroup(spec, view, &mut findings);
    granted.cgroups = namespaces::manages_cgroups(spec, view);
    granted.root_uid = namespaces::root_uid(&spec.linux, view, &mut findings);
    let nodes: Vec<PathBuf> =
        policy.more.devices.iter().cloned().chain(engines.devices(request, view)).collect();
    devices::check(&spec.linux, &devices::Named::of(&nodes, view), &mut findings);
    if let Some(process) = &spec.process
        && process.user.uid != 0
        && spec.linux.host_uid(process.user.uid) == Some(0)
    {
        findings.add(
            Control::RunAsRoot,
            format!("uid {} of the container is the host's uid 0", process.user.uid),
            "map it to another",
        );
    }
    match &spec.process {
        Some(process) => check_process(process, &mut findings),
        None => findings.add(
            Control::RunAsRoot,
            "no process is configured, so that it would run as uid 0".into(),
            "set process.user.uid",
        ),
    }
    profiles::check(request, settings, view, &mut findings);
    kernel_files::check(request, &mut findings);
    let sandbox = circumstances.sandbox(settings, view);
    annotations::check(request, circumstances, sandbox.is_some(), &mut findings);
    check_name(circumstances, sandbox.is_some(), &mut findings);
    hooks::check(spec, &granted, view, &mut findings);
    host_side_effects::check(&spec.linux, &mut findings);
    cgroups::check(request, circumstances, view, &mut findings);
    cgroups::check_score(request, &mut findings);
    if request.restore {
        findings.add(
            Control::Restore,
            "a restored container executes nothing, and so would never become confined".into(),
            "create the container anew",
        );
    }
    let resolved = reads::resolve(&policy.more.reads, view);
    (granted.reads, granted.unread) = (resolved.paths, resolved.left_out);
    // Without a root file system there is nothing that could be reported.
    granted.reported = findings.outcome(granted.rootfs != Tree::default())?;
    Ok(granted)
}

/// Checks the name under which the runtime is executed. A handler that is a sandbox is the
/// administrator's choice (`sandbox_runtimes`).
fn check_name(circumstances: &Circumstances<'_>, sandboxed: bool, findings: &mut Findings<'_>) {
    let Some(runtime) = circumstances.runtime.filter(|_| !sandboxed) else { return };
    if let Some(handler) = handlers::named_by(runtime) {
        findings.add(
            Control::RuntimeHandlers,
            format!(
                "the runtime {} chooses crun's handler {handler} by its name, and runs the \
                 workload without the exec that confines it",
                runtime.display()
            ),
            format!(
                "name crun itself in `runtimes` in {CONFIG_PATH}, or, if it has a kernel of its \
                 own, name it in `sandbox_runtimes` too"
            ),
        );
    }
}

pub(super) fn check_process(process: &Process, findings: &mut Findings<'_>) {
    process::check(process, findings);
    profiles::of_process(process, findings);
    host_side_effects::of_process(process, findings);
}
