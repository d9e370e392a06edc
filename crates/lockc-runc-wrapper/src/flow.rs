//! The order of things between reading the command line and executing the runtime. Everything that touches the kernel
//! side is behind [`Kernel`], so that the order is tested without one.

use std::{
    ffi::OsString,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail};
use lockc_core::{
    abi::ContainerEntry,
    rules::{Rule, RuleMask},
    user::{
        NewContainer,
        admission::{self, Facts},
        config::{CONFIG_PATH, Config, ConfigError, Engine, Fail, Rootless},
        decision::{self, Case},
        error::told as with_causes,
        hold::{Grants, Tree},
        paths,
        policy::Policy,
        refused::Refused,
        sandbox,
        spec::{Process, Spec, contents},
        userns::Standing,
    },
};

use crate::{
    argv::{Call, Exec, Invocation, Start},
    containers::Containers,
    delete::{self, Deletion},
    hand, log, runtime, unregistered,
    words::{in_short, refusal, report},
};

/// What the flow asks of the kernel side; each call opens the pinned maps anew, so that none stays open at exec.
pub trait Kernel {
    /// Registers and labels this process.
    fn register(&self, new: &NewContainer, grants: Grants) -> Result<()>;
    /// Labels this process as joining a container.
    fn join(&self, root: &Path, id: &str) -> Result<()>;
    /// The entry of a container, if it is registered.
    fn entry(&self, root: &Path, id: &str) -> Result<Option<ContainerEntry>>;
    /// Lets the container's slot be taken once its last task is gone; only under that generation,
    /// if one is given.
    fn mark_deleting(&self, root: &Path, id: &str, generation: Option<u32>) -> Result<()>;
}

/// Where things are; other places in tests.
pub struct Environment<'a> {
    /// The configuration file.
    pub config: &'a Path,
    /// What a cluster says of its namespaces.
    pub namespaces: &'a Path,
    /// The directory that a bundle defaults to; empty where that is gone.
    pub directory: &'a Path,
    /// What `--config` names, where only another process could read it.
    pub given_file: Option<&'a [u8]>,
    /// User that runs the wrapper.
    pub uid: u32,
    /// Whether it is the host's root.
    pub standing: Standing,
    /// Whether the engine wants to be notified by the container (`NOTIFY_SOCKET`).
    pub notify: bool,
    /// The kernel side.
    pub kernel: &'a dyn Kernel,
    /// What the real runtime knows.
    pub containers: &'a dyn Containers,
    /// The host.
    pub facts: &'a dyn Facts,
    /// Where refusals are kept for `lockc explain`; nowhere in tests.
    pub refused: Option<&'a Path>,
    /// Finds the real runtime.
    pub find: &'a dyn Fn(&[PathBuf]) -> Result<PathBuf>,
}

/// What to execute.
#[derive(Debug)]
pub struct Plan {
    /// The runtime.
    pub runtime: PathBuf,
    /// Its arguments, without its name.
    pub args: Vec<OsString>,
    /// What was registered, to be undone if the runtime cannot be executed.
    pub registered: Option<(PathBuf, String)>,
    /// The file that the runtime is to read in place of the one that `file_at` of the invocation
    /// names.
    pub handed: Option<OwnedFd>,
    /// What is to be marked once the runtime has ended.
    pub deletion: Option<Deletion>,
    /// Whether the runtime is to find no container.
    pub empty_root: bool,
}

impl Plan {
    /// Executes a runtime, and nothing else.
    pub fn of(runtime: PathBuf) -> Self {
        Self { runtime, args: Vec::new(), registered: None, handed: None, deletion: None, empty_root: false }
    }
}

/// Why nothing is executed: one line a reason.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal(pub Vec<String>);

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self(vec![with_causes(&error)])
    }
}

