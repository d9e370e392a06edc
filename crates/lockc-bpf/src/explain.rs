//! `lockc explain`: what would happen to a container, why, and which setting would change it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use lockc_core::{
    abi::ENTRY_SANDBOX,
    rules::Rule,
    user::{
        Registry,
        admission::{Host, Violation},
        config::{CONFIG_PATH, Config},
        decision::{self, Case, Decision},
        paths,
        policy::{Control, Policy, Strength},
        sandbox,
        spec::Spec,
    },
};
use serde::Serialize;

use crate::loader::text;

/// Where engines keep the bundles of running containers.
const BUNDLES: [&str; 4] = [
    "/run/containerd/io.containerd.runtime.v2.task",
    "/run/docker/containerd/daemon/io.containerd.runtime.v2.task",
    "/var/lib/containers/storage/overlay-containers",
    "/run/containers/storage/overlay-containers",
];

/// What is explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    id: String,
    bundle: PathBuf,
    file: PathBuf,
}

impl Target {
    /// A bundle, a `config.json`, `docker:NAME`, `podman:NAME`, or the id (or the beginning of one) of a container that an
    /// engine runs.
    ///
    /// # Errors
    ///
    /// Where there is no such thing, or more than one.
    pub fn find(text: &str) -> Result<Self> {
        let path = Path::new(text);
        if path.is_dir() {
            return Self::of_bundle(path);
        }
        if path.is_file() {
            let file = path.canonicalize().with_context(|| format!("{text} cannot be resolved"))?;
            let bundle = file.parent().unwrap_or(Path::new("/")).to_owned();
            return Ok(Self { id: id_of(&bundle), bundle, file });
        }
        let id = match text.split_once(':') {
            Some(("docker", name)) => inspect("docker", "{{.Id}}", name)?,
            // A user's own storage may be anywhere.
            Some(("podman", name)) => {
                let file = PathBuf::from(inspect("podman", "{{.OCIConfigPath}}", name)?);
                let bundle = file.parent().filter(|_| file.is_file()).with_context(|| {
                    format!("{text} has no config.json yet: Podman writes it when the container is first started")
                })?;
                return Self::of_bundle(bundle);
            }
            _ => text.to_owned(),
        };
        let mut found = bundles(&id);
        match (found.pop(), found.is_empty()) {
            (Some(bundle), true) => Self::of_bundle(&bundle),
            (None, _) => bail!(
                "{text} is neither a bundle, a config.json, nor a container that runs; `lockc explain --help` has examples"
            ),
            (Some(_), false) => bail!("{text} stands for several containers; give more of the id"),
        }
    }

    fn of_bundle(path: &Path) -> Result<Self> {
        let bundle = path.canonicalize().with_context(|| format!("{} cannot be resolved", path.display()))?;
        Ok(Self { id: id_of(&bundle), file: bundle.join("config.json"), bundle })
    }
}

/// Engines name a bundle after its container; Podman puts it into `userdata` below that.
fn id_of(bundle: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match (name(bundle).as_str(), bundle.parent()) {
        ("userdata", Some(parent)) => name(parent),
        (own, _) => own.to_owned(),
    }
}

/// The bundles of containers whose ids begin like this.
fn bundles(id: &str) -> Vec<PathBuf> {
    let children = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(id));
    let (tasks, storage) = BUNDLES.split_at(2);
    let of_containerd = tasks.iter().flat_map(|path| children(Path::new(path)).collect::<Vec<_>>());
    let mut found: Vec<PathBuf> =
        of_containerd.flat_map(|namespace| children(&namespace).filter(named).collect::<Vec<_>>()).collect();
    let of_storage = storage.iter().flat_map(|path| children(Path::new(path)).collect::<Vec<_>>());
    found.extend(of_storage.filter(named).map(|path| path.join("userdata")));
    found.retain(|path| path.join("config.json").is_file());
    found
}

