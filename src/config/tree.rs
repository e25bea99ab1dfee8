//! Walks what was written: TOML values with their places.
//!
//! serde stops at the first mistake; this goes on, and notes each one. A reader that gets `None`
//! has nothing more to report.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Accepts, FILE, Role, Section, Setting};
use super::problem::{Problem, Problems, Span, alternatives, suggestion};
use crate::nearest::nearest;

/// What reading needs besides the tree itself.
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    /// Relative paths in the file start here.
    pub(super) directory: &'a Path,
    pub(super) deployment: Deployment,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    pub(super) problems: Problems,
    /// Files that values were read from; see [`Written`](super::Written).
    pub(super) files: RefCell<BTreeMap<PathBuf, u64>>,
}

/// What the configuration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deployment {
    /// Around the app, so that nothing has to say where the app is.
    Layer,
    /// The same, in text that a builder made of calls, so that no secret in it lies in a file.
    LayerInCode,
    /// In front of the app, which `[app] url` names.
    #[cfg(any(test, feature = "cli"))]
    Proxy,
}

impl Deployment {
    pub(super) fn is_proxy(self) -> bool {
        !matches!(self, Self::Layer | Self::LayerInCode)
    }
}

/// A table whose keys are taken one by one; [`Table::finish`] reports the ones that don't belong there.
pub(super) struct Table<'a> {
    pub(super) reader: &'a Reader<'a>,
    /// As in the file, for messages: `[documents.files]`.
    pub(super) name: String,
    pub(super) span: Span,
    entries: &'a DeTable<'a>,
    takes: &'static Accepts,
    asked: RefCell<Vec<&'static str>>,
    /// Nothing says what it is, so that its keys can't be judged.
    is_unclear: Cell<bool>,
}

/// A value and where it is.
#[derive(Clone)]
pub(super) struct Value<'a> {
    pub(super) reader: &'a Reader<'a>,
    /// The key it belongs to, for messages.
    pub(super) key: &'a str,
    pub(super) key_span: Span,
    pub(super) span: Span,
    takes: &'static Accepts,
    inner: &'a DeValue<'a>,
}

impl<'a> Table<'a> {
    pub(super) fn root(reader: &'a Reader<'a>, root: &'a Spanned<DeTable<'a>>) -> Self {
        static ROOT: Accepts = Accepts::Table(&FILE);
        Self::new(reader, FILE.title.to_owned(), root.span(), root.get_ref(), &ROOT)
    }

    fn new(
        reader: &'a Reader<'a>,
        name: String,
        span: Span,
        entries: &'a DeTable<'a>,
        takes: &'static Accepts,
    ) -> Self {
        for (key, value) in entries {
            if value.get_ref().is_str() && sounds_secret(key.get_ref()) {
                reader.problems.hide(value.span());
            }
        }
        let (asked, is_unclear) = (RefCell::default(), Cell::new(false));
        Self { reader, name, span, entries, takes, asked, is_unclear }
    }