/// Decides, registers, and says what to execute.
pub fn prepare(invocation: &Invocation, environment: &Environment<'_>) -> Result<Plan, Refusal> {
    let mut plan = match &invocation.call {
        // Nothing about these starts a process in a container: they work whatever state lockc is in.
        Call::Other | Call::Help | Call::Version => tolerant(invocation, environment)?.0,
        Call::Begin(id) => {
            let plan = tolerant(invocation, environment)?.0;
            // The runtime listens for the container's notifications on a socket that it makes now; unless that is the
            // container's, the container may not reach it.
            if let Some(id) = id.as_ref().filter(|_| environment.notify && environment.standing == Standing::Root) {
                let root = runtime::state_root(invocation.root.as_deref(), &plan.runtime, environment.uid);
                if let Err(error) = environment.kernel.join(&root, id) {
                    log::warn(&format!(
                        "{}; {id} is started nevertheless, and cannot notify its engine",
                        with_causes(&error)
                    ));
                }
            }
            plan
        }
        Call::Delete(id) => {
            let (mut plan, problem) = tolerant(invocation, environment)?;
            if let Some(error) = problem {
                log::warn(&format!("{error}; the runtime is looked for in the usual places"));
            }
            if let Some(id) = id {
                plan.deletion = delete::expect(&plan, invocation.root.as_deref(), id, environment);
            }
            plan
        }
        Call::Start(start) => begin(invocation, start, environment)?,
        Call::Exec(exec) => join(invocation, exec, environment)?,
    };
    plan.args.clone_from(&invocation.passed);
    Ok(plan)
}

/// The plan where a broken configuration must not be in the way of managing containers that exist. The caller tells of
/// it where nobody parses stderr: engines read the output of `state` and `ps` together with it.
fn tolerant(invocation: &Invocation, environment: &Environment<'_>) -> Result<(Plan, Option<ConfigError>)> {
    let (candidates, problem) = match Config::load_with_labels(environment.config, environment.namespaces) {
        Ok(config) => (candidates(invocation, &config)?, None),
        Err(error) => (invocation.runtime.iter().cloned().collect(), Some(error)),
    };
    Ok((Plan::of((environment.find)(&candidates)?), problem))
}

fn strict(invocation: &Invocation, environment: &Environment<'_>) -> Result<(Config, Plan)> {
    let config =
        Config::load_with_labels(environment.config, environment.namespaces).context("the container is not started")?;
    let runtime = (environment.find)(&candidates(invocation, &config)?)?;
    Ok((config, Plan::of(runtime)))
}

/// The programs of which one is executed. The engine's arguments choose among those of the configuration.
fn candidates(invocation: &Invocation, config: &Config) -> Result<Vec<PathBuf>> {
    match &invocation.runtime {
        None => Ok(config.runtimes.clone()),
        Some(runtime) if paths::runtimes(&config.runtimes).contains(runtime) => Ok(vec![runtime.clone()]),
        Some(runtime) => bail!(
            "--lockc-runtime {0} is not a runtime of the configuration; nothing was executed: add {0:?} to `runtimes` in \
             {CONFIG_PATH}",
            runtime.display()
        ),
    }
}

