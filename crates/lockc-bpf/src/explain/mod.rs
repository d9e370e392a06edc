//! The policy of a container, what it forbids, and which setting would change that.

mod docker;
pub mod refused;
mod target;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use lockc_core::{
    abi::{ContainerEntry, ENTRY_DELETING, ENTRY_SANDBOX},
    families,
    maps::{self, Registry, registry::Registered},
    paths,
    rules::Rule,
};
use lockc_policy::{
    admission::{findings::Violation, kernel_files},
    config::{CONFIG_PATH, Fail, Mode, Rootless},
    decision::{self, Case, Decision},
    enforcement::{Circumstances, Enforcement, Gap, KernelSide},
    host::{Host, bundle, privilege::Privilege},
    policy::{Control, Policy, PolicySet, Strength},
    refused::Refused,
    runtimes::sandbox,
    spec::{Spec, strict},
};
use serde::Serialize;

pub use target::Target;

/// The runtime that the wrapper would execute: the engine's argument, or the first that is there.
fn runtime_of(target: &Target, config: &PolicySet) -> Option<PathBuf> {
    let candidates = || lockc_policy::runtimes::candidates(&config.settings.runtimes).into_iter();
    target.runtime.clone().or_else(|| candidates().find(|path| path.is_file()))
}

/// Whether the kernel side would confine the container, as far as can be seen from here.
fn kernel_side(target: &Target, config: &PolicySet) -> KernelSide {
    match Privilege::of_this_process() {
        Privilege::Root if config.settings.fail == Fail::Open && Registry::open().is_err() => {
            KernelSide::Unreachable
        }
        Privilege::Root => KernelSide::Confines,
        // A rootless engine's bundles belong to its user. Another bundle is one that root will run.
        _ if config.settings.rootless == Rootless::Admission && is_own(&target.file) => {
            KernelSide::Rootless
        }
        _ => KernelSide::Confines,
    }
}

fn is_own(file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(file).is_ok_and(|metadata| metadata.uid() == nix::unistd::geteuid().as_raw())
}

/// What a control or a rule does with the container.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Its name in the configuration.
    pub name: &'static str,
    /// What it is about.
    pub about: String,
    /// `ok`, `refused`, `reported`, `off`; a rule: `enforced`, `reported`, `off`, `unseen`.
    pub verdict: &'static str,
    /// What is refused, or nothing.
    pub findings: Vec<String>,
    /// What would change the verdict.
    pub setting: String,
}

/// The whole answer.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The container's id.
    pub id: String,
    /// The engine, if it is known.
    pub engine: Option<&'static str>,
    /// The Kubernetes namespace, if it is in one.
    pub namespace: Option<String>,
    /// The policy.
    pub policy: String,
    /// The level that it is or extends.
    pub level: &'static str,
    /// Where the choice came from.
    pub origin: String,
    /// The network that the policy leaves the container: `full`, `loopback` or `none`.
    pub network: &'static str,
    /// `enforce`, or `audit`: what is refused and denied is only reported.
    pub mode: &'static str,
    /// What keeps the kernel rules out: the sandbox that it runs in, a kernel of its own.
    pub sandbox: Option<&'static str>,
    /// Why the kernel side enforces no rule, where it does not.
    pub not_enforced: Option<String>,
    /// Whether it would start.
    pub starts: bool,
    /// What its policy lets it read in procfs and sysfs, and what stands in the way of that.
    pub reads: Vec<String>,
    /// Socket families and netlink protocols that its policy names.
    pub socket_families: Vec<&'static str>,
    /// What is checked before it starts.
    pub controls: Vec<Line>,
    /// What the kernel denies while it runs.
    pub rules: Vec<Line>,
    /// Whether it runs already, under this policy.
    pub registered: bool,
    /// What else there is to know.
    pub notes: Vec<String>,
}

/// Explains a container under the policy that it runs under, or that would be chosen, or under
/// another.
///
/// # Errors
///
/// Where the configuration or the container's cannot be read, or there is no policy for it.
pub fn explain(target: &Target, level: Option<&str>) -> Result<Explanation> {
    let config = PolicySet::of_host()?;
    let spec = bundle::spec(&target.file)?;
    let containers = containers();
    let registered = match (level, find(&containers, &target.id)) {
        (None, Some(container)) => Some(decision::running(&config, &container.entry)?),
        _ => None,
    };
    let runs = registered.is_some();
    let argument = level.or(target.argument.as_deref());
    let (id, bundle) = (target.id.as_str(), target.bundle.as_path());
    let runtime = runtime_of(target, &config);
    let circumstances =
        Circumstances { runtime: runtime.as_deref(), kernel_side: kernel_side(target, &config) };
    let case =
        Case { id, bundle, spec: &spec, argument, restore: false, registered, circumstances };
    let sandbox = |id: &str| {
        find(&containers, id)
            .map(|container| decision::registered(&config, &container.entry))
            .transpose()
    };
    let mut decision = decision::decide(&case, &config, &Host::default(), sandbox)?;
    if level.is_some() {
        decision.policy.origin = "--level".into();
    }
    let mut notes = target.notes.clone();
    if config.settings.rootless == Rootless::Refuse
        && Privilege::of_this_process() != Privilege::Root
        && is_own(&target.file)
    {
        notes.push(format!(
            "a rootless engine does not start it, because {CONFIG_PATH} has rootless = \"refuse\"; \
             the rest applies to an engine that runs as root"
        ));
    }
    let text = bundle::contents(&target.file).ok();
    if let Some(problem) = text.and_then(|text| strict::problem(&text)) {
        notes.push(format!(
            "its config.json does not conform to the OCI runtime specification, and was read as \
             runtimes read it: {problem}"
        ));
    }
    if !runs && let Some(refused) = Refused::find(Path::new(paths::REFUSED), id) {
        let controls: Vec<&str> =
            refused.reasons.iter().map(|reason| reason.control.as_str()).collect();
        notes.push(format!(
            "it was refused at {} by {}: {}",
            refused.time,
            refused.policy,
            controls.join(", ")
        ));
    }
    if let Some(container) = find(&containers, id).filter(|_| runs) {
        decision.enforcement.gap = is_sandbox(&container.entry, &config, &circumstances);
    }
    Ok(Explanation { registered: runs, ..explanation(id, &spec, &decision, notes) })
}

