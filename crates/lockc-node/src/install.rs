//! `lockc-node install` and `uninstall`: copies lockc from the image to the node, or removes it.
//!
//! After reading its own files the process changes its root directory to the node's, so that every
//! path and symbolic link means the same as on the node.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use lockc_core::paths;
use nix::unistd::{chdir, chroot};
use tracing::info;

use super::cache::replace;

/// Where the programs go. What a distribution's package installs is in /usr/bin.
const BIN: &str = "/usr/local/bin";

/// The programs, which lie beside this one in the image.
const PROGRAMS: [&str; 2] = ["lockc", "lockc-runc-wrapper"];

const UNITS: &str = "/etc/systemd/system";
const UNIT: &str = include_str!("../../../packaging/systemd/lockc.service");
const CONFIG: &str = include_str!("../../../packaging/lockc.toml");

/// What the chart configures; its own file beside the administrator's.
const DROP_IN: &str = "/etc/lockc/lockc.d/50-kubernetes.toml";

const INSTALL_EXAMPLES: &str = "\
Examples:
  lockc-node install --host-root /host
  lockc-node install --host-root /host --level restricted --level baseline --restart";

const UNINSTALL_EXAMPLES: &str = "\
Examples:
  lockc-node uninstall --host-root /host
  lockc-node uninstall --host-root /host --keep-name  existing pods start again, unconfined
  lockc-node uninstall --host-root /host --purge     on a node without containers under lockc";

/// Copies the programs to the node, loads them now and at every boot, and adds lockc to
/// containerd's runtimes.
#[derive(Debug, clap::Args)]
#[command(after_help = INSTALL_EXAMPLES)]
pub struct Args {
    /// The node's root directory as this process sees it.
    #[arg(long, value_name = "DIR", default_value = "/host")]
    host_root: PathBuf,
    /// Configuration file to install as /etc/lockc/lockc.d/50-kubernetes.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Makes lockc the runtime of every pod that names none.
    #[arg(long)]
    default: bool,
    /// Adds a handler lockc-LEVEL; may be repeated.
    #[arg(long = "level", value_name = "LEVEL")]
    levels: Vec<String>,
    /// Restarts containerd if its configuration changed.
    #[arg(long)]
    restart: bool,
    /// Does not load the programs; `lockc load` runs at the next boot.
    #[arg(long)]
    no_load: bool,
    /// Does not change containerd's configuration.
    #[arg(long)]
    no_engine: bool,
}

/// Reverts `install`, except for the programs, which running containers still need.
#[derive(Debug, clap::Args)]
#[command(after_help = UNINSTALL_EXAMPLES)]
pub struct UninstallArgs {
    /// The node's root directory as this process sees it.
    #[arg(long, value_name = "DIR", default_value = "/host")]
    host_root: PathBuf,
    /// Restarts containerd if its configuration changed.
    #[arg(long)]
    restart: bool,
    /// Does not change containerd's configuration.
    #[arg(long)]
    no_engine: bool,
    /// Detaches and removes the programs too; refused while a container runs under lockc, because
    /// it would no longer be confined.
    #[arg(long)]
    purge: bool,
    /// Removes the handlers although pods on the node have them; their containers do not start
    /// again.
    #[arg(long, conflicts_with = "keep_name")]
    force: bool,
    /// Keeps the handlers' names for the real runtime: existing pods start again, unconfined.
    #[arg(long)]
    keep_name: bool,
}

/// Installs; idempotent.
///
/// # Errors
///
/// Where a step fails. Those before it stay done, and a second run goes on.
pub fn install(args: &Args) -> Result<()> {
    let here = std::env::current_exe().context("cannot find this program's own path")?;
    let read =
        |path: &Path| fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
    let programs: Vec<_> = PROGRAMS
        .iter()
        .map(|name| Ok((name, read(&here.with_file_name(name))?)))
        .collect::<Result<_>>()?;
    let drop_in = args.config.as_deref().map(read).transpose()?;
    enter(&args.host_root)?;
    if Path::new("/usr/bin/lockc").exists() {
        bail!(
            "lockc is installed on the node as a package (/usr/bin/lockc); upgrade the package, \
             or remove it and install again"
        );
    }
    for (name, content) in &programs {
        replace(&Path::new(BIN).join(name), content, 0o755)?;
    }
    if !Path::new(paths::CONFIG).exists() {
        replace(Path::new(paths::CONFIG), CONFIG.as_bytes(), 0o644)?;
    }
    configure(drop_in.as_deref())?;
    at_boot()?;
    info!("the programs are installed");
    if !args.no_load {
        lockc(&["load"])?;
    }
    if !args.no_engine {
        let mut words = vec!["install", "containerd", "--root", "/"];
        words.extend(args.default.then_some("--default"));
        words.extend(args.levels.iter().flat_map(|level| ["--level", level.as_str()]));
        words.extend(args.restart.then_some("--restart"));
        lockc(&words)?;
        info!("lockc is a runtime of containerd");
    }
    Ok(())
}

