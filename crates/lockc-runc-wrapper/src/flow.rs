//! The steps between parsing the command line and executing the runtime. The kernel side is behind
//! a trait, so that tests see the order of the steps without one.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use lockc_core::{abi::ENTRY_QUARANTINED, maps::NewContainer, rules::Network};
use lockc_policy::{
    admission::grants::{GrantedFiles, Tree},
    config::{CONFIG_PATH, ConfigError, Fail, Rootless, Settings},
    container_file::ContainerFile,
    decision::{self, Case, Decision},
    enforcement::{Circumstances, Gap, KernelSide},
    engine::Engine,
    host::{bundle, privilege::Privilege},
    policy::PolicySet,
    runtimes,
    spec::Spec,
    with_causes,
};

use crate::{
    commands, delete,
    environment::{Environment, Plan, Refusal, absolute, fail, pod_sandbox, quarantined},
    hand,
    invocation::{Call, Create, Exec, Invocation},
    log, runtime, unregistered,
    words::{keep_reported, refused, report},
};

/// Decides, registers, and says what to execute.
pub fn prepare(invocation: &Invocation, environment: &Environment<'_>) -> Result<Plan, Refusal> {
    let mut plan = match &invocation.call {
        // Nothing about these starts a process in a container: they work whatever state lockc is
        // in.
        Call::Other | Call::Help | Call::Version => tolerant(invocation, environment)?.0,
        Call::Checkpoint(_) | Call::Update(_) | Call::Mounts(_) => {
            let mut plan = tolerant(invocation, environment)?.0;
            commands::check(invocation, &mut plan, environment)?;
            plan
        }
        Call::Start(id) => {
            let plan = tolerant(invocation, environment)?.0;
            // The runtime listens for the container's notifications on a socket that it makes now;
            // unless that is the container's, the container may not reach it.
            if let Some(id) = id
                .as_ref()
                .filter(|_| environment.notify && environment.privilege == Privilege::Root)
            {
                let root =
                    runtime::state_root(invocation.root.as_deref(), &plan.runtime, environment.uid);
                if let Err(error) = environment.kernel.join(&root, id) {
                    log::warn(&format!(
                        "{}; {id} is started anyway, and cannot notify its engine",
                        with_causes(&error)
                    ));
                }
            }
            plan
        }
        Call::Delete(id) => {
            let (mut plan, problem) = tolerant(invocation, environment)?;
            if let Some(error) = problem {
                log::warn(&format!(
                    "{error}; lockc looks for the runtime in the default locations"
                ));
            }
            if let Some(id) = id {
                plan.deletion = delete::expect(&plan, invocation.root.as_deref(), id, environment);
            }
            plan
        }
        Call::Create(create) => self::create(invocation, create, environment)?,
        Call::Exec(exec) => join(invocation, exec, environment)?,
    };
    plan.args.clone_from(&invocation.passed);
    Ok(plan)
}

/// The plan where a broken configuration must not be in the way of managing containers that exist:
/// of the configuration, only the candidates for the runtime are used.
/// The caller tells of it where nobody parses stderr: engines read the output of `state` and `ps`
/// together with it.
fn tolerant(
    invocation: &Invocation,
    environment: &Environment<'_>,
) -> Result<(Plan, Option<ConfigError>)> {
    let (candidates, problem) = match PolicySet::load_settings(environment.config, environment.view)
    {
        Ok(settings) => (candidates(invocation, &settings)?, None),
        Err(error) => (invocation.runtime.iter().cloned().collect(), Some(error)),
    };
    Ok((Plan::of((environment.find)(&candidates)?), problem))
}

fn strict(invocation: &Invocation, environment: &Environment<'_>) -> Result<(PolicySet, Plan)> {
    let config = PolicySet::load_beside(environment.config, environment.synced, environment.view)
        .context("the container is not started")?;
    let runtime = (environment.find)(&candidates(invocation, &config.settings)?)?;
    Ok((config, Plan::of(runtime)))
}

