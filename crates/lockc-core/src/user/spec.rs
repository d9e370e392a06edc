//! What admission looks at in a bundle's `config.json`, and nothing else.
//!
//! Engines and runtimes add fields of their own, so unknown fields are passed over. What admission does read must be
//! read as the runtime will: a key that stands twice, or that Go would match in another case, is refused instead of
//! read differently.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

/// No real bundle comes near; a larger one is an attempt to keep the wrapper busy.
pub const SIZE_LIMIT: u64 = 10 << 20;

/// The container's configuration.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)] // named as in the OCI runtime specification
pub struct Spec {
    pub root: Option<Root>,
    pub process: Option<Process>,
    #[serde(deserialize_with = "or_default")]
    pub mounts: Vec<Mount>,
    #[serde(deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub linux: Linux,
}

/// `root`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[allow(missing_docs)]
pub struct Root {
    pub path: PathBuf,
}

/// `process`, also the process file of `exec`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Process {
    #[serde(deserialize_with = "or_default")]
    pub user: User,
    #[serde(deserialize_with = "or_default")]
    pub capabilities: Capabilities,
}

/// `process.user`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct User {
    pub uid: u32,
}

/// `process.capabilities`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Capabilities {
    #[serde(deserialize_with = "or_default")]
    pub bounding: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub effective: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub permitted: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub inheritable: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub ambient: Vec<String>,
}

impl Capabilities {
    /// Every name in every set.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        [&self.bounding, &self.effective, &self.permitted, &self.inheritable, &self.ambient]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }
}

/// One of `mounts`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Mount {
    pub destination: PathBuf,
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    #[serde(deserialize_with = "or_default")]
    pub source: PathBuf,
    #[serde(deserialize_with = "or_default")]
    pub options: Vec<String>,
}

impl Mount {
    /// Whether the runtime makes a bind mount of it: for the options `bind` and `rbind` it does so whatever the type.
    pub fn is_bind(&self) -> bool {
        self.kind == "bind" || self.options.iter().any(|option| option == "bind" || option == "rbind")
    }

    /// Whether file systems that the host mounts below the source later appear in the container.
    pub fn propagates(&self) -> bool {
        self.options.iter().any(|option| ["slave", "rslave", "shared", "rshared"].contains(&option.as_str()))
    }
}

/// `linux`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Linux {
    #[serde(deserialize_with = "or_default")]
    pub namespaces: Vec<Namespace>,
    #[serde(rename = "uidMappings", deserialize_with = "or_default")]
    pub uid_mappings: Vec<IdMapping>,
    #[serde(deserialize_with = "or_default")]
    pub devices: Vec<Device>,
    #[serde(deserialize_with = "or_default")]
    pub resources: Resources,
}

impl Linux {
    /// The host's number of the container's uid 0, with a user namespace that maps it; 0 without one.
    pub fn root_uid(&self) -> u32 {
        let own = self.namespaces.iter().any(|namespace| namespace.kind == "user");
        let mapping = self.uid_mappings.iter().find(|mapping| own && mapping.container == 0 && mapping.size > 0);
        mapping.map_or(0, |mapping| mapping.host)
    }
}

/// One of `linux.uidMappings`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct IdMapping {
    #[serde(rename = "containerID")]
    pub container: u32,
    #[serde(rename = "hostID")]
    pub host: u32,
    pub size: u32,
}

/// One of `linux.namespaces`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[allow(missing_docs)]
pub struct Namespace {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, deserialize_with = "or_default")]
    pub path: PathBuf,
}

/// One of `linux.devices`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[allow(missing_docs)]
pub struct Device {
    pub path: PathBuf,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub major: i64,
    #[serde(default)]
    pub minor: i64,
}

/// `linux.resources`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Resources {
    #[serde(deserialize_with = "or_default")]
    pub devices: Vec<DeviceRule>,
}

/// One of `linux.resources.devices`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)]
pub struct DeviceRule {
    pub allow: bool,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub major: Option<i64>,
    pub minor: Option<i64>,
    #[serde(deserialize_with = "or_default")]
    pub access: String,
}

/// Go writes `null` for an empty slice or map.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// Why a configuration or process file cannot be judged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Could not be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Larger than [`SIZE_LIMIT`].
    #[error("{path}: larger than 10 MiB; lockc does not read it")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not JSON, or not of the specification's form.
    #[error("{path}: not a valid OCI configuration: {source}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Reason, line and column.
        source: serde_json::Error,
    },
    /// A key that one runtime would read and another not.
    #[error("{path}: the key {key:?} differs from {known:?} only in case; runtimes disagree on it, write {known:?}")]
    Case {
        /// The file.
        path: PathBuf,
        /// The key as it stands.
        key: String,
        /// The key of the specification.
        known: &'static str,
    },
}

impl Spec {
    /// Reads the configuration file of a bundle.
    pub fn read(path: &Path) -> Result<Self, SpecError> {
        parse(&contents(path)?, path)
    }

    /// Parses a configuration; `path` is for the messages.
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, SpecError> {
        parse(text, path)
    }
}

