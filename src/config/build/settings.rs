//! Keys and values on their way to the reader.

use std::fmt;

use serde::Serialize;
use toml::{Table, Value};

/// A table that is being written, and what could not be written into it.
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) table: Table,
    pub(super) mistakes: Vec<String>,
}

impl Settings {
    /// `key` may lead into tables: `app.paths.case`.
    pub(super) fn set(&mut self, key: &str, value: impl Serialize) {
        if let Some(value) = self.value(key, value) {
            self.insert(key, value);
        }
    }

    /// One more in the list at `key`.
    pub(super) fn push(&mut self, key: &str, value: impl Serialize) {
        let Some(value) = self.value(key, value) else { return };
        match self.table.get_mut(key) {
            Some(Value::Array(list)) => list.push(value),
            // A value alone counts as a list of one.
            Some(alone) => *alone = Value::Array(vec![alone.clone(), value]),
            None => _ = self.table.insert(key.to_owned(), Value::Array(vec![value])),
        }
    }

    /// The same with what another builder collected.
    pub(super) fn push_table(&mut self, key: &str, settings: Self) {
        self.mistakes.extend(settings.mistakes);
        self.push(key, settings.table);
    }

    /// The table `name` in the table `key`; a name may hold dots.
    pub(super) fn insert_table(&mut self, key: &str, name: &str, settings: Self) {
        self.mistakes.extend(settings.mistakes);
        let tables = self.table.entry(key).or_insert_with(|| Table::new().into());
        match tables {
            Value::Table(tables) => _ = tables.insert(name.to_owned(), settings.table.into()),
            _ => self.mistakes.push(format!("`{key}` is set to something that is no table")),
        }
    }

    fn value(&mut self, key: &str, value: impl Serialize) -> Option<Value> {
        // What the error says may hold the value, which may be a secret.
        let value = Value::try_from(value).ok();
        if value.is_none() {
            self.mistakes.push(format!("the value of `{key}` is none that TOML has"));
        }
        value
    }

    fn insert(&mut self, key: &str, value: Value) {
        let (above, last) = key.rsplit_once('.').unwrap_or(("", key));
        let mut table = &mut self.table;
        for part in above.split('.').filter(|part| !part.is_empty()) {
            let inner = table.entry(part).or_insert_with(|| Table::new().into());
            let Value::Table(inner) = inner else {
                self.mistakes.push(format!("`{key}` is set, and `{part}` is no table"));
                return;
            };
            table = inner;
        }
        table.insert(last.to_owned(), value);
    }
}

/// Without values, which may be secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.table.keys()).finish()
    }
}
