//! Columns of text that fit a terminal.

use std::fmt::Write as _;

/// Blanks between two columns.
const GAP: usize = 2;
/// A column that gives way keeps this many characters.
const LEAST: usize = 24;
/// What does not fit behind its row stands below it, this far in.
const BELOW: usize = 8;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) kind: Kind,
    /// Where there is no room for all columns the one with the highest number goes first; 0 stays.
    pub(super) goes: u8,
}

/// How a column is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    /// Text that is cut when all that may go is gone.
    Cut,
    /// Remarks: below the row where they do not fit behind it.
    Remark,
}

/// Rows under headings. Column widths are the same all through.
#[derive(Debug)]
pub(super) struct Grid {
    columns: Vec<Column>,
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    Heading(String),
    Row(Vec<String>),
}

impl Grid {
    pub(super) fn new(columns: &[Column]) -> Grid {
        Grid { columns: columns.to_vec(), lines: Vec::new() }
    }

    /// A line of its own, with the titles of the columns below it.
    pub(super) fn heading(&mut self, text: String) {
        self.lines.push(Line::Heading(text));
    }

    /// A cell for each column.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.lines.push(Line::Row(cells));
    }

    /// The lines, two blanks in. `width`: characters of the terminal, if it is one.
    pub(super) fn text(&self, width: Option<usize>) -> String {
        let columns = self.layout(width);
        let mut text = String::new();
        for (at, line) in self.lines.iter().enumerate() {
            match line {
                Line::Heading(heading) => {
                    let _ = writeln!(text, "{}{heading}", if at > 0 { "\n" } else { "" });
                    let titles: Vec<&str> = self.columns.iter().map(|column| column.title).collect();
                    write_row(&titles, &columns, None, &mut text);
                }
                Line::Row(cells) => {
                    let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
                    write_row(&cells, &columns, width, &mut text);
                }
            }
        }
        text
    }

    /// The columns that are shown, with place and width.
    fn layout(&self, width: Option<usize>) -> Vec<Shown> {
        let rows = || self.lines.iter().filter_map(|line| if let Line::Row(cells) = line { Some(cells) } else { None });
        let mut columns = Vec::new();
        for (at, column) in self.columns.iter().enumerate() {
            let widest = rows().filter_map(|cells| cells.get(at)).map(|cell| length(cell)).max().unwrap_or(0);
            // Nothing in it: it only takes room.
            if widest > 0 {
                columns.push(Shown { at, column: *column, width: widest.max(length(column.title)) });
            }
        }
        let Some(room) = width else { return columns };
        let needed = |columns: &[Shown]| -> usize {
            columns.iter().filter(|it| it.column.kind != Kind::Remark).map(|it| it.width + GAP).sum()
        };
        while needed(&columns) > room {
            let last = columns.iter().enumerate().max_by_key(|(_, it)| it.column.goes);
            match last.filter(|(_, it)| it.column.goes > 0).map(|(place, _)| place) {
                Some(place) => columns.remove(place),
                None => break,
            };
        }
        let over = needed(&columns).saturating_sub(room);
        for column in columns.iter_mut().filter(|it| it.column.kind == Kind::Cut) {
            column.width = column.width.min(LEAST.max(column.width.saturating_sub(over)));
        }
        columns
    }
}

#[derive(Debug)]
struct Shown {
    at: usize,
    column: Column,
    width: usize,
}

fn write_row(cells: &[&str], columns: &[Shown], room: Option<usize>, text: &mut String) {
    let mut line = String::new();
    for Shown { at, column, width } in columns {
        let cell = cells.get(*at).copied().unwrap_or_default();
        match column.kind {
            Kind::Remark if cell.is_empty() => {}
            Kind::Remark if room.is_some_and(|room| length(&line) + GAP + length(cell) > room) => {
                let rails: String = cells.first().copied().unwrap_or_default().chars().map_while(rail).collect();
                below(&mut line, &format!("{:BELOW$}", format!("  {rails}")), cell, room.unwrap_or_default());
            }
            Kind::Remark => {
                let _ = write!(line, "  {cell}");
            }
            Kind::Number => {
                let _ = write!(line, "  {cell:>width$}");
            }
            Kind::Text | Kind::Cut => {
                let _ = write!(line, "  {:width$}", cut(cell, *width));
            }
        }
    }
    line.truncate(line.trim_end().len());
    text.push_str(&line);
    text.push('\n');
}

