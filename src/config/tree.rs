//! Walks what was written: TOML values with their places.
//!
//! serde stops at the first mistake; this goes on, and notes each one. A reader that gets `None`
//! has nothing more to report.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Problems, Span, alternatives, nearest, suggestion};

/// What reading needs besides the tree itself.
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    /// Relative paths in the file start here.
    pub(super) directory: &'a Path,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    pub(super) problems: Problems,
    /// Files that values were read from; see [`Written`](super::Written).
    pub(super) files: RefCell<BTreeMap<PathBuf, u64>>,
}

/// A table whose keys are taken one by one; [`Table::finish`] reports the ones nobody knows.
pub(super) struct Table<'a> {
    pub(super) reader: &'a Reader<'a>,
    /// As in the file, for messages: `[documents.files]`.
    pub(super) name: String,
    pub(super) span: Span,
    entries: &'a DeTable<'a>,
    known: RefCell<Vec<&'static str>>,
}

/// A value and where it is.
#[derive(Clone)]
pub(super) struct Value<'a> {
    pub(super) reader: &'a Reader<'a>,
    /// The key it belongs to, for messages.
    pub(super) key: &'a str,
    pub(super) key_span: Span,
    pub(super) span: Span,
    inner: &'a DeValue<'a>,
}

impl<'a> Table<'a> {
    pub(super) fn root(reader: &'a Reader<'a>, root: &'a Spanned<DeTable<'a>>) -> Self {
        Self::new(reader, "the configuration".to_owned(), root.span(), root.get_ref())
    }

    fn new(reader: &'a Reader<'a>, name: String, span: Span, entries: &'a DeTable<'a>) -> Self {
        for (key, value) in entries {
            if value.get_ref().is_str() && sounds_secret(key.get_ref()) {
                reader.problems.hide(value.span());
            }
        }
        Self { reader, name, span, entries, known: RefCell::default() }
    }

    pub(super) fn get(&self, key: &'static str) -> Option<Value<'a>> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        let (key, value) = self.entries.get_key_value(key)?;
        Some(self.value(key, value))
    }

    pub(super) fn require(&self, key: &'static str, example: &str) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() {
            let missing = format!("`{key}` is missing from {}", self.name);
            let problem = Problem::error(self.span.clone(), missing);
            self.reader.problems.push(problem.label(format!("add `{key} = {example}`")));
        }
        value
    }

    /// The one of `keys` that says what this table is.
    pub(super) fn one_of(&self, keys: &[&'static str]) -> Option<Value<'a>> {
        let mut found: Vec<_> = keys.iter().filter_map(|key| self.get(key)).collect();
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
            let near = unknown.find_map(|key| nearest(key, keys.iter().copied()));
            let label = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("expected {}", alternatives(keys.iter().copied())),
            };
            self.reader.problems.push(Problem::error(self.span.clone(), message).label(label));
            // Its other keys can't be judged.
            self.known.borrow_mut().clear();
            return None;
        }
        found.pop()
    }

    /// Every entry, for tables whose keys are names that the operator chose; in the order of the
    /// file.
    pub(super) fn entries(&self) -> Vec<Value<'a>> {
        let mut entries: Vec<_> = self.entries.iter().map(|(k, v)| self.value(k, v)).collect();
        entries.sort_by_key(|entry| entry.key_span.start);
        entries
    }

    /// Reports the keys that were not asked for.
    pub(super) fn finish(self) {
        let known = self.known.into_inner();
        if known.is_empty() {
            return;
        }
        for key in self.entries.keys().filter(|key| !known.contains(&&**key.get_ref())) {
            let problem = Problem::error(key.span(), format!("unknown key `{}`", key.get_ref()));
            let remedy = suggestion(key.get_ref(), known.iter().copied());
            self.reader.problems.push(problem.label(remedy));
        }
    }

    fn value(
        &self,
        key: &'a Spanned<std::borrow::Cow<'a, str>>,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Value<'a> {
        Value {
            reader: self.reader,
            key: key.get_ref(),
            key_span: key.span(),
            span: value.span(),
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
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        let names = choices.iter().map(|(name, _)| *name);
        self.error(format!("`{text}` is not a value of `{}`", self.key), suggestion(text, names))
    }

    /// `name` is how messages call it.
    pub(super) fn table(&self, name: impl Into<String>) -> Option<Table<'a>> {
        let Some(entries) = self.inner.as_table() else { return self.wrong_type("a table") };
        Some(Table::new(self.reader, name.into(), self.span.clone(), entries))
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
        match self.inner.as_array() {
            None => vec![self.clone()],
            Some(items) => items
                .iter()
                .map(|item| Self { span: item.span(), inner: item.get_ref(), ..self.clone() })
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
    pub(super) fn not_yet(&self, what: &str) {
        self.report(Problem::not_yet(self.key_span.clone(), what));
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
        self.error(message, format!("expected {expected}"))
    }
}

/// Whether what belongs to this word should not be shown, even where nobody knows the word.
pub(crate) fn sounds_secret(word: &str) -> bool {
    let word = word.to_lowercase();
    SECRETIVE.iter().any(|hint| word.contains(hint))
        || nearest(&word, SECRETIVE.iter().copied()).is_some()
}

const SECRETIVE: &[&str] = &["key", "secret", "token", "password"];