/// The sandbox in which a registered container runs.
fn is_sandbox(
    entry: &ContainerEntry,
    config: &PolicySet,
    circumstances: &Circumstances<'_>,
) -> Option<Gap> {
    let made = circumstances
        .runtime
        .and_then(|runtime| sandbox::made_by(runtime, &config.settings, &Host::default()));
    (entry.flags & ENTRY_SANDBOX != 0).then(|| Gap::Sandbox(made.unwrap_or("a sandbox")))
}

/// The registered containers; none where the maps cannot be read: an ordinary user may explain a
/// bundle.
fn containers() -> Vec<Registered> {
    Registry::open().and_then(|registry| registry.containers()).unwrap_or_default()
}

/// The container of that id, if there is exactly one: the maps know it together with the runtime's
/// state directory, which a bundle does not tell.
fn find<'a>(containers: &'a [Registered], id: &str) -> Option<&'a Registered> {
    let mut found = containers.iter().filter(|container| {
        maps::text(&container.entry.id) == id && container.entry.flags & ENTRY_DELETING == 0
    });
    found.next().filter(|_| found.next().is_none())
}

pub(crate) fn explanation(
    id: &str,
    spec: &Spec,
    decision: &Decision,
    notes: Vec<String>,
) -> Explanation {
    let policy = &decision.policy;
    let violations = match &decision.checked {
        Ok(given) => &given.reported,
        Err(violations) => violations,
    };
    Explanation {
        id: id.to_owned(),
        engine: decision.metadata.engine.map(|engine| engine.name()),
        namespace: decision.metadata.namespace.clone(),
        policy: policy.name.clone(),
        level: policy.level.name(),
        origin: policy.origin.clone(),
        network: policy.network.name(),
        mode: policy.mode.name(),
        sandbox: decision.enforcement.sandbox(),
        not_enforced: decision.enforcement.gap.map(Gap::reason),
        starts: decision.checked.is_ok(),
        reads: reads(spec, decision),
        socket_families: named_families(policy.more.families),
        controls: Control::ALL
            .into_iter()
            .map(|control| of_control(control, policy, violations))
            .collect(),
        rules: Rule::ALL
            .into_iter()
            .map(|rule| of_rule(rule, policy, &decision.enforcement))
            .collect(),
        registered: false,
        notes,
    }
}

fn reads(spec: &Spec, decision: &Decision) -> Vec<String> {
    let listed = decision.policy.more.reads.iter().map(|path| {
        match kernel_files::hides(&spec.linux, path) {
            Some(masked) => {
                format!("{} (still hidden: {} is in maskedPaths)", path.display(), masked.display())
            }
            None => path.display().to_string(),
        }
    });
    let left_out = decision.checked.as_ref().map_or(&[][..], |given| &given.unread);
    listed.chain(left_out.iter().map(|problem| format!("not: {problem}"))).collect()
}

fn named_families(bits: u64) -> Vec<&'static str> {
    families::FAMILIES
        .iter()
        .filter(|family| bits >> family.bit & 1 != 0)
        .map(|family| family.name)
        .collect()
}

fn of_control(control: Control, policy: &Policy, violations: &[Violation]) -> Line {
    let findings: Vec<String> = violations
        .iter()
        .filter(|violation| violation.control == control)
        .map(|violation| format!("{} [{}]", violation.what, violation.remedy))
        .collect();
    let verdict = match (policy.strength(control), findings.is_empty()) {
        (Strength::Off, _) => "off",
        (_, true) => "ok",
        (_, false) if policy.mode == Mode::Audit && control.optional() => "reported",
        (_, false) => "refused",
    };
    let setting = if control.optional() {
        format!("policies.NAME.admit = [{:?}]", control.name())
    } else {
        "the privileged level".into()
    };
    Line { name: control.name(), about: control.checks().into(), verdict, findings, setting }
}

fn of_rule(rule: Rule, policy: &Policy, enforcement: &Enforcement) -> Line {
    let setting = match enforcement.gap {
        Some(Gap::Sandbox(_)) => {
            format!(
                "a runtime that runs containers on the host's kernel (`runtimes` in {CONFIG_PATH})"
            )
        }
        Some(Gap::Rootless) => "an engine that runs as root".into(),
        Some(Gap::Unreachable) => "`lockc load`".into(),
        None => format!("policies.NAME.without_rules = [{:?}]", rule.name()),
    };
    let verdict = match (enforcement.rules.has(rule), policy.mode) {
        _ if enforcement.gap.is_some() => "unseen",
        (false, _) => "off",
        (true, Mode::Enforce) => "enforced",
        (true, Mode::Audit) => "reported",
    };
    Line { name: rule.name(), about: rule.denies().into(), verdict, findings: Vec::new(), setting }
}
