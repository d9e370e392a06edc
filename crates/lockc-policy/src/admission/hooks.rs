//! Programs that the runtime executes on the host with its own rights, and what they are told to
//! do.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use crate::{
    admission::{findings::Findings, grants::Grants},
    host::HostView,
};
use crate::{
    policy::Control,
    spec::{Hook, Spec},
};

/// Programs that execute what their arguments say, as they are called with or without a version.
const SHELLS: [&str; 12] =
    ["sh", "ash", "bash", "dash", "zsh", "ksh", "mksh", "csh", "tcsh", "fish", "busybox", "toybox"];
const INTERPRETERS: [&str; 10] =
    ["python", "perl", "ruby", "lua", "node", "php", "awk", "gawk", "mawk", "tclsh"];

/// Variables by which the loader, a shell or an interpreter executes a file.
const VARIABLES: [&str; 9] =
    ["LD_", "PATH", "BASH_ENV", "ENV", "PYTHON", "PERL5", "RUBY", "LUA_", "NODE_"];

/// Directories in which everybody makes files.
const EVERYBODYS: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// Checks every hook of the host.
pub(super) fn check(
    spec: &Spec,
    grants: &Grants,
    view: &dyn HostView,
    findings: &mut Findings<'_>,
) {
    let within: Vec<&Path> = grants.directories().collect();
    for (name, hook) in spec.hooks.of_the_host() {
        if let Some(problem) = problem(hook, &within, view) {
            findings.add(
                Control::Hooks,
                format!(
                    "the {name} hook {}, which runs on the host, {problem}",
                    hook.path.display()
                ),
                "use a program that only root can change and that the container cannot reach, \
                 without such an argument",
            );
        }
    }
}

fn problem(hook: &Hook, within: &[&Path], view: &dyn HostView) -> Option<String> {
    let program = match view.canonicalize(&hook.path) {
        Ok(program) => program,
        Err(error) => return Some(format!("cannot be resolved: {error}")),
    };
    if let Some(problem) = of_file(&program, within, view) {
        return Some(problem);
    }
    // The first argument is the program's name, which busybox and its like go by.
    let name = hook.args.first().map_or_else(|| program.clone(), PathBuf::from);
    let words = [program.as_os_str(), name.as_os_str()]
        .into_iter()
        .chain(hook.args.iter().skip(1).map(OsStr::new));
    let words: Vec<&OsStr> = words.collect();
    for (at, word) in words.iter().enumerate() {
        let word = Path::new(word);
        // Both of the first two stand for the program: what follows them is the third. Among the
        // arguments `node` may be any word.
        let executes = is_called(word, &SHELLS) || at < 2 && is_called(word, &INTERPRETERS);
        let next = words.get(at.max(1) + 1).map(Path::new);
        // `/bin/busybox sh FILE`: the shell is checked in its turn.
        if executes && !next.is_some_and(|next| next.is_absolute() || is_called(next, &SHELLS)) {
            return Some(format!("executes the interpreter {}", word.display()));
        }
    }
    let arguments =
        hook.args.iter().skip(1).flat_map(|word| paths_in(word)).map(|path| ("argument", path));
    let variables = hook.env.iter().filter_map(|entry| entry.split_once('='));
    let variables = variables.filter(|(name, _)| VARIABLES.iter().any(|own| name.starts_with(own)));
    let variables =
        variables.flat_map(|(_, value)| paths_in(value)).map(|path| ("environment", path));
    arguments.chain(variables).find_map(|(what, path)| {
        let problem = of_path(Path::new(path), within, view)?;
        Some(format!("has {path} in its {what}, which {problem}"))
    })
}

/// Whether a program has one of the names, with a version or without: `python3.13`.
fn is_called(program: &Path, names: &[&str]) -> bool {
    let name = program.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
    let version = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    names.iter().any(|own| name.strip_prefix(own).is_some_and(version))
}

/// The absolute paths in a word: `PATH`, `--option=PATH`, `PATH::PATH`.
fn paths_in(word: &str) -> impl Iterator<Item = &str> {
    word.split([':', '=', ',']).filter(|part| part.starts_with('/'))
}

/// As [`of_file`], for a path that may not be there: then who may make it decides.
pub(super) fn of_path(path: &Path, within: &[&Path], view: &dyn HostView) -> Option<String> {
    for (below, ancestor) in path.ancestors().enumerate() {
        match view.canonicalize(ancestor) {
            Ok(found) if below > 0 && EVERYBODYS.iter().any(|open| found.starts_with(open)) => {
                return Some("any user can create".into());
            }
            Ok(found) => return of_file(&found, within, view),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Some(format!("cannot be resolved: {error}")),
        }
    }
    None
}

/// Why a file is not the host's alone; `within`: what the container is granted.
fn of_file(file: &Path, within: &[&Path], view: &dyn HostView) -> Option<String> {
    if within.iter().any(|directory| file.starts_with(directory)) {
        return Some("is a file of the container".into());
    }
    match view.others_may_change(file) {
        Ok(false) => None,
        Ok(true) => Some("can be changed by users other than root".into()),
        Err(error) => Some(format!("cannot be read: {error}")),
    }
}
