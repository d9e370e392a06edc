//! The configuration files: checks ownership, reads and merges them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::{
    error::ConfigError,
    origin::Origin,
    raw::{Choice, Fail, Follow, Mode, PolicyConfig, RawConfig, Rootless},
    spelling::nearest,
};
use crate::{engine::Engine, host::HostView};

/// Larger than any configuration written by hand.
const SIZE_LIMIT: u64 = 1 << 20;

/// The configuration with the place of each value that a file gives: by key, by table and name
/// (`policies.monitoring`), by the key in that (`policies.monitoring.admit`), and by the value in a
/// list (`policies.monitoring.admit["devices"]`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// What holds.
    pub config: RawConfig,
    /// Keys that no file gives are not in here.
    pub origins: BTreeMap<String, Origin>,
    /// The files, in the order in which they were read.
    pub files: Vec<PathBuf>,
}

/// One file.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Part {
    /// Level or policy of a container for which nothing else selects one.
    default: Option<String>,
    /// The loosest policy that annotations and labels may ask for.
    ceiling: Option<String>,
    /// What happens if the kernel side cannot be reached.
    fail: Option<Fail>,
    /// Whether lockc enforces a policy or only reports violations.
    mode: Option<Mode>,
    /// Whether containers without network may use 127.0.0.0/8.
    offline_loopback: Option<bool>,
    /// Optional LSM hooks without which `lockc load` fails.
    require: Option<Vec<String>>,
    /// Candidates for the real runtime, best first.
    runtimes: Option<Vec<PathBuf>>,
    /// Runtimes, besides gVisor's and Kata's, whose containers run on their own kernel.
    sandbox_runtimes: Option<Vec<PathBuf>>,
    /// What happens to containers of rootless engines.
    rootless: Option<Rootless>,
    /// Host directories that containers may mount at the baseline level.
    allowed_mounts: Option<Vec<PathBuf>>,
    /// Unix sockets of the host that containers may use.
    allowed_sockets: Option<Vec<PathBuf>>,
    /// State directories of engines in unusual locations.
    engine_dirs: Option<Vec<PathBuf>>,
    /// Settings for the containers of one engine.
    engines: BTreeMap<Engine, Choice>,
    /// Settings for the pods of a Kubernetes namespace; `*` matches any characters.
    namespaces: BTreeMap<String, Choice>,
    /// Settings for Kubernetes.
    kubernetes: KubernetesPart,
    /// The administrator's policies.
    policies: BTreeMap<String, PolicyConfig>,
}

/// `[kubernetes]`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct KubernetesPart {
    /// How lockc uses the namespace label pod-security.kubernetes.io/enforce that `lockc-node
    /// sync` recorded.
    namespace_labels: Option<Follow>,
    /// Level or policy of pods in a namespace that `lockc-node sync` has not recorded.
    unknown_namespaces: Option<String>,
    /// Whether containers may ask for the ConfinementPolicies of the cluster that `lockc-node sync`
    /// recorded.
    cluster_policies: Option<bool>,
}

/// Keys that have a newer form, and what to write instead.
const OLDER_FORMS: [(&str, &str); 1] = [(
    "offline_loopback",
    "define a policy with extends = \"baseline\" and network = \"loopback\" instead",
)];

/// Tables whose keys are settings.
const SECTIONS: [&str; 1] = ["kubernetes"];

/// Tables whose entries come from several files, each from one.
const TABLES: [&str; 3] = ["engines", "namespaces", "policies"];

/// The JSON Schema of one file.
#[cfg(feature = "schema")]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Part);
    schema.insert("title".into(), "lockc.toml".into());
    schema.to_value()
}

