//! `docs/escapes.md`, from the table of techniques.

use std::fmt::Write as _;

use super::actors::ACTORS;
use super::second::SECOND;
use super::{Stopped, all};

const HEAD: &str = "# Escapes

<!-- Written by `cargo xtask docs` from tests/integration/src/it/escapes; do not edit. -->

Each technique is a small program.
`cargo xtask test --everything --filter escape` runs it in a container of plain crun,
where it works, and under each level, on Linux 6.1, 6.12 and 7.2.
The output of the test shows the results as a matrix.
If a level refuses such a container before it starts, the test tries again under a \
                    policy
that extends the level and admits everything; so it checks both barriers.
`restricted` also refuses every container here because it runs as root.
Under `privileged` everything works.
If a kernel lacks a call, the technique is reported as skipped there.

| technique | reference | refused before it starts | denied by the kernel's rule | baseline | \
                    restricted | offline |
|---|---|---|---|---|---|---|
";

const ACTORS_HEAD: &str = "
## Acting in a task's name

Operations that the kernel, or a program that it starts, performs for a task
with other rights than the task's.

| facility | with whose rights | decision |
|---|---|---|
";

const SECOND_HEAD: &str = "
## Reaching a second object

Calls that reach more than the file on which they are made, and what the tests tried.

| call | what it reaches | decision | tried |
|---|---|---|---|
";

/// The page.
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for technique in all() {
        let control = if technique.control.is_empty() { "-" } else { technique.control };
        let cells = match technique.stopped {
            Stopped::Everywhere => ["stopped"; 3],
            Stopped::Restricted => ["works", "stopped", "works"],
            Stopped::Offline => ["works", "works", "stopped"],
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {control} | {} | {} |",
            technique.name,
            technique.reference,
            technique.rule,
            cells.join(" | ")
        );
    }
    text.push_str(ACTORS_HEAD);
    for actor in ACTORS {
        let _ = writeln!(text, "| {} | {} | {} |", actor.facility, actor.rights, actor.decision);
    }
    text.push_str(SECOND_HEAD);
    for row in SECOND {
        let _ =
            writeln!(text, "| {} | {} | {} | {} |", row.call, row.reaches, row.decision, row.tried);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_tree_is_fresh() {
        let page = include_str!("../../../../../docs/escapes.md");
        assert!(
            page == markdown(),
            "docs/escapes.md is not what the table says: run `cargo xtask docs`"
        );
    }

    #[test]
    fn there_are_enough_techniques() {
        assert!(all().count() >= 60);
    }
}
