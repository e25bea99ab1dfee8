//! How the configuration writes each kind of locator.

use std::sync::Arc;

use super::locator::Locate;

/// One kind of locator in the configuration: `{ key = "…" }`.
pub(crate) struct Notation {
    /// The key that says which kind it is.
    pub(crate) key: &'static str,
    /// Whether a `pattern` may stand beside it.
    pub(crate) takes_pattern: bool,
    /// Reads the text, for a route.
    pub(crate) read: for<'a> fn(&str, &Route<'a>) -> Result<Arc<dyn Locate>, Mistake<'a>>,
}

/// The captures of the route that a locator belongs to; `None` where it belongs to no route that could be read.
pub(crate) type Route<'a> = Option<Vec<&'a str>>;

/// What is wrong with what was written, in sentences for the operator.
#[derive(Default)]
pub(crate) struct Mistake<'a> {
    pub(crate) message: String,
    /// What is expected instead; may be empty.
    pub(crate) label: String,
    /// May be empty.
    pub(crate) help: &'static str,
    /// The character, from 1, from which on the text is not understood.
    pub(crate) column: Option<usize>,
    /// Names of which one was meant; `label` says of what they are the names.
    pub(crate) choices: Vec<&'a str>,
}

impl From<String> for Mistake<'_> {
    fn from(message: String) -> Self {
        Self { message, ..Self::default() }
    }
}
