//! The policy of a container, what it forbids, and which setting would change that.

pub mod answer;
mod docker;
pub mod explanation;
pub mod finding;
pub mod lines;
pub mod print;
pub mod refused;
pub mod sarif;
mod target;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use lockc_core::{
    abi::{ContainerEntry, ENTRY_DELETING, ENTRY_SANDBOX},
    maps::{self, Registry, registry::Registered},
    paths,
};
use lockc_policy::{
    config::{CONFIG_PATH, Fail, Rootless},
    decision::{self, Case},
    enforcement::{Circumstances, Gap, KernelSide},
    host::{Host, bundle, privilege::Privilege},
    policy::{PolicySet, RequestError},
    refused::Refused,
    runtimes::sandbox,
    spec::strict,
    with_causes,
};

use answer::{Answer, Place};
use explanation::Explanation;
use finding::{Check, Finding, Severity};

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

/// Explains a container, which the user calls `subject`, under the policy that it runs under, or
/// that would be chosen, or under another.
///
/// # Errors
///
/// Where the configuration or the container's cannot be read.
pub fn explain(subject: &str, target: &Target, level: Option<&str>) -> Result<Answer> {
    let config = PolicySet::of_host()?;
    if let Some(level) = level {
        config.request(level, "--level")?;
    }
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
    let circumstances = Circumstances {
        runtime: runtime.as_deref(),
        kernel_side: kernel_side(target, &config),
        lives: target.lives || find(&containers, &target.id).is_some(),
    };
    let case =
        Case { id, bundle, spec: &spec, argument, restore: false, registered, circumstances };
    let sandbox = |id: &str| {
        find(&containers, id)
            .map(|container| decision::registered(&config, &container.entry))
            .transpose()
    };
    let place = Some(Place { file: target.file.display().to_string(), line: None });
    let mut decision = match decision::decide(&case, &config, &Host::default(), sandbox) {
        Ok(decision) => decision,
        Err(error) => {
            let finding = no_policy(&error).ok_or(error)?;
            return Ok(Answer::without_policy(subject.into(), place, Some(id.into()), finding));
        }
    };
    if level.is_some() {
        decision.policy.origin = "--level".into();
    }
    if let Some(container) = find(&containers, id).filter(|_| runs) {
        decision.enforcement.gap = is_sandbox(&container.entry, &config, &circumstances);
    }
    let mut explanation = Explanation::new(id, &spec, &decision, warnings(target, &config, runs));
    explanation.registered = runs;
    explanation.unconfined = unconfined(target, &containers);
    Ok(Answer::checked(subject.into(), place, explanation))
}

/// Why the container does not run under lockc, as far as its engine and the maps tell.
fn unconfined(target: &Target, containers: &[Registered]) -> Option<Finding> {
    if containers.iter().any(|container| maps::text(&container.entry.id) == target.id) {
        return None;
    }
    let why = match (&target.foreign, Registry::open()) {
        (Some(runtime), _) => format!("its runtime is {runtime}, which is not lockc's"),
        // Without the maps it is not known.
        (None, Ok(_)) if target.lives => "it runs, and is not registered with lockc".into(),
        (None, _) => return None,
    };
    let guarded = Registry::open().and_then(|registry| registry.guarded());
    let guard = match guarded {
        Ok(Some((_, entry))) => format!(
            "; `lockc load --guard-runtimes` confines it under {}, if it started after that",
            maps::text(&entry.policy)
        ),
        _ => String::new(),
    };
    Some(Check::Runtime.finding(format!("{why}; create it again under lockc's runtime{guard}")))
}

/// Why there is no policy, where that is the answer and not a failure to find one.
pub(crate) fn no_policy(error: &anyhow::Error) -> Option<Finding> {
    let id = error.downcast_ref::<RequestError>()?.id();
    Some(Finding { id, name: "policy", severity: Severity::Error, what: with_causes(error) })
}

/// What there is to know besides controls and rules; `runs`: whether the container is registered.
fn warnings(target: &Target, config: &PolicySet, runs: bool) -> Vec<Finding> {
    let mut warnings = Vec::new();
    if config.settings.rootless == Rootless::Refuse
        && Privilege::of_this_process() != Privilege::Root
        && is_own(&target.file)
    {
        warnings.push(Check::Rootless.finding(format!(
            "a rootless engine does not start it, because {CONFIG_PATH} has rootless = \"refuse\"; \
             the rest applies to an engine that runs as root"
        )));
    }
    let text = bundle::contents(&target.file).ok();
    if let Some(problem) = text.and_then(|text| strict::problem(&text)) {
        warnings.push(Check::Specification.finding(format!(
            "its config.json does not conform to the OCI runtime specification, and was read as \
             runtimes read it: {problem}"
        )));
    }
    if !runs && let Some(refused) = Refused::find(Path::new(paths::REFUSED), &target.id) {
        let controls: Vec<&str> =
            refused.reasons.iter().map(|reason| reason.control.as_str()).collect();
        warnings.push(Check::EarlierRefusal.finding(format!(
            "it was refused at {} by {}: {}",
            refused.time,
            refused.policy,
            controls.join(", ")
        )));
    }
    warnings
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
