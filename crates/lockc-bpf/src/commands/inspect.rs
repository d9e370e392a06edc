//! `lockc inspect`: everything that is known of one running container.

use std::{collections::BTreeMap, path::Path, process::ExitCode};

use anyhow::{Result, bail};
use clap::ValueEnum;
use lockc_policy::container_file::Granted;
use serde::Serialize;

use crate::{
    containers,
    denial::Denial,
    out,
    records::Records,
    status::Container,
    table::{self, Cell},
};

const EXAMPLES: &str = "\
Examples:
  lockc inspect web
  lockc inspect team-a/web-1/nginx -o yaml
  lockc inspect web -o json | jq .granted.mounts

Exit codes: 0, or 3 if the container runs and lockc does not confine it.";

/// Shows a running container: its policy, what it is granted, which rules apply, what was denied.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The container: its id or the beginning of it, its name, its pod's, or NAMESPACE/POD/NAME
    #[arg(value_name = "NAME")]
    name: String,
    /// Format
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    /// The same as `-o json`.
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

/// A format of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Text
    #[default]
    Text,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// What is shown.
#[derive(Debug, Serialize)]
struct Inspected<'a> {
    #[serde(flatten)]
    container: &'a Container,
    bundle: &'a Path,
    granted: &'a Granted,
    recorded: Vec<Denial>,
}

/// Runs it.
///
/// # Errors
///
/// Where the pinned maps cannot be read, or no container, or more than one, has the name.
pub fn run(args: &Args) -> Result<ExitCode> {
    let confined = containers::confined()?;
    let container = match containers::named(&confined, &args.name, |it| (&it.id, &it.names)) {
        Ok(container) => container,
        Err(error) => {
            let all = containers::unconfined()?;
            let Ok(found) = containers::named(&all, &args.name, |it| (&it.id, &it.names)) else {
                bail!(error)
            };
            eprintln!("lockc: {} is NOT confined: {}", args.name, out::printable(&found.reason));
            return Ok(out::answer(false));
        }
    };
    let mut recorded = Records::open()?.all()?;
    recorded.retain(|denial| denial.container == container.id);
    let (bundle, granted) = (container.bundle.as_path(), &container.granted);
    let inspected = Inspected { container, bundle, granted, recorded };
    match if args.json { Output::Json } else { args.output } {
        Output::Json => out::json(&inspected)?,
        Output::Yaml => out::yaml(&inspected)?,
        Output::Text => print(&inspected),
    }
    Ok(ExitCode::SUCCESS)
}

fn print(inspected: &Inspected<'_>) {
    let container = inspected.container;
    let names = &container.names;
    let mut table = table::new();
    let mut line = |name: &str, text: String| {
        if !text.is_empty() {
            table.add_row([Cell::new(name), Cell::new(out::printable(&text))]);
        }
    };
    line("container", container.id.clone());
    line("name", names.full_name().unwrap_or_default());
    line("image", names.image.clone().unwrap_or_default());
    line("engine", names.engine.clone().unwrap_or_default());
    line("policy", format!("{} ({}), by {}", container.policy, container.level, container.origin));
    line("mode", container.mode.to_owned());
    line("network", container.network.to_owned());
    line("tasks", container.tasks.to_string());
    line("rules", container.rules.join(", "));
    line("bundle", inspected.bundle.display().to_string());
    let granted = inspected.granted;
    line("root", granted.rootfs.display().to_string());
    for (name, paths) in
        [("mount", &granted.mounts), ("socket", &granted.sockets), ("read", &granted.reads)]
    {
        for path in paths {
            line(name, path.display().to_string());
        }
    }
    line("devices", granted.devices.join(", "));
    line("denials", denials(container, &inspected.recorded));
    table::print(table);
}

/// How many, by rule.
fn denials(container: &Container, recorded: &[Denial]) -> String {
    let mut by_rule = BTreeMap::<&str, u64>::new();
    for denial in recorded {
        *by_rule.entry(denial.rule).or_default() += denial.count;
    }
    let rules: Vec<String> =
        by_rule.iter().map(|(rule, count)| format!("{rule} {count}")).collect();
    match rules.is_empty() {
        true => container.denials.to_string(),
        false => {
            let name = &container.id[..container.id.len().min(12)];
            format!(
                "{} ({}); see `lockc events --container {name}`",
                container.denials,
                rules.join(", ")
            )
        }
    }
}
