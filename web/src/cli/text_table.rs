//! Tables of text: columns as wide as their widest cell, numbers to the right, and one column that gives way when the line is
//! too long.

use std::borrow::Cow;

use anstyle::Style;

use super::terminal::{Format, harmless};

/// A line is never cut shorter than this many characters in the column that gives way.
const GIVES_WAY_TO: usize = 12;

/// One cell.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    style: Style,
}

/// A table that is built row by row.
#[derive(Debug)]
pub struct Table {
    columns: Cow<'static, [Column]>,
    rows: Vec<Vec<Cell>>,
}

/// A column's heading and how it stands.
#[derive(Clone, Debug)]
pub struct Column {
    heading: Cow<'static, str>,
    stands: Stands,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    Left,
    Right,
    GivesWay,
}

/// Text.
pub const fn left(heading: &'static str) -> Column {
    Column { heading: Cow::Borrowed(heading), stands: Stands::Left }
}

/// Numbers.
pub const fn right(heading: &'static str) -> Column {
    Column { heading: Cow::Borrowed(heading), stands: Stands::Right }
}

/// Text that is cut when there is no room.
pub const fn gives_way(heading: &'static str) -> Column {
    Column { heading: Cow::Borrowed(heading), stands: Stands::GivesWay }
}

impl Column {
    /// The same under a heading that was not known before, made harmless.
    #[must_use]
    pub fn named(self, heading: &str) -> Column {
        Column { heading: harmless(heading, Format::Plain).into(), ..self }
    }
}

impl Cell {
    /// Plain text, made harmless.
    pub fn new(text: impl AsRef<str>) -> Cell {
        Cell { text: harmless(text.as_ref(), Format::Plain), style: Style::new() }
    }

    /// The same in a style.
    #[must_use]
    pub fn styled(self, style: Style) -> Cell {
        Cell { style, ..self }
    }
}

impl Table {
    /// A table without rows.
    pub fn new(columns: impl Into<Cow<'static, [Column]>>) -> Table {
        Table { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are columns.
    pub fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(cells);
    }

    /// Heading and rows; nothing when there is no row.
    pub fn lines(self, width: usize) -> Vec<String> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        self.lines_below(width, &mut Vec::new())
    }

    /// The same for one part of a long table: its columns are as wide as those of the parts before it, or wider, and only the
    /// first part (`widths` is empty) has the heading.
    pub fn lines_below(self, width: usize, widest_before: &mut Vec<usize>) -> Vec<String> {
        let dim = Style::new().dimmed();
        let is_first = widest_before.is_empty();
        let heading: Vec<Cell> =
            self.columns.iter().map(|column| Cell { text: column.heading.clone().into_owned(), style: dim }).collect();
        widest_before.resize(self.columns.len(), 0);
        let rows: Vec<Vec<Cell>> = is_first.then_some(heading).into_iter().chain(self.rows).collect();
        for (at, widest) in widest_before.iter_mut().enumerate() {
            *widest = rows.iter().map(|row| characters(&row[at].text)).max().unwrap_or(0).max(*widest);
        }
        let mut widths = widest_before.clone();
        let whole = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
        if let Some(at) = self.columns.iter().position(|column| column.stands == Stands::GivesWay) {
            widths[at] -= whole.saturating_sub(width).min(widths[at].saturating_sub(GIVES_WAY_TO));
        }
        rows.iter().map(|row| line(&self.columns, row, &widths, width)).collect()
    }
}

fn line(columns: &[Column], row: &[Cell], widths: &[usize], width: usize) -> String {
    let mut line = String::new();
    let mut left = width;
    for (at, ((column, cell), wide)) in columns.iter().zip(row).zip(widths).enumerate() {
        let gap = if at == 0 { 0 } else { 2 };
        let room = (*wide).min(left.saturating_sub(gap));
        if room == 0 {
            break;
        }
        left -= gap + room;
        let text = cut(&cell.text, room);
        let blank = " ".repeat(room - characters(&text));
        let (style, end) = (cell.style, cell.style.render_reset());
        let style = style.render();
        line.push_str(&" ".repeat(gap));
        match column.stands {
            Stands::Right => line.push_str(&format!("{blank}{style}{text}{end}")),
            // Nothing is put behind the last column.
            _ if at + 1 == columns.len() => line.push_str(&format!("{style}{text}{end}")),
            _ => line.push_str(&format!("{style}{text}{end}{blank}")),
        }
    }
    line
}

/// The text, or its start and an ellipsis.
pub fn cut(text: &str, width: usize) -> String {
    if characters(text) <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain((width > 0).then_some('…')).collect()
}

fn characters(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[left("kind"), gives_way("a name"), right("rows"), left("why")];

    #[test]
    fn columns_stand_below_each_other_and_one_gives_way() {
        let check = |width, expected: &[&str]| {
            let mut table = Table::new(COLUMNS);
            let mut row = |cells: [&str; 4]| table.row(cells.into_iter().map(Cell::new).collect());
            row(["files", "/var/log/nginx/*.log", "1,203", ""]);
            row(["stdin", "-\x1b[31m", "7", "too long"]);
            let lines = table.lines(width);
            let bare: Vec<_> = lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
            assert_eq!(bare, expected, "{width}");
        };
        check(
            60,
            &[
                "kind   a name                 rows  why",
                "files  /var/log/nginx/*.log  1,203  ",
                "stdin  -\\x1b[31m                 7  too long",
            ],
        );
        check(
            34,
            &["kind   a name         rows  why", "files  /var/log/ng…  1,203  ", "stdin  -\\x1b[31m         7  too l…"],
        );
        check(10, &["kind   a …", "files  /v…", "stdin  -\\…"]);
        assert!(Table::new(COLUMNS).lines(80).is_empty());
    }
}
