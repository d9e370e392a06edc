//! `lockc ps`: lists containers, those that are not confined too.

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use crate::{
    containers::{self, Unconfined},
    out,
    status::Container,
    table::{self, Cell},
};

const EXAMPLES: &str = "\
Examples:
  lockc ps
  lockc ps --all                           with containers that lockc does not confine
  lockc ps --all -o json | jq '.unconfined[].names'

Exit codes: 0, or 3 if --all finds a container that lockc does not confine.";

/// Lists the containers that lockc confines; with --all, also those that it does not.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Containers of every engine on this host, and why one is not confined
    #[arg(long, short)]
    all: bool,
    /// Format
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    /// The same as `-o json`.
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

/// A format of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table
    #[default]
    Table,
    /// A table with pod, network and full ids
    Wide,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// What is listed.
#[derive(Debug, Serialize)]
struct Listing {
    containers: Vec<Container>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unconfined: Option<Vec<Unconfined>>,
}

/// Runs it.
///
/// # Errors
///
/// Where the pinned maps cannot be read; where nothing is loaded, unless --all is given.
pub fn run(args: &Args) -> Result<ExitCode> {
    let listing = if args.all {
        let unconfined = containers::unconfined()?;
        Listing {
            containers: containers::confined().unwrap_or_default(),
            unconfined: Some(unconfined),
        }
    } else {
        Listing { containers: containers::confined()?, unconfined: None }
    };
    match if args.json { Output::Json } else { args.output } {
        Output::Json => out::json(&listing)?,
        Output::Yaml => out::yaml(&listing)?,
        Output::Table => print(&listing, false),
        Output::Wide => print(&listing, true),
    }
    Ok(out::answer(listing.unconfined.is_none_or(|unconfined| unconfined.is_empty())))
}

fn print(listing: &Listing, wide: bool) {
    if !listing.containers.is_empty() {
        let mut table = table::new();
        let mut header = vec!["container", "name", "image", "policy", "mode"];
        header.extend(if wide { &["network", "engine"][..] } else { &["engine"] });
        header.extend(["tasks", "denials", "source"]);
        table.set_header(header);
        table.add_rows(listing.containers.iter().map(|it| row(it, wide)));
        table::print(table);
    } else {
        println!("lockc confines no container");
    }
    let Some(unconfined) = &listing.unconfined else { return };
    if unconfined.is_empty() {
        println!("\nno container is without confinement");
        return;
    }
    println!("\nNOT confined: {}", unconfined.len());
    let mut table = table::new();
    table.set_header(["container", "name", "image", "engine", "reason"]);
    table.add_rows(unconfined.iter().map(|it| {
        let names = &it.names;
        [
            id(&it.id, wide),
            text(names.full_name()),
            text(names.image.clone()),
            text(names.engine.clone()),
            Cell::new(out::printable(&it.reason)),
        ]
    }));
    table::print(table);
}

fn row(container: &Container, wide: bool) -> Vec<Cell> {
    let names = &container.names;
    let mut cells = vec![
        id(&container.id, wide),
        text(names.full_name()),
        text(names.image.clone()),
        Cell::new(&container.policy),
        Cell::new(container.mode),
    ];
    if wide {
        cells.push(Cell::new(container.network));
    }
    cells.extend([
        text(names.engine.clone()),
        table::number(Some(container.tasks)),
        table::number(Some(container.denials)),
        Cell::new(&container.origin),
    ]);
    cells
}

fn id(id: &str, wide: bool) -> Cell {
    let shown: String = id.chars().take(if wide { usize::MAX } else { 12 }).collect();
    Cell::new(out::printable(&shown))
}

fn text(text: Option<String>) -> Cell {
    Cell::new(text.map_or("-".into(), |text| out::printable(&text)))
}