impl Process {
    /// Reads the process file of `exec`.
    pub fn read(path: &Path) -> Result<Self, SpecError> {
        parse(&contents(path)?, path)
    }
}

fn contents(path: &Path) -> Result<Vec<u8>, SpecError> {
    let read_error = |source| SpecError::Read { path: path.into(), source };
    let file = File::open(path).map_err(read_error)?;
    let mut text = Vec::new();
    file.take(SIZE_LIMIT + 1).read_to_end(&mut text).map_err(read_error)?;
    if text.len() as u64 > SIZE_LIMIT {
        return Err(SpecError::TooLarge { path: path.into() });
    }
    Ok(text)
}

fn parse<T: DeserializeOwned>(text: &[u8], path: &Path) -> Result<T, SpecError> {
    let syntax = |source| SpecError::Syntax { path: path.into(), source };
    let parsed = serde_json::from_slice(text).map_err(syntax)?;
    let value: Value = serde_json::from_slice(text).map_err(syntax)?;
    if let Some((key, known)) = misspelt(&value) {
        return Err(SpecError::Case { path: path.into(), key, known });
    }
    Ok(parsed)
}

/// Keys that admission reads, anywhere in the document.
const KEYS: [&str; 25] = [
    "root",
    "path",
    "process",
    "user",
    "uid",
    "capabilities",
    "bounding",
    "effective",
    "permitted",
    "inheritable",
    "ambient",
    "mounts",
    "destination",
    "type",
    "source",
    "options",
    "annotations",
    "linux",
    "namespaces",
    "devices",
    "resources",
    "major",
    "minor",
    "allow",
    "access",
];

/// Objects whose keys are data: names of annotations, sysctls, …
const DATA: [&str; 5] = ["annotations", "sysctl", "unified", "rdma", "netDevices"];

fn misspelt(value: &Value) -> Option<(String, &'static str)> {
    match value {
        Value::Array(items) => items.iter().find_map(misspelt),
        Value::Object(members) => members.iter().find_map(|(key, member)| {
            // Go folds two more letters to ASCII ones than eq_ignore_ascii_case does.
            let folded = key.replace('\u{17f}', "s").replace('\u{212a}', "k");
            if let Some(known) = KEYS.into_iter().find(|known| key != known && folded.eq_ignore_ascii_case(known)) {
                return Some((key.clone(), known));
            }
            if DATA.contains(&key.as_str()) { None } else { misspelt(member) }
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Spec, String> {
        Spec::parse(text.as_bytes(), Path::new("config.json")).map_err(|error| error.to_string())
    }

    #[test]
    fn unknown_fields_and_nulls_are_passed_over() {
        let spec = parse(
            r#"{"ociVersion":"9.9.9","new":{"a":[1]},"mounts":null,"annotations":null,"linux":null,"root":{"path":"r","x":1},
                "process":{"user":{"uid":7,"gid":1},"capabilities":null}}"#,
        )
        .unwrap();
        assert_eq!(spec.root.unwrap().path, Path::new("r"));
        assert_eq!(spec.process.unwrap().user.uid, 7);
        assert!(spec.mounts.is_empty() && spec.linux == Linux::default());
    }

    #[test]
    fn broken_json_names_file_and_line() {
        let error = parse("{\n\"mounts\": [\n").unwrap_err();
        assert!(error.contains("config.json") && error.contains("line"), "{error}");
        assert!(parse(r#"{"mounts":[{"destination":5}]}"#).is_err());
        assert!(parse("").is_err());
    }

    #[test]
    fn keys_that_runtimes_would_read_differently_are_refused() {
        assert!(parse(r#"{"mounts":[],"mounts":[{"destination":"/a"}]}"#).is_err(), "twice");
        for text in [
            r#"{"Mounts":[]}"#,
            r#"{"linux":{"nameSpaces":[]}}"#,
            r#"{"mounts":[{"destination":"/a","Source":"/"}]}"#,
            "{\"proce\u{17f}s\":{}}",
        ] {
            assert!(parse(text).unwrap_err().contains("differs from"), "{text}");
        }
        assert!(parse(r#"{"annotations":{"Type":"x","PATH":"y"}}"#).is_ok(), "keys that are data");
    }

    #[test]
    fn the_size_is_limited() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        fs::write(&path, vec![b' '; SIZE_LIMIT as usize + 1]).unwrap();
        assert!(matches!(Spec::read(&path), Err(SpecError::TooLarge { .. })));
        assert!(matches!(Spec::read(dir.path()), Err(SpecError::Read { .. })));
    }

    #[test]
    fn binds_are_recognised_by_type_and_by_option() {
        let mount =
            |kind: &str, option: &str| Mount { kind: kind.into(), options: vec![option.into()], ..Mount::default() };
        assert!(mount("bind", "ro").is_bind());
        assert!(mount("tmpfs", "rbind").is_bind());
        assert!(mount("", "bind").is_bind());
        assert!(!mount("tmpfs", "ro").is_bind());
    }

    proptest! {
        #[test]
        fn arbitrary_input_never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Spec::parse(&text, Path::new("x"));
        }
    }
}
