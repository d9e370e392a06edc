//! The administrator's configuration, `/etc/lockc/lockc.toml`.
//!
//! A missing file means the defaults. Anything else that is not a well-formed file which only root can write is an
//! error, and the caller refuses: a policy that cannot be read must not turn into a looser one.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;

use super::policy;
use crate::hooks;

/// Where the configuration is. A constant: neither environment nor command line moves it.
pub use super::paths::CONFIG as CONFIG_PATH;

/// Larger than any configuration that a person wrote.
const SIZE_LIMIT: u64 = 1 << 20;

/// The configuration, with the defaults where the file says nothing.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Level or policy when nothing else chooses.
    pub default: String,
    /// What annotations may ask for at most.
    pub ceiling: String,
    /// What happens when the kernel side cannot be reached.
    pub fail: Fail,
    /// Whether the level offline, and policies that extend it, leave the loopback addresses of IPv4.
    pub offline_loopback: bool,
    /// Optional LSM hooks without which `lockc load` fails.
    pub require: Vec<String>,
    /// Candidates for the real runtime; empty: the usual names in the usual places.
    pub runtimes: Vec<PathBuf>,
    /// Directories of the host that containers may be given, themselves and all below.
    pub allowed_mounts: Vec<PathBuf>,
    /// Unix sockets of the host that containers may be given.
    pub allowed_sockets: Vec<PathBuf>,
    /// State directories of engines in unusual places.
    pub engine_dirs: Vec<PathBuf>,
    /// The administrator's own policies by name.
    pub policies: BTreeMap<String, PolicyConfig>,
}

/// `fail`: which way lockc fails when its programs or maps do not answer.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Fail {
    /// The container does not start.
    #[default]
    Closed,
    /// The container starts unconfined, and that is logged.
    Open,
}

/// `[policies.NAME]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// A level or another policy.
    pub extends: String,
    /// Admission controls taken away.
    #[serde(default)]
    pub admit: Vec<String>,
    /// Kernel rules taken away.
    #[serde(default)]
    pub without_rules: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            default: "baseline".into(),
            ceiling: "baseline".into(),
            fail: Fail::Closed,
            offline_loopback: false,
            require: Vec::new(),
            runtimes: Vec::new(),
            allowed_mounts: ["/home", "/srv", "/var/data", "/mnt", "/media", "/opt"].map(PathBuf::from).to_vec(),
            allowed_sockets: Vec::new(),
            engine_dirs: Vec::new(),
            policies: BTreeMap::new(),
        }
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Could not be opened or read.
    #[error("{path}: cannot be read: {source}; make it readable for root, or remove it to use the defaults")]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Not a regular file, or somebody else than root can change it.
    #[error("{path}: {problem}; lockc trusts only a configuration that nobody but root can change: {remedy}")]
    Untrusted {
        /// The file or the directory that it is in.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
        /// A command that puts it right.
        remedy: String,
    },
    /// Not TOML, or not of this form.
    #[error("{path}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, column, reason and, where one is close, the key that was probably meant.
        message: String,
    },
    /// Well-formed, but it makes no sense.
    #[error("{path}: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to write instead.
        message: String,
    },
}

impl Config {
    /// Reads the configuration at `path`; the defaults if there is none.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_owned_by(path, 0)
    }

    /// As [`Config::load`], with another owner than root: for tests that do not run as root.
    fn load_owned_by(path: &Path, owner: u32) -> Result<Self, ConfigError> {
        let read_error = |source| ConfigError::Read { path: path.into(), source };
        let file = match File::open(path) {
            Ok(file) => file,
            // A dangling link is a broken configuration, not a missing one.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => {
                return Ok(Self::default());
            }
            Err(error) => return Err(read_error(error)),
        };
        let untrusted = |path: &Path, problem, remedy: &str| ConfigError::Untrusted {
            path: path.into(),
            problem,
            remedy: format!("{remedy} {}", path.display()),
        };
        let metadata = file.metadata().map_err(read_error)?;
        if !metadata.is_file() {
            return Err(untrusted(path, "not a regular file", "remove"));
        }
        let target = path.canonicalize().map_err(read_error)?;
        let directory = target.parent().unwrap_or(Path::new("/"));
        let directory_metadata = directory.metadata().map_err(read_error)?;
        for (path, metadata) in [(target.as_path(), &metadata), (directory, &directory_metadata)] {
            if metadata.uid() != owner {
                return Err(untrusted(path, "not owned by root", "chown root:root"));
            }
            if metadata.mode() & 0o022 != 0 {
                return Err(untrusted(path, "writable for group or others", "chmod go-w"));
            }
        }
        let mut text = String::new();
        file.take(SIZE_LIMIT + 1).read_to_string(&mut text).map_err(read_error)?;
        if text.len() as u64 > SIZE_LIMIT {
            return Err(ConfigError::Invalid { path: path.into(), message: "larger than 1 MiB".into() });
        }
        Self::parse(&text, path)
    }

    /// Parses and checks a configuration; `path` is for the messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            path: path.into(),
            message: match meant(error.message()) {
                Some(key) => format!("{}(did you mean `{key}`?)", error),
                None => error.to_string().trim_end().to_owned(),
            },
        })?;
        config.check().map_err(|message| ConfigError::Invalid { path: path.into(), message })?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let lists = [
            ("runtimes", &self.runtimes),
            ("allowed_mounts", &self.allowed_mounts),
            ("allowed_sockets", &self.allowed_sockets),
            ("engine_dirs", &self.engine_dirs),
        ];
        for (key, paths) in lists {
            for path in paths {
                if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
                    return Err(format!("{key}: {path:?} is not an absolute path without `..`; write the full path"));
                }
            }
        }
        for name in &self.require {
            if hooks::by_name(name).is_none() {
                let hint = nearest(name, hooks::PROGRAMS.iter().map(|program| program.name));
                let hint = hint.map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default();
                return Err(format!(
                    "require: {name:?} is not an LSM hook of lockc's{hint}; docs/hooks.md has them all"
                ));
            }
        }
        policy::check(self).map_err(|error| error.to_string())
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

