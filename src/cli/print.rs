//! What commands print: tables on a terminal, one JSON value a line elsewhere.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::remote::JsonLines;
use super::store::{CommandError, print_line};

/// A value that is a row of a table.
pub(super) trait Row: Serialize + DeserializeOwned {
    const COLUMNS: &'static [&'static str];
    /// As many as there are columns.
    fn cells(&self) -> Vec<String>;
}

/// Rows on their way to the standard output.
pub(super) struct Rows {
    out: BufWriter<Stdout>,
    /// `None`: no terminal.
    table: Option<Columns>,
}

/// The first rows decide how wide columns are.
struct Columns {
    columns: &'static [&'static str],
    first: Vec<Vec<String>>,
    widths: Vec<usize>,
}

impl Rows {
    pub(super) fn of<R: Row>() -> Self {
        let (columns, first) = (R::COLUMNS, Vec::new());
        let table = is_terminal().then(|| Columns { columns, first, widths: Vec::new() });
        Self { out: BufWriter::new(io::stdout()), table }
    }

    pub(super) fn print<R: Row>(&mut self, row: &R) -> Result<(), CommandError> {
        match &mut self.table {
            Some(table) => table.add(&mut self.out, row.cells()).map_err(CommandError::failed),
            None => print_line(&mut self.out, row),
        }
    }

    /// What a running Transom sends, and how many they were.
    pub(super) async fn print_all<R: Row>(
        mut self,
        mut lines: JsonLines,
    ) -> Result<u64, CommandError> {
        let mut count = 0;
        while let Some(line) = lines.next().await? {
            count += 1;
            self.print_raw::<R>(&line)?;
        }
        self.finish()?;
        Ok(count)
    }

    /// The line as it came, where no table is wanted: a newer Transom may have more to say.
    fn print_raw<R: Row>(&mut self, line: &RawValue) -> Result<(), CommandError> {
        if self.table.is_none() {
            return writeln!(self.out, "{line}").map_err(CommandError::failed);
        }
        self.print::<R>(&serde_json::from_str(line.get()).map_err(CommandError::failed)?)
    }

    pub(super) fn finish(mut self) -> Result<(), CommandError> {
        if let Some(table) = &mut self.table {
            table.begin(&mut self.out).map_err(CommandError::failed)?;
        }
        self.out.flush().map_err(CommandError::failed)
    }
}

impl Columns {
    fn add(&mut self, out: &mut impl Write, row: Vec<String>) -> io::Result<()> {
        if self.widths.is_empty() {
            self.first.push(row);
            return if self.first.len() < FIRST { Ok(()) } else { self.begin(out) };
        }
        write_row(out, &self.widths, row.iter().map(String::as_str))
    }

    fn begin(&mut self, out: &mut impl Write) -> io::Result<()> {
        let first = std::mem::take(&mut self.first);
        if first.is_empty() {
            return Ok(());
        }
        let heads = self.columns.iter().map(|head| head.len());
        self.widths = heads.collect();
        for row in &first {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count()).min(WIDEST);
            }
        }
        write_row(out, &self.widths, self.columns.iter().copied())?;
        first
            .iter()
            .try_for_each(|row| write_row(out, &self.widths, row.iter().map(String::as_str)))
    }
}

fn write_row<'a>(
    out: &mut impl Write,
    widths: &[usize],
    cells: impl Iterator<Item = &'a str>,
) -> io::Result<()> {
    let mut text = String::new();
    for (width, cell) in widths.iter().zip(cells) {
        // What came from outside must not move the cursor.
        let cell: String = cell.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        text += &cell;
        let blanks = width.saturating_sub(cell.chars().count()) + 2;
        text.extend(std::iter::repeat_n(' ', blanks));
    }
    writeln!(out, "{}", text.trim_end())
}

/// One value: a sentence for people, or its JSON.
pub(super) fn print_one(value: &impl Serialize, sentence: &str) -> Result<(), CommandError> {
    if !is_terminal() {
        return print_line(&mut io::stdout(), value);
    }
    writeln!(io::stdout(), "{sentence}").map_err(CommandError::failed)
}

pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// `3 min`, of milliseconds.
pub(super) fn span(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

const FIRST: usize = 200;
const WIDEST: usize = 60;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let (columns, first) = (&["JOB", "WHY"][..], Vec::new());
        let mut table = Columns { columns, first, widths: Vec::new() };
        let mut out = Vec::new();
        for row in [["7", "a long reason"], ["1234", "x\u{1b}[2J"]] {
            table.add(&mut out, row.map(str::to_owned).to_vec()).unwrap();
        }
        table.begin(&mut out).unwrap();
        table.add(&mut out, ["8".to_owned(), "late".to_owned()].to_vec()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "JOB   WHY\n7     a long reason\n1234  x?[2J\n8     late\n");
    }

    #[test]
    fn spans_are_told_in_the_unit_that_fits() {
        let told = [0, 119_000, 120_000, 7_200_000, 200_000_000].map(span);
        assert_eq!(told, ["0 s", "119 s", "2 min", "2 h", "2 d"]);
    }
}