fn begin(invocation: &Invocation, start: &Start, environment: &Environment<'_>) -> Result<Plan, Refusal> {
    let (config, mut plan) = strict(invocation, environment)?;
    reachable(&config, environment, "the container is not started")?;
    let bundle = absolute(start.bundle.as_deref().unwrap_or(Path::new("")), environment)?;
    // runc only knows the bundle's config.json; crun resolves its option before it changes to the bundle.
    let spec = match &start.config {
        Some(file) if file != Path::new("config.json") => {
            let file = absolute(file, environment)?;
            let text = match environment.given_file {
                Some(text) => text.to_vec(),
                None => contents(&file).context("the container is not started")?,
            };
            plan.handed = Some(hand::sealed(&text).context("the container is not started")?);
            Spec::parse(&text, &file)
        }
        _ => Spec::read(&bundle.join("config.json")),
    }
    .context("the container is not started")?;
    let root = runtime::state_root(invocation.root.as_deref(), &plan.runtime, environment.uid);
    // No runtime creates it once more; what is registered under that id stays as it is. A rootless
    // engine registers nothing.
    if environment.standing == Standing::Root && environment.containers.exists(&root, &start.id) {
        Err(anyhow!("a container with the id {} already exists in {}; delete it first", start.id, root.display()))?;
    }
    let argument = invocation.policy.as_deref();
    let case = Case { id: &start.id, bundle: &bundle, spec: &spec, argument, restore: start.restore, registered: None };
    let look_up = |id: &str| pod_sandbox(&config, &root, id, environment);
    let decision =
        decision::decide(&case, &config, environment.facts, look_up).context("the container is not started")?;
    let (policy, engine) = (decision.policy, decision.described.engine);
    let given = decision.judged.map_err(|violations| {
        let engine = engine.map(Engine::name);
        if let Some(place) = environment.refused.filter(|_| environment.standing == Standing::Root) {
            let refused = Refused::new(&start.id, log::now(), engine, &bundle, &policy, &violations);
            if let Err(error) = refused.keep(place) {
                log::warn(&format!("{}: {error}; `lockc explain` will not know why", place.display()));
            }
        }
        Refusal(vec![in_short(&violations, &start.id, engine)])
    })?;
    if given.rootfs == Tree::default() {
        let path = bundle.join(spec.root.map(|root| root.path).unwrap_or_default());
        Err(anyhow!("the root file system {} cannot be found", path.display()).context("the container is not started"))?;
    }
    // Podman takes the whole log for one message, the runtime's.
    let engines_log = (decision.described.engine != Some(Engine::Podman)).then_some(invocation);
    report(&given.reported, "the container is started", engines_log);
    if environment.standing != Standing::Root {
        log::warn(&format!(
            "{} is admitted under {policy} and then NOT CONFINED by the wrapper, because {CONFIG_PATH} says rootless = \
             \"admission\"",
            start.id
        ));
        return Ok(plan);
    }
    let capabilities = admission::process::usable(&policy);
    let sandboxed = sandbox::made_by(&plan.runtime, &config).is_some();
    let rules = match policy.rules {
        // The host sees the sandbox's own processes only, which do what no container may.
        _ if sandboxed => RuleMask(0),
        // There is nothing to compare with then.
        rules if given.all_devices => rules.without(Rule::Device),
        rules => rules,
    };
    let new = NewContainer {
        root,
        id: start.id.clone(),
        level: policy.level,
        rules,
        mode: policy.mode.raw(),
        capabilities,
        root_uid: given.root_uid,
        loopback: config.offline_loopback,
        sandboxed,
        hook_mounts: policy.more.hook_mounts,
        policy_grants: policy.grants_beyond_level(),
        policy: policy.name,
        origin: policy.origin,
        propagates: given.mounts.iter().any(|mount| mount.propagates),
        cgroups: given.cgroups,
        reads: given.reads,
        families: policy.more.families,
        devices: given.devices,
    };
    let (rootfs, mounts) = (given.rootfs, given.mounts);
    let grants = Grants { rootfs, mounts, sockets: given.sockets, named_sockets: given.named_sockets };
    match environment.kernel.register(&new, grants) {
        Ok(()) => plan.registered = Some((new.root, new.id)),
        Err(error) => fail(&config, error, "the container is not started")?,
    }
    Ok(plan)
}

/// Rootless engines start containers from where the pinned maps are out of reach, whatever else is in order.
fn reachable(config: &Config, environment: &Environment<'_>, consequence: &'static str) -> Result<()> {
    let who = match environment.standing {
        Standing::Root => return Ok(()),
        Standing::User(uid) => format!("uid {uid}, not root"),
        Standing::Namespace => format!("uid {} of a user namespace, not the host's root", environment.uid),
    };
    match config.rootless {
        Rootless::Admission => Ok(()),
        Rootless::Refuse => bail!(
            "{consequence}: lockc's runtime was called by a rootless engine ({who}), from where the kernel side cannot be \
             reached, so that nothing would confine it; run the engine as root; or give the rootless engine runc or crun \
             themselves and confine what those start with `lockc load --guard-runtimes`; or have what lockc can judge \
             without the kernel side: rootless = \"admission\" in {CONFIG_PATH}"
        ),
    }
}