    fn section(&self) -> Option<&'static Section> {
        match self.takes {
            Accepts::Table(section) => Some(section),
            _ => None,
        }
    }

    fn setting(&self, key: &str) -> Option<&'static Setting> {
        let setting = self.section().and_then(|section| section.setting(key));
        debug_assert!(setting.is_some(), "`{key}` of {} is not in the table of keys", self.name);
        setting
    }

    pub(super) fn get(&self, key: &'static str) -> Option<Value<'a>> {
        let setting = self.setting(key)?;
        self.asked.borrow_mut().push(key);
        let (key, value) = self.entries.get_key_value(key)?;
        Some(self.value(key, value, &setting.takes))
    }

    pub(super) fn require(&self, key: &'static str) -> Option<Value<'a>> {
        let value = self.get(key);
        let setting = self.setting(key)?;
        debug_assert!(setting.is_required(), "the table of keys has no need of `{key}`");
        if value.is_none() {
            let missing = format!("`{key}` is missing from {}", self.name);
            let problem = Problem::error(self.span.clone(), missing);
            self.reader.problems.push(problem.label(format!("add `{key} = {}`", setting.example)));
        }
        value
    }

    /// The key that says what this table is.
    pub(super) fn one_of(&self) -> Option<Value<'a>> {
        let tags: Vec<_> = self.section().into_iter().flat_map(Section::tags).collect();
        let mut found: Vec<_> = tags.iter().filter_map(|tag| self.get(tag.key)).collect();
        if found.len() > 1 {
            let message = format!("{} says two things at once", self.name);
            let both = found.iter().map(|value| value.key);
            let problem = Problem::error(self.span.clone(), message);
            self.reader.problems.push(problem.label(format!("keep one of {}", alternatives(both))));
            return None;
        }
        if found.is_empty() {
            let message = format!("{} does not say what it is", self.name);
            let mut unknown = self.entries.keys().map(|key| &**key.get_ref());
            let near = unknown.find_map(|key| nearest(key, tags.iter().map(|tag| tag.key)));
            let label = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let now = tags.iter().filter(|tag| tag.later.is_none()).map(|tag| tag.key);
                    format!("expected {}", alternatives(now))
                }
            };
            self.reader.problems.push(Problem::error(self.span.clone(), message).label(label));
            self.is_unclear.set(true);
            return None;
        }
        found.pop()
    }

    /// Every entry, for tables whose keys are names that the operator chose; in the order of the
    /// file.
    pub(super) fn entries(&self) -> Vec<Value<'a>> {
        let takes = match self.takes {
            Accepts::Named(_, takes) => takes,
            takes => takes,
        };
        let mut entries: Vec<_> =
            self.entries.iter().map(|(k, v)| self.value(k, v, takes)).collect();
        entries.sort_by_key(|entry| entry.key_span.start);
        entries
    }

    /// Reports the keys that the table does not have, or not together with the others, or not yet.
    pub(super) fn finish(self) {
        let Some(section) = self.section().filter(|_| !self.is_unclear.get()) else { return };
        for (key, value) in self.entries {
            let setting = section.setting(key.get_ref());
            match setting {
                Some(Setting { role: Role::Beside(tags), .. }) if !self.has_one_of(tags) => {
                    let message = format!(
                        "`{}` is for {}",
                        key.get_ref(),
                        alternatives(tags.iter().copied())
                    );
                    let problem = Problem::error(key.span(), message).label("remove it");
                    self.reader.problems.push(problem);
                }
                // What it is beside is reported.
                Some(Setting { role: Role::Beside(_), later: Some(_), .. }) => {}
                Some(Setting { later: Some(what), takes, .. }) => {
                    self.value(key, value, takes).not_yet(what);
                }
                Some(setting) if self.asked.borrow().contains(&setting.key) => {}
                // A reader that has reported an error may leave the rest.
                Some(_) if self.reader.problems.has_errors() => {}
                _ => {
                    debug_assert!(setting.is_none(), "`{}` is never read", key.get_ref());
                    let message = format!("unknown key `{}`", key.get_ref());
                    let remedy = suggestion(key.get_ref(), self.fitting(section));
                    let problem = Problem::error(key.span(), message).label(remedy);
                    self.reader.problems.push(problem);
                }
            }
        }
    }

    fn has_one_of(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.entries.contains_key(*key))
    }

    /// The keys that may be written, given those that say what the table is.
    fn fitting(&self, section: &'static Section) -> impl Iterator<Item = &'static str> + Clone {
        section.keys().filter(|key| match section.setting(key).map(|setting| setting.role) {
            Some(Role::Tag) => self.has_one_of(&[key]),
            Some(Role::Beside(tags)) => self.has_one_of(tags),
            _ => true,
        })
    }

    fn value(
        &self,
        key: &'a Spanned<std::borrow::Cow<'a, str>>,
        value: &'a Spanned<DeValue<'a>>,
        takes: &'static Accepts,
    ) -> Value<'a> {
        Value {
            reader: self.reader,
            key: key.get_ref(),
            key_span: key.span(),
            span: value.span(),
            takes,
            inner: value.get_ref(),
        }
    }
}

