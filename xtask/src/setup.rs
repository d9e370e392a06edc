//! `cargo xtask setup`: installs what is missing and nothing else, and says what and why.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::arch::Arch;
use crate::dist::Kind;
use crate::kernels::{AARCH64, Kernel, Platform, X86, kernels};
use crate::places::{self, cargo_bin};
use crate::{apt, assets, build, emulator, ui};

/// Debian packages that virtual machines need, with the reason shown to the user.
const FOR_VMS: &[(&str, &str)] = &[
    ("qemu-utils", "disks that keep what a machine writes"),
    ("mmdebstrap", "makes the guests' file systems"),
    ("debian-archive-keyring", "checks Debian's signatures"),
    ("e2fsprogs", "makes disk images"),
    ("busybox-static", "the initrd's tools"),
    ("kmod", "the guests' modules"),
    ("cpio", "the initrd"),
    ("zstd", "unpacks modules"),
    ("xz-utils", "unpacks modules"),
];

/// Debian's Rust toolchain with the sources of `core`, for the eBPF target.
const FOR_EBPF: &[(&str, &str)] = &[
    ("rustc-web", "compiles the eBPF programs"),
    ("cargo-web", "builds the eBPF programs"),
    ("rust-web-src", "the sources of core for the eBPF target"),
    ("llvm-22-dev", "the LLVM of that compiler, for bpf-linker"),
    ("libpolly-22-dev", "bpf-linker"),
    ("zlib1g-dev", "bpf-linker"),
    ("libzstd-dev", "bpf-linker"),
    ("libxml2-dev", "bpf-linker"),
    ("libffi-dev", "bpf-linker"),
];

const BPF_LINKER: &str = "0.13.0";
const NEXTEST: &str = "0.9.143";
const DENY: &str = "0.20.2";
const FUZZ: &str = "0.13.2";
const DEB: &str = "3.8.0";
const GENERATE_RPM: &str = "0.21.1";
const CYCLONEDX: &str = "0.5.7";
const MDBOOK: &str = "0.5.4";

/// Brings the computer to where everything else of xtask works, and virtual machines with these
/// kernels too. One for x86_64 brings all of those.
pub fn run(machines: &[Kernel]) -> Result<()> {
    let start = Instant::now();
    let logs = places::cache()?.join("logs");
    let own_nightly = nightly_with_source();
    let mut machines = machines.to_vec();
    if machines.iter().any(|kernel| kernel.arch() == Arch::X86) {
        machines.extend(kernels(Arch::X86));
    }
    let platforms: Vec<&Platform> = [&X86, &AARCH64]
        .into_iter()
        .filter(|platform| machines.iter().any(|kernel| kernel.platform == *platform))
        .collect();
    packages(&platforms, own_nightly.is_some(), &logs)?;
    // Downloads and file systems on one side, compilers on the other: together they take little
    // longer than either.
    std::thread::scope(|scope| {
        let machines = scope.spawn(|| {
            for platform in platforms {
                emulator::ensure(platform)?;
                cross(platform.arch)?;
            }
            assets::ensure(&machines)
        });
        let tools = tools(own_nightly.is_some(), &logs);
        machines.join().unwrap_or_else(|_| bail!("making the machines panicked"))?;
        tools
    })?;
    if start.elapsed().as_secs() >= 2 {
        eprintln!("setup: everything is there ({:.0} s)", start.elapsed().as_secs_f32());
    }
    Ok(())
}

fn packages(platforms: &[&Platform], own_nightly: bool, logs: &Path) -> Result<()> {
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    if !own_nightly {
        wanted.extend(FOR_EBPF);
    }
    if !platforms.is_empty() {
        wanted.extend(FOR_VMS);
        if !apt::is_root() {
            wanted.push(("fakeroot", "owners inside the disk images"));
        }
    }
    wanted.extend(platforms.iter().map(|platform| (platform.package, "boots the test kernels")));
    let cross: Vec<_> = platforms.iter().flat_map(|platform| for_cross(platform.arch)).collect();
    wanted.extend(cross.iter().map(|(name, why)| (name.as_str(), *why)));
    installed(&wanted, logs)
}

/// Debian packages that building for another architecture needs.
fn for_cross(arch: Arch) -> Vec<(String, &'static str)> {
    if arch.runs_here() {
        return Vec::new();
    }
    vec![
        (format!("gcc-{}-linux-gnu", arch.name()), "links for that architecture"),
        (format!("libc6-dev-{}-cross", arch.debian()), "its C library"),
    ]
}

/// What building Kubernetes' own programs needs.
pub fn go() -> Result<()> {
    installed(&[("golang-go", "builds Kubernetes' programs")], &places::cache()?.join("logs"))
}