/// Takes it back; idempotent.
///
/// # Errors
///
/// Where a step fails.
pub fn uninstall(args: &UninstallArgs) -> Result<()> {
    enter(&args.host_root)?;
    let program = Path::new(BIN).join("lockc");
    if !args.no_engine && program.exists() {
        let mut words = vec!["uninstall", "containerd", "--root", "/"];
        words.extend(args.restart.then_some("--restart"));
        words.extend(args.force.then_some("--force"));
        words.extend(args.keep_name.then_some("--keep-name"));
        lockc(&words)?;
    }
    for path in [paths::NAMESPACES, paths::CLUSTER_POLICIES, DROP_IN] {
        remove(Path::new(path))?;
    }
    if args.purge {
        if program.exists() {
            lockc(&["unload", "--if-idle"])?;
        }
        for target in wanted_by() {
            remove(&Path::new(UNITS).join(format!("{target}.wants/lockc.service")))?;
        }
        remove(&Path::new(UNITS).join("lockc.service"))?;
        for name in PROGRAMS {
            remove(&Path::new(BIN).join(name))?;
        }
    }
    Ok(())
}

/// Makes the node's root directory this process's own.
fn enter(root: &Path) -> Result<()> {
    let failed = || format!("cannot change the root directory to {}", root.display());
    // Another place than the node's root would get all that the node should have.
    if !root.join("etc").is_dir() || !root.join("usr").is_dir() {
        bail!("{} is not the root directory of a node: it has no etc or no usr", root.display());
    }
    chroot(root).with_context(failed)?;
    chdir("/").with_context(failed)
}

/// Installs the chart's part of the configuration, if the whole can be used with it.
fn configure(content: Option<&[u8]>) -> Result<()> {
    let path = Path::new(DROP_IN);
    let Some(content) = content else { return remove(path) };
    let before = fs::read(path).ok();
    replace(path, content, 0o644)?;
    let checked = lockc(&["config", "check"]);
    if checked.is_err() {
        match before {
            Some(before) => replace(path, &before, 0o644)?,
            None => remove(path)?,
        }
    }
    checked.context("the chart's configuration is invalid, and was not installed")
}

/// Before the engines start at boot, the programs are loaded.
fn at_boot() -> Result<()> {
    if !Path::new(UNITS).is_dir() {
        bail!("the node has no {UNITS}; lockc can be loaded at boot by systemd only");
    }
    let unit = UNIT.replace("@BINDIR@", BIN).replace("/usr/bin/lockc", "/usr/local/bin/lockc");
    replace(&Path::new(UNITS).join("lockc.service"), unit.as_bytes(), 0o644)?;
    for target in wanted_by() {
        let wants = PathBuf::from(UNITS).join(format!("{target}.wants"));
        fs::create_dir_all(&wants)
            .with_context(|| format!("{} cannot be created", wants.display()))?;
        let link = wants.join("lockc.service");
        remove(&link)?;
        symlink(Path::new(UNITS).join("lockc.service"), &link)
            .with_context(|| format!("{} cannot be created", link.display()))?;
    }
    Ok(())
}

/// What the unit is wanted by, as `systemctl enable` would read it.
fn wanted_by() -> impl Iterator<Item = &'static str> {
    UNIT.lines().filter_map(|line| line.strip_prefix("WantedBy=")).flat_map(str::split_whitespace)
}

/// Runs the node's `lockc`; what it says is this program's.
fn lockc(words: &[&str]) -> Result<()> {
    let program = Path::new(BIN).join("lockc");
    let status = Command::new(&program).args(words).status();
    let status = status.with_context(|| format!("{} cannot be run", program.display()))?;
    if !status.success() {
        bail!("`lockc {}` failed: {status}", words.join(" "));
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", path.display()))
        }
        _ => Ok(()),
    }
}
