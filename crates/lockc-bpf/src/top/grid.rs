//! Columns of text that fit a width: what is too long is cut, and says so.

use unicode_width::UnicodeWidthChar as _;

/// Blanks between two columns.
const GAP: usize = 2;
/// What stands for the text that was cut.
const CUT: char = '…';

/// How a column is shown.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its header.
    pub title: &'static str,
    /// The narrowest screen that shows it.
    pub from: usize,
    /// The most that it takes, as a part of the screen: 4 is a quarter. 0: what the others leave.
    pub part: usize,
    /// Numbers are on the right.
    pub right: bool,
    /// The end of a text says more than its beginning, as of a path.
    pub keeps_end: bool,
}

impl Column {
    /// A column that takes at most a third of the screen.
    pub const fn new(title: &'static str) -> Self {
        Self { title, from: 0, part: 3, right: false, keeps_end: false }
    }

    /// A column that takes what the others leave.
    pub const fn rest(self) -> Self {
        Self { part: 0, ..self }
    }

    /// Numbers.
    pub const fn right(self) -> Self {
        Self { right: true, ..self }
    }

    /// Only on screens of that width.
    pub const fn from(self, from: usize) -> Self {
        Self { from, ..self }
    }

    /// At most that part of the screen.
    pub const fn part(self, part: usize) -> Self {
        Self { part, ..self }
    }

    /// Paths.
    pub const fn keeps_end(self) -> Self {
        Self { keeps_end: true, ..self }
    }
}

/// A line for the header, and one for each row.
pub fn lines(columns: &[Column], rows: &[Vec<String>], width: usize) -> Vec<String> {
    let shown: Vec<usize> = (0..columns.len()).filter(|at| columns[*at].from <= width).collect();
    let needed = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|text| width_of(text)).max();
        cells.unwrap_or(0).max(columns[at].title.len())
    };
    let mut widths: Vec<usize> = Vec::new();
    for at in &shown {
        let column = &columns[*at];
        widths.push(match column.part {
            0 => 0,
            part => needed(*at).min((width / part).max(column.title.len())),
        });
    }
    let taken: usize = widths.iter().sum::<usize>() + GAP * shown.len().saturating_sub(1);
    for (at, own) in shown.iter().zip(&mut widths) {
        if columns[*at].part == 0 {
            *own = needed(*at).min(width.saturating_sub(taken)).max(columns[*at].title.len());
        }
    }
    let titles: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
    let line = |cells: &Vec<String>| {
        let mut line = String::new();
        for (at, own) in shown.iter().zip(&widths) {
            let column = &columns[*at];
            let text = cut(cells.get(*at).map_or("", String::as_str), *own, column.keeps_end);
            let blanks = " ".repeat(own - width_of(&text).min(*own));
            if !line.is_empty() {
                line.push_str(&" ".repeat(GAP));
            }
            line += &if column.right { blanks + &text } else { text + &blanks };
        }
        line.trim_end().to_owned()
    };
    std::iter::once(&titles).chain(rows).map(line).collect()
}

/// The text in at most `width` columns.
pub fn cut(text: &str, width: usize, keeps_end: bool) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut fits = |character: &char| {
        let own = character.width().unwrap_or(0);
        let fits = own <= left;
        left = if fits { left - own } else { 0 };
        fits
    };
    match (width, keeps_end) {
        (0, _) => String::new(),
        (_, false) => text.chars().take_while(&mut fits).chain([CUT]).collect(),
        (_, true) => {
            let end: Vec<char> = text.chars().rev().take_while(&mut fits).collect();
            std::iter::once(CUT).chain(end.into_iter().rev()).collect()
        }
    }
}

/// Columns that a text takes.
fn width_of(text: &str) -> usize {
    text.chars().map(|character| character.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(cut("/a/long/path", 6, true), "…/path");
        assert_eq!(cut("namespace/pod", 6, false), "names…");
        assert_eq!(cut("fits", 4, false), "fits");
        // Two columns each: only one fits beside the mark.
        assert_eq!(cut("日本語", 4, false), "日…");
        assert_eq!(cut("x", 0, false), "");
        assert_eq!(cut("xy", 1, true), "…");
    }

    #[test]
    fn a_narrow_screen_has_fewer_columns_and_no_line_is_wider() {
        const COLUMNS: [Column; 4] = [
            Column::new("name"),
            Column::new("image").from(100),
            Column::new("rate").right(),
            Column::new("object").rest().keeps_end(),
        ];
        let row = ["a-very-long-name-of-a-container-that-goes-on", "nginx", "1.5", "/sys/fs/ext4"];
        let rows = [row.map(str::to_owned).to_vec()];
        let narrow = lines(&COLUMNS, &rows, 40);
        assert_eq!(narrow, ["name           rate  object", "a-very-long-…   1.5  /sys/fs/ext4"]);
        let wide = lines(&COLUMNS, &rows, 200);
        assert!(wide[1].contains("goes-on  nginx   1.5  /sys"), "{wide:?}");
        for width in 0..120 {
            for line in lines(&COLUMNS, &rows, width) {
                // The headers alone need this.
                assert!(width_of(&line) <= width.max(22), "{width}: {line}");
            }
        }
    }
}
