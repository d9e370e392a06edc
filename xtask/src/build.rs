//! Builds what goes into a guest: lockc itself, the test program, and the probe that runs inside of containers.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{root, setup, ui};

/// Target of the probe: named, so that its flags do not reach build scripts.
const PROBE_TARGET: &str = "x86_64-unknown-linux-gnu";

/// Cargo in the workspace, with the programs of `cargo install` in reach.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).env("PATH", path());
    command
}

/// PATH with cargo's own folder: a user's shell may lack it.
fn path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(setup::cargo_bin());
    std::env::join_paths(folders).unwrap_or(path)
}

/// Cargo's target folder.
pub fn target() -> Result<PathBuf> {
    let text = ui::capture(cargo().args(["metadata", "--no-deps", "--format-version", "1", "--offline"]))
        .or_else(|_| ui::capture(cargo().args(["metadata", "--no-deps", "--format-version", "1"])))?;
    let metadata: serde_json::Value = serde_json::from_str(&text).context("cargo metadata is no JSON")?;
    metadata["target_directory"].as_str().map(PathBuf::from).context("cargo metadata names no target directory")
}

/// The folder that a guest gets.
pub fn folder() -> Result<PathBuf> {
    let folder = target()?.join("guest");
    if folder.join("lockc-it").is_file() {
        Ok(folder)
    } else {
        bail!("nothing was built yet: leave --no-build away once")
    }
}

fn must(command: &mut Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run cargo for {what}"))?;
    if status.success() { Ok(()) } else { bail!("{what} does not build; cargo's message is above") }
}

/// Builds everything and gathers it in [`folder`].
pub fn guest_programs() -> Result<PathBuf> {
    ui::step("building lockc and the guest's programs", || {
        let target = target()?;
        must(cargo().args(["build", "--quiet", "--release", "-p", "lockc-bpf", "-p", "lockc-runc-wrapper"]), "lockc")?;
        must(
            cargo().args(["build", "--quiet", "--release", "-p", "lockc-integration", "--bin", "lockc-it"]),
            "the test program",
        )?;
        // Static, because it runs in containers without a C library.
        let probe_target = target.join("probe");
        must(
            cargo()
                .args(["build", "--quiet", "--release", "-p", "lockc-integration", "--bin", "lockc-probe"])
                .arg("--no-default-features")
                .args(["--target", PROBE_TARGET, "--target-dir"])
                .arg(&probe_target)
                .env("RUSTFLAGS", "-C target-feature=+crt-static"),
            "the probe",
        )?;
        let folder = target.join("guest");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        for name in ["lockc", "lockc-runc-wrapper", "lockc-it"] {
            copy(&target.join("release").join(name), &folder.join(name))?;
        }
        copy(&probe_target.join(PROBE_TARGET).join("release/lockc-probe"), &folder.join("lockc-probe"))?;
        Ok(folder)
    })
}

/// Replaces by rename: a machine that is being prepared from the folder never sees half a file.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let part = to.with_extension("part");
    fs::copy(from, &part).with_context(|| format!("cannot copy {}", from.display()))?;
    fs::rename(&part, to).with_context(|| format!("cannot write {}", to.display()))
}
