//! Builds what goes into a guest: lockc itself, the test program, and the probe that runs inside of
//! containers.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::arch::Arch;
use crate::{places, root, ui};

/// The packages of what is released: always built together and alone, so that guests test the very
/// bytes.
pub const RELEASED: [&str; 2] = ["lockc-bpf", "lockc-runc-wrapper"];

/// The program for Kubernetes' nodes: a build of its own, so that the others carry nothing of a
/// client for a cluster.
pub const NODE: &str = "lockc-node";

/// Lets cargo build programs in little time that do not work long.
pub fn cheaply(command: &mut Command) {
    for (key, value) in
        [("LTO", "off"), ("OPT_LEVEL", "1"), ("CODEGEN_UNITS", "16"), ("DEBUG", "0")]
    {
        command.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
    }
}

/// Cargo in the workspace, with the programs of `cargo install` in reach.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(root())
        .env("PATH", path())
        .env("LOCKC_EBPF_TARGET_DIR", ebpf_target("ebpf"));
    command
}

/// Where the LSM programs are built, for the tests, for what is released and for the fuzzers alike.
fn ebpf_target(name: &str) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join(name)
}

/// PATH with cargo's own folder: a user's shell may lack it.
fn path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(places::cargo_bin());
    std::env::join_paths(folders).unwrap_or(path)
}

/// Cargo's target folder.
pub fn target() -> Result<PathBuf> {
    let text =
        ui::capture(cargo().args(["metadata", "--no-deps", "--format-version", "1", "--offline"]))
            .or_else(|_| {
                ui::capture(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))
            })?;
    let metadata: serde_json::Value =
        serde_json::from_str(&text).context("cargo metadata is not valid JSON")?;
    metadata["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .context("cargo metadata names no target directory")
}

/// The directory that a guest of this architecture gets.
pub fn folder(arch: Arch) -> Result<PathBuf> {
    let directory = guest_directory(arch)?;
    if directory.join("lockc-it").is_file() {
        Ok(directory)
    } else {
        bail!("nothing was built for {} yet: leave --no-build away once", arch.name())
    }
}

fn guest_directory(arch: Arch) -> Result<PathBuf> {
    let name = if arch.runs_here() { "guest".into() } else { format!("guest-{}", arch.name()) };
    Ok(target()?.join(name))
}

fn must(command: &mut Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run cargo for {what}"))?;
    if status.success() { Ok(()) } else { bail!("{what} does not build; cargo's message is above") }
}

/// Builds everything and gathers it in [`folder`].
///
/// For the architecture of this computer, lockc is built as it is released, so that guests test the
/// very bytes. For another one, everything is built at once and cheaply, since its guests test what
/// depends on the architecture.
pub fn guest_programs(arch: Arch) -> Result<PathBuf> {
    let what = format!("building lockc and the guest's programs for {}", arch.name());
    ui::step(&what, || {
        const TESTS: &str = "lockc-integration";
        let programs = if arch.runs_here() {
            programs(&root(), &RELEASED, arch)?;
            programs(&root(), &[TESTS], arch)?
        } else {
            let mut command = compiler(&root(), &[RELEASED[0], RELEASED[1], TESTS], arch)?;
            cheaply(&mut command);
            // The core cases take 7 % longer than with 1, which the compilers save several times.
            command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
            built(command, arch)?
        };
        let directory = guest_directory(arch)?;
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        for name in ["lockc", "lockc-runc-wrapper", "lockc-it", "lockc-probe"] {
            copy(&programs.join(name), &directory.join(name))?;
        }
        Ok(directory)
    })
}

/// Builds the programs of `packages` ([`NODE`] alone, or others) of the tree `source` as they are
/// released, and returns their folder.
///
/// They are static: one build for every distribution and for containers without a C library.
/// Nothing in them tells where they were built.
pub fn programs(source: &Path, packages: &[&str], arch: Arch) -> Result<PathBuf> {
    built(compiler(source, packages, arch)?, arch)
}

/// The command of [`programs`].
fn compiler(source: &Path, packages: &[&str], arch: Arch) -> Result<Command> {
    let target = static_target()?;
    let cargo_home =
        places::cargo_bin().and_then(|bin| bin.parent().map(Path::to_path_buf)).unwrap_or_default();
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        // The tree's own paths are relative to it; flags that name it would compile every library
        // again for another tree.
        format!("--remap-path-prefix={}=/cargo", cargo_home.display()),
        format!("--remap-path-prefix={}=/target", target.display()),
    ];
    let mut command = cargo();
    if source != root() {
        // Other flags, since another path must not show in it.
        command.env("LOCKC_EBPF_TARGET_DIR", ebpf_target("ebpf-of-copies"));
    }
    command.current_dir(source).args([
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--target",
        arch.target(),
    ]);
    command
        .arg("--bins")
        .args(packages.iter().flat_map(|package| ["-p", *package]))
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env_remove("RUSTFLAGS");
    if !arch.runs_here() {
        let name = arch.target().to_uppercase().replace('-', "_");
        command
            .env(format!("CARGO_TARGET_{name}_LINKER"), format!("{}-linux-gnu-gcc", arch.name()));
    }
    Ok(command)
}

fn built(mut command: Command, arch: Arch) -> Result<PathBuf> {
    must(&mut command, "lockc")?;
    Ok(static_target()?.join(arch.target()).join("release"))
}

fn static_target() -> Result<PathBuf> {
    Ok(target()?.join("static"))
}

/// Replaces by rename: a machine that is being prepared from the folder never sees half a file.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let part = to.with_extension("part");
    fs::copy(from, &part).with_context(|| format!("cannot copy {}", from.display()))?;
    fs::rename(&part, to).with_context(|| format!("cannot write {}", to.display()))
}
