//! Admission: what a container may be created with, checked before the runtime is executed.
//!
//! [`admit`] is a function of its arguments and of [`HostView`]; it collects every violation, so that
//! a user who has three things to change reads of all three at once.
//!
//! | control | module |
//! |---|---|
//! | host-mounts, host-sockets, mount-types, rootfs | [`mounts`] with [`sources`], [`engines`] and [`trees`] |
//! | mount-namespace, host-namespaces | [`namespaces`] |
//! | capabilities, run-as-root | [`process`] |
//! | devices | [`devices`] |
//! | seccomp, apparmor, selinux, privilege-escalation | [`profiles`] |
//! | proc-mount, sysctls | [`kernel_files`] |
//! | runtime-handlers | [`annotations`], and the runtime's name here |
//! | hooks | [`hooks`] |
//! | rootfs-propagation, resources | [`host_side_effects`] with [`cgroups`] |
//! | own-files | [`self_protection`] |
//! | restore | here |

pub mod annotations;
mod cgroups;
mod commands;
pub mod devices;
pub mod engines;
mod grants;
mod hooks;
mod host;
mod host_side_effects;
pub mod host_view;
pub mod kernel_files;
pub mod mounts;
pub mod namespaces;
mod overlays;
pub mod process;
mod profiles;
pub mod protected_paths;
mod self_protection;
mod selinux;
mod sources;
mod summary;
mod table;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{
    config::{CONFIG_PATH, Config, Engine, Mode},
    enforcement::Circumstances,
    handlers,
    policy::{Control, PLUGINS, Policy, Strength},
    reads,
    spec::{Process, Spec},
};
use lockc_core::abi::GrantedDevice;

pub use commands::{admit_checkpoint, admit_joining, admit_mounts, admit_process, admit_update};
pub use devices::gives_all as gives_all_devices;
pub use engines::Engines;
pub use grants::{GrantedFiles, Layer, Part, Tree};
pub use host_view::{Host, HostView, Kind, Namespace, Opened};
pub use summary::{Summary, summary};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The container's id.
    pub id: &'a str,
    /// The bundle's directory, absolute.
    pub bundle: &'a Path,
    /// Its configuration.
    pub spec: &'a Spec,
    /// Whether the container is restored from a checkpoint.
    pub restore: bool,
    /// The engine, where it is known.
    pub engine: Option<Engine>,
    /// Whether it is a pod's sandbox, as an engine says that lets nobody else say it.
    pub sandbox: bool,
}

/// What the container is granted: objects of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Its root file system.
    pub rootfs: Tree,
    /// Sources of its bind mounts.
    pub mounts: Vec<Tree>,
    /// Unix sockets of the host that it may connect to.
    pub sockets: Vec<Opened>,
    /// What `allowed_sockets` names in directories that it is granted.
    pub named_sockets: Vec<PathBuf>,
    /// What its overlays are made of, the directories before the overlay.
    pub layers: Vec<Layer>,
    /// Devices of its specification.
    pub devices: Vec<GrantedDevice>,
    /// What it may read in procfs and sysfs beyond what every container may.
    pub reads: Vec<PathBuf>,
    /// Why something that its policy lets it read stays unreadable all the same.
    pub unread: Vec<String>,
    /// What the policy forbids, and in the mode audit lets pass.
    pub reported: Vec<Violation>,
    /// Whether the specification gives every device there is.
    pub all_devices: bool,
    /// The host's number of its uid 0.
    pub root_uid: u32,
    /// Whether it manages what is below its own cgroup.
    pub cgroups: bool,
}

impl Grants {
    /// The directories and files of the host that the container sees. Nothing is known of the root
    /// file system where it was not found; that is a violation of its own.
    fn directories(&self) -> impl Iterator<Item = &Path> {
        let trees = self.mounts.iter().chain([&self.rootfs]).map(|tree| tree.top.path.as_path());
        trees.filter(|path| !path.as_os_str().is_empty())
    }
}

/// One thing that the policy refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was checked.
    pub control: Control,
    /// What is wrong, with the value.
    pub what: String,
    /// The policy and where it came from.
    pub policy: String,
    /// What would change it.
    pub remedy: String,
}

impl Violation {
    /// What is wrong and what would change it, without the policy.
    pub fn reason(&self) -> String {
        format!("{}: {} [{}]", self.control.name(), self.what, self.remedy)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused by {}: {}", self.policy, self.reason())
    }
}