impl Loaded {
    /// One file's text alone.
    ///
    /// # Errors
    ///
    /// As [`Loaded::read`], but whoever the file belongs to.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut loaded = Self::default();
        loaded.add(text, path)?;
        Ok(loaded)
    }

    /// Reads the configuration at `path` and the files `*.toml` in the directory beside it
    /// (`lockc.d` for `lockc.toml`) in the order of their names; the defaults if there is none.
    /// A later file's value takes the place of an earlier one's; an engine, a namespace or a
    /// policy stands in one file only.
    ///
    /// # Errors
    ///
    /// Where a file cannot be read, can be changed by others than root, or has another form.
    pub fn read(path: &Path, view: &dyn HostView) -> Result<Self, ConfigError> {
        let mut loaded = Self::default();
        let drop_ins = view.trusted_entries(&path.with_extension("d"))?;
        let is_toml = |path: &PathBuf| path.extension().is_some_and(|end| end == "toml");
        let files = std::iter::once(path.to_owned()).chain(drop_ins.into_iter().filter(is_toml));
        for file in files {
            if let Some(text) = view.trusted_text(&file, SIZE_LIMIT)? {
                loaded.add(&text, &file)?;
            }
        }
        Ok(loaded)
    }

    /// The keys that still hold and have a newer form, and what to write instead.
    pub fn deprecated(&self) -> impl Iterator<Item = (&'static str, String)> {
        let older = |(key, instead): (&'static str, &str)| {
            self.origins.get(key)?;
            Some((key, format!("{key} is deprecated; {instead}")))
        };
        OLDER_FORMS.into_iter().filter_map(older)
    }

    /// The place of the first of these keys that a file gives.
    pub fn origin<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Option<&Origin> {
        keys.into_iter().find_map(|key| self.origins.get(key))
    }

    /// Puts a file's values over those of the earlier ones.
    fn add(&mut self, text: &str, path: &Path) -> Result<(), ConfigError> {
        let syntax = |mut error: toml::de::Error| {
            error.set_input(Some(text));
            ConfigError::Syntax {
                path: path.into(),
                message: match meant(error.message()) {
                    Some(key) => format!("{error}(did you mean `{key}`?)"),
                    None => error.to_string().trim_end().to_owned(),
                },
            }
        };
        let table = DeTable::parse(text).map_err(syntax)?;
        let places = places(table.get_ref(), text);
        let part = Part::deserialize(toml::Deserializer::from(table)).map_err(syntax)?;
        for (key, line, alone) in places {
            let origin = Origin { path: path.into(), line };
            match self.origins.insert(key.clone(), origin) {
                Some(other) if alone => {
                    return Err(ConfigError::Twice { path: path.into(), line, key, other });
                }
                _ => {}
            }
        }
        let config = &mut self.config;
        put(&mut config.default, part.default);
        put(&mut config.ceiling, part.ceiling);
        put(&mut config.settings.fail, part.fail);
        put(&mut config.mode, part.mode);
        put(&mut config.offline_loopback, part.offline_loopback);
        put(&mut config.settings.require, part.require);
        put(&mut config.settings.runtimes, part.runtimes);
        put(&mut config.settings.sandbox_runtimes, part.sandbox_runtimes);
        put(&mut config.settings.rootless, part.rootless);
        put(&mut config.settings.allowed_mounts, part.allowed_mounts);
        put(&mut config.settings.allowed_sockets, part.allowed_sockets);
        put(&mut config.settings.engine_dirs, part.engine_dirs);
        config.engines.extend(part.engines);
        config.namespaces.extend(part.namespaces);
        put(&mut config.kubernetes.namespace_labels, part.kubernetes.namespace_labels);
        put(
            &mut config.kubernetes.unknown_namespaces,
            part.kubernetes.unknown_namespaces.map(Some),
        );
        put(&mut config.kubernetes.cluster_policies, part.kubernetes.cluster_policies);
        config.policies.extend(part.policies);
        self.files.push(path.into());
        Ok(())
    }
}

fn put<T>(value: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *value = given;
    }
}

/// Every key, and every text in a list, with its line and whether only one file may have it.
fn places(table: &DeTable<'_>, text: &str) -> Vec<(String, usize, bool)> {
    let mut places = Places { text, found: Vec::new() };
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        match value.get_ref().as_table() {
            Some(entries) if TABLES.contains(&name) => {
                for (entry, value) in entries {
                    let path = format!("{name}.{}", entry.get_ref());
                    places.add(path.clone(), entry.span().start, true);
                    for (key, value) in value.get_ref().as_table().into_iter().flatten() {
                        places.value(
                            format!("{path}.{}", key.get_ref()),
                            key.span().start,
                            value.get_ref(),
                        );
                    }
                }
            }
            Some(settings) if SECTIONS.contains(&name) => {
                for (key, value) in settings {
                    places.value(
                        format!("{name}.{}", key.get_ref()),
                        key.span().start,
                        value.get_ref(),
                    );
                }
            }
            _ => places.value(name.to_owned(), key.span().start, value.get_ref()),
        }
    }
    places.found
}

struct Places<'a> {
    text: &'a str,
    found: Vec<(String, usize, bool)>,
}

impl Places<'_> {
    fn add(&mut self, key: String, at: usize, alone: bool) {
        let line = self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        self.found.push((key, line, alone));
    }

    fn value(&mut self, key: String, at: usize, value: &DeValue<'_>) {
        for item in value.as_array().into_iter().flatten() {
            if let Some(text) = item.get_ref().as_str() {
                self.add(format!("{key}[{text:?}]"), item.span().start, false);
            }
        }
        self.add(key, at, false);
    }
}

/// The key that was probably meant, from serde's "unknown field `a`, expected one of `b`, `c`".
fn meant(message: &str) -> Option<String> {
    if !message.starts_with("unknown") {
        return None;
    }
    let mut names = message.split('`').skip(1).step_by(2);
    let wrong = names.next()?;
    nearest(wrong, names).map(str::to_owned)
}
