//! The runtimes that are added to an engine: `lockc`, and one for each `--level`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::ValueEnum as _;

use super::host::{Change, Host};
use super::{engine::Engine, state::State};

/// Name of the runtime that chooses by itself.
pub const NAME: &str = "lockc";
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

/// Whether a runtime of that name and program is one of lockc's.
pub fn is_ours(name: &str, program: &str) -> bool {
    let own = name == NAME || name.starts_with("lockc-");
    let program = Path::new(program);
    own && (program.file_name().is_some_and(|name| name == "lockc-runc-wrapper")
        || program.starts_with(SCRIPTS))
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
