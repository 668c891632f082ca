//! Tables for people: columns that line up, and names that are cut where the width is known and too small.
//!
//! Invariant: without a width nothing is cut, so that programs can read a table too.

use message::excerpt;

use crate::wrap::wrapped;

/// How a column is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    /// On the right, never cut.
    Number(&'static str),
    /// On the left, never cut.
    Word(&'static str),
    /// On the left; cut in the middle down to this many characters if there is no room.
    Name(&'static str, usize),
}

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Column::Number(heading) | Column::Word(heading) | Column::Name(heading, _) => heading,
        }
    }
}

/// Lines that a note may take where the width is known.
const NOTE_LINES_MAX: usize = 3;

fn shown_note(note: &str, width: Option<usize>) -> String {
    let Some(width) = width else {
        return format!("  {note}\n");
    };
    let room = width.saturating_sub(2);
    let lines = wrapped(&excerpt(note, room * NOTE_LINES_MAX), room, "");
    let lines = lines.lines().map(|line| format!("  {}\n", excerpt(line, room)));
    lines.collect()
}

/// Between two columns.
const GAP: usize = 2;

/// Rows under headings.
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<(Vec<String>, String)>,
}

impl Table {
    pub(super) fn new(columns: &[Column]) -> Table {
        Table {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; one cell for each column.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.row_with_note(cells, String::new());
    }

    /// Adds a row with something below it, unless that is empty.
    pub(super) fn row_with_note(&mut self, cells: Vec<String>, note: String) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push((cells, note));
    }

    /// The table as text, for this many columns of characters; `None`: as wide as it is.
    pub(super) fn render(&self, width: Option<usize>) -> String {
        let widths = self.widths(width);
        let headings: Vec<String> = self.columns.iter().map(|column| column.heading().to_owned()).collect();
        let mut text = self.line(&headings, &widths);
        for (cells, note) in &self.rows {
            text.push_str(&self.line(cells, &widths));
            if !note.is_empty() {
                text.push_str(&shown_note(note, width));
            }
        }
        text
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((column, cell), width) in self.columns.iter().zip(cells).zip(widths.iter().copied()) {
            if !line.is_empty() {
                line.push_str(&" ".repeat(GAP));
            }
            line.push_str(&match column {
                Column::Number(_) => format!("{cell:>width$}"),
                Column::Word(_) => format!("{cell:<width$}"),
                Column::Name(..) => format!("{:<width$}", excerpt(cell, width)),
            });
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }

    fn widths(&self, width: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .map(|column| column.heading().chars().count())
            .collect();
        for (cells, _) in &self.rows {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let Some(width) = width else { return widths };
        let needed: usize = widths.iter().sum::<usize>() + GAP * self.columns.len().saturating_sub(1);
        for _ in width..needed {
            // The widest gives, so that those beside it stay readable.
            let can_give = |(index, column): (usize, &Column)| match column {
                Column::Name(heading, least) if widths[index] > (*least).max(heading.len()) => Some(index),
                Column::Name(..) | Column::Number(_) | Column::Word(_) => None,
            };
            let columns = self.columns.iter().enumerate();
            let Some(widest) = columns.filter_map(can_give).max_by_key(|index| widths[*index]) else {
                break;
            };
            widths[widest] -= 1;
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Table {
        let mut table = Table::new(&[
            Column::Number("N"),
            Column::Name("FROM", 6),
            Column::Word("ACK"),
            Column::Name("NAME", 6),
        ]);
        table.row(vec![
            "1".into(),
            "127.0.0.1".into(),
            "auto".into(),
            "queue://a.very.long.name.indeed".into(),
        ]);
        table.row_with_note(
            vec!["1000".into(), "[::1]".into(), "-".into(), "A".into()],
            "durable: yes".into(),
        );
        table
    }

    #[test]
    fn without_a_width_nothing_is_cut_and_no_line_ends_with_spaces() {
        assert_eq!(
            example().render(None),
            "   N  FROM       ACK   NAME\n   1  127.0.0.1  auto  queue://a.very.long.name.indeed\n1000  [::1]      -     A\n  durable: yes\n"
        );
    }

    #[test]
    fn the_widest_name_is_cut_first_and_none_below_its_least() {
        let at = |width| example().render(Some(width));
        assert_eq!(
            at(40),
            "   N  FROM       ACK   NAME\n   1  127.0.0.1  auto  queue://a…ame.indeed\n1000  [::1]      -     A\n  durable: yes\n"
                .replace("queue://a…ame.indeed", "queue://…e.indeed")
        );
        for width in [26, 30, 40, 60] {
            assert!(
                at(width).lines().all(|line| line.chars().count() <= width),
                "{width}: {}",
                at(width)
            );
        }
        assert!(at(1).contains("127…0.1") || at(1).contains("127….1"), "{}", at(1));
        assert!(at(8).ends_with("\n  dur…e:\n  yes\n"), "{}", at(8));
    }
}
