//! `lockc config`: checks the configuration, prints its values and their origin, prints its schema.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::Subcommand;
use lockc_core::paths;
use lockc_policy::{
    config::{self, Labels, Loaded},
    host::Host,
    policy::PolicySet,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    advice::{self, View},
    out,
};

/// Checks the configuration, prints its values, or prints its schema.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  lockc config check
  lockc config check --json | jq .files
  lockc config check --file new.toml    check a file before it is installed
  lockc config check --strict           for CI: fail on warnings, too

Exit codes: 0 if the configuration is valid; 1 if it is not; 3 if it is and --strict finds a
warning.";

const SHOW_EXAMPLES: &str = "\
Examples:
  lockc config show
  lockc config show --json | jq .ceiling";

const SCHEMA_EXAMPLES: &str = "\
Examples:
  lockc config schema > lockc.schema.json";

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads the configuration as the wrapper does; prints the first error with file, line and
    /// remedy. Warns of settings that give a container the host, and of settings that have no
    /// effect on this host.
    #[command(after_help = CHECK_EXAMPLES)]
    Check {
        /// Check only this file, whoever owns it.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Exits with 3 if there are warnings.
        #[arg(long)]
        strict: bool,
        /// JSON output.
        #[arg(long)]
        json: bool,
    },
    /// Prints every value and its origin.
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// JSON output: value and origin of each key.
        #[arg(long)]
        json: bool,
    },
    /// Prints the JSON Schema of a configuration file, for editors and linters.
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema,
}

/// Runs it.
///
/// # Errors
///
/// Where the configuration cannot be used.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Check { file, json, strict } => {
            return check(file.as_deref(), *json, *strict);
        }
        Command::Show { json } => {
            let (loaded, set) = load()?;
            show(&loaded, &set, *json)?;
        }
        Command::Schema => out::json(&config::schema())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the configuration as the wrapper does, and says what is dangerous or does nothing.
fn check(file: Option<&Path>, json: bool, strict: bool) -> Result<ExitCode> {
    let (loaded, set) = match file {
        Some(path) => {
            let loaded = Loaded::parse(&std::fs::read_to_string(path)?, path)?;
            let set = PolicySet::new(&loaded, path)?;
            (loaded, set)
        }
        None => load()?,
    };
    let warnings = advice::warnings(&loaded, &set, &View::default());
    let code = out::answer(!strict || warnings.is_empty());
    if json {
        let answer = serde_json::json!({ "files": loaded.files, "warnings": warnings });
        println!("{answer}");
        return Ok(code);
    }
    if loaded.files.is_empty() {
        println!("lockc: {} does not exist; the defaults apply", paths::CONFIG);
    }
    for path in &loaded.files {
        println!("lockc: {} is valid", path.display());
    }
    for warning in &warnings {
        println!("lockc: warning: {}", out::printable(&warning.to_string()));
    }
    Ok(code)
}

/// The configuration as written, and with what the node knows of the cluster's namespaces.
fn load() -> Result<(Loaded, PolicySet)> {
    let (path, host) = (Path::new(paths::CONFIG), Host::default());
    let loaded = Loaded::read(path, &host)?;
    let mut set = PolicySet::new(&loaded, path)?;
    set.labels = Labels::load(Path::new(paths::NAMESPACES), &host)?;
    Ok((loaded, set))
}

/// A value and where it stands.
#[derive(Debug, Serialize)]
struct Entry {
    value: Value,
    /// `FILE:LINE`, or `default`.
    origin: String,
}

/// Every key with its value, the tables' entries one by one.
fn entries(loaded: &Loaded) -> Result<Vec<(String, Entry)>> {
    let origin = |key: &str| {
        loaded.origins.get(key).map_or_else(|| "default".to_owned(), ToString::to_string)
    };
    let mut entries = Vec::new();
    let Value::Object(values) = serde_json::to_value(&loaded.config)? else { return Ok(entries) };
    for (key, value) in values {
        match value {
            Value::Object(table) => {
                for (name, value) in table {
                    let key = format!("{key}.{name}");
                    entries.push((key.clone(), Entry { value, origin: origin(&key) }));
                }
            }
            value => entries.push((key.clone(), Entry { value, origin: origin(&key) })),
        }
    }
    Ok(entries)
}