impl<'a> Value<'a> {
    pub(super) fn text(&self) -> Option<&'a str> {
        let text = self.inner.as_str();
        text.or_else(|| self.wrong_type("a string"))
    }

    /// The text, if it is one; nothing is reported otherwise.
    pub(super) fn as_text(&self) -> Option<&'a str> {
        self.inner.as_str()
    }

    pub(super) fn bool(&self) -> Option<bool> {
        let bool = self.inner.as_bool();
        bool.or_else(|| self.wrong_type("`true` or `false`"))
    }

    pub(super) fn integer(&self) -> Option<i64> {
        let integer = self.inner.as_integer();
        let integer = integer.and_then(|n| i64::from_str_radix(n.as_str(), n.radix()).ok());
        integer.or_else(|| self.wrong_type("a whole number"))
    }

    /// A whole number within the bounds of this key.
    pub(super) fn number<N: TryFrom<i64>>(&self) -> Option<N> {
        let number = self.integer()?;
        let (least, most) = self.takes.range().unwrap_or((i64::MIN, i64::MAX));
        let fits = Some(number).filter(|number| (least..=most).contains(number));
        let message = format!("`{}` is out of range", self.key);
        fits.and_then(|number| N::try_from(number).ok())
            .or_else(|| self.error(message, format!("expected {least} to {most}")))
    }

    /// The text as what `parse` makes of it; its error becomes the message.
    pub(super) fn parse<T>(&self, parse: impl FnOnce(&'a str) -> Result<T, String>) -> Option<T> {
        match parse(self.text()?) {
            Ok(value) => Some(value),
            Err(message) => self.error(message, ""),
        }
    }

    /// One of these words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let all = self.takes.choices().iter();
        let now = all.clone().filter(|choice| choice.later.is_none()).map(|choice| choice.word);
        debug_assert!(
            now.clone().all(|word| choices.iter().any(|(name, _)| *name == word))
                && choices.iter().all(|(name, _)| now.clone().any(|word| word == *name)),
            "the table of keys has other values of `{}`",
            self.key
        );
        if let Some(later) = all.filter(|choice| choice.word == text).find_map(|word| word.later) {
            self.not_yet(later);
            return None;
        }
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        let names = choices.iter().map(|(name, _)| *name);
        self.error(format!("`{text}` is not a value of `{}`", self.key), suggestion(text, names))
    }

    /// `name` is how messages call it.
    pub(super) fn table(&self, name: impl Into<String>) -> Option<Table<'a>> {
        let Some(entries) = self.inner.as_table() else { return self.wrong_type("a table") };
        let takes = self.takes.in_table().unwrap_or(&Accepts::Json);
        Some(Table::new(self.reader, name.into(), self.span.clone(), entries, takes))
    }

    pub(super) fn is_table(&self) -> bool {
        self.inner.is_table()
    }

    /// The items of an array.
    pub(super) fn array(&self) -> Vec<Self> {
        match self.inner {
            DeValue::Array(_) => return self.one_or_more(),
            DeValue::Table(_) => self.error::<()>(
                format!("`{}` must be a list, not a table", self.key),
                "a list of tables is `[[…]]`, or `[{ … }]`",
            ),
            _ => self.wrong_type("a list"),
        };
        Vec::new()
    }

    /// The items of an array, or the value alone.
    pub(super) fn one_or_more(&self) -> Vec<Self> {
        let takes = self.takes.item();
        match self.inner.as_array() {
            None => vec![Self { takes, ..self.clone() }],
            Some(items) => items
                .iter()
                .map(|item| Self {
                    span: item.span(),
                    takes,
                    inner: item.get_ref(),
                    ..self.clone()
                })
                .collect(),
        }
    }

    /// The same, where none would undo what the key is for: `without` says how.
    pub(super) fn at_least_one(&self, without: &str) -> Vec<Self> {
        let items = self.one_or_more();
        if items.is_empty() {
            self.error::<()>(without, "expected at least one");
        }
        items
    }

    /// A text that says something.
    pub(super) fn word(&self) -> Option<&'a str> {
        match self.text()? {
            "" => self.error(format!("`{}` is empty", self.key), ""),
            text => Some(text),
        }
    }

    pub(super) fn json(&self) -> Option<serde_json::Value> {
        Some(match self.inner {
            DeValue::String(text) => text.as_ref().into(),
            DeValue::Boolean(bool) => (*bool).into(),
            DeValue::Integer(_) => self.integer()?.into(),
            DeValue::Float(float) => float.as_str().parse::<f64>().ok()?.into(),
            DeValue::Array(_) => {
                self.one_or_more().iter().map(Self::json).collect::<Option<Vec<_>>>()?.into()
            }
            DeValue::Table(_) | DeValue::Datetime(_) => {
                return self.wrong_type("a string, a number, `true`, `false` or a list");
            }
        })
    }

    /// Reports, and stands for the value that could not be had.
    pub(super) fn error<T>(
        &self,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Option<T> {
        self.report(Problem::error(self.span.clone(), message).label(label));
        None
    }

    pub(super) fn warn(&self, message: impl Into<String>, label: impl Into<String>) {
        self.report(Problem::warning(self.span.clone(), message).label(label));
    }

    /// Reports that this part of the language waits for a later version.
    fn not_yet(&self, what: &str) {
        let items = self.inner.as_array().map(|items| items.iter());
        let rules = items.into_iter().flatten().filter(|item| item.get_ref().is_table());
        let mut places: Vec<_> = rules.map(Spanned::span).collect();
        if places.is_empty() {
            places.push(self.key_span.clone());
        }
        places.into_iter().for_each(|place| self.report(Problem::not_yet(place, what)));
    }

    pub(super) fn report(&self, problem: Problem) {
        self.reader.problems.push(problem);
    }

    /// Where a part of the text is in the file: `line` and `column` count from 1, in characters.
    /// The whole value, if escapes make that unclear.
    pub(super) fn span_within(&self, line: usize, column: usize) -> Span {
        let within = || {
            let text = self.as_text()?;
            let raw = self.reader.text.get(self.span.clone())?;
            let start = self.span.start + raw.find(text)?;
            let above: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
            let line = text.get(above..)?.split('\n').next()?;
            let before: usize = line.chars().take(column - 1).map(char::len_utf8).sum();
            let at = start + above + before;
            Some(at..at + 1)
        };
        within().unwrap_or_else(|| self.span.clone())
    }

    fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        let found = self.inner.type_str();
        let article = if matches!(found, "integer" | "array") { "an" } else { "a" };
        let message = format!("`{}` must be {expected}, not {article} {found}", self.key);
        self.error(message, format!("expected {}", self.takes.expected()))
    }
}

/// Whether what belongs to this word should not be shown, even where nobody knows the word.
pub(crate) fn sounds_secret(word: &str) -> bool {
    let word = word.to_lowercase();
    SECRETIVE.iter().any(|hint| word.contains(hint))
        || nearest(&word, SECRETIVE.iter().copied()).is_some()
}

const SECRETIVE: &[&str] = &["key", "secret", "token", "password"];
