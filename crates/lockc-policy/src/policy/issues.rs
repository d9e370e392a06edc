//! What a configuration says that makes no sense, and where.

use std::path::Path;

use lockc_core::hooks;

use super::{error::DefinitionError, paths::is_plain, sockets::NamedSockets};
use crate::config::{ConfigError, Loaded, Settings, spelling::hint};

/// What makes no sense, and where.
#[derive(Debug)]
pub(super) struct ConfigIssue {
    /// The key (`policies.NAME.admit`).
    pub key: String,
    /// The value in its list, where one is at fault.
    pub value: Option<String>,
    /// The reason, with what to write instead.
    pub message: String,
}

impl DefinitionError {
    /// Where it stands in the configuration, as far as the error tells; `key` otherwise.
    pub(super) fn at(self, key: &str) -> ConfigIssue {
        let (key, value) = match &self {
            Self::Unknown { origin, .. } if origin.starts_with("policies.") && origin != key => {
                (origin.clone(), None)
            }
            Self::Admit { policy, name, .. } => {
                (format!("policies.{policy}.admit"), Some(name.clone()))
            }
            Self::Rule { policy, name, .. } => {
                (format!("policies.{policy}.without_rules"), Some(name.clone()))
            }
            Self::Addition { policy, key, value, .. } => {
                (format!("policies.{policy}.{key}"), Some(value.clone()))
            }
            Self::Nothing { policy, key } => (format!("policies.{policy}.{key}"), None),
            Self::NetworkTwice(policy) => (format!("policies.{policy}.without_rules"), None),
            _ => (key.to_owned(), None),
        };
        ConfigIssue { key, value, message: self.to_string() }
    }
}

/// Checks what names no policy.
pub(super) fn check_settings(settings: &Settings) -> Result<(), ConfigIssue> {
    let lists = [
        ("runtimes", &settings.runtimes),
        ("sandbox_runtimes", &settings.sandbox_runtimes),
        ("allowed_mounts", &settings.allowed_mounts),
        ("allowed_sockets", &settings.allowed_sockets),
        ("engine_dirs", &settings.engine_dirs),
    ];
    for (key, paths) in lists {
        if let Some(path) = paths.iter().find(|path| !is_plain(path)) {
            let message = format!(
                "{key}: {path:?} is not an absolute path without `..`; write the full path"
            );
            return Err(ConfigIssue::of_value(key, &path.to_string_lossy(), message));
        }
    }
    for path in &settings.allowed_sockets {
        if let Err(problem) = NamedSockets::new(path) {
            let message = format!("allowed_sockets: {problem}");
            return Err(ConfigIssue::of_value("allowed_sockets", &path.to_string_lossy(), message));
        }
    }
    for name in &settings.require {
        if hooks::by_name(name).is_none() {
            let hint = hint(name, hooks::PROGRAMS.iter().map(|program| program.name));
            let message =
                format!("require: {name:?} is not an LSM hook of lockc{hint}; see docs/hooks.md");
            return Err(ConfigIssue::of_value("require", name, message));
        }
    }
    Ok(())
}

impl ConfigIssue {
    /// With the file and the line of the value, of the key, or of the table that it is in; with
    /// `path` where no file has any of them.
    pub(super) fn located(self, loaded: &Loaded, path: &Path) -> ConfigError {
        let Self { key, value, message } = self;
        let value = value.map(|value| format!("{key}[{value:?}]"));
        let table = key.rsplit_once('.').map(|(table, _)| table);
        let keys = [value.as_deref(), Some(key.as_str()), table];
        match loaded.origin(keys.into_iter().flatten()) {
            Some(origin) => ConfigError::Invalid {
                path: origin.path.clone(),
                message: format!("line {}: {message}", origin.line),
            },
            None => ConfigError::Invalid { path: path.into(), message },
        }
    }

    fn of_value(key: &str, value: &str, message: String) -> Self {
        Self { key: key.into(), value: Some(value.into()), message }
    }
}