/// Collects violations of the controls that the policy applies.
pub(crate) struct Findings<'a> {
    policy: &'a Policy,
    /// Whether a pod's sandbox is checked.
    sandbox: bool,
    /// Whether one of Docker's managed plugins is checked.
    plugin: bool,
    found: Vec<Violation>,
}

impl<'a> Findings<'a> {
    fn new(policy: &'a Policy, sandbox: bool) -> Self {
        Self { policy, sandbox, plugin: false, found: Vec::new() }
    }

    fn strength(&self, control: Control) -> Strength {
        match (control, self.policy.strength(control)) {
            // A pod's owner cannot take containerd's default capabilities from its sandbox. The
            // kernel side lets it use no more than the policy says.
            (Control::Capabilities, Strength::Restricted) if self.sandbox => Strength::Baseline,
            (_, strength) => strength,
        }
    }

    fn applies(&self, control: Control) -> bool {
        self.strength(control) != Strength::Off
    }

    /// What is let pass, or everything, if something is refused. In the mode audit only what
    /// nothing can be reported without is.
    fn outcome(self, can_report: bool) -> Result<Vec<Violation>, Vec<Violation>> {
        let passes =
            |violation: &Violation| self.policy.mode == Mode::Audit && violation.control.optional();
        if !can_report && !self.found.is_empty() {
            return Err(self.found);
        }
        let (passing, refused): (Vec<_>, Vec<_>) = self.found.into_iter().partition(passes);
        if refused.is_empty() { Ok(passing) } else { Err(refused) }
    }

    /// Notes a violation unless the policy is without that control.
    fn add(&mut self, control: Control, what: String, remedy: impl Into<String>) {
        if self.applies(control) {
            let mut remedy = remedy.into();
            if remedy.contains("allowed_mounts") && what.contains("gives the host's root directory")
            {
                // Who allows that allows everything.
                remedy = "mount the directories that it needs".into();
            }
            let remedy = match (remedy, control.optional()) {
                (_, true) if self.plugin => {
                    format!(
                        "name a policy for Docker's plugins that admits {}: {PLUGINS} in \
                         {CONFIG_PATH}",
                        control.name()
                    )
                }
                (remedy, true) => {
                    format!("{remedy}, or use a policy that admits {}", control.name())
                }
                (remedy, false) if self.policy.mode == Mode::Audit => format!(
                    "{remedy}, or use the level privileged; the mode audit does not let it pass: \
                     without this control lockc could not report what the container does, or \
                     would be the container's to change"
                ),
                (remedy, false) => format!("{remedy}, or use the level privileged"),
            };
            self.found.push(Violation { control, what, policy: self.policy.to_string(), remedy });
        }
    }
}

/// Checks a container that the kernel side confines; what it is granted, or everything that the
/// policy refuses.
pub fn admit(
    request: &Request<'_>,
    policy: &Policy,
    config: &Config,
    engines: &Engines,
    view: &dyn HostView,
) -> Result<Grants, Vec<Violation>> {
    admit_under(request, policy, config, engines, view, &Circumstances::default())
}

/// As [`admit`], whatever confines the container. The policy has the rules that are enforced.
pub fn admit_under(
    request: &Request<'_>,
    policy: &Policy,
    config: &Config,
    engines: &Engines,
    view: &dyn HostView,
    circumstances: &Circumstances<'_>,
) -> Result<Grants, Vec<Violation>> {
    let mut findings = Findings::new(policy, request.sandbox);
    findings.plugin = engines::is_plugin(request.bundle);
    let spec = request.spec;
    let mut given = mounts::check(request, config, engines, view, &mut findings);
    (given.devices, given.all_devices) = devices::granted(&spec.linux);
    namespaces::check(spec, view, &mut findings);
    namespaces::check_cgroup(spec, view, &mut findings);
    given.cgroups = namespaces::manages_cgroups(spec, view);
    given.root_uid = namespaces::root_uid(&spec.linux, view, &mut findings);
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
    profiles::check(request, config, view, &mut findings);
    kernel_files::check(request, &mut findings);
    let sandbox = circumstances.sandbox(config);
    annotations::check(request, circumstances, sandbox.is_some(), &mut findings);
    check_name(circumstances, sandbox.is_some(), &mut findings);
    hooks::check(spec, &given, view, &mut findings);
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
    (given.reads, given.unread) = (resolved.paths, resolved.left_out);
    // Without a root file system there is nothing that could be reported.
    given.reported = findings.outcome(given.rootfs != Tree::default())?;
    Ok(given)
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

fn check_process(process: &Process, findings: &mut Findings<'_>) {
    process::check(process, findings);
    profiles::of_process(process, findings);
    host_side_effects::of_process(process, findings);
}