/// The programs of which one is executed. The engine's arguments choose among those of the
/// configuration.
fn candidates(invocation: &Invocation, settings: &Settings) -> Result<Vec<PathBuf>> {
    match &invocation.runtime {
        None => Ok(settings.runtimes.clone()),
        Some(runtime) if runtimes::candidates(&settings.runtimes).contains(runtime) => {
            Ok(vec![runtime.clone()])
        }
        Some(runtime) => bail!(
            "--lockc-runtime {0} is not in the configuration; nothing was executed: add {0:?} to \
             `runtimes` in {CONFIG_PATH}",
            runtime.display()
        ),
    }
}

fn create(
    invocation: &Invocation,
    create: &Create,
    environment: &Environment<'_>,
) -> Result<Plan, Refusal> {
    let (config, mut plan) = strict(invocation, environment)?;
    reachable(&config, environment, "the container is not started")?;
    let bundle = absolute(create.bundle.as_deref().unwrap_or(Path::new("")), environment)?;
    // runc only knows the bundle's config.json; crun resolves its option before it changes to the
    // bundle.
    let spec = match &create.config {
        Some(file) if file != Path::new("config.json") => {
            let file = absolute(file, environment)?;
            let text = match environment.granted_file {
                Some(text) => text.to_vec(),
                None => bundle::contents(&file).context("the container is not started")?,
            };
            plan.handed = Some(hand::sealed(&text).context("the container is not started")?);
            Spec::parse(&text, &file)
        }
        _ => bundle::spec(&bundle.join("config.json")),
    }
    .context("the container is not started")?;
    let root = runtime::state_root(invocation.root.as_deref(), &plan.runtime, environment.uid);
    // No runtime creates it once more; what is registered under that id stays as it is. A rootless
    // engine registers nothing.
    if environment.privilege == Privilege::Root && environment.containers.exists(&root, &create.id)
    {
        Err(anyhow!(
            "a container with the id {} already exists in {}; delete it first",
            create.id,
            root.display()
        ))?;
    }
    let decide = |kernel_side| {
        let case = Case {
            id: &create.id,
            bundle: &bundle,
            spec: &spec,
            argument: invocation.policy.as_deref(),
            restore: create.restore,
            registered: None,
            circumstances: Circumstances {
                runtime: Some(&plan.runtime),
                kernel_side,
                lives: false,
            },
        };
        let look_up = |id: &str| pod_sandbox(&config, &root, id, environment);
        decision::decide(&case, &config, environment.view, look_up)
            .context("the container is not started")
    };
    let kernel_side = match environment.privilege {
        Privilege::Root => KernelSide::Confines,
        _ => KernelSide::Rootless,
    };
    let Decision { policy, enforcement, metadata, checked, audited, reported, warned } =
        decide(kernel_side)?;
    let grants = checked.map_err(|found| {
        refused(&found, &create.id, &bundle, &policy, &metadata.names, environment)
    })?;
    if grants.rootfs == Tree::default() {
        let path = bundle
            .join(spec.root.as_ref().map(|root| root.path.as_path()).unwrap_or(Path::new("")));
        Err(anyhow!("the root file system {} cannot be found", path.display())
            .context("the container is not started"))?;
    }
    // Podman takes the whole log for one message, the runtime's.
    let engines_log = (metadata.engine != Some(Engine::Podman)).then_some(invocation);
    report(&grants.reported, "the container is started", engines_log);
    for violations in [&reported, &warned] {
        report(violations, "the container is started", engines_log);
    }
    let would = [&grants.reported[..], &reported].concat();
    keep_reported(&would, &create.id, &bundle, &policy, &metadata.names, environment);
    if enforcement.gap == Some(Gap::Rootless) {
        log::warn(&format!(
            "{} is admitted under {policy} and NOT CONFINED, because {CONFIG_PATH} has rootless = \
             \"admission\"",
            create.id
        ));
        return Ok(plan);
    }
    let capabilities = policy.capabilities();
    let about = ContainerFile {
        id: create.id.clone(),
        names: metadata.names,
        bundle: bundle.clone(),
        granted: grants.in_words(),
    };
    let new = NewContainer {
        root: root.clone(),
        id: create.id.clone(),
        level: policy.level,
        rules: enforcement.rules.union(audited),
        audited,
        mode: policy.mode.raw(),
        capabilities,
        root_uid: grants.root_uid,
        loopback: policy.network == Network::Loopback,
        sandboxed: enforcement.sandbox().is_some(),
        hook_mounts: policy.more.hook_mounts,
        policy_grants: policy.grants_beyond_level(),
        policy: policy.name,
        origin: policy.origin,
        propagates: grants.mounts.iter().any(|mount| mount.propagates),
        cgroups: grants.cgroups,
        reads: grants.reads,
        families: policy.more.families,
        devices: grants.devices,
        about: about.to_text(),
    };
    let grants = GrantedFiles {
        rootfs: grants.rootfs,
        mounts: grants.mounts,
        sockets: grants.sockets,
        named_sockets: grants.named_sockets,
        layers: grants.layers,
    };
    match environment.kernel.register(&new, grants) {
        Ok(()) => plan.registered = Some((new.root, new.id)),
        Err(error) => {
            // Nothing is enforced then: admission must not have relied on it.
            if config.settings.fail == Fail::Open {
                let Decision { policy, metadata, checked, .. } = decide(KernelSide::Unreachable)?;
                checked.map_err(|found| {
                    refused(&found, &create.id, &bundle, &policy, &metadata.names, environment)
                })?;
            }
            fail(&config, error, "the container is not started")?;
        }
    }
    Ok(plan)
}

