//! The same file as the `oci-spec` crate reads it: by the letter of the OCI runtime specification.
//!
//! What decides is the one reading in [`super`], which passes over what engines add; with two
//! readings there would be containers that are checked by the one and made after the other. This
//! one tells where a file is not of the specification's form, and tests hold the two against each
//! other.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use oci_spec::runtime;

use super::{
    model::{Process, Spec},
    read::SpecError,
};

/// What `oci-spec` does not understand in a configuration; nothing if it is of the specification's
/// form.
pub fn problem(text: &[u8]) -> Option<String> {
    parse(text).err().map(|error| error.to_string())
}

/// By the letter.
///
/// # Errors
///
/// The reason with line and column.
pub fn parse(text: &[u8]) -> Result<runtime::Spec, serde_json::Error> {
    serde_json::from_slice(text)
}

/// The first thing that the two readings of one text see differently, for tests: nothing where they
/// agree, or the text is not of the specification's form.
///
/// # Errors
///
/// Where only the reading by the letter understands the text.
pub fn difference(text: &[u8]) -> Result<Option<&'static str>, SpecError> {
    let Ok(strict) = parse(text) else { return Ok(None) };
    let spec = Spec::parse(text, Path::new("config.json"))?;
    let linux = strict.linux().as_ref();
    let process = strict.process().as_ref();
    let own = spec.process.as_ref();
    let agree = [
        (
            "root",
            strict.root().as_ref().map(runtime::Root::path)
                == spec.root.as_ref().map(|root| &root.path),
        ),
        ("process", process.is_some() == own.is_some()),
        (
            "process.user",
            process.map(|process| process.user().uid()) == own.map(|process| process.user.uid),
        ),
        ("process.capabilities", process.map(capabilities) == own.map(own_capabilities)),
        ("mounts", mounts(&strict) == own_mounts(&spec)),
        (
            "annotations",
            strict
                .annotations()
                .iter()
                .flatten()
                .all(|(key, value)| spec.annotations.get(key) == Some(value)),
        ),
        (
            "linux.namespaces",
            linux.and_then(|linux| linux.namespaces().as_ref()).map_or(0, Vec::len)
                == spec.linux.namespaces.len(),
        ),
        (
            "linux.devices",
            linux.and_then(|linux| linux.devices().as_ref()).map_or(0, Vec::len)
                == spec.linux.devices.len(),
        ),
        (
            "linux.sysctl",
            linux
                .and_then(|linux| linux.sysctl().as_ref())
                .into_iter()
                .flatten()
                .all(|(key, value)| spec.linux.sysctl.get(key) == Some(value)),
        ),
        (
            "linux.maskedPaths",
            linux.and_then(|linux| linux.masked_paths().as_ref()).map_or(0, Vec::len)
                == spec.linux.masked_paths.len(),
        ),
        (
            "linux.seccomp",
            linux.is_some_and(|linux| linux.seccomp().is_some()) == spec.linux.seccomp.is_some(),
        ),
    ];
    Ok(agree.into_iter().find(|(_, same)| !same).map(|(what, _)| what))
}

/// How many different capabilities stand in each of the five sets.
fn capabilities(process: &runtime::Process) -> [usize; 5] {
    let sets = process.capabilities().as_ref();
    let each = sets.map(|sets| {
        [sets.bounding(), sets.effective(), sets.permitted(), sets.inheritable(), sets.ambient()]
            .map(|set| set.as_ref().map_or(0, |set| set.len()))
    });
    each.unwrap_or_default()
}

fn own_capabilities(process: &Process) -> [usize; 5] {
    let sets = &process.capabilities;
    // The library drops `CAP_` as often as it stands there. Admission does not: it knows no such
    // name, and refuses it.
    let short = |name: &String| name.to_uppercase().trim_start_matches("CAP_").to_owned();
    [&sets.bounding, &sets.effective, &sets.permitted, &sets.inheritable, &sets.ambient]
        .map(|names| names.iter().map(short).collect::<BTreeSet<_>>().len())
}

/// Destination, source unless it is empty, whether it is a bind mount.
type MountView = (PathBuf, Option<PathBuf>, bool);

fn mounts(spec: &runtime::Spec) -> Vec<MountView> {
    let mounts = spec.mounts().iter().flatten();
    let binds = |mount: &runtime::Mount| {
        mount.typ().as_deref() == Some("bind")
            || mount.options().iter().flatten().any(|option| option == "bind" || option == "rbind")
    };
    let source = |mount: &'_ runtime::Mount| {
        mount.source().clone().filter(|path| !path.as_os_str().is_empty())
    };
    mounts.map(|mount| (mount.destination().clone(), source(mount), binds(mount))).collect()
}

fn own_mounts(spec: &Spec) -> Vec<MountView> {
    let source = |path: &PathBuf| Some(path.clone()).filter(|path| !path.as_os_str().is_empty());
    spec.mounts
        .iter()
        .map(|mount| (mount.destination.clone(), source(&mount.source), mount.is_bind()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_readings_see_the_same() {
        let default = serde_json::to_vec(&runtime::Spec::default()).unwrap();
        assert_eq!(difference(&default).unwrap(), None);
        assert!(!Spec::parse(&default, Path::new("x")).unwrap().linux.namespaces.is_empty());
        let mut twice = serde_json::to_value(runtime::Spec::default()).unwrap();
        twice["process"]["capabilities"]["bounding"] = serde_json::json!(["CAP_KILL", "CAP_KILL"]);
        assert_eq!(difference(twice.to_string().as_bytes()).unwrap(), None);
        twice["process"]["capabilities"]["bounding"] =
            serde_json::json!(["CAP_KILL", "kill", "CAP_CAP_KILL"]);
        assert_eq!(difference(twice.to_string().as_bytes()).unwrap(), None);
        let rootless = serde_json::to_vec(&runtime::Spec::rootless(1000, 1000)).unwrap();
        assert_eq!(difference(&rootless).unwrap(), None);
    }

    #[test]
    fn what_is_not_of_the_form_is_named() {
        let planet = br#"{"ociVersion":"1.2.0","linux":{"namespaces":[{"type":"planet"}]}}"#;
        assert!(problem(planet).unwrap().contains("planet"));
        assert_eq!(problem(&serde_json::to_vec(&runtime::Spec::default()).unwrap()), None);
    }
}
