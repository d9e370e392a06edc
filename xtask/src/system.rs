//! What the suite's part `system` works with: lockc's programs for tests, its packages, and a
//! package of a higher version.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::arch::Arch;
use crate::dist::{self, Kind};
use crate::{build, ui};

/// A folder with the test program, the packages of this tree, and one that is built from the same
/// source as a later version.
pub fn folder(programs: &Path) -> Result<PathBuf> {
    let folder = build::target()?.join("system");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    dist::make(&folder, None, &[Kind::Deb, Kind::Rpm], &[Arch::X86])?;
    // Other bytes, other programs: an upgrade replaces what is attached. Elsewhere: pages name
    // packages by a pattern.
    dist::make(&folder.join("higher"), Some(&dist::next_version()?), &[Kind::Deb], &[Arch::X86])?;
    ui::capture(std::process::Command::new("cp").arg(programs.join("lockc-it")).arg(&folder))?;
    Ok(folder)
}
