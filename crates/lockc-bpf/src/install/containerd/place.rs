//! Which containerd is meant, and which file of its configuration an administrator may change: the
//! distributions of Kubernetes write their containerd's configuration themselves.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use toml_edit::DocumentMut;

use super::{
    super::{daemon, engine::Engine, host::Host, unit},
    document::DROP_IN,
    imports::{absolute, patterns},
};

/// Where lockc's handlers go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What containerd reads.
    pub root: PathBuf,
    /// The file to change: `root`, a template of it, or a drop-in of lockc's own.
    pub file: PathBuf,
    /// Whether `file` is lockc's own.
    pub own: bool,
    /// Who writes `root`, if that is not the administrator.
    pub writer: Option<Writer>,
}

/// A distribution of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    K3s,
    Rke2,
    K0s,
    MicroK8s,
}

impl Writer {
    pub fn name(self) -> &'static str {
        match self {
            Self::K3s => "k3s",
            Self::Rke2 => "RKE2",
            Self::K0s => "k0s",
            Self::MicroK8s => "MicroK8s",
        }
    }

    /// The units that write it at their start, and run containerd.
    fn units(self) -> &'static [&'static str] {
        match self {
            Self::K3s => &["k3s", "k3s-agent"],
            Self::Rke2 => &["rke2-server", "rke2-agent"],
            Self::K0s => &["k0sworker", "k0scontroller"],
            Self::MicroK8s => &["snap.microk8s.daemon-containerd"],
        }
    }

    /// The unit of this host's.
    pub fn unit(self, host: &Host) -> &'static str {
        let there = |unit: &&&str| unit::exists(host, &format!("{unit}.service"));
        self.units().iter().find(there).unwrap_or(&self.units()[0])
    }
}

/// Where the distributions keep it by default.
const K3S: &str = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml";
const RKE2: &str = "/var/lib/rancher/rke2/agent/etc/containerd/config.toml";
const K0S: &str = "/etc/k0s/containerd.toml";
const MICROK8S: &str = "/var/snap/microk8s/current/args/containerd.toml";

/// The place that is asked for, that of an earlier installation, or that of the containerd that
/// starts pods here.
///
/// # Errors
///
/// Where several could be meant, or a distribution writes the file that is asked for.
pub fn find(host: &Host, asked: Option<&Path>, earlier: Option<&Path>) -> Result<Place> {
    match (asked, earlier) {
        (Some(file), _) => of_file(host, file),
        (None, Some(root)) if writer(host, root).is_some() => of_root(host, root),
        (None, Some(file)) => of_file(host, file),
        (None, None) => of_root(host, &root(host)?),
    }
}

/// The configuration of the containerd that runs, or that is installed.
fn root(host: &Host) -> Result<PathBuf> {
    let usual = Path::new(Engine::Containerd.config());
    let mut roots: Vec<PathBuf> = daemon::all(host, "containerd", "containerd.service")
        .iter()
        .map(|daemon| daemon.path(&["config", "c"]).unwrap_or(usual).to_path_buf())
        // The one that dockerd starts has no pods.
        .filter(|root| !root.ends_with("docker/containerd/containerd.toml"))
        .collect();
    let is_installed = host.find("containerd").is_some() || host.at(usual).exists();
    if roots.is_empty() && !is_installed {
        let others = [K3S, RKE2, K0S, MICROK8S].map(PathBuf::from);
        roots.extend(others.into_iter().filter(|root| host.at(root).is_file()));
    }
    roots.sort();
    roots.dedup();
    match &roots[..] {
        [] => Ok(usual.into()),
        [root] => Ok(root.clone()),
        several => bail!(
            "several containerds are on this host; choose the one that starts the pods: {}",
            several
                .iter()
                .map(|root| format!("--config {}", root.display()))
                .collect::<Vec<_>>()
                .join(" or ")
        ),
    }
}

/// Who writes a configuration.
fn writer(host: &Host, root: &Path) -> Option<Writer> {
    let text = host.read(root).ok().flatten().unwrap_or_default();
    if root.ends_with("agent/etc/containerd/config.toml") {
        let is_rke2 = root.components().any(|part| part.as_os_str() == "rke2");
        return Some(if is_rke2 { Writer::Rke2 } else { Writer::K3s });
    }
    // Without this line the file is the administrator's (k0s, containerd/component.go).
    if root.starts_with("/etc/k0s") && text.starts_with("# k0s_managed=true") {
        return Some(Writer::K0s);
    }
    let is_microk8s =
        root.starts_with("/var/snap/microk8s") && root.ends_with("args/containerd.toml");
    is_microk8s.then_some(Writer::MicroK8s)
}

