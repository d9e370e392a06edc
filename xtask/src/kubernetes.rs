//! The chart: rendered as Helm does it, compared with the manifests beside it; and what its part of the suite works with, a real API
//! server among it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::build::Arch;
use crate::dist::{self, Kind};
use crate::{assets, build, root, setup, ui};

const CHART: &str = "packaging/kubernetes/chart/lockc";
const MANIFESTS: &str = "packaging/kubernetes/manifests/lockc.yaml";
const EXAMPLES: &str = "packaging/kubernetes/examples";

#[derive(clap::Args)]
pub struct Args {
    /// Write the manifests beside the chart instead of printing them
    #[arg(long)]
    write: bool,
    /// More values, as for `helm template --values`
    #[arg(long, value_name = "FILE", conflicts_with = "write")]
    values: Vec<PathBuf>,
}

/// `cargo xtask chart`.
pub fn command(args: &Args) -> Result<bool> {
    let text = render(&args.values)?;
    if args.write {
        fs::write(root().join(MANIFESTS), text).with_context(|| format!("cannot write {MANIFESTS}"))?;
    } else {
        print!("{text}");
    }
    Ok(true)
}

/// The chart's objects in the namespace `lockc-system`, by the engine that Helm uses: Go's templates and sprig.
fn render(values: &[PathBuf]) -> Result<String> {
    setup::go()?;
    let program = build::target()?.join("render-chart");
    let source = root().join("packaging/kubernetes/render/main.go");
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(&program).arg(source).env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode");
    go.env("GOCACHE", assets::cache()?.join("go")).env("CGO_ENABLED", "0");
    ui::capture(&mut go).context("cannot build the chart's renderer")?;
    ui::capture(Command::new(program).arg(root().join(CHART)).args(["lockc", "lockc-system"]).args(values))
}

/// Whether the manifests are the chart's.
pub fn check() -> Result<()> {
    let there = fs::read_to_string(root().join(MANIFESTS)).with_context(|| format!("cannot read {MANIFESTS}"))?;
    if render(&[])? == there {
        Ok(())
    } else {
        bail!("{MANIFESTS} is not what the chart renders: cargo xtask chart --write")
    }
}

/// A folder with the test program, the chart's objects, lockc's image and package, and a cluster's programs.
pub fn folder(programs: &Path) -> Result<PathBuf> {
    let folder = build::target()?.join("kubernetes");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    dist::make(&folder, None, &[Kind::Deb, Kind::Image], Arch::X86)?;
    let write =
        |name: &str, text: String| fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"));
    write("lockc.yaml", render(&[])?)?;
    let values = folder.join("values.yaml");
    write("values.yaml", "uninstall: true\n".into())?;
    write("uninstall.yaml", render(&[values])?)?;
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(programs.join("lockc-it")).arg(root().join(EXAMPLES));
    for program in ["kube-apiserver", "kubectl", "etcd"] {
        copy.arg(assets::api_server()?.join(program));
    }
    ui::capture(copy.arg(&folder))?;
    Ok(folder)
}
