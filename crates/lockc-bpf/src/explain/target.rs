//! What `lockc explain` is asked about, and where its bundle is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::docker;

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
    pub(super) id: String,
    pub(super) bundle: PathBuf,
    pub(super) file: PathBuf,
    /// `--lockc-policy`, as far as its engine's configuration tells.
    pub(super) argument: Option<String>,
    /// `--lockc-runtime`, likewise.
    pub(super) runtime: Option<PathBuf>,
    pub(super) notes: Vec<String>,
}

impl Target {
    /// A bundle, a `config.json`, `docker:NAME`, `podman:NAME`, or the id (or the beginning of one)
    /// of a container that an engine runs.
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
            return Ok(Self {
                id: id_of(&bundle),
                bundle,
                file,
                argument: None,
                runtime: None,
                notes: Vec::new(),
            });
        }
        let container = match text.split_once(':') {
            Some(("docker", name)) => docker::inspect(name)?,
            // A user's own storage may be anywhere.
            Some(("podman", name)) => return Self::of_podman(name),
            _ => docker::Container { id: text.to_owned(), ..docker::Container::default() },
        };
        let mut found = bundles(&container.id);
        match (found.pop(), found.is_empty()) {
            (Some(bundle), true) => {
                let notes = container.foreign_runtime.map(|runtime| {
                    format!(
                        "it runs under the runtime {runtime}, not under lockc; this shows what \
                         lockc would do"
                    )
                });
                let (argument, runtime) = (container.argument, container.runtime);
                let notes = notes.into_iter().collect();
                Ok(Self { argument, runtime, notes, ..Self::of_bundle(&bundle)? })
            }
            (None, _) if text.starts_with("docker:") => {
                bail!(
                    "{text} is not running, and Docker keeps the configuration of running \
                     containers only; start it first"
                )
            }
            (None, _) => bail!(
                "{text} is not a bundle, a config.json or a running container; see `lockc explain \
                 --help`"
            ),
            (Some(_), false) => {
                bail!("{text} matches several containers; give more digits of the id")
            }
        }
    }

    fn of_podman(name: &str) -> Result<Self> {
        let output = std::process::Command::new("podman")
            .args(["container", "inspect", "--format", "{{.OCIConfigPath}}", "--", name])
            .output()
            .context("`podman inspect` cannot be run")?;
        if !output.status.success() {
            bail!("podman:{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let file = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        let bundle = file.parent().filter(|_| file.is_file()).with_context(|| {
            format!(
                "podman:{name} has no config.json yet; Podman writes it when the container first \
                 starts"
            )
        })?;
        Self::of_bundle(bundle)
    }

    fn of_bundle(path: &Path) -> Result<Self> {
        let bundle = path
            .canonicalize()
            .with_context(|| format!("{} cannot be resolved", path.display()))?;
        let file = bundle.join("config.json");
        Ok(Self {
            id: id_of(&bundle),
            file,
            bundle,
            argument: None,
            runtime: None,
            notes: Vec::new(),
        })
    }
}

/// Engines name a bundle after its container; Podman puts it into `userdata` below that.
fn id_of(bundle: &Path) -> String {
    let name = |path: &Path| {
        path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    };
    match (name(bundle).as_str(), bundle.parent()) {
        ("userdata", Some(parent)) => name(parent),
        (own, _) => own.to_owned(),
    }
}

/// The bundles of containers whose ids begin like this.
fn bundles(id: &str) -> Vec<PathBuf> {
    let children =
        |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let named = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(id))
    };
    let (tasks, storage) = BUNDLES.split_at(2);
    let of_containerd = tasks.iter().flat_map(|path| children(Path::new(path)).collect::<Vec<_>>());
    let mut found: Vec<PathBuf> = of_containerd
        .flat_map(|namespace| children(&namespace).filter(named).collect::<Vec<_>>())
        .collect();
    let of_storage = storage.iter().flat_map(|path| children(Path::new(path)).collect::<Vec<_>>());
    found.extend(of_storage.filter(named).map(|path| path.join("userdata")));
    found.retain(|path| path.join("config.json").is_file());
    found
}
