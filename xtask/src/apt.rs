//! Debian packages of the host: what is missing, and how to install it without touching the host's
//! own sources.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use crate::ui;

/// Those of `packages` that are not installed.
pub fn missing<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .args(packages)
        .output()
        .context(
            "cannot run dpkg-query: this set-up is for Debian and its relatives; on another \
             system install the tools by hand",
        )?;
    let text = String::from_utf8_lossy(&output.stdout);
    let installed: Vec<&str> =
        text.lines().filter_map(|line| line.strip_suffix(" installed")).collect();
    Ok(packages.iter().copied().filter(|package| !installed.contains(package)).collect())
}

/// Whether this process is root's.
pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args([
        "-y",
        "-q",
        "-o",
        "Acquire::Retries=5",
        "-o",
        "DPkg::Lock::Timeout=120",
    ]);
    command
}

/// Installs `packages`; where the release's own do not fit together with what is there, from its
/// backports.
pub fn install(packages: &[&str], logs: &Path) -> Result<()> {
    ui::quiet(apt_get().arg("update"), &logs.join("apt-update.log"))?;
    let mut failed = Vec::new();
    let together = apt_get().args(["install", "--no-install-recommends"]).args(packages).output();
    if together.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    // One by one: a package that does not fit must not keep the others away.
    for package in packages {
        let log = logs.join(format!("apt-{package}.log"));
        if ui::quiet(apt_get().args(["install", "--no-install-recommends", package]), &log).is_err()
        {
            failed.push(*package);
        }
    }
    for package in failed {
        let log = logs.join(format!("apt-{package}.log"));
        let first = ui::tail(&log, 2000);
        eprintln!(
            "     {package} does not install from the release (a newer part of it is there \
             already?); trying its backports"
        );
        from_backports(package, logs).with_context(|| {
            format!("{package} installs neither from the release:\n{first}\nnor from its backports")
        })?;
    }
    Ok(())
}

fn from_backports(package: &str, logs: &Path) -> Result<()> {
    let backports = Backports::new(logs)?;
    let mut install = backports.apt_get();
    install.args(["install", "--no-install-recommends", "-t", &backports.suite, package]);
    ui::quiet(&mut install, &logs.join(format!("apt-backports-{package}.log")))
}

/// Unpacks packages of the release below a folder, and installs nothing. Where the host's lists do
/// not have them, they are updated, which needs root.
pub fn unpack(packages: &[&str], below: &Path, logs: &Path) -> Result<()> {
    let debs = tempfile::tempdir().context("cannot create a temporary directory")?;
    let download = || {
        let mut download = apt_get();
        download.current_dir(&debs).args(["-o", "APT::Sandbox::User=root", "download"]);
        ui::quiet(download.args(packages), &logs.join("apt-download.log"))
    };
    if download().is_err() {
        ui::quiet(apt_get().arg("update"), &logs.join("apt-update.log"))?;
        download()?;
    }
    unpack_all(debs.path(), below)
}

fn unpack_all(debs: &Path, below: &Path) -> Result<()> {
    for deb in std::fs::read_dir(debs).context("cannot list the packages")?.flatten() {
        ui::capture(Command::new("dpkg").arg("-x").arg(deb.path()).arg(below))?;
    }
    Ok(())
}

/// Unpacks packages of the release's backports below a folder, and installs nothing.
pub fn unpack_backports(packages: &[&str], below: &Path, logs: &Path) -> Result<()> {
    let backports = Backports::new(logs)?;
    let debs = backports.scratch.path().join("debs");
    std::fs::create_dir(&debs).context("cannot create a temporary directory")?;
    let mut download = backports.apt_get();
    download
        .current_dir(&debs)
        .arg("download")
        .args(packages.iter().map(|name| format!("{name}/{}", backports.suite)));
    ui::quiet(&mut download, &logs.join("apt-backports-download.log"))?;
    unpack_all(&debs, below)
}

/// The release with its backports in lists of their own, so that the host's stay as they are.
struct Backports {
    scratch: tempfile::TempDir,
    suite: String,
}

impl Backports {
    fn new(logs: &Path) -> Result<Self> {
        let (codename, mirror) = (codename()?, debian_mirror()?);
        let scratch = tempfile::tempdir().context("cannot create a temporary directory")?;
        for folder in ["lists/partial", "cache/archives/partial"] {
            std::fs::create_dir_all(scratch.path().join(folder))
                .context("cannot create a temporary directory")?;
        }
        let suite = format!("{codename}-backports");
        let suites = [codename.clone(), format!("{codename}-updates"), suite.clone()];
        let lines: String =
            suites.iter().map(|suite| format!("deb {mirror} {suite} main\n")).collect();
        std::fs::write(scratch.path().join("sources.list"), lines)
            .context("cannot write a private sources list")?;
        let backports = Self { scratch, suite };
        ui::quiet(backports.apt_get().arg("update"), &logs.join("apt-backports-update.log"))?;
        Ok(backports)
    }

    fn apt_get(&self) -> Command {
        let at = |name: &str| self.scratch.path().join(name).display().to_string();
        let mut command = apt_get();
        for option in [
            format!("Dir::Etc::sourcelist={}", at("sources.list")),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::Lists={}", at("lists")),
            format!("Dir::Cache={}", at("cache")),
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command
    }
}

fn codename() -> Result<String> {
    let text = std::fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    text.lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .context("/etc/os-release has no VERSION_CODENAME")
}

/// The Debian mirror that this host's apt uses already, or `LOCKC_DEBIAN_MIRROR`.
pub fn debian_mirror() -> Result<String> {
    static MIRROR: OnceLock<String> = OnceLock::new();
    if let Some(mirror) = MIRROR.get() {
        return Ok(mirror.clone());
    }
    let mirror = find_mirror()?;
    Ok(MIRROR.get_or_init(|| mirror).clone())
}

fn find_mirror() -> Result<String> {
    if let Ok(mirror) = std::env::var("LOCKC_DEBIAN_MIRROR") {
        return Ok(mirror);
    }
    // apt reads the origin from the lists, which a fresh machine does not have yet.
    for refreshed in [false, true] {
        if refreshed {
            let updated = apt_get().arg("update").output().context("cannot run apt-get update")?;
            if !updated.status.success() {
                bail!("apt-get update failed: {}", String::from_utf8_lossy(&updated.stderr).trim());
            }
        }
        let targets = ui::capture(Command::new("apt-get").args([
            "indextargets",
            "--format",
            "$(LABEL) $(REPO_URI)",
        ]))?;
        let mirror = targets.lines().find_map(|line| line.strip_prefix("Debian "));
        if let Some(mirror) = mirror.filter(|mirror| mirror.starts_with("http")) {
            return Ok(mirror.trim_end_matches('/').to_owned());
        }
    }
    bail!(
        "apt on this machine has no Debian source to take kernels and guests from: set \
         LOCKC_DEBIAN_MIRROR to a Debian mirror"
    )
}

/// A path of the host's that must exist after the set-up.
pub fn keyring() -> Result<std::path::PathBuf> {
    let path = std::path::PathBuf::from("/usr/share/keyrings/debian-archive-keyring.gpg");
    path.is_file()
        .then_some(path)
        .context("the package debian-archive-keyring has no keyring where it is expected")
}
