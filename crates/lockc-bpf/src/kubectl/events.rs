//! `kubectl lockc events`.

use std::process::ExitCode;

use anyhow::Result;
use jiff::{Timestamp, tz::TimeZone};
use lockc_policy::container_names::ContainerNames;
use serde::Deserialize;
use serde_json::Value;

use super::{
    client::{Kubectl, Namespaces},
    nodes::{self, on},
    ps::Output,
};
use crate::{
    commands::time::time,
    out,
    table::{self, Cell},
};

/// Prints the denials that are on record, of every node, the latest last.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only denials of this pod, or of a container of that name
    pod: Option<String>,
    #[command(flatten)]
    namespaces: Namespaces,
    /// Only this node
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Only what happened since then: a time, or a duration before now (`10m`)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only what happened before then
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Only denials by this rule
    #[arg(long, value_name = "RULE", value_parser = rules())]
    rule: Option<String>,
    /// Format; JSON is an object per line
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

fn rules() -> clap::builder::PossibleValuesParser {
    lockc_core::rules::Rule::ALL.map(lockc_core::rules::Rule::name).into()
}

/// A denial, as `lockc events -o json` has it.
#[derive(Deserialize)]
struct Listed {
    last: Timestamp,
    count: u64,
    container: String,
    #[serde(flatten)]
    names: ContainerNames,
    rule: String,
    comm: String,
    mode: String,
    detail: String,
    policy: String,
    remedy: String,
}

/// Runs it.
///
/// # Errors
///
/// Where no node answers.
pub fn run(args: &Args, kubectl: &Kubectl) -> Result<ExitCode> {
    let namespace = args.namespaces.chosen(kubectl)?;
    // A pod that is gone may have been on any node.
    let node = match (&args.node, &args.pod, &namespace) {
        (Some(node), ..) => Some(node.clone()),
        (None, Some(pod), Some(namespace)) => nodes::of_pod(kubectl, namespace, pod)?,
        _ => None,
    };
    let nodes = nodes::all(kubectl, node.as_deref())?;
    let words = args.words(namespace.as_deref());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let answers = nodes::ask(kubectl, &nodes, &words)?;
    let mut denials = Vec::new();
    for (node, values) in answers.json()? {
        denials.extend(values.into_iter().map(|value| on(node, value)));
    }
    denials.sort_by_key(|denial| {
        denial["last"].as_str().and_then(|last| last.parse::<Timestamp>().ok())
    });
    match args.output {
        Output::Json => {
            for denial in &denials {
                println!("{denial}");
            }
        }
        _ if denials.is_empty() => println!("no denial is on record"),
        output => table::print(table(&denials, output == Output::Wide)?),
    }
    Ok(answers.code())
}

impl Args {
    /// For `lockc` on the nodes, whose time zone may be another.
    fn words(&self, namespace: Option<&str>) -> Vec<String> {
        let mut words: Vec<String> = ["events", "-o", "json"].map(str::to_owned).into();
        for (option, value) in [
            ("--namespace", namespace.map(str::to_owned)),
            ("--container", self.pod.clone()),
            ("--since", self.since.map(|time| time.to_string())),
            ("--until", self.until.map(|time| time.to_string())),
            ("--rule", self.rule.clone()),
        ] {
            words.extend(value.map(|value| format!("{option}={value}")));
        }
        words
    }
}

fn table(denials: &[Value], wide: bool) -> Result<table::Table> {
    let mut table = table::new();
    let mut header = vec!["node", "last", "count", "container", "rule", "process", "verdict"];
    header.extend(wide.then_some("policy"));
    header.push("object");
    header.extend(wide.then_some("remedy"));
    table.set_header(header);
    for denial in denials {
        let node = denial["node"].as_str().unwrap_or("-");
        let it = Listed::deserialize(denial)?;
        let short = || it.container.chars().take(12).collect();
        let name: String = it.names.full_name().unwrap_or_else(short);
        let last = it.last.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let mut cells = vec![
            Cell::new(out::printable(node)),
            Cell::new(last),
            table::number(Some(it.count)),
            Cell::new(out::printable(&name)),
            Cell::new(out::printable(&it.rule)),
            Cell::new(out::printable(&it.comm)),
            Cell::new(if it.mode == "audit" { "audit" } else { "denied" }),
        ];
        cells.extend(wide.then(|| Cell::new(out::printable(&it.policy))));
        cells.push(Cell::new(out::printable(&it.detail)));
        cells.extend(wide.then(|| Cell::new(out::printable(&it.remedy))));
        table.add_row(cells);
    }
    Ok(table)
}