/// The policy of a pod's sandbox. Without an entry it was started around lockc, and says nothing.
pub(crate) fn pod_sandbox(
    config: &Config,
    root: &Path,
    id: &str,
    environment: &Environment<'_>,
) -> Result<Option<Policy>> {
    if environment.standing != Standing::Root {
        return Ok(None);
    }
    match environment.kernel.entry(root, id) {
        Ok(entry) => entry.map(|entry| decision::registered(config, &entry)).transpose(),
        Err(error) => fail(config, error, "its pod's sandbox cannot be looked up").map(|()| None),
    }
}

fn join(invocation: &Invocation, exec: &Exec, environment: &Environment<'_>) -> Result<Plan, Refusal> {
    let (config, mut plan) = strict(invocation, environment)?;
    reachable(&config, environment, "the process is not started")?;
    if environment.standing != Standing::Root {
        return Ok(plan);
    }
    let root = runtime::state_root(invocation.root.as_deref(), &plan.runtime, environment.uid);
    let entry = match environment.kernel.entry(&root, &exec.id) {
        Ok(entry) => entry,
        Err(error) => {
            fail(&config, error, "the process is not started")?;
            return Ok(plan);
        }
    };
    let Some(entry) = entry else {
        if let Err(error) = unregistered::plan(invocation, &exec.id, &root, &config, &mut plan, environment) {
            fail(&config, error, "the process is not started")?;
        }
        return Ok(plan);
    };
    let policy = decision::registered(&config, &entry)?;
    let (process, file) = process(exec, environment)?;
    plan.handed = file;
    let reported = admission::admit_process(&process, &policy).map_err(refusal)?;
    report(&reported, "the process is started", None);
    if let Err(error) = environment.kernel.join(&root, &exec.id) {
        fail(&config, error, "the process is not started")?;
    }
    Ok(plan)
}

/// What `fail` says about a kernel side that does not answer.
fn fail(config: &Config, error: anyhow::Error, consequence: &'static str) -> Result<()> {
    match config.fail {
        Fail::Closed => Err(error.context(consequence)),
        Fail::Open => {
            log::warn(&format!(
                "{}; it runs UNCONFINED, because {CONFIG_PATH} says fail = \"open\"",
                with_causes(&error)
            ));
            Ok(())
        }
    }
}

/// A path of the engine's.
fn absolute(path: &Path, environment: &Environment<'_>) -> Result<PathBuf> {
    let path = environment.directory.join(path);
    if path.is_absolute() {
        return Ok(path);
    }
    bail!("the working directory is gone, so that {:?} leads nowhere; give an absolute path", path.display());
}

/// The process that `exec` asks for, from its file or its options; a file is handed on as it was
/// read. Without a user it is the container's own, which was admitted; the same holds for the
/// capabilities.
fn process(exec: &Exec, environment: &Environment<'_>) -> Result<(Process, Option<OwnedFd>)> {
    if let Some(file) = &exec.process {
        let file = absolute(file, environment)?;
        let read = || {
            let text = contents(&file)?;
            Ok((Process::parse(&text, &file)?, Some(hand::sealed(&text)?)))
        };
        return read().map_err(|error: anyhow::Error| error.context("the process is not started"));
    }
    let mut process = Process::default();
    process.capabilities.effective.clone_from(&exec.caps);
    process.user.uid = match &exec.user {
        None => u32::MAX,
        // What is not a number is for the runtime to refuse; until then it counts as root.
        Some(user) => user.split(':').next().and_then(|uid| uid.parse().ok()).unwrap_or(0),
    };
    Ok((process, None))
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
