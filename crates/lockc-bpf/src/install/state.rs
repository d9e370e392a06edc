//! What `install` did, for `uninstall`: `/var/lib/lockc/install/ENGINE.json`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{engine::Engine, host::Host};

const FOLDER: &str = "/var/lib/lockc/install";

/// One engine's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The file that was changed.
    pub config: PathBuf,
    /// It was not there before.
    pub created: bool,
    /// lockc was made the default runtime.
    #[serde(default)]
    pub default: bool,
    /// The default runtime before that, if the file named one.
    #[serde(default)]
    pub default_before: Option<String>,
    /// Entries that had to be added beside lockc's own.
    #[serde(default)]
    pub added: Vec<String>,
    /// A file of lockc's own beside it.
    #[serde(default)]
    pub drop_in: Option<PathBuf>,
    /// Programs that were written for levels.
    #[serde(default)]
    pub scripts: Vec<PathBuf>,
    /// Files of others that got entries of lockc's.
    #[serde(default)]
    pub edited: Vec<PathBuf>,
    /// The unit that starts the engine, if it has another name than the engine.
    #[serde(default)]
    pub unit: Option<String>,
    /// Names that `uninstall --keep-name` left to another runtime.
    #[serde(default)]
    pub kept: Vec<String>,
}

impl State {
    pub fn new(config: &Path, created: bool) -> Self {
        Self { config: config.into(), created, ..Self::default() }
    }

    fn path(engine: Engine) -> PathBuf {
        Path::new(FOLDER).join(format!("{}.json", engine.name()))
    }

    /// The state of an engine; nothing where lockc was not installed for it.
    pub fn read(host: &Host, engine: Engine) -> Result<Option<Self>> {
        let path = Self::path(engine);
        let text = host.read(&path)?;
        text.map(|text| {
            serde_json::from_str(&text)
                .with_context(|| format!("{} cannot be parsed", path.display()))
        })
        .transpose()
    }

    /// Writes it, or removes it.
    pub fn write(host: &Host, engine: Engine, state: Option<&Self>) -> Result<()> {
        let path = host.at(&Self::path(engine));
        let Some(state) = state else {
            // There may be none.
            let _ = fs::remove_file(path);
            return Ok(());
        };
        let folder = host.at(Path::new(FOLDER));
        fs::create_dir_all(&folder)
            .with_context(|| format!("{} cannot be created", folder.display()))?;
        fs::write(&path, serde_json::to_string_pretty(state)?)
            .with_context(|| format!("{} cannot be written", path.display()))
    }
}
