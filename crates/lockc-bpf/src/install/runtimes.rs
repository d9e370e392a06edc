//! The runtimes that are added to an engine: `lockc`, and one for each `--level`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::ValueEnum as _;
use lockc_policy::runtimes::NAMES;

use super::host::{Change, Host};
use super::{engine::Engine, state::State};

/// Name of the runtime that chooses by itself.
pub const NAME: &str = "lockc";
const WRAPPER: &str = "lockc-runc-wrapper";
/// Programs for engines that pass a runtime no arguments. No container is given what is below
/// /etc/lockc writable.
const SCRIPTS: &str = "/etc/lockc/runtimes";

/// What is to be installed.
pub struct Runtimes {
    pub wrapper: PathBuf,
    pub levels: Vec<String>,
    /// Whether lockc is to be the engine's default.
    pub default: bool,
}

impl Runtimes {
    pub fn new(wrapper: PathBuf, levels: &[String], default: bool) -> Result<Self> {
        let mut levels = levels
            .iter()
            .map(|level| checked_level(level).map(str::to_owned))
            .collect::<Result<Vec<_>>>()?;
        levels.sort();
        levels.dedup();
        Ok(Self { wrapper, levels, default })
    }

    /// The runtimes, with those of levels that an earlier installation was asked for.
    pub fn with_earlier(&self, state: &mut State) -> Vec<(String, PathBuf)> {
        for level in &self.levels {
            let script = script(level);
            if !state.scripts.contains(&script) {
                state.scripts.push(script);
            }
        }
        state.scripts.sort();
        let mut programs = vec![(NAME.to_owned(), self.wrapper.clone())];
        let name =
            |script: &PathBuf| script.file_name().map(|name| name.to_string_lossy().into_owned());
        programs.extend(
            state.scripts.iter().filter_map(|script| Some((name(script)?, script.clone()))),
        );
        programs
    }

    /// The programs of the levels.
    pub fn scripts(&self, host: &Host) -> Result<Vec<Change>> {
        let change = |level: &String| {
            let path = script(level);
            let text = format!(
                "#!/bin/sh\nexec {} --lockc-policy {level} \"$@\"\n",
                self.wrapper.display()
            );
            Ok(Change { before: host.read(&path)?, path, after: Some(text), mode: 0o755 })
        };
        self.levels.iter().map(change).collect()
    }
}

/// The runtime of a level.
pub fn for_level(level: &str) -> String {
    format!("{NAME}-{level}")
}

/// How a runtime of an engine's is lockc's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// It starts the wrapper.
    Active,
    /// Only its name is left, for containers that have it: it starts another runtime.
    Kept,
}

/// Whether a runtime of that name and program is one of lockc's. A name of lockc's for runc, crun
/// or youki comes from `uninstall --keep-name`, whose record may be gone with the package.
pub fn own(name: &str, program: &str, state: &State) -> Option<Own> {
    if !is_name(name) {
        return None;
    }
    let program = Path::new(program);
    let is_runtime =
        || program.file_name().is_some_and(|file| NAMES.iter().any(|known| file == *known));
    if name_of(program).is_some() {
        Some(Own::Active)
    } else if state.kept.iter().any(|kept| kept == name) || is_runtime() {
        Some(Own::Kept)
    } else {
        None
    }
}

/// Whether a container with this runtime is lockc's, by the runtime's name or its program.
pub fn is_name(runtime: &str) -> bool {
    runtime == NAME || runtime.starts_with("lockc-") || name_of(Path::new(runtime)).is_some()
}

/// The runtime of lockc's that starts a program: the wrapper, or a level's script.
pub fn name_of(program: &Path) -> Option<String> {
    let file = program.file_name()?.to_str()?;
    if file == WRAPPER {
        Some(NAME.to_owned())
    } else {
        program.starts_with(SCRIPTS).then(|| file.to_owned())
    }
}

pub fn script(level: &str) -> PathBuf {
    Path::new(SCRIPTS).join(for_level(level))
}

/// The scripts that no other engine than `engine` was given.
pub fn unused_scripts(host: &Host, engine: Engine) -> Result<Vec<Change>> {
    let Some(state) = State::read(host, engine)? else { return Ok(Vec::new()) };
    let mut others = Vec::new();
    for other in Engine::value_variants().iter().filter(|other| **other != engine) {
        others.extend(State::read(host, *other)?.map(|state| state.scripts).unwrap_or_default());
    }
    let mut changes = Vec::new();
    for path in state.scripts.into_iter().filter(|path| !others.contains(path)) {
        changes.push(Change { before: host.read(&path)?, path, after: None, mode: 0o755 });
    }
    Ok(changes)
}

/// The scripts' directory goes with the last of them.
pub fn remove_directory(host: &Host) {
    // Not empty, or not there, it is left.
    let _ = std::fs::remove_dir(host.at(Path::new(SCRIPTS)));
}

/// A name that a level or policy may have in a file's name and a configuration's key.
pub fn checked_level(level: &str) -> Result<&str> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if level.is_empty() || level.len() > 63 || !level.chars().all(plain) {
        bail!(
            "{level:?} is not a valid name of a level or policy; use lower-case letters, digits, \
             `-` and `_`"
        );
    }
    Ok(level)
}
