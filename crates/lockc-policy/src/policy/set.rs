//! The configuration with every name resolved: whoever has it cannot meet an unknown policy but in
//! a request.

use std::{cmp::Reverse, collections::BTreeMap, path::Path};

use lockc_core::{
    paths,
    rules::{Level, Network},
};

use super::{
    cluster::ClusterSet,
    definitions,
    error::{DefinitionError, RequestError},
    issues::{self, ConfigIssue},
    strictness::Policy,
};
use crate::{
    config::{
        Choice, ConfigError, Follow, Labels, Loaded, Mode, Origin, RawConfig, Settings,
        SyncedFiles, globs, spelling::hint,
    },
    engine::Engine,
    host::{Host, HostView},
};

/// The annotation by which a container asks for a policy.
pub const ANNOTATION: &str = "org.lockc.policy";

/// The annotation by which a container asks for less network than its policy leaves.
pub const NETWORK_ANNOTATION: &str = "org.lockc.network";

/// The key that names the policy of Docker's managed plugins.
pub const PLUGINS: &str = "engines.docker.plugins";

/// What holds for everything, an engine or a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The policy of a container that asks for none.
    pub default: Option<Policy>,
    /// The loosest that its annotations and labels may ask for.
    pub ceiling: Option<Policy>,
    /// The mode of policies that state none.
    pub mode: Option<Mode>,
}

/// Policies, defaults and ceilings, and the settings beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySet {
    /// What names no policy.
    pub settings: Settings,
    /// What a cluster says of its namespaces, where it is synced to this node.
    pub labels: Option<Labels>,
    /// What these labels do.
    pub namespace_labels: Follow,
    /// The policy of the pods of a namespace of which `lockc-node sync` does not know.
    pub unknown_namespaces: Option<Policy>,
    /// The policy of Docker's managed plugins.
    pub plugins: Option<Policy>,
    /// The policies that the cluster defines, where they are synced to this node.
    pub cluster: ClusterSet,
    /// Where the configuration defines its policies.
    pub(crate) origins: BTreeMap<String, Origin>,
    pub(crate) default: Policy,
    pub(crate) ceiling: Policy,
    pub(crate) engines: BTreeMap<Engine, Bounds>,
    pub(crate) namespaces: BTreeMap<String, Bounds>,
    pub(crate) named: BTreeMap<String, Policy>,
}

impl Default for PolicySet {
    fn default() -> Self {
        let baseline = |origin: &str| Policy::for_level(Level::Baseline, origin);
        let levels = Level::ALL.map(|level| Policy::for_level(level, ""));
        let mut offline = baseline("").with_network(Network::None);
        offline.name = super::strictness::OFFLINE.into();
        let named = levels.into_iter().chain([offline]);
        Self {
            settings: Settings::default(),
            labels: None,
            namespace_labels: Follow::default(),
            unknown_namespaces: None,
            plugins: None,
            cluster: ClusterSet::default(),
            origins: BTreeMap::new(),
            default: baseline("`default`"),
            ceiling: baseline("`ceiling`"),
            engines: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            named: named.map(|policy| (policy.name.clone(), policy)).collect(),
        }
    }
}

impl PolicySet {
    /// Reads the configuration at `path` (see [`Loaded::read`]), and what `lockc-node sync` wrote
    /// down of a cluster.
    ///
    /// # Errors
    ///
    /// Where the configuration cannot be used.
    pub fn load(path: &Path, view: &dyn HostView) -> Result<Self, ConfigError> {
        Self::load_beside(path, SyncedFiles::default(), view)
    }

    /// What holds on this host.
    ///
    /// # Errors
    ///
    /// As for [`PolicySet::load`].
    pub fn of_host() -> Result<Self, ConfigError> {
        Self::load(Path::new(paths::CONFIG), &Host::default())
    }

