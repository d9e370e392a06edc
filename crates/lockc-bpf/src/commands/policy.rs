//! `lockc policy`: lists policies, shows one, applies one to a running container.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use lockc_core::rules::Rule;
use lockc_policy::{
    config::cluster::KIND,
    policy::{Control, Policy, PolicySet, Strength},
};
use serde::Serialize;

use crate::{
    containers, live, out,
    table::{self, Cell},
};

/// Lists policies, shows one, or applies one to a running container.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

const LIST_EXAMPLES: &str = "\
Examples:
  lockc policy list
  lockc policy list --json | jq '.[].name'";

const SHOW_EXAMPLES: &str = "\
Examples:
  lockc policy show baseline
  lockc policy show monitoring --json | jq .admits";

const SET_EXAMPLES: &str = "\
Examples:
  lockc policy set web restricted
  lockc policy set web monitoring --loosen

Exit codes: 0 if the policy holds now.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the levels, the administrator's policies, and those that the cluster defines.
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// JSON output.
        #[arg(long)]
        json: bool,
    },
    /// Shows a policy: what it checks, what it denies, what it allows beyond its level.
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// Its name.
        #[arg(value_name = "POLICY")]
        name: String,
        /// JSON output.
        #[arg(long)]
        json: bool,
    },
    /// Applies a policy to a running container, from its next system call on.
    ///
    /// What the container was granted when it was created (mounts, devices, sockets, reads) stays
    /// granted, and nothing is added. When it is created again, its policy is chosen as usual.
    #[command(after_help = SET_EXAMPLES)]
    Set {
        /// The container: its id or the beginning of it, its name, or NAMESPACE/POD/NAME.
        #[arg(value_name = "NAME")]
        container: String,
        /// The policy.
        #[arg(value_name = "POLICY")]
        policy: String,
        /// Allow a policy that permits something that is forbidden now. The ceilings of the
        /// container's engine and namespace hold all the same.
        #[arg(long)]
        loosen: bool,
    },
}

/// A policy in words.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    level: &'static str,
    network: &'static str,
    mode: &'static str,
    /// Where it is defined: `FILE:LINE`, the cluster's object, or `lockc` for its levels.
    defined_by: String,
    /// Controls that it takes away from its level.
    admits: Vec<&'static str>,
    /// Controls that are checked.
    controls: Vec<&'static str>,
    /// Rules that the kernel enforces.
    rules: Vec<&'static str>,
    /// What is allowed beyond the level.
    allowed: Vec<String>,
}

impl Shown {
    fn new(policy: &Policy, set: &PolicySet) -> Self {
        let more = &policy.more;
        let paths = |key: &str, paths: &[std::path::PathBuf]| -> Vec<String> {
            paths.iter().map(|path| format!("{key} {}", path.display())).collect()
        };
        let words = |key: &str, words: &[String]| -> Vec<String> {
            words.iter().map(|word| format!("{key} {word}")).collect()
        };
        let level = Policy::for_level(policy.level, "");
        let is_on = |policy: &Policy, control| policy.strength(control) != Strength::Off;
        let (controls, off): (Vec<_>, Vec<_>) =
            Control::ALL.into_iter().partition(|control| is_on(policy, *control));
        Self {
            name: policy.name.clone(),
            level: policy.level.name(),
            network: policy.network.name(),
            mode: policy.mode.name(),
            defined_by: set.defined_by(&policy.name),
            admits: off
                .into_iter()
                .filter(|control| is_on(&level, *control))
                .map(Control::name)
                .collect(),
            controls: controls.into_iter().map(Control::name).collect(),
            rules: Rule::ALL
                .into_iter()
                .filter(|rule| policy.rules.has(*rule))
                .map(Rule::name)
                .collect(),
            allowed: [
                paths("mount", &more.mounts),
                paths("socket", &more.sockets),
                paths("device", &more.devices),
                paths("read", &more.reads),
                words("capability", &more.capabilities),
                words("sysctl", &more.sysctls),
                lockc_core::families::FAMILIES
                    .iter()
                    .filter(|family| more.families >> family.bit & 1 != 0)
                    .map(|family| format!("socket family {}", family.name))
                    .collect(),
                more.hook_mounts.then(|| "mounts by root's hooks".to_owned()).into_iter().collect(),
            ]
            .concat(),
        }
    }
}

/// Runs it.
///
/// # Errors
///
/// Where the configuration cannot be used, a name is unknown, or a policy cannot be applied.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::List { json } => list(*json)?,
        Command::Show { name, json } => {
            let set = PolicySet::of_host()?;
            let shown = Shown::new(&set.request(name, "the command line")?, &set);
            if *json {
                out::json(&shown)?;
            } else {
                show(&shown);
            }
        }
        Command::Set { container, policy, loosen } => {
            let confined = containers::confined()?;
            let found = containers::named(&confined, container, |it| (&it.id, &it.names))?;
            let applied = live::set(found, policy, *loosen)?;
            let called = found.names.full_name().unwrap_or_else(|| found.id.clone());
            println!("{}: {applied}", out::printable(&called));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(json: bool) -> Result<()> {
    let set = PolicySet::of_host()?;
    let shown: Vec<Shown> = set.all().map(|policy| Shown::new(policy, &set)).collect();
    if json {
        return out::json(&shown);
    }
    let mut table = table::new();
    table.set_header([
        "policy",
        "level",
        "network",
        "mode",
        "defined by",
        "admits, and allows beyond the level",
    ]);
    for policy in &shown {
        let more: Vec<&str> = policy
            .admits
            .iter()
            .copied()
            .chain(policy.allowed.iter().map(String::as_str))
            .collect();
        table.add_row([
            Cell::new(&policy.name),
            Cell::new(policy.level),
            Cell::new(policy.network),
            Cell::new(policy.mode),
            Cell::new(&policy.defined_by),
            Cell::new(if more.is_empty() { "-".into() } else { more.join(", ") }),
        ]);
    }
    table::print(table);
    if let Some(problem) = set.cluster.problem() {
        println!("the policies of the cluster cannot be read: {}", out::printable(problem));
    }
    for (name, reason) in set.cluster.rejected() {
        println!("{KIND} {name} is not used on this node: {}", out::printable(reason));
    }
    Ok(())
}

fn show(policy: &Shown) {
    let mut table = table::new();
    let mut line = |name: &str, text: String| {
        table
            .add_row([Cell::new(name), Cell::new(if text.is_empty() { "-".into() } else { text })]);
    };
    line("policy", policy.name.clone());
    line("level", policy.level.to_owned());
    line("network", policy.network.to_owned());
    line("mode", policy.mode.to_owned());
    line("defined by", policy.defined_by.clone());
    line("controls", policy.controls.join(", "));
    line("admits", policy.admits.join(", "));
    line("rules", policy.rules.join(", "));
    line("allows", policy.allowed.join(", "));
    table::print(table);
}
