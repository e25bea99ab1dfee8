//! The table of keys and the grammar of their values, for people.

mod grammar;
mod man;
mod markdown;
#[cfg(feature = "cli")]
mod part;
mod schema;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;

#[cfg(test)]
pub(super) use schema::name;

use super::Config;
use super::keys::{Accepts, Choice, FILE, Role, Section, Setting, Unwritten};
use super::problem::alternatives;

/// How [`Config::reference`] is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReferenceFormat {
    /// For a terminal, in lines of at most 80 columns.
    #[default]
    Text,
    /// With a table for each section.
    Markdown,
    /// A manual page (`man -l`).
    Man,
}

impl Config {
    /// Every key of the configuration with type, default, meaning and example, and the grammar of the values.
    #[must_use]
    pub fn reference(format: ReferenceFormat) -> String {
        Reference::whole().written(format, false)
    }

    /// A JSON Schema (draft 2020-12) of the configuration file, for editors. It refuses no file that
    /// [`Config::load`] takes; what only a closer look shows, such as a condition that does not compile, it does not
    /// find.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schema::schema()
    }
}

/// What is printed, in order.
#[derive(Debug)]
pub(crate) struct Reference {
    chapters: Vec<Chapter>,
}

#[derive(Debug)]
struct Chapter {
    title: String,
    about: String,
    entries: Vec<Entry>,
}

/// A key, or a form of a value.
#[derive(Debug)]
struct Entry {
    term: String,
    meaning: String,
    facts: Option<Facts>,
}

/// What is said of a key besides its meaning.
#[derive(Debug)]
struct Facts {
    takes: String,
    unwritten: String,
    example: String,
    since: String,
}

impl Reference {
    pub(crate) fn whole() -> Self {
        let mut chapters = Vec::new();
        chapters.extend(sections().into_iter().map(Chapter::of));
        chapters.extend(grammar::chapters());
        Self { chapters }
    }

    /// `bold`: titles and keys stand out, by escape sequences.
    pub(crate) fn written(&self, format: ReferenceFormat, bold: bool) -> String {
        match format {
            ReferenceFormat::Text => text::text(&self.chapters, bold),
            ReferenceFormat::Markdown => markdown::markdown(&self.chapters),
            ReferenceFormat::Man => man::man(&self.chapters),
        }
    }
}

/// A title as it is asked for: `[[documents.<kind>.view]]` as `documents.view`.
fn plain(title: &str) -> String {
    title.trim_matches(['[', ']', '`']).replace(".<kind>", "").to_lowercase()
}

/// The sections of which this version takes something, each once and the file itself first, in the order in which the
/// table leads to them; those in words come last.
pub(super) fn sections() -> Vec<&'static Section> {
    let mut found: Vec<&'static Section> = Vec::new();
    collect(&FILE, &mut found);
    let file = found.remove(0);
    found.sort_by_key(|section| !section.title.starts_with('['));
    found.insert(0, file);
    found
}

fn collect(section: &'static Section, found: &mut Vec<&'static Section>) {
    if found.iter().any(|known| known.title == section.title) {
        return;
    }
    found.push(section);
    for setting in section.settings.iter().filter(|setting| setting.later.is_none()) {
        setting.takes.sections().into_iter().for_each(|section| collect(section, found));
    }
}

impl Chapter {
    fn of(section: &'static Section) -> Self {
        let entries = section.settings.iter().map(Entry::of).collect();
        Self { title: section.title.to_owned(), about: section.about.to_owned(), entries }
    }
}

impl Entry {
    fn of(setting: &'static Setting) -> Self {
        let mut meaning = setting.meaning.to_owned();
        if let Role::Beside(tags) = setting.role {
            meaning.push_str(&format!(" Beside {}.", alternatives(tags.iter().copied())));
        }
        if setting.takes.choices().iter().any(|choice| !choice.meaning.is_empty()) {
            let words: Vec<_> = setting.takes.choices().iter().map(Choice::to_string).collect();
            meaning.push_str(&format!(" {}.", words.join("; ")));
        }
        let unwritten = match setting.unwritten {
            _ if setting.is_tag() => "one of these keys".to_owned(),
            Unwritten::Refused => "required".to_owned(),
            Unwritten::Means("") if matches!(setting.takes, Accepts::Table(_)) => {
                "the defaults of its keys".to_owned()
            }
            Unwritten::Means("") => "nothing".to_owned(),
            Unwritten::Means(means) => means.to_owned(),
            Unwritten::Value(value) => value(),
        };
        let since = match setting.later {
            Some(_) => "not available yet".to_owned(),
            None => setting.since.to_owned(),
        };
        let facts = Facts {
            takes: setting.takes.to_string(),
            unwritten,
            example: format!("{} = {}", setting.key, setting.example),
            since,
        };
        Self { term: setting.key.to_owned(), meaning, facts: Some(facts) }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.word)?;
        if !self.meaning.is_empty() {
            write!(f, ": {}", self.meaning)?;
        }
        match self.later {
            Some(_) => f.write_str(" (not available yet)"),
            None => Ok(()),
        }
    }
}

/// The type, for people.
impl fmt::Display for Accepts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(syntax) => f.write_str(syntax.name),
            Self::Choice(choices) => {
                let words: Vec<_> =
                    choices.iter().map(|choice| format!("\"{}\"", choice.word)).collect();
                f.write_str(&words.join(" | "))
            }
            Self::Bool => f.write_str("true | false"),
            Self::True => f.write_str("true"),
            Self::Number(least, most) => write!(f, "whole number from {least} to {most}"),
            Self::List(Self::Table(section)) => write!(f, "list of tables {}", section.title),
            Self::List(item) => write!(f, "list of: {item}"),
            Self::OneOrMore(item) => write!(f, "{item}; or a list"),
            Self::Table(section) if section.title.starts_with('[') => {
                write!(f, "table {}", section.title)
            }
            Self::Table(section) => f.write_str(section.title),
            Self::Named(name, item) => {
                write!(f, "table of names ({}) and values ({item})", name.name)
            }
            Self::Either(all) => {
                let all: Vec<_> = all.iter().map(Self::to_string).collect();
                f.write_str(&all.join(" | "))
            }
            Self::Json => f.write_str("any value"),
        }
    }
}
