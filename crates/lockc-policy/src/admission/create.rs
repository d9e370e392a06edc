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
    granted.cgroups = namespaces::manages_cgroups(spec, view);
    granted.root_uid = namespaces::root_uid(&spec.linux, view, &mut findings);
    let sandboxed = circumstances.sandbox(settings, view).is_some();
    let grants = &granted;
    let subject = Subject { request, settings, engines, view, circumstances, sandboxed, grants };
    for check in CHECKS {
        check(&subject, &mut findings);
    }
    let resolved = reads::resolve(&policy.more.reads, view);
    (granted.reads, granted.unread) = (resolved.paths, resolved.left_out);
    // Without a root file system there is nothing that could be reported.
    granted.reported = findings.outcome(granted.rootfs != Tree::default())?;
    Ok(granted)
}

/// What is checked.
struct Subject<'a> {
    request: &'a Request<'a>,
    settings: &'a Settings,
    engines: &'a Engines,
    view: &'a dyn HostView,
    circumstances: &'a Circumstances<'a>,
    /// Whether the runtime makes a sandbox.
    sandboxed: bool,
    /// What the mounts grant.
    grants: &'a Grants,
}

/// The checks, in the order in which a user reads their violations; mounts come before them.
const CHECKS: [fn(&Subject<'_>, &mut Findings<'_>); 12] = [
    |of, found| namespaces::check(of.request.spec, of.view, found),
    |of, found| namespaces::check_cgroup(of.request.spec, of.view, found),
    check_devices,
    check_user,
    |of, found| profiles::check(of.request, of.settings, of.view, found),
    |of, found| kernel_files::check(of.request, found),
    |of, found| annotations::check(of.request, of.circumstances, of.sandboxed, found),
    |of, found| check_name(of.circumstances, of.sandboxed, found),
    |of, found| hooks::check(of.request.spec, of.grants, of.view, found),
    |of, found| host_side_effects::check(&of.request.spec.linux, found),
    |of, found| {
        cgroups::check(of.request, of.circumstances, of.view, found);
        cgroups::check_score(of.request, found);
    },
    check_restore,
];

fn check_devices(of: &Subject<'_>, findings: &mut Findings<'_>) {
    let named = findings.policy.more.devices.iter().cloned();
    let nodes: Vec<PathBuf> = named.chain(of.engines.devices(of.request, of.view)).collect();
    devices::check(&of.request.spec.linux, &devices::Named::of(&nodes, of.view), findings);
}

fn check_user(of: &Subject<'_>, findings: &mut Findings<'_>) {
    let spec = of.request.spec;
    if let Some(process) = &spec.process
        && process.user.uid != 0
        && spec.linux.host_uid(process.user.uid) == Some(0)
    {
        findings.add(
            Control::RunAsRoot,
            format!("uid {} of the container is the host's uid 0", process.user.uid),
            "map it to another uid",
        );
    }
    match &spec.process {
        Some(process) => check_process(process, findings),
        None => findings.add(
            Control::RunAsRoot,
            "no process is configured; it would run as uid 0".into(),
            "set process.user.uid",
        ),
    }
}

fn check_restore(of: &Subject<'_>, findings: &mut Findings<'_>) {
    if of.request.restore {
        findings.add(
            Control::Restore,
            "a restored container executes no program, so it would never become confined".into(),
            "create the container again",
        );
    }
}

/// Checks the name under which the runtime is executed. A handler that is a sandbox is the
/// administrator's choice (`sandbox_runtimes`).
fn check_name(circumstances: &Circumstances<'_>, sandboxed: bool, findings: &mut Findings<'_>) {
    let Some(runtime) = circumstances.runtime.filter(|_| !sandboxed) else { return };
    if let Some(handler) = handlers::named_by(runtime) {
        findings.add(
            Control::RuntimeHandlers,
            format!(
                "the runtime {} selects crun's handler {handler} by its name, and runs the \
                 workload without the exec that confines it",
                runtime.display()
            ),
            format!(
                "set `runtimes` in {CONFIG_PATH} to crun itself; if the handler runs its own \
                 kernel, add the runtime to `sandbox_runtimes` instead"
            ),
        );
    }
}

pub(super) fn check_process(process: &Process, findings: &mut Findings<'_>) {
    process::check(process, findings);
    profiles::of_process(process, findings);
    host_side_effects::of_process(process, findings);
}
