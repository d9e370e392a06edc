//! QEMU: the system's own, or where that is old a newer one in the cache, from the backports of the
//! release.
//!
//! Starting programs, which is most of what the tests do, takes QEMU 10.0 less than half the time
//! that it takes 7.2.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::kernels::Platform;
use crate::places;
use crate::{apt, assets, ui};

/// The first release that needs no newer one beside it.
const NEW: u32 = 10;
/// What every emulator needs.
const COMMON: [&str; 2] = ["qemu-system-common", "qemu-system-data"];

/// Where the newer one is unpacked.
fn directory(platform: &Platform) -> Result<PathBuf> {
    Ok(places::cache()?.join(format!("{}-of-backports", platform.package)))
}

/// Gets a newer one where the system's is old. Without it everything works, in twice the time.
pub fn ensure(platform: &Platform) -> Result<()> {
    let directory = directory(platform)?;
    let new = |release| release >= NEW;
    if directory.is_dir() || release(Command::new(platform.emulator)).is_some_and(new) {
        return Ok(());
    }
    let what =
        format!("a newer {} from the backports of this release, into the cache", platform.package);
    let result = ui::step(&what, || {
        let maker = assets::Maker::new()?;
        let scratch = maker.scratch()?;
        let out = scratch.path().join("qemu");
        let packages = [&COMMON[..], &[platform.package]].concat();
        apt::unpack_backports(&packages, &out, &maker.logs)?;
        // It may want a library that the system does not have.
        release(Command::new(out.join("usr/bin").join(platform.emulator)))
            .context("it does not run here")?;
        maker.finish(&out, &directory, "qemu-")
    });
    if let Err(error) = result {
        eprintln!("     using the system's QEMU, which takes twice as long: {error:#}");
    }
    Ok(())
}

/// The first number of its version.
fn release(mut program: Command) -> Option<u32> {
    let text = ui::capture(program.arg("--version")).ok()?;
    text.split_once("version ")?.1.split('.').next()?.parse().ok()
}

/// The program, with where it finds what belongs to it.
pub fn words(platform: &Platform) -> Result<Vec<String>> {
    let directory = directory(platform)?;
    if !directory.is_dir() {
        return Ok(vec![platform.emulator.into()]);
    }
    places::used(&directory);
    let at = |path: &str| directory.join(path).display().to_string();
    Ok(vec![
        "env".into(),
        format!("QEMU_MODULE_DIR={}", at("usr/lib/x86_64-linux-gnu/qemu")),
        at(&format!("usr/bin/{}", platform.emulator)),
        "-L".into(),
        at("usr/share/qemu"),
        "-L".into(),
        "/usr/share/seabios".into(),
    ])
}

/// What the program says of its version.
pub fn version(platform: &Platform) -> Result<String> {
    let words = words(platform)?;
    let (first, others) = words.split_first().context("no emulator")?;
    ui::capture(Command::new(first).args(others).arg("--version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_the_first_number() {
        let version = |text: &str| {
            let mut command = Command::new("printf");
            command.args(["%s", text]);
            // printf writes the `--version` that it gets too after the text.
            release(command)
        };
        assert_eq!(version("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)"), Some(10));
        assert_eq!(version("QEMU emulator version 7.2.22"), Some(7));
        assert_eq!(version("something else"), None);
    }
}