/// What building for another architecture needs.
pub fn cross(arch: Arch) -> Result<()> {
    if arch.runs_here() {
        return Ok(());
    }
    let logs = places::cache()?.join("logs");
    let wanted = for_cross(arch);
    let names: Vec<_> = wanted.iter().map(|(name, why)| (name.as_str(), *why)).collect();
    installed(&names, &logs)?;
    let mut directory = Command::new("rustc");
    directory.args(["--print", "target-libdir", "--target", arch.target()]);
    if ui::capture(&mut directory).is_ok_and(|path| Path::new(path.trim()).is_dir()) {
        return Ok(());
    }
    let mut target = Command::new("rustup");
    ui::quiet(target.args(["target", "add", arch.target()]), &logs.join("rustup-target.log"))
}

/// Installs those of `wanted` that are missing, and says why.
pub fn installed(wanted: &[(&str, &str)], logs: &Path) -> Result<()> {
    let names: Vec<&str> = wanted.iter().map(|(name, _)| *name).collect();
    let missing = apt::missing(&names)?;
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("setup: Debian packages to install:");
    for (name, why) in wanted.iter().filter(|(name, _)| missing.contains(name)) {
        eprintln!("  {name:24} {why}");
    }
    if !apt::is_root() {
        bail!(
            "installing packages needs root. Run once:\n  sudo apt-get install \
             --no-install-recommends {}",
            missing.join(" ")
        );
    }
    ui::step("installing packages", || apt::install(&missing, logs))
}

/// Tools from crates.io, at tested versions.
fn tools(own_nightly: bool, logs: &Path) -> Result<()> {
    if !has("bpf-linker") {
        ui::step("building bpf-linker (links the eBPF programs; about a minute)", || {
            let mut command = cargo_install("bpf-linker", BPF_LINKER)?;
            if own_nightly {
                command.env("RUSTUP_TOOLCHAIN", "nightly");
            } else {
                command
                    .args(["--no-default-features", "--features", "llvm-22"])
                    .env("LLVM_PREFIX", "/usr/lib/llvm-22")
                    .env("RUSTFLAGS", "-L /usr/lib/llvm-22/lib");
            }
            ui::quiet(&mut command, &logs.join("bpf-linker.log"))
        })?;
    }
    for (tool, version, why) in [
        ("cargo-nextest", NEXTEST, "runs the unit tests"),
        ("cargo-deny", DENY, "checks the licences"),
    ] {
        tool_of_cargo(tool, version, why, logs)?;
    }
    Ok(())
}

/// What only fuzzing needs.
pub fn cargo_fuzz() -> Result<()> {
    tool_of_cargo("cargo-fuzz", FUZZ, "runs the fuzz targets", &places::cache()?.join("logs"))
}

/// What only the book needs: mdBook's program.
pub fn mdbook() -> Result<PathBuf> {
    tool_of_cargo("mdbook", MDBOOK, "renders the book", &places::cache()?.join("logs"))?;
    program("mdbook").context("cargo installed mdbook, but not where programs are looked for")
}

/// What only releases need: the tools for these kinds.
pub fn packaging(kinds: &[Kind]) -> Result<()> {
    let logs = places::cache()?.join("logs");
    for (kind, tool, version, why) in [
        (Kind::Deb, "cargo-deb", DEB, "packs for Debian"),
        (Kind::Rpm, "cargo-generate-rpm", GENERATE_RPM, "packs for RPM"),
        (Kind::Sbom, "cargo-cyclonedx", CYCLONEDX, "writes the bill of materials"),
    ] {
        if kinds.contains(&kind) {
            tool_of_cargo(tool, version, why, &logs)?;
        }
    }
    Ok(())
}

fn tool_of_cargo(tool: &str, version: &str, why: &str, logs: &Path) -> Result<()> {
    if has(tool) {
        return Ok(());
    }
    ui::step(&format!("building {tool} ({why}; some minutes)"), || {
        ui::quiet(cargo_install(tool, version)?.arg("--locked"), &logs.join(format!("{tool}.log")))
    })
}

fn cargo_install(name: &str, version: &str) -> Result<Command> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["install", name, "--version", version]);
    // The tools have many libraries in common. A directory shared with the workspace would rebuild
    // the workspace's own.
    command.env("CARGO_TARGET_DIR", places::cache()?.join("tools"));
    build::cheaply(&mut command);
    Ok(command)
}

/// Whether a program is in PATH or where cargo installs.
fn has(name: &str) -> bool {
    program(name).is_some()
}

/// A program in PATH or where cargo installs.
fn program(name: &str) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    folders.extend(cargo_bin());
    folders.iter().map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// A nightly of rustup's that has the sources of `core`.
fn nightly_with_source() -> Option<PathBuf> {
    let home = std::env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".rustup")))?;
    let toolchains = std::fs::read_dir(home.join("toolchains")).ok()?;
    toolchains
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("nightly"))
        .map(|entry| entry.path())
        .find(|path| path.join("lib/rustlib/src/rust/library/core").is_dir())
}
