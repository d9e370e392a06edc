//! `docs/workloads.md`, from the rows.

use std::fmt::Write as _;

use super::{ALL, Levels, Work};
use crate::select::{Part, Tier};

const HEAD: &str = "# Workloads

<!-- Written by `cargo xtask docs` from tests/integration/src/it/workloads; do not edit. -->

If lockc breaks ordinary work, that is a defect of the same rank as an escape.
Each row runs in real Docker containers with Debian's packages.
It runs with plain runc, which proves that the row itself is correct, then under `baseline`.
It also runs under `restricted`, as user 1000 without capabilities and with `no-new-privileges`.
A row passes if it succeeds everywhere with the same output.
The whole suite runs on kernel 6.12 (`cargo xtask test --kernel 6.12 --filter work/`).
Rows marked * run on all kernels.

| workload | what it does | packages | baseline | restricted |
|---|---|---|---|---|
";

/// The page.
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for row in ALL.iter() {
        let star = if row.standing.of(Part::Work) == Tier::Smoke { " *" } else { "" };
        let restricted = match row.levels {
            Levels::Both => "works".to_owned(),
            Levels::Baseline(why) => format!("not run: {why}"),
        };
        let needs = match row.work {
            Work::Engine(_) if row.needs.is_empty() => "Docker",
            _ => row.needs,
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {}{star} | {} | {needs} | works | {restricted} |",
            row.name, row.title
        );
    }
    text.push_str(
        "\n## Exceptions\n\nThese workloads need their own policy, or work although something is \
         denied:\n\n",
    );
    for row in ALL.iter().filter(|row| !row.exception.is_empty()) {
        let _ = writeln!(text, "- **{}**: {}", row.name, row.exception);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_tree_is_fresh() {
        let page = include_str!("../../../../../docs/workloads.md");
        assert!(
            page == markdown(),
            "docs/workloads.md is not what the rows say: run `cargo xtask docs`"
        );
    }

    #[test]
    fn there_are_enough_rows_under_each_level() {
        assert!(ALL.len() >= 30);
        assert!(ALL.iter().filter(|row| row.levels == Levels::Both).count() >= 25);
    }

    #[test]
    fn cells_do_not_break_the_table() {
        for row in ALL.iter() {
            assert!(
                ![row.title, row.needs, row.exception]
                    .iter()
                    .any(|cell| cell.contains(['|', '\n'])),
                "{}",
                row.name
            );
        }
    }
}