/// What the cluster says of its namespaces: no setting, but it decides like one.
fn labels(set: &PolicySet) -> Vec<(String, Entry)> {
    let labels = set.labels.as_ref().filter(|_| set.namespace_labels != config::Follow::Ignore);
    let Some(labels) = labels else { return Vec::new() };
    let origin = format!("{} (synced {})", paths::NAMESPACES, labels.synced);
    let of = |(name, namespace): (&String, &config::labels::Namespace)| {
        let value = Value::from(namespace.enforce.clone());
        (format!("kubernetes.labels.{name}"), Entry { value, origin: origin.clone() })
    };
    labels.namespaces.iter().map(of).collect()
}

fn show(loaded: &Loaded, set: &PolicySet, json: bool) -> Result<()> {
    let mut entries = entries(loaded)?;
    entries.extend(labels(set));
    if json {
        let map: serde_json::Map<String, Value> = entries
            .into_iter()
            .map(|(key, entry)| Ok((key, serde_json::to_value(entry)?)))
            .collect::<Result<_>>()?;
        return out::json(&map);
    }
    for (key, entry) in entries {
        println!("{:<60} # {}", format!("{key} = {}", entry.value), entry.origin);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lockc_policy::config::RawConfig;

    use super::*;

    #[test]
    fn every_key_is_shown_with_its_place() {
        let text = "\ndefault = 'mine'\n[policies.mine]\nextends = 'offline'\n";
        let loaded = Loaded::parse(text, Path::new("lockc.toml")).unwrap();
        let entries = entries(&loaded).unwrap();
        let find = |key: &str| &entries.iter().find(|(name, _)| name == key).unwrap().1;
        assert_eq!(
            (find("default").value.as_str(), find("default").origin.as_str()),
            (Some("mine"), "lockc.toml:2")
        );
        assert_eq!(find("policies.mine").origin, "lockc.toml:3");
        assert_eq!(find("ceiling").origin, "default");
        assert_eq!(find("fail").value, "closed");
    }

    #[test]
    fn labels_are_shown_where_they_decide() {
        let mut set = PolicySet::default();
        assert!(labels(&set).is_empty());
        let text = r#"{"version":1,"synced":"2026-01-02T03:04:05Z",
            "namespaces":{"a":{"enforce":"baseline"},"b":{}}}"#;
        set.labels = Some(config::Labels::parse(text, Path::new("x")).unwrap());
        let shown = labels(&set);
        assert_eq!(
            (shown[0].0.as_str(), &shown[0].1.value),
            ("kubernetes.labels.a", &Value::from("baseline"))
        );
        assert_eq!(shown[1].1.value, Value::Null);
        assert!(shown[0].1.origin.contains("synced 2026-01-02T03:04:05Z"));
        set.namespace_labels = config::Follow::Ignore;
        assert!(labels(&set).is_empty());
    }

    #[test]
    fn the_pages_show_valid_configurations() {
        let blocks = lockc_pages::blocks("toml");
        assert!(!blocks.is_empty());
        for (page, text) in blocks {
            let loaded = Loaded::parse(&text, &page).unwrap();
            PolicySet::new(&loaded, &page).unwrap();
        }
    }

    #[test]
    fn the_schema_in_the_tree_is_fresh() {
        let text = include_str!("../../../../packaging/lockc.schema.json");
        let in_tree: Value = serde_json::from_str(text).unwrap();
        assert!(
            in_tree == config::schema(),
            "packaging/lockc.schema.json is stale: run `cargo xtask docs`"
        );
    }

    #[test]
    fn the_schema_knows_every_key_and_refuses_others() {
        let schema = config::schema();
        let properties = schema["properties"].as_object().unwrap();
        let Value::Object(config) = serde_json::to_value(RawConfig::default()).unwrap() else {
            panic!("no object")
        };
        for key in config.keys() {
            assert!(properties.contains_key(key), "{key}");
        }
        assert_eq!(properties.len(), config.len());
        assert_eq!(schema["additionalProperties"], false);
    }
}