    /// As [`PolicySet::load`], with other files of a cluster's.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn load_beside(
        path: &Path,
        synced: SyncedFiles<'_>,
        view: &dyn HostView,
    ) -> Result<Self, ConfigError> {
        Self::synced(&Loaded::read(path, view)?, path, synced, view)
    }

    /// As [`PolicySet::new`], with what is written down of a cluster.
    ///
    /// # Errors
    ///
    /// Where the configuration, or what is known of the namespaces, cannot be used. What is wrong
    /// with the cluster's policies refuses only the containers that ask for one.
    pub fn synced(
        loaded: &Loaded,
        path: &Path,
        synced: SyncedFiles<'_>,
        view: &dyn HostView,
    ) -> Result<Self, ConfigError> {
        let mut set = Self::new(loaded, path)?;
        set.labels = Labels::load(synced.namespaces, view)?;
        set.cluster = ClusterSet::load(&loaded.config, synced.policies, view);
        Ok(set)
    }

    /// The settings that name no policy. No policy is resolved: for commands that must work, and
    /// stay cheap, whatever the policies say.
    ///
    /// # Errors
    ///
    /// Where a file cannot be used, or one of these settings is invalid.
    pub fn load_settings(path: &Path, view: &dyn HostView) -> Result<Settings, ConfigError> {
        let loaded = Loaded::read(path, view)?;
        issues::check_settings(&loaded.config.settings)
            .map_err(|issue| issue.located(&loaded, path))?;
        Ok(loaded.config.settings)
    }

    /// Parses and resolves one file's text; `path` is for the messages.
    ///
    /// # Errors
    ///
    /// Where it cannot be used.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Self::new(&Loaded::parse(text, path)?, path)
    }

    /// Resolves what the files say; `path` is for messages about what no file says.
    ///
    /// # Errors
    ///
    /// Where a name is unknown, a policy cannot be used, or a default is looser than its ceiling.
    pub fn new(loaded: &Loaded, path: &Path) -> Result<Self, ConfigError> {
        // A file that gives one of them is not asked whether it goes with the other's default.
        let both = ["default", "ceiling"].iter().all(|key| loaded.origins.contains_key(*key));
        let mut set = resolve(&loaded.config, both).map_err(|issue| issue.located(loaded, path))?;
        for name in loaded.config.policies.keys() {
            if let Some(origin) = loaded.origins.get(&format!("policies.{name}")) {
                set.origins.insert(name.clone(), origin.clone());
            }
        }
        Ok(set)
    }

    /// The policy of a container for which nothing else chooses.
    pub fn default_policy(&self) -> &Policy {
        &self.default
    }

    /// What annotations and labels may ask for at most, where nothing nearer says so.
    pub fn ceiling(&self) -> &Policy {
        &self.ceiling
    }

    /// What holds for the containers of an engine.
    pub fn engine(&self, engine: Engine) -> Option<&Bounds> {
        self.engines.get(&engine)
    }

    /// What holds for the pods of a namespace: the entry with exactly its name, or the glob with
    /// the most characters that fit it, the first in the alphabet of equally long ones.
    pub fn namespace(&self, name: &str) -> Option<&Bounds> {
        self.namespaces.get(name).or_else(|| {
            let fitting = self.namespaces.iter().filter(|(glob, _)| globs::fits(glob, name));
            let longest = fitting
                .min_by_key(|(glob, _)| Reverse(glob.bytes().filter(|byte| *byte != b'*').count()));
            longest.map(|(_, bounds)| bounds)
        })
    }

    /// A level as the configuration has it: in its mode.
    pub fn level(&self, level: Level, origin: impl Into<String>) -> Policy {
        match self.named.get(level.name()) {
            Some(policy) => policy.chosen_by(origin),
            None => Policy::for_level(level, origin),
        }
    }

    /// The policy that a request names.
    ///
    /// # Errors
    ///
    /// Where neither lockc, the configuration nor the cluster defines it; where this node cannot
    /// use what the cluster defines.
    pub fn request(&self, name: &str, origin: &str) -> Result<Policy, RequestError> {
        if let Some(policy) = self.find(name) {
            return Ok(policy.chosen_by(origin));
        }
        Err(self.cluster.refusal(name, origin).unwrap_or_else(|| RequestError::Unknown {
            name: name.into(),
            origin: origin.into(),
            hint: hint(name, self.all().map(|policy| policy.name.as_str())),
        }))
    }

    /// The policy of that name; the configuration's goes before the cluster's.
    fn find(&self, name: &str) -> Option<&Policy> {
        self.named.get(name).or_else(|| self.cluster.get(name))
    }

    /// Every policy that can be asked for: the levels, the administrator's, and the cluster's.
    pub fn all(&self) -> impl Iterator<Item = &Policy> {
        self.named.values().chain(self.cluster.policies())
    }

    /// Where a policy is defined, in words; `lockc` for its levels.
    pub fn defined_by(&self, name: &str) -> String {
        let file = self.origins.get(name).map(ToString::to_string);
        file.or_else(|| self.cluster.origin(name)).unwrap_or_else(|| "lockc".into())
    }

    /// The policy that a registered container runs under; its level where the configuration no
    /// longer knows the name.
    pub fn registered(&self, name: &str, level: Level, origin: &str) -> Policy {
        match self.find(name) {
            Some(policy) if policy.level == level => policy.chosen_by(origin),
            _ => Policy::for_level(level, origin),
        }
    }
}

