//! The chart: rendered by Helm, compared with the manifests beside it; and what its part of the
//! suite works with, a real cluster's programs among it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::arch::Arch;
use crate::dist::{self, Kind};
use crate::{build, root, ui, upstream};

const PLACE: &str = "packaging/kubernetes";
/// The Helm chart.
const CHART: &str = "packaging/kubernetes/chart/lockc";
const MANIFESTS: &str = "packaging/kubernetes/manifests/lockc.yaml";

#[derive(clap::Args)]
pub struct Args {
    /// Write the manifests beside the chart instead of printing them
    #[arg(long)]
    write: bool,
    /// Print nothing: say whether Helm accepts the chart and the manifests beside it are what it
    /// renders
    #[arg(long, conflicts_with = "write")]
    check: bool,
    /// With --check: let Kubernetes' own plugin judge by the chart's admission policy too, all
    /// that the unit tests ask of it
    #[arg(long, requires = "check")]
    admission: bool,
    /// More values, as for `helm template --values`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["write", "check"])]
    values: Vec<PathBuf>,
}

/// `cargo xtask chart`.
pub fn command(args: &Args) -> Result<bool> {
    if args.check {
        check()?;
        return Ok(!args.admission || judged()?.status().context("cannot run cargo")?.success());
    }
    let text = render(&args.values)?;
    if args.write {
        fs::write(root().join(MANIFESTS), text)
            .with_context(|| format!("cannot write {MANIFESTS}"))?;
    } else {
        print!("{text}");
    }
    Ok(true)
}

/// The chart's objects in the namespace `lockc-system`.
fn render(values: &[PathBuf]) -> Result<String> {
    let mut helm = upstream::helm_command()?;
    helm.args(["template", "lockc"]).arg(root().join(CHART)).args(["--namespace", "lockc-system"]);
    for file in values {
        helm.arg("--values").arg(file);
    }
    ui::capture(&mut helm)
}

/// Values that the chart must refuse, with what it then says: a wrong name, a wrong type, no such
/// level, levels that any pod could name, and a monitor of nothing.
const REFUSED: [(&str, &str); 5] = [
    ("sync.rsync=5", "rsync"),
    ("sync.resync=often", "resync"),
    ("node.levels={strict}", "levels"),
    ("admissionPolicy.create=false", "any pod could name"),
    ("report.metrics.podMonitor.enabled=true", "nothing to scrape"),
];

/// Values with which the chart must, and must not, have something.
const RENDERED: [(&str, &[&str], &[&str]); 3] = [
    (
        "report.enabled=false",
        &["name: sync"],
        &["lockc.org/ready", "lockc-report", "name: report", "nodes/status", "/sys/fs/bpf"],
    ),
    ("runtimeClasses.scheduling.nodeSelector.pool=a", &["pool: a"], &["lockc.org/ready: \"true\""]),
    (
        "report.metrics.enabled=true,report.metrics.podMonitor.enabled=true,\
         report.metrics.podMonitor.labels.release=prometheus",
        &[
            "kind: PodMonitor",
            "apiVersion: monitoring.coreos.com/v1",
            "    release: prometheus",
            "    - port: metrics",
            "            - name: metrics",
            "--address=$(HOST_IP)",
        ],
        &[],
    ),
];

/// Whether Helm accepts the chart, and the manifests are what it renders.
pub fn check() -> Result<()> {
    let run =
        |words: &[&str]| ui::capture(upstream::helm_command()?.args(words).arg(root().join(CHART)));
    run(&["lint", "--strict"])?;
    for (value, says) in REFUSED {
        match run(&["template", "--set", value]) {
            Err(error) if format!("{error:#}").contains(says) => {}
            Err(error) => {
                return Err(error.context(format!("--set {value} is refused, but not for {says}")));
            }
            Ok(_) => bail!("the chart accepts --set {value}"),
        }
    }
    for (values, has, has_not) in RENDERED {
        let text = run(&["template", "lockc", "--namespace", "lockc-system", "--set", values])?;
        if let Some(missing) = has.iter().find(|part| !text.contains(*part)) {
            bail!("with --set {values} the chart does not have {missing:?}");
        }
        if let Some(part) = has_not.iter().find(|part| text.contains(*part)) {
            bail!("with --set {values} the chart has {part:?}");
        }
    }
    let there = fs::read_to_string(root().join(MANIFESTS))
        .with_context(|| format!("cannot read {MANIFESTS}"))?;
    if render(&[])? == there {
        Ok(())
    } else {
        bail!("{MANIFESTS} is not what the chart renders: cargo xtask chart --write")
    }
}

/// The unit tests of what is for Kubernetes, with its own plugin for admission policies beside the
/// tests' evaluator.
pub fn judged() -> Result<Command> {
    let mut cargo = build::cargo();
    cargo.args([
        "nextest",
        "run",
        "--package",
        build::NODE,
        "--test",
        "kubernetes",
        "--status-level",
        "fail",
    ]);
    cargo.env("LOCKC_ADMISSION_JUDGE", upstream::judge()?);
    Ok(cargo)
}

/// A folder with the test program, `packaging/kubernetes`, lockc's image and package, and a
/// cluster's programs.
pub fn folder(programs: &Path) -> Result<PathBuf> {
    let folder = build::target()?.join("kubernetes");
    let _ = fs::remove_dir_all(&folder);
    let beside = folder.join(PLACE);
    fs::create_dir_all(&beside).with_context(|| format!("cannot create {}", beside.display()))?;
    dist::make(&folder, None, &[Kind::Deb, Kind::Image], &[Arch::X86])?;
    ui::capture(Command::new("cp").arg("-rT").arg(root().join(PLACE)).arg(&beside))?;
    let mut copy = Command::new("cp");
    copy.arg("-rd").arg(programs.join("lockc-it")).arg(upstream::helm()?);
    copy.arg(upstream::cluster()?.join(".")).arg(&folder);
    ui::capture(&mut copy)?;
    Ok(folder)
}
