//! `kubectl lockc ps`.

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use lockc_policy::container_names::ContainerNames;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    client::{Kubectl, Namespaces},
    nodes::{self, on},
};
use crate::{
    out,
    table::{self, Cell},
};

/// Lists the containers that lockc confines, on every node.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    namespaces: Namespaces,
    /// Only this node
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Format
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// A format of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table
    #[default]
    Table,
    /// A table with more columns
    Wide,
    /// JSON
    Json,
}

/// A container, as `lockc ps -o json` has it.
#[derive(Deserialize)]
struct Listed {
    id: String,
    #[serde(flatten)]
    names: ContainerNames,
    policy: String,
    mode: String,
    network: String,
    tasks: i64,
    denials: u64,
    origin: String,
}

/// Runs it.
///
/// # Errors
///
/// Where no node answers.
pub fn run(args: &Args, kubectl: &Kubectl) -> Result<ExitCode> {
    let namespace = args.namespaces.chosen(kubectl)?;
    let nodes = nodes::all(kubectl, args.node.as_deref())?;
    let answers = nodes::ask(kubectl, &nodes, &["ps", "-o", "json"])?;
    let containers = containers(answers.json()?, namespace.as_deref());
    if args.output == Output::Json {
        out::json(&json!({ "containers": containers }))?;
    } else if containers.is_empty() {
        println!("lockc confines no container there");
    } else {
        table::print(table(&containers, args.output == Output::Wide)?);
    }
    Ok(answers.code())
}

/// Those of the namespace, or all, those outside of pods too.
pub(super) fn containers(answers: Vec<(&str, Vec<Value>)>, namespace: Option<&str>) -> Vec<Value> {
    let mut found = Vec::new();
    for (node, values) in answers {
        for mut value in values {
            let Value::Array(containers) = value["containers"].take() else { continue };
            let is_meant =
                |it: &Value| namespace.is_none_or(|name| it["namespace"].as_str() == Some(name));
            found.extend(containers.into_iter().filter(is_meant).map(|it| on(node, it)));
        }
    }
    found
}

pub(super) fn table(containers: &[Value], wide: bool) -> Result<table::Table> {
    let mut table = table::new();
    let mut header = vec!["node", "container", "name", "image", "policy", "mode"];
    header.extend(wide.then_some("network"));
    header.extend(["tasks", "denials", "source"]);
    table.set_header(header);
    let text =
        |text: Option<String>| Cell::new(text.map_or("-".into(), |text| out::printable(&text)));
    for container in containers {
        let node = container["node"].as_str().unwrap_or("-");
        let it = Listed::deserialize(container)?;
        let id: String = it.id.chars().take(if wide { usize::MAX } else { 12 }).collect();
        let mut cells = vec![
            Cell::new(out::printable(node)),
            Cell::new(out::printable(&id)),
            text(it.names.full_name()),
            text(it.names.image),
            Cell::new(out::printable(&it.policy)),
            Cell::new(out::printable(&it.mode)),
        ];
        cells.extend(wide.then(|| Cell::new(out::printable(&it.network))));
        cells.extend([
            table::number(Some(it.tasks)),
            table::number(Some(it.denials)),
            Cell::new(out::printable(&it.origin)),
        ]);
        table.add_row(cells);
    }
    Ok(table)
}