fn resolve(raw: &RawConfig, both: bool) -> Result<PolicySet, ConfigIssue> {
    issues::check_settings(&raw.settings)?;
    let mut named = BTreeMap::new();
    for name in raw.policies.keys() {
        definitions::check_name(name).map_err(|error| error.at(&format!("policies.{name}")))?;
    }
    let own = raw.policies.keys().map(String::as_str);
    for name in definitions::BUILTIN.into_iter().chain(own) {
        let key = format!("policies.{name}");
        let policy = definitions::resolve(raw, name, &key).map_err(|error| error.at(&key))?;
        named.insert(name.to_owned(), policy.chosen_by(""));
    }
    let find = |name: &str, key: &str, origin: &str| {
        let policy = definitions::resolve(raw, name, &format!("`{key}`"));
        policy.map(|policy| policy.chosen_by(origin)).map_err(|error| error.at(key))
    };
    let mut namespaces = BTreeMap::new();
    for (name, choice) in &raw.namespaces {
        let plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-*".contains(&byte);
        let key = format!("namespaces.{name}");
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(DefinitionError::Namespace(name.clone()).at(&key));
        }
        if choice.plugins.is_some() {
            let key = format!("{key}.plugins");
            return Err(DefinitionError::Plugins(key.clone()).at(&key));
        }
        let bounds = bounds(choice, &key, &format!("namespaces.{name:?}"), &find)?;
        namespaces.insert(name.clone(), bounds);
    }
    let (mut engines, mut plugins) = (BTreeMap::new(), None);
    for (engine, choice) in &raw.engines {
        let key = format!("engines.{}", engine.name());
        if let Some(name) = &choice.plugins {
            let key = format!("{key}.plugins");
            if key != PLUGINS {
                return Err(DefinitionError::Plugins(key.clone()).at(&key));
            }
            plugins = Some(find(name, &key, &key)?);
        }
        engines.insert(*engine, bounds(choice, &key, &key, &find)?);
    }
    let key = "kubernetes.unknown_namespaces";
    let unknown = raw.kubernetes.unknown_namespaces.as_deref();
    let unknown_namespaces = unknown.map(|name| find(name, key, key)).transpose()?;
    let default = find(&raw.default, "default", "`default`")?;
    let ceiling = find(&raw.ceiling, "ceiling", "`ceiling`")?;
    if both {
        agree("", &default, &ceiling)?;
    }
    Ok(PolicySet {
        settings: raw.settings.clone(),
        labels: None,
        namespace_labels: raw.kubernetes.namespace_labels,
        unknown_namespaces,
        plugins,
        cluster: ClusterSet::default(),
        origins: BTreeMap::new(),
        default,
        ceiling,
        engines,
        namespaces,
        named,
    })
}

/// The default and the ceiling of one table; `place` is what messages call it.
fn bounds(
    choice: &Choice,
    key: &str,
    place: &str,
    find: &dyn Fn(&str, &str, &str) -> Result<Policy, ConfigIssue>,
) -> Result<Bounds, ConfigIssue> {
    let of = |what: &str, name: &Option<String>| {
        let name = name.as_deref();
        name.map(|name| find(name, &format!("{key}.{what}"), &format!("{place}.{what}")))
            .transpose()
    };
    let bounds = Bounds {
        default: of("default", &choice.default)?,
        ceiling: of("ceiling", &choice.ceiling)?,
        mode: choice.mode,
    };
    if let (Some(default), Some(ceiling)) = (&bounds.default, &bounds.ceiling) {
        agree(&format!("{key}."), default, ceiling)?;
    }
    Ok(bounds)
}

/// A default that is looser than its ceiling is one that nobody could ask for.
fn agree(table: &str, default: &Policy, ceiling: &Policy) -> Result<(), ConfigIssue> {
    if default.at_least_as_strict_as(ceiling) {
        return Ok(());
    }
    let error = DefinitionError::Contradiction {
        table: table.into(),
        default: default.name.clone(),
        ceiling: ceiling.name.clone(),
    };
    Err(error.at(&format!("{table}default")))
}
