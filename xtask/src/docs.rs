//! `cargo xtask docs`: generates pages from tables in the code, and renders the book.

mod book;
#[cfg(test)]
mod checks;
mod configuration;
mod crd;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use lockc_core::families::{FAMILIES, MAX_FAMILY};
use lockc_core::hooks::{PROGRAMS, Without};

use crate::{build, ui};

#[derive(clap::Args)]
pub struct Args {
    /// Render the pages as a book instead, in cargo's target directory; installs mdBook if it is
    /// missing
    #[arg(long)]
    book: bool,
}

/// Writes every generated page, or renders the book; unit tests tell when a page is stale.
pub fn run(args: &Args) -> Result<()> {
    if args.book {
        println!("{}", book::build()?.join("index.html").display());
        return Ok(());
    }
    write("hooks", &hooks())?;
    write("sockets", &sockets())?;
    let schema = schema()?;
    write_file(&crate::root().join(SCHEMA), &schema)?;
    write_file(&crate::root().join(crd::FILE), &crd::template(&schema)?)?;
    let defaults = crate::root().join(DEFAULTS);
    let defaults = fs::read_to_string(&defaults)
        .with_context(|| format!("cannot read {}", defaults.display()))?;
    write("configuration", &configuration::page(&schema, &defaults)?)?;
    for page in PAGES {
        let mut command = build::cargo();
        command.args([
            "run",
            "--quiet",
            "-p",
            "lockc-integration",
            "--bin",
            "lockc-it",
            "--",
            "docs",
            page,
        ]);
        write(page, &ui::capture(&mut command)?)?;
    }
    Ok(())
}

/// Pages that the integration suite's program writes from its own tables.
const PAGES: [&str; 2] = ["escapes", "workloads"];

/// The JSON Schema of `lockc.toml`, as `lockc config schema` prints it.
const SCHEMA: &str = "packaging/lockc.schema.json";

/// The commented configuration that packages install.
const DEFAULTS: &str = "packaging/lockc.toml";

fn schema() -> Result<String> {
    let mut command = build::cargo();
    command.args(["run", "--quiet", "-p", "lockc-bpf", "--bin", "lockc", "--", "config", "schema"]);
    ui::capture(&mut command)
}

fn write(page: &str, text: &str) -> Result<()> {
    write_file(&crate::root().join("docs").join(page).with_extension("md"), text)
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("docs: {}", path.display());
    Ok(())
}

const HOOKS: &str = "# LSM hooks

<!-- Written by `cargo xtask docs` from crates/lockc-core/src/hooks.rs; do not edit. -->

Each hook has one program of the same name.
On a kernel without a required hook nothing is attached.
Then no container of the lockc runtime starts.
Without an optional hook the rest is attached.
`lockc doctor` and `lockc status` report what is not enforced.
`require = [\"HOOK\"]` in `/etc/lockc/lockc.toml` makes `lockc load` fail instead.
The kernel column names the first release with the hook,
and with the task storage that every program needs.
lockc is tested on Linux 6.1, 6.12 and 7.2.

| hook | guards | kernel | without it | number in its events |
|---|---|---|---|---|
";

fn hooks() -> String {
    let mut text = HOOKS.to_owned();
    for program in PROGRAMS {
        let without = match program.without {
            Without::Refused => "required".to_owned(),
            Without::Loses(what) => format!("optional; lost: {what}"),
            Without::Covered(why) => format!("optional; nothing is lost: {why}"),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {without} | {} |",
            program.name, program.guards, program.since, program.argument
        );
    }
    text
}

const SOCKETS: &str = include_str!("docs/sockets.md");

fn sockets() -> String {
    let rows = |netlink: bool| {
        let mut text = String::new();
        for family in FAMILIES.iter().filter(|family| (family.bit >= MAX_FAMILY) == netlink) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| `{}` | {} |", family.name, family.about);
        }
        text
    };
    SOCKETS.replace("FAMILIES\n", &rows(false)).replace("PROTOCOLS\n", &rows(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_tree_is_fresh() {
        assert!(
            include_str!("../../docs/hooks.md") == hooks(),
            "docs/hooks.md is stale: run `cargo xtask docs`"
        );
        assert!(
            include_str!("../../docs/sockets.md") == sockets(),
            "docs/sockets.md is stale: run `cargo xtask docs`"
        );
        let schema = include_str!("../../packaging/lockc.schema.json");
        let defaults = include_str!("../../packaging/lockc.toml");
        assert!(
            include_str!("../../docs/configuration.md")
                == configuration::page(schema, defaults).unwrap(),
            "docs/configuration.md is stale: run `cargo xtask docs`"
        );
    }
}
