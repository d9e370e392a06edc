//! `lockc config`: checks the configuration, prints its values and their origin, prints its schema.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::Subcommand;
use lockc_core::paths;
use lockc_policy::{
    config::{self, Loaded, cluster::KIND},
    messages::id_of_warning,
    policy::{ClusterSet, PolicySet},
};
use serde_json::Value;

use crate::{
    advice::{self, View},
    out,
    settings::{cluster_policies, entries, labels, load},
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
    let unused = unused(&set.cluster);
    let code = out::answer(!strict || warnings.is_empty() && unused.is_empty());
    if json {
        let usable = set.cluster.policies().map(|policy| policy.name.as_str());
        let answer = serde_json::json!({
            "files": loaded.files,
            "warnings": warnings,
            "cluster_policies": usable.collect::<Vec<_>>(),
            "cluster_warnings": unused,
        });
        println!("{answer}");
        return Ok(code);
    }
    if loaded.files.is_empty() {
        println!("lockc: {} does not exist; the defaults apply", paths::CONFIG);
    }
    for path in &loaded.files {
        println!("lockc: {} is valid", path.display());
    }
    for policy in set.cluster.policies() {
        let origin = set.defined_by(&policy.name);
        println!("lockc: {} is valid", out::printable(&origin));
    }
    for warning in warnings.iter().map(ToString::to_string).chain(unused) {
        println!("lockc: warning: {}", out::printable(&warning));
    }
    Ok(code)
}

/// What of the cluster's policies this node does not use.
fn unused(cluster: &ClusterSet) -> Vec<String> {
    let rejected = cluster
        .rejected()
        .map(|(name, reason)| format!("the {KIND} {name} is not used on this node: {reason}"));
    let problem = cluster
        .problem()
        .map(|problem| format!("the policies of the cluster cannot be read: {problem}"));
    let with_id = |warning: String| match id_of_warning(&warning) {
        Some(id) => format!("{warning} ({id})"),
        None => warning,
    };
    rejected.chain(problem).map(with_id).collect()
}

fn show(loaded: &Loaded, set: &PolicySet, json: bool) -> Result<()> {
    let mut entries = entries(loaded)?;
    entries.extend(labels(set));
    entries.extend(cluster_policies(set));
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
