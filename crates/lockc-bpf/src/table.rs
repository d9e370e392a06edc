//! Tables for people: without lines, as wide as the terminal.

use std::io;

pub use comfy_table::{Cell, CellAlignment, Table};
use comfy_table::{ColumnConstraint, ContentArrangement, presets::NOTHING};

/// A table whose rows stay on one line each where standard output is not a terminal.
pub fn new() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    if let Some((width, _)) = terminal_size::terminal_size_of(io::stdout()) {
        table.set_width(width.0).set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

/// A number in a column of its own; `-` where it is not known.
pub fn number<T: ToString>(number: Option<T>) -> Cell {
    Cell::new(number.map_or("-".into(), |number| number.to_string()))
        .set_alignment(CellAlignment::Right)
}

/// Prints a table; only the last column is broken where a row is too wide.
pub fn print(table: Table) {
    println!("{}", text(table));
}

fn text(mut table: Table) -> String {
    let last = table.column_count().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        if index == last {
            column.set_padding((0, 0));
        } else {
            column.set_padding((0, 2)).set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.trim_fmt()
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
            let mut table = Table::new();
            table
                .load_style(NOTHING)
                .set_width(width)
                .set_content_arrangement(ContentArrangement::Dynamic)
                .add_row(ROW);
            let text = text(table);
            assert_eq!(text.lines().count(), lines, "{text}");
            assert!(text.lines().all(|line| line.len() <= width.into()), "{text}");
            assert!(text.starts_with("refused  host-mounts  the mount"), "{text}");
        }
    }

    #[test]
    fn without_a_terminal_a_row_is_one_line() {
        let mut table = Table::new();
        let long = "x ".repeat(300);
        table.load_style(NOTHING).add_row(["a", long.as_str()]);
        assert_eq!(text(table), format!("a  {}", long.trim_end()));
    }
}
