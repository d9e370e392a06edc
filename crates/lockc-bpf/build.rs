//! Builds the LSM programs with whichever toolchain can: see `docs/contributing.md`.
//!
//! The BPF target needs `core` built from source, and so a toolchain with `rust-src` and unstable
//! flags: rustup's nightly with that component, or Debian's `rustc-web`, `cargo-web` and
//! `rust-web-src` beside rustup.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

const TARGET: &str = "bpfel-unknown-none";
const REMEDY: &str = "run `cargo xtask setup`, which installs what is missing";

/// A cargo that can build `core`, and what must be in its environment.
struct Toolchain {
    cargo: PathBuf,
    rustup: Option<String>,
}

fn main() -> Result<()> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    for path in
        ["crates/lockc-ebpf", "crates/lockc-core/src", "crates/lockc-core/Cargo.toml", "Cargo.lock"]
    {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    println!("cargo::rerun-if-env-changed=PATH");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let linker = find_program("bpf-linker").with_context(|| {
        format!("bpf-linker, which links the LSM programs, was not found; {REMEDY}")
    })?;
    let toolchain = find_toolchain().with_context(|| {
        format!("no Rust toolchain that can build the LSM programs (rust-src) was found; {REMEDY}")
    })?;
    // xtask names one directory for all of its builds, so that `core` is compiled once. What comes
    // out is the same anywhere.
    let target =
        env::var_os("LOCKC_EBPF_TARGET_DIR").map_or_else(|| out.join("ebpf"), PathBuf::from);
    build(&root, &target, &toolchain, &linker)?;
    let object = target.join(TARGET).join("release/lockc");
    fs::copy(&object, out.join("lockc.bpf.o"))
        .with_context(|| format!("{} was not built", object.display()))?;
    Ok(())
}

fn build(root: &Path, target: &Path, toolchain: &Toolchain, linker: &Path) -> Result<()> {
    let mut command = Command::new(&toolchain.cargo);
    // What the outer cargo (or clippy) says to its own compiler must not reach the inner one.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO") && name != "CARGO_HOME"
            || name.starts_with("RUST") && name != "RUSTUP_HOME"
        {
            command.env_remove(&*name);
        }
    }
    if let Some(directory) = toolchain.cargo.parent() {
        let path = env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(directory.to_owned()).chain(env::split_paths(&path));
        command.env("PATH", env::join_paths(paths)?);
    }
    if let Some(name) = &toolchain.rustup {
        command.env("RUSTUP_TOOLCHAIN", name);
    }
    // The programs' BTF names source files: nothing in it shall tell where they were built.
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".cargo")));
    let mut flags = vec![
        "-Cpanic=abort".to_owned(),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        format!("-Clinker={}", linker.display()),
        format!("--remap-path-prefix={}=/lockc", root.display()),
    ];
    flags.extend(cargo_home.map(|home| format!("--remap-path-prefix={}=/cargo", home.display())));
    let status = command
        .current_dir(root)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env("CARGO_TARGET_DIR", target)
        .args([
            "build",
            "--quiet",
            "--release",
            "--package",
            "lockc-ebpf",
            "--target",
            TARGET,
            "-Zbuild-std=core",
        ])
        .status()
        .with_context(|| format!("{} could not be run", toolchain.cargo.display()))?;
    if !status.success() {
        bail!("building the LSM programs with {} failed ({status})", toolchain.cargo.display());
    }
    Ok(())
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".cargo")));
    env::split_paths(&path)
        .chain(home.map(|home| home.join("bin")))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// rustup's nightly where it has the sources, else a system cargo whose compiler has them.
fn find_toolchain() -> Option<Toolchain> {
    let nightly = Command::new("rustup")
        .args(["run", "nightly", "rustc", "--print", "sysroot"])
        .output()
        .ok();
    if let Some(output) = nightly.filter(|output| output.status.success()) {
        let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        let cargo = sysroot.join("bin/cargo");
        if has_source(&sysroot) && cargo.is_file() {
            return Some(Toolchain { cargo, rustup: Some("nightly".to_owned()) });
        }
    }
    let cargo = PathBuf::from("/usr/bin/cargo");
    let output = Command::new("/usr/bin/rustc")
        .args(["--print", "sysroot"])
        .env_remove("RUSTUP_TOOLCHAIN")
        .output()
        .ok()?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    (cargo.is_file() && has_source(&sysroot)).then_some(Toolchain { cargo, rustup: None })
}

fn has_source(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").is_file()
}
