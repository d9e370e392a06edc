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
    /// Its runtime, where that is not lockc's.
    pub(super) foreign: Option<String>,
    /// Whether an engine runs it.
    pub(super) lives: bool,
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
                foreign: None,
                lives: false,
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
                let docker::Container { argument, runtime, foreign_runtime: foreign, .. } =
                    container;
                // containerd removes the bundle with the task; Podman keeps it.
                let lives = BUNDLES[..2].iter().any(|tasks| bundle.starts_with(tasks));
                Ok(Self { argument, runtime, foreign, lives, ..Self::of_bundle(&bundle)? })
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
            .args([
                "container",
                "inspect",
                "--format",
                "{{.OCIConfigPath}} {{.OCIRuntime}}",
                "--",
                name,
            ])
            .output()
            .context("`podman inspect` cannot be run")?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!("podman:{name} cannot be inspected: {}", stderr.trim());
        }
        let output = String::from_utf8_lossy(&output.stdout);
        let (file, runtime) = output.trim().rsplit_once(' ').unwrap_or((output.trim(), ""));
        let file = PathBuf::from(file);
        let bundle = file.parent().filter(|_| file.is_file()).with_context(|| {
            format!(
                "podman:{name} has no config.json yet; Podman writes it when the container first \
                 starts"
            )
        })?;
        let foreign = (!is_lockc(runtime)).then(|| runtime.to_owned());
        Ok(Self { foreign, ..Self::of_bundle(bundle)? })
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
            foreign: None,
            lives: false,
        })
    }
}

/// Whether a runtime of Podman's is lockc: by the names that `lockc install` gives it, or by its
/// path. An older Podman tells none.
fn is_lockc(runtime: &str) -> bool {
    let path = Path::new(runtime);
    runtime.is_empty()
        || runtime == "lockc"
        || runtime.starts_with("lockc-")
        || path.ends_with(docker::WRAPPER)
        || path.starts_with("/etc/lockc/runtimes")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_of_podman_is_lockc_by_its_name_or_its_path() {
        for ours in [
            "lockc",
            "lockc-restricted",
            "/usr/bin/lockc-runc-wrapper",
            "/etc/lockc/runtimes/lockc-offline",
            "",
        ] {
            assert!(is_lockc(ours), "{ours}");
        }
        for other in ["crun", "/usr/bin/runc", "lockcd", "/opt/lockc-not/runc"] {
            assert!(!is_lockc(other), "{other}");
        }
    }
}