/// Adds remarks, apart by commas, in lines of their own that begin with `start`.
fn below(line: &mut String, start: &str, remarks: &str, room: usize) {
    let mut used = usize::MAX;
    for (at, remark) in remarks.split(", ").enumerate() {
        let more = length(", ") + length(remark);
        if at == 0 || used.saturating_add(more) > room {
            let comma = if at > 0 { "," } else { "" };
            line.truncate(line.trim_end().len());
            let _ = write!(line, "{comma}\n{start}{remark}");
            used = length(start) + length(remark);
        } else {
            let _ = write!(line, ", {remark}");
            used += more;
        }
    }
}

/// What the lines of a tree go on as below a row; `None`: the label begins.
fn rail(c: char) -> Option<char> {
    match c {
        '├' | '│' => Some('│'),
        '└' | '─' | ' ' => Some(' '),
        _ => None,
    }
}

/// Characters.
fn length(text: &str) -> usize {
    text.chars().count()
}

/// At most so many characters, the end of which says that there were more.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let column = |title, kind, goes| Column { title, kind, goes };
        let mut grid = Grid::new(&[
            column("NAME", Kind::Cut, 0),
            column("COUNT", Kind::Number, 0),
            column("EMPTY", Kind::Text, 0),
            column("LESS", Kind::Text, 1),
            column("LEAST", Kind::Text, 2),
            column("NOTES", Kind::Remark, 0),
        ]);
        let row = |cells: [&str; 6]| cells.map(str::to_owned).to_vec();
        grid.heading("first".into());
        grid.row(row(["a", "1", "", "less", "least", ""]));
        grid.heading("second".into());
        grid.row(row(["abcdefghijklmnopqrstuvwxyzabcde", "12", "", "", "", "a remark"]));
        grid
    }

    #[test]
    fn without_a_terminal_nothing_is_cut() {
        let expected = "first
  NAME                             COUNT  LESS  LEAST  NOTES
  a                                    1  less  least

second
  NAME                             COUNT  LESS  LEAST  NOTES
  abcdefghijklmnopqrstuvwxyzabcde     12               a remark
";
        assert_eq!(grid().text(None), expected);
        assert_eq!(grid().text(Some(200)), expected);
    }

    #[test]
    fn a_narrow_terminal_gets_fewer_columns_and_then_shorter_ones() {
        let expected = "first
  NAME                             COUNT  LESS  NOTES
  a                                    1  less

second
  NAME                             COUNT  LESS  NOTES
  abcdefghijklmnopqrstuvwxyzabcde     12
        a remark
";
        assert_eq!(grid().text(Some(47)), expected);
        let expected = "first
  NAME                         COUNT  NOTES
  a                                1

second
  NAME                         COUNT  NOTES
  abcdefghijklmnopqrstuvwxyz…     12
        a remark
";
        assert_eq!(grid().text(Some(36)), expected);
        let mut tree = Grid::new(&[
            Column { title: "PATH", kind: Kind::Cut, goes: 0 },
            Column { title: "NOTES", kind: Kind::Remark, goes: 0 },
        ]);
        tree.row(vec!["│  ├─ /path".into(), "some remark, another remark, more".into()]);
        let expected = "  │  ├─ /path\n  │  │  some remark,\n  │  │  another remark, more\n";
        assert_eq!(tree.text(Some(32)), expected);
        assert!(grid().text(Some(1)).contains("abcdefghijklmnopqrstuvw…"), "it stays readable");
    }
}
