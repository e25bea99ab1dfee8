//! The reference as a manual page, in the macros of man(7).

use std::fmt::Write as _;

use super::Chapter;

pub(super) fn man(chapters: &[Chapter]) -> String {
    let mut out = format!(
        ".TH TRANSOM.TOML 5 \"\" \"transom {}\" \"File formats\"\n\
         .SH NAME\ntransom.toml \\- the configuration of transom\n",
        env!("CARGO_PKG_VERSION")
    );
    for chapter in chapters {
        let _ = writeln!(out, ".SH \"{}\"", quoted(&chapter.title));
        line(&mut out, &chapter.about);
        for entry in &chapter.entries {
            let _ = writeln!(out, ".TP\n.B {}", quoted(&entry.term));
            line(&mut out, &entry.meaning);
            let Some(facts) = &entry.facts else { continue };
            for (name, value) in [
                ("type", &facts.takes),
                ("default", &facts.unwritten),
                ("example", &facts.example),
                ("since", &facts.since),
            ] {
                let _ = writeln!(out, ".br\n.I {name}:\n{}", escaped(value));
            }
        }
    }
    out
}

fn line(out: &mut String, text: &str) {
    if !text.is_empty() {
        let _ = writeln!(out, "{}", escaped(text));
    }
}

/// For text lines: a backslash is written `\e`, a dash that may be copied `\-`, and no line begins with a control
/// character.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', r"\e").replace('-', r"\-").replace('`', r"\(ga");
    let text = text.replace('\'', r"\(aq").replace('~', r"\(ti").replace('^', r"\(ha");
    // Not every troff reads UTF-8.
    let text: String = text.chars().map(ascii).collect();
    match text.starts_with('.') {
        true => format!(r"\&{text}"),
        false => text,
    }
}

fn ascii(char: char) -> String {
    match char.is_ascii() {
        true => char.to_string(),
        false => format!("\\[u{:04X}]", u32::from(char)),
    }
}

/// For the arguments of macros, where a quotation mark is written twice.
fn quoted(text: &str) -> String {
    escaped(text).replace('"', r"\(dq")
}
