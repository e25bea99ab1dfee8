//! The reference in Markdown.

use std::fmt::Write as _;

use super::Chapter;

pub(super) fn markdown(chapters: &[Chapter]) -> String {
    let mut out = "# The configuration of Transom\n".to_owned();
    for chapter in chapters {
        let title = match chapter.title.starts_with('[') {
            true => format!("`{}`", chapter.title),
            false => chapter.title.clone(),
        };
        let _ = writeln!(out, "\n## {title}\n");
        if !chapter.about.is_empty() {
            let _ = writeln!(out, "{}\n", prose(&chapter.about));
        }
        let keys = chapter.entries.iter().any(|entry| entry.facts.is_some());
        out.push_str(match keys {
            true => {
                "| key | type | default | meaning | example | since |\n|---|---|---|---|---|---|\n"
            }
            false => "| form | meaning |\n|---|---|\n",
        });
        for entry in &chapter.entries {
            let (term, meaning) = (code(&entry.term), prose(&entry.meaning));
            let _ = match &entry.facts {
                Some(facts) => {
                    let (takes, unwritten) = (prose(&facts.takes), prose(&facts.unwritten));
                    let (example, since) = (code(&facts.example), &facts.since);
                    writeln!(
                        out,
                        "| {term} | {takes} | {unwritten} | {meaning} | {example} | {since} |"
                    )
                }
                None => writeln!(out, "| {term} | {meaning} |"),
            };
        }
    }
    out
}

/// In one cell, with nothing that Markdown takes for HTML or emphasis.
fn prose(text: &str) -> String {
    let mut out = String::new();
    // Every other piece is between backticks, where nothing but `|` has a meaning.
    for (number, piece) in text.split('`').enumerate() {
        match number % 2 {
            0 => piece.chars().for_each(|char| {
                if r"\|<>*_[]#".contains(char) {
                    out.push('\\');
                }
                out.push(char);
            }),
            _ => {
                let _ = write!(out, "`{}`", piece.replace('|', r"\|"));
            }
        }
    }
    out
}

fn code(text: &str) -> String {
    match text.contains('`') {
        true => prose(text),
        false => format!("`{}`", text.replace('|', r"\|")),
    }
}