/// What an engine says of the container that it knows by that name.
fn inspect(engine: &str, format: &str, name: &str) -> Result<String> {
    let output = std::process::Command::new(engine)
        .args(["container", "inspect", "--format", format, "--", name])
        .output()
        .with_context(|| format!("`{engine} inspect` cannot be run"))?;
    if !output.status.success() {
        bail!("{engine}:{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The sandbox that a container runs in: by its entry where it is registered, else by the runtime that would start it.
fn sandbox_of(id: &str, config: &Config) -> Option<&'static str> {
    let made = paths::runtimes(&config.runtimes)
        .into_iter()
        .find(|path| path.is_file())
        .and_then(|runtime| sandbox::made_by(&runtime, config));
    // Without the rights to read the entries the configuration has to do.
    let entries = Registry::open().and_then(|registry| registry.containers()).unwrap_or_default();
    let entry = entries.iter().find(|entry| !id.is_empty() && text(&entry.entry.id) == id);
    match entry {
        Some(entry) if entry.entry.flags & ENTRY_SANDBOX == 0 => None,
        Some(_) => made.or(Some("a sandbox")),
        None => made,
    }
}

/// What a control or a rule does with the container.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Its name in the configuration.
    pub name: &'static str,
    /// What it is about.
    pub about: String,
    /// `ok`, `refused`, `off`; a rule: `enforced`, `off`, `unseen`.
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
    /// What keeps the kernel rules out: the sandbox that it runs in, a kernel of its own.
    pub sandbox: Option<&'static str>,
    /// Whether it would start.
    pub starts: bool,
    /// What is checked before it starts.
    pub controls: Vec<Line>,
    /// What the kernel denies while it runs.
    pub rules: Vec<Line>,
}

/// Explains a container under the policy that would be chosen, or under another.
///
/// # Errors
///
/// Where the configuration or the container's cannot be read, or there is no policy for it.
pub fn explain(target: &Target, level: Option<&str>) -> Result<Explanation> {
    let config = Config::load(Path::new(CONFIG_PATH))?;
    let spec = Spec::read(&target.file)?;
    let case = Case { id: &target.id, bundle: &target.bundle, spec: &spec, argument: level, restore: false };
    // The sandbox's entry is keyed by the runtime's state directory, which a bundle does not tell.
    let mut decision = decision::decide(&case, &config, &Host, |_| Ok(None))?;
    if level.is_some() {
        decision.policy.origin = "--level".into();
    }
    let mut explanation = explanation(&target.id, &decision);
    explanation.sandbox = sandbox_of(&target.id, &config);
    if explanation.sandbox.is_some() {
        for rule in &mut explanation.rules {
            rule.verdict = "unseen";
            rule.setting = format!("a runtime that runs containers on the host's kernel (`runtimes` in {CONFIG_PATH})");
        }
    }
    Ok(explanation)
}

pub(crate) fn explanation(id: &str, decision: &Decision) -> Explanation {
    let policy = &decision.policy;
    let violations = decision.judged.as_ref().err().map_or(&[][..], Vec::as_slice);
    Explanation {
        id: id.to_owned(),
        engine: decision.described.engine.map(|engine| engine.name()),
        namespace: decision.described.namespace.clone(),
        policy: policy.name.clone(),
        level: policy.level.name(),
        origin: policy.origin.clone(),
        sandbox: None,
        starts: decision.judged.is_ok(),
        controls: Control::ALL.into_iter().map(|control| of_control(control, policy, violations)).collect(),
        rules: Rule::ALL.into_iter().map(|rule| of_rule(rule, policy)).collect(),
    }
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
        (_, false) => "refused",
    };
    let setting = if control.optional() {
        format!("policies.NAME.admit = [{:?}]", control.name())
    } else {
        "the level privileged".into()
    };
    Line { name: control.name(), about: control.checks().into(), verdict, findings, setting }
}

fn of_rule(rule: Rule, policy: &Policy) -> Line {
    Line {
        name: rule.name(),
        about: rule.denies().into(),
        verdict: if policy.rules.has(rule) { "enforced" } else { "off" },
        findings: Vec::new(),
        setting: format!("policies.NAME.without_rules = [{:?}]", rule.name()),
    }
}

impl Explanation {
    /// For people.
    pub fn print(&self) {
        println!("container  {}", self.id);
        println!("engine     {}", self.engine.unwrap_or("unknown"));
        if let Some(namespace) = &self.namespace {
            println!("namespace  {namespace}");
        }
        println!("policy     {} (level {}), from {}", self.policy, self.level, self.origin);
        if let Some(sandbox) = self.sandbox {
            println!("sandbox    {sandbox}: no kernel rule reaches inside; what is judged before it starts holds");
        }
        println!("starts     {}", if self.starts { "yes" } else { "no" });
        for (title, lines) in [("before it starts", &self.controls), ("while it runs", &self.rules)] {
            println!("\n{title}");
            for line in lines {
                println!("  {:<9} {:<17} {}", line.verdict, line.name, line.about);
                for finding in &line.findings {
                    println!("            {finding}");
                }
                if line.verdict != "ok" {
                    println!("            changed by {}", line.setting);
                }
            }
        }
    }
}
