//! Tables for people: without lines, as wide as the terminal, and readable from [`NARROWEST`]
//! columns on.

use std::io;

pub use comfy_table::{Cell, CellAlignment, Table};
use comfy_table::{ColumnConstraint, ContentArrangement, Row, presets::NOTHING};

/// The narrowest terminal that tables are made for.
const NARROWEST: u16 = 40;
/// Columns that the last column of a table needs. With fewer, the table is stacked.
const LAST: u16 = 24;

/// A table whose rows stay on one line each where standard output is not a terminal.
pub fn new() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    if let Some((width, _)) = terminal_size::terminal_size_of(io::stdout()) {
        fit(&mut table, width.0);
    }
    table
}

fn fit(table: &mut Table, width: u16) {
    table.set_width(width.max(NARROWEST)).set_content_arrangement(ContentArrangement::Dynamic);
}

/// A number in its own column; `-` where it is not known.
pub fn number<T: ToString>(number: Option<T>) -> Cell {
    Cell::new(number.map_or("-".into(), |number| number.to_string()))
        .set_alignment(CellAlignment::Right)
}

/// Prints a table; only the last column is broken where a row is too wide.
pub fn print(table: Table) {
    println!("{}", text(table));
}

fn text(table: Table) -> String {
    match table.width() {
        Some(width) if is_too_wide(&table, width) => stacked(&table, width),
        _ => side_by_side(table),
    }
}

/// Whether the last column would have less than [`LAST`] columns, and needs more than it has.
fn is_too_wide(table: &Table, width: u16) -> bool {
    let widths = table.column_max_content_widths();
    let Some((last, others)) = widths.split_last() else { return false };
    let others: u16 = others.iter().map(|width| width + GAP).sum();
    others + last.min(&LAST) > width
}

/// Blanks between two columns.
const GAP: u16 = 2;

fn side_by_side(mut table: Table) -> String {
    let last = table.column_count().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        if index == last {
            column.set_padding((0, 0));
        } else {
            column.set_padding((0, GAP)).set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.trim_fmt()
}

/// A row on several lines. With a header, each cell has a line with its name. Without, the last
/// cell is below the others, indented.
fn stacked(table: &Table, width: u16) -> String {
    let cells = |row: &Row| row.cell_iter().map(Cell::content).collect::<Vec<String>>();
    let narrow = |rows: Vec<Vec<String>>| {
        let mut table = Table::new();
        table.load_style(NOTHING).add_rows(rows);
        fit(&mut table, width);
        table
    };
    let names = table.header().map(cells);
    let rows = table.row_iter().map(|row| {
        let cells = cells(row);
        match (&names, cells.split_last()) {
            (Some(names), _) => {
                let pairs = names.iter().zip(cells).map(|(name, cell)| vec![name.clone(), cell]);
                side_by_side(narrow(pairs.collect())) + "\n"
            }
            (None, Some((last, others))) => {
                let mut below = narrow(vec![vec![last.clone()]]);
                for column in below.column_iter_mut() {
                    column.set_padding((GAP, 0));
                }
                format!("{}\n{}", others.join("  "), below.trim_fmt())
            }
            (None, None) => String::new(),
        }
    });
    rows.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: [&str; 3] = [
        "refused",
        "host-mounts",
        "the mount /etc of the host at /h may be written to by the container\nchanged by admit",
    ];

    #[test]
    fn only_the_last_column_is_broken() {
        for (width, lines) in [(80, 3), (200, 2)] {
            let mut table = of_width(width);
            table.add_row(ROW);
            let text = text(table);
            assert_eq!(text.lines().count(), lines, "{text}");
            is_within(&text, width.into());
            assert!(text.starts_with("refused  host-mounts  the mount"), "{text}");
        }
    }

    fn of_width(width: u16) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING);
        fit(&mut table, width);
        table
    }

    fn is_within(text: &str, width: usize) {
        assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
    }

    #[test]
    fn a_narrow_table_has_its_text_below() {
        for width in [40, 45] {
            let mut table = of_width(width);
            table.add_row(ROW).add_row(["ok", "hooks", "programs that the runtime executes"]);
            let text = text(table);
            is_within(&text, width.into());
            assert!(text.starts_with("refused  host-mounts\n  the mount /etc of the"), "{text}");
            assert!(text.contains("\n  changed by admit\nok  hooks\n  programs that"), "{text}");
        }
    }

    #[test]
    fn a_narrow_table_with_a_header_names_each_cell() {
        let mut table = of_width(40);
        let id = "0123456789ab";
        table
            .set_header(["container", "policy", "network", "mode", "origin"])
            .add_row([id, "baseline", "full", "enforce", "annotation org.lockc.policy of its pod"])
            .add_row([id, "offline", "none", "audit", "default"]);
        let text = text(table);
        is_within(&text, 40);
        assert!(text.starts_with("container  0123456789ab\npolicy     baseline\n"), "{text}");
        assert!(text.contains("\n\ncontainer  0123456789ab\npolicy     offline\n"), "{text}");
    }

    #[test]
    fn a_terminal_that_is_too_narrow_gets_forty_columns() {
        let mut table = of_width(10);
        table.add_row(["policy", "baseline (level baseline, network full), from the default"]);
        let text = text(table);
        is_within(&text, 40);
        assert!(text.lines().any(|line| line.len() > 30), "{text}");
    }

    #[test]
    fn without_a_terminal_a_row_is_one_line() {
        let mut table = Table::new();
        let long = "x ".repeat(300);
        table.load_style(NOTHING).add_row(["a", long.as_str()]);
        assert_eq!(text(table), format!("a  {}", long.trim_end()));
    }
}