/// The candidate that differs from `word` by at most two insertions, deletions or replacements.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |other: &str| {
        let mut row: Vec<usize> = (0..=other.chars().count()).collect();
        for (i, a) in word.chars().enumerate() {
            let mut diagonal = row[0];
            row[0] = i + 1;
            for (j, b) in other.chars().enumerate() {
                let replace = diagonal + usize::from(a != b);
                diagonal = row[j + 1];
                row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
            }
        }
        row.last().copied().unwrap_or(usize::MAX)
    };
    candidates
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("lockc.toml")).map_err(|error| error.to_string())
    }

    fn written(text: &str) -> (tempfile::TempDir, PathBuf, u32) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lockc.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let owner = path.metadata().unwrap().uid();
        (dir, path, owner)
    }

    #[test]
    fn a_missing_file_is_the_defaults_and_a_dangling_link_is_not() {
        let (dir, ..) = written("");
        assert_eq!(Config::load(&dir.path().join("none")).unwrap(), Config::default());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/nonexistent/lockc.toml", &link).unwrap();
        assert!(Config::load(&link).is_err());
    }

    #[test]
    fn every_key_is_read() {
        let config = parse(
            "default = 'restricted'\nceiling = 'test'\nfail = 'open'\nruntimes = ['/usr/bin/crun']\nallowed_mounts = ['/data']\n\
             allowed_sockets = ['/run/x.sock']\nengine_dirs = ['/data/docker']\n[policies.test]\nextends = 'baseline'\n\
             admit = ['capabilities']\nwithout_rules = ['mount']\n",
        )
        .unwrap();
        assert_eq!(config.fail, Fail::Open);
        assert_eq!(config.runtimes, [Path::new("/usr/bin/crun")]);
        assert_eq!(config.policies["test"].without_rules, ["mount"]);
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest_key() {
        let error = parse("\nceilling = 'baseline'\n").unwrap_err();
        assert!(error.contains("line 2") && error.contains("did you mean `ceiling`"), "{error}");
        let error = parse("[policies.a]\nextends = 'baseline'\nadmits = []\n").unwrap_err();
        assert!(error.contains("line 3") && error.contains("`admit`"), "{error}");
        assert!(parse("fail = 'soft'").is_err());
        assert!(parse("default = ").is_err());
        assert!(parse("default = 1").is_err());
    }

    #[test]
    fn paths_are_absolute() {
        for text in ["allowed_mounts = ['srv']", "runtimes = ['runc']", "allowed_sockets = ['/run/../x']"] {
            assert!(parse(text).unwrap_err().contains("absolute"), "{text}");
        }
    }

    #[test]
    fn a_file_that_others_can_change_is_refused() {
        let (dir, path, owner) = written("default = 'restricted'");
        assert_eq!(Config::load_owned_by(&path, owner).unwrap().default, "restricted");
        assert!(Config::load_owned_by(&path, owner + 1).unwrap_err().to_string().contains("chown"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        assert!(Config::load_owned_by(&path, owner).unwrap_err().to_string().contains("chmod go-w"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Config::load_owned_by(&link, owner).is_ok(), "a link to a trusted file is followed");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Config::load_owned_by(&path, owner).is_err(), "the directory is writable for all");
        assert!(Config::load_owned_by(dir.path(), owner).unwrap_err().to_string().contains("regular"));
    }
}
