//! The reference for a terminal.

use std::fmt::Write as _;

use super::{Chapter, Entry};

pub(super) fn text(chapters: &[Chapter], bold: bool) -> String {
    let strong = |word: &str| match bold {
        true => format!("\x1b[1m{word}\x1b[0m"),
        false => word.to_owned(),
    };
    let mut out = String::new();
    for chapter in chapters {
        let _ = writeln!(out, "{}", strong(&chapter.title));
        wrap(&mut out, 2, &chapter.about);
        for entry in &chapter.entries {
            let _ = writeln!(out, "\n  {}", strong(&entry.term));
            wrap(&mut out, 6, &entry.meaning);
            facts(&mut out, entry);
        }
        out.push('\n');
    }
    out
}

fn facts(out: &mut String, entry: &Entry) {
    let Some(facts) = &entry.facts else { return };
    for (name, value) in [
        ("type", &facts.takes),
        ("default", &facts.unwritten),
        ("example", &facts.example),
        ("since", &facts.since),
    ] {
        let mut value_lines = String::new();
        wrap(&mut value_lines, 16, value);
        let _ = write!(out, "      {name:<10}{}", value_lines.trim_start());
    }
}

/// The words of `text` in lines, each after `indent` blanks.
fn wrap(out: &mut String, indent: usize, text: &str) {
    let mut column = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        match column {
            0 => {
                let _ = write!(out, "{:indent$}", "");
                column = indent;
            }
            _ if column + 1 + width > COLUMNS => {
                let _ = write!(out, "\n{:indent$}", "");
                column = indent;
            }
            _ => {
                out.push(' ');
                column += 1;
            }
        }
        out.push_str(word);
        column += width;
    }
    if column > 0 {
        out.push('\n');
    }
}

const COLUMNS: usize = 80;
