//! The ids of a file: JSON lines, or CSV with a header row.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde_json::Value;

use crate::backfill::Id;

/// A file of ids, which can be read any number of times.
pub(super) struct IdFile {
    file: File,
    format: IdFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IdFormat {
    JsonLines,
    /// Fields end with this byte.
    Csv(u8),
}

impl IdFile {
    /// `name`: what its ending says of it.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(super) fn new(mut file: File, name: &Path) -> Result<Self, String> {
        let mut head = Vec::new();
        file.by_ref().take(HEAD).read_to_end(&mut head).map_err(|error| error.to_string())?;
        let format = format(name, &String::from_utf8_lossy(&head));
        Ok(Self { file, format })
    }

    /// All of them in their order, from the beginning.
    ///
    /// # Errors
    /// A sentence for the operator, as of each item that is no id.
    pub(super) fn read(&self) -> Result<Box<dyn Iterator<Item = Result<Id, String>>>, String> {
        let told = |error: std::io::Error| error.to_string();
        let mut file = self.file.try_clone().map_err(told)?;
        file.seek(SeekFrom::Start(0)).map_err(told)?;
        let mut input = BufReader::new(file);
        if input.fill_buf().map_err(told)?.starts_with(BOM) {
            input.consume(BOM.len());
        }
        match self.format {
            IdFormat::JsonLines => Ok(Box::new(json_lines(input))),
            IdFormat::Csv(delimiter) => Ok(Box::new(rows(input, delimiter)?)),
        }
    }
}

fn format(name: &Path, head: &str) -> IdFormat {
    let extension = name.extension().and_then(|end| end.to_str()).unwrap_or_default();
    let head = head.trim_start_matches('\u{feff}').trim_start();
    let json = match extension.to_ascii_lowercase().as_str() {
        "csv" | "tsv" => false,
        "jsonl" | "ndjson" | "json" => true,
        _ => head.starts_with('{'),
    };
    if json {
        return IdFormat::JsonLines;
    }
    // Spreadsheets write what separates fields where they are used.
    let first = head.lines().next().unwrap_or_default();
    let delimiter = [',', ';', '\t'].into_iter().max_by_key(|&end| first.matches(end).count());
    IdFormat::Csv(delimiter.filter(|&end| first.contains(end)).unwrap_or(',') as u8)
}

/// `{"id":"7"}`, where the id may be a whole number and `host` stands beside it; other members do not matter.
fn json_lines(input: impl BufRead) -> impl Iterator<Item = Result<Id, String>> {
    input.lines().enumerate().filter_map(|(at, line)| {
        let line = match line {
            Ok(line) if line.trim().is_empty() => return None,
            Ok(line) => line,
            Err(error) => return Some(Err(format!("line {}: {error}", at + 1))),
        };
        let id = serde_json::from_str::<Value>(&line).map_err(|error| error.to_string());
        let id = id.and_then(|value| {
            let text = |name: &str| match &value[name] {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) if !number.is_f64() => Some(number.to_string()),
                _ => None,
            };
            let id = text("id").ok_or("expected an object such as {\"id\":\"7\"}")?;
            Ok(Id { id, host: text("host") })
        });
        Some(id.map_err(|why| format!("line {}: {why}", at + 1)))
    })
}

/// The columns `id` and, where tenants are told apart, `host`.
fn rows(
    input: impl Read + 'static,
    delimiter: u8,
) -> Result<impl Iterator<Item = Result<Id, String>>, String> {
    let mut reader = csv::ReaderBuilder::new();
    reader.delimiter(delimiter).flexible(true).trim(csv::Trim::Headers);
    let mut reader = reader.from_reader(input);
    let headers = reader.headers().map_err(|error| error.to_string())?;
    let column = |name: &str| headers.iter().position(|head| head.eq_ignore_ascii_case(name));
    let id = column("id").ok_or("the first row has no column `id`")?;
    let host = column("host");
    Ok(reader.into_records().filter_map(move |row| {
        let row = match row {
            Ok(row) => row,
            Err(error) => return Some(Err(error.to_string())),
        };
        let field = |at: usize| row.get(at).filter(|field| !field.is_empty()).map(str::to_owned);
        let line = row.position().map_or(0, csv::Position::line);
        match (field(id), host.and_then(field)) {
            (Some(id), host) => Some(Ok(Id { id, host })),
            // A row of nothing, as spreadsheets leave at the end.
            (None, _) if row.iter().all(str::is_empty) => None,
            (None, _) => Some(Err(format!("line {line}: nothing in the column `id`"))),
        }
    }))
}

const BOM: &[u8] = "\u{feff}".as_bytes();
/// Enough to tell what a file is.
const HEAD: u64 = 4096;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    fn ids(name: &str, text: &str) -> Result<Vec<String>, String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let file = IdFile::new(file, Path::new(name))?;
        let read = || {
            let shown = |id: Id| id.host.map_or(id.id.clone(), |host| format!("{}@{host}", id.id));
            file.read()?.map(|id| id.map(shown)).collect::<Result<Vec<_>, _>>()
        };
        let first = read();
        assert_eq!(first, read(), "the same each time");
        first
    }

    #[test]
    fn json_lines_have_a_text_or_a_number() {
        let text = "\u{feff}{\"id\":\"7\"}\n\n{\"id\":8,\"title\":\"x\"}\r\n{\"id\":\"a/b\",\"host\":\"a.example\"}";
        let expected = ["7", "8", "a/b@a.example"].map(str::to_owned).to_vec();
        assert_eq!(ids("x.jsonl", text), Ok(expected.clone()));
        assert_eq!(ids("-", text), Ok(expected));
        for (text, why) in [
            ("{\"id\":\"7\"}\n{\"name\":1}\n", "line 2"),
            ("{\"id\":1.5}", "line 1"),
            ("7\n", "expected an object"),
            ("{\"id\":\"7\"", "line 1"),
        ] {
            assert!(ids("x.jsonl", text).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn csv_has_a_column_id() {
        for (text, expected) in [
            ("id\n7\n8\n", &["7", "8"][..]),
            ("\u{feff}name, ID \n\"a, \"\"b\"\"\",7\n\"two\nlines\",8\n", &["7", "8"]),
            ("title;id\nx;7\n;8\n;\n", &["7", "8"]),
            ("id\ttitle\n7\tx\n8\n", &["7", "8"]),
            ("id,host\n7,a.example\n8,\n", &["7@a.example", "8"]),
            ("id\n\" 7\"\n", &[" 7"]),
            ("id\n", &[]),
        ] {
            let expected: Vec<_> = expected.iter().map(|&id| id.to_owned()).collect();
            assert_eq!(ids("x.csv", text), Ok(expected), "{text:?}");
        }
        assert!(ids("x.csv", "name\n7\n").unwrap_err().contains("no column `id`"));
        assert!(ids("x.csv", "").unwrap_err().contains("no column `id`"));
        assert!(ids("x.csv", "id,name\n7,a\n,b\n").unwrap_err().contains("line 3"));
    }
}