/// Rootless engines start containers from where the pinned maps are out of reach, whatever else is
/// in order.
fn reachable(
    config: &PolicySet,
    environment: &Environment<'_>,
    consequence: &'static str,
) -> Result<()> {
    let who = match environment.privilege {
        Privilege::Root => return Ok(()),
        Privilege::User(uid) => format!("uid {uid}, not root"),
        Privilege::Namespace => {
            format!("uid {} of a user namespace, not the host's root", environment.uid)
        }
    };
    match config.settings.rootless {
        Rootless::Admission => Ok(()),
        Rootless::Refuse => bail!(
            "{consequence}: lockc's runtime was called by a rootless engine ({who}), which cannot \
             reach the kernel side; run the engine as root; or configure runc or crun in the \
             rootless engine and run `lockc load --guard-runtimes`; or set rootless = \
             \"admission\" in {CONFIG_PATH}, which checks containers but does not confine them"
        ),
    }
}

fn join(
    invocation: &Invocation,
    exec: &Exec,
    environment: &Environment<'_>,
) -> Result<Plan, Refusal> {
    let (config, mut plan) = strict(invocation, environment)?;
    reachable(&config, environment, "the process is not started")?;
    let root = runtime::state_root(invocation.root.as_deref(), &plan.runtime, environment.uid);
    let unknown = |kernel_side, plan: &mut Plan| {
        let policy = commands::policy_without_entry(
            invocation,
            exec,
            &config,
            &plan.runtime,
            kernel_side,
            environment,
        )?;
        commands::check_joining(exec, plan, &root, &policy, environment)
    };
    if environment.privilege != Privilege::Root {
        unknown(KernelSide::Rootless, &mut plan)?;
        return Ok(plan);
    }
    let entry = match environment.kernel.entry(&root, &exec.id) {
        Ok(entry) => entry,
        Err(error) => {
            if config.settings.fail == Fail::Open {
                unknown(KernelSide::Unreachable, &mut plan)?;
            }
            fail(&config, error, "the process is not started")?;
            return Ok(plan);
        }
    };
    let Some(entry) = entry else {
        if let Err(error) =
            unregistered::plan(invocation, &exec.id, &root, &config, &mut plan, environment)
        {
            fail(&config, error, "the process is not started")?;
        }
        return Ok(plan);
    };
    if entry.flags & ENTRY_QUARANTINED != 0 {
        Err(quarantined(&exec.id).context("the process is not started"))?;
    }
    commands::check_joining(
        exec,
        &mut plan,
        &root,
        &decision::running(&config, &entry)?,
        environment,
    )?;
    if let Err(error) = environment.kernel.join(&root, &exec.id) {
        fail(&config, error, "the process is not started")?;
    }
    Ok(plan)
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