fn of_root(host: &Host, root: &Path) -> Result<Place> {
    let Some(writer) = writer(host, root) else {
        return Ok(Place { root: root.into(), file: root.into(), own: false, writer: None });
    };
    let folder = root.parent().unwrap_or(Path::new("/"));
    let (file, own) = match writer {
        Writer::K3s | Writer::Rke2 => k3s(host, root, writer)?,
        // Merged into k0s' own (k0s, containerd/configurer.go).
        Writer::K0s => (folder.join("containerd.d/lockc.toml"), true),
        Writer::MicroK8s => (folder.join("containerd-template.toml"), false),
    };
    Ok(Place { root: root.into(), file, own, writer: Some(writer) })
}

/// A drop-in where the rendered file imports its directory (since 2025), otherwise the template:
/// the new one's presence makes k3s ignore the old one (k3s, pkg/agent/containerd/config.go).
fn k3s(host: &Host, root: &Path, writer: Writer) -> Result<(PathBuf, bool)> {
    let folder = root.parent().unwrap_or(Path::new("/"));
    let Some(text) = host.read(root)? else {
        bail!("{} has not written {} yet; start it first", writer.name(), root.display());
    };
    let document: DocumentMut = text.parse().unwrap_or_default();
    let drop_ins = patterns(&document).into_iter().map(|pattern| absolute(root, &pattern));
    let own = drop_ins.filter(|path| path.file_name().is_some_and(|name| name == "*.toml"));
    if let Some(directory) = own.filter_map(|path| path.parent().map(Path::to_path_buf)).next() {
        return Ok((directory.join(DROP_IN), true));
    }
    let [new, old] = ["config-v3.toml.tmpl", "config.toml.tmpl"].map(|name| folder.join(name));
    let is_3 = document.get("version").and_then(toml_edit::Item::as_integer) == Some(3);
    let has = |path: &Path| host.at(path).is_file();
    // What is rendered comes from the new template, or from none, where it has version 3.
    let file = if is_3 && (has(&new) || !has(&old)) { new } else { old };
    Ok((file, false))
}

/// A file that somebody names.
fn of_file(host: &Host, file: &Path) -> Result<Place> {
    if let Some(writer) = writer(host, file) {
        let place = of_root(host, file)?;
        bail!(
            "{} writes {} at each start, so that a change is lost; its own configuration goes to \
             {}, which `lockc install containerd --config {}` changes",
            writer.name(),
            file.display(),
            place.file.display(),
            place.file.display()
        );
    }
    let plain = Place { root: file.into(), file: file.into(), own: false, writer: None };
    let Some(folder) = file.parent() else { return Ok(plain) };
    let beside = |name: &str| folder.join(name);
    let own = |root: PathBuf| {
        let writer = writer(host, &root);
        let is_there = writer.is_some() || host.at(&root).is_file();
        is_there.then(|| Place { root, file: file.into(), own: true, writer })
    };
    if file.extension().is_some_and(|end| end == "tmpl") {
        let root = beside("config.toml");
        if let Some(writer) = writer(host, &root) {
            only_what_is_read(host, file, &root, writer)?;
            return Ok(Place { root, writer: Some(writer), ..plain });
        }
    } else if file.file_name().is_some_and(|name| name == DROP_IN) {
        let above = folder.parent().unwrap_or(Path::new("/"));
        let root =
            if folder.ends_with("k0s/containerd.d") { "containerd.toml" } else { "config.toml" };
        if let Some(place) = own(above.join(root)) {
            return Ok(place);
        }
    } else if file.file_name().is_some_and(|name| name == "containerd-template.toml") {
        let root = beside("containerd.toml");
        if let Some(writer) = writer(host, &root) {
            return Ok(Place { root, writer: Some(writer), ..plain });
        }
    }
    Ok(plain)
}

/// A new template takes effect instead of the one that is in use.
fn only_what_is_read(host: &Host, file: &Path, root: &Path, writer: Writer) -> Result<()> {
    if host.at(file).is_file() || !host.at(root).is_file() {
        return Ok(());
    }
    let (read, _) = k3s(host, root, writer)?;
    if read != file {
        bail!(
            "{} does not read {} in addition to its present configuration; use --config {}",
            writer.name(),
            file.display(),
            read.display()
        );
    }
    Ok(())
}
