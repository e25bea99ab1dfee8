//! What may be wrong with a configuration.

use std::cell::RefCell;
use std::ops::Range;

use crate::nearest::nearest;

/// Bytes of the configuration's text.
pub(super) type Span = Range<usize>;

/// One thing that the operator should know, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) severity: Severity,
    pub(super) message: String,
    /// `None`: the file as a whole.
    pub(super) span: Option<Span>,
    /// Stands beside the caret: what is expected there.
    pub(super) label: String,
    /// Another place that has to do with it, and its label.
    pub(super) other: Option<(Span, String)>,
    pub(super) help: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    Error,
    /// Part of the language, understood, and still without effect in this version.
    NotYet,
    Warning,
}

impl Problem {
    pub(super) fn new(severity: Severity, span: Option<Span>, message: impl Into<String>) -> Self {
        let (label, message) = (String::new(), message.into());
        Self { severity, message, span, label, other: None, help: None }
    }

    pub(super) fn error(span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, Some(span), message)
    }

    pub(super) fn warning(span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, Some(span), message)
    }

    pub(super) fn not_yet(span: Span, what: impl Into<String>) -> Self {
        Self::new(Severity::NotYet, Some(span), what)
            .label("understood, and without effect in this version: remove it for now")
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn other(mut self, span: Span, label: impl Into<String>) -> Self {
        self.other = Some((span, label.into()));
        self
    }
}

/// All problems of one reading.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: RefCell<Vec<Problem>>,
    /// Parts of the text that must not be shown.
    secret: RefCell<Vec<Span>>,
}

impl Problems {
    pub(super) fn push(&self, problem: Problem) {
        self.found.borrow_mut().push(problem);
    }

    pub(super) fn has_errors(&self) -> bool {
        self.found.borrow().iter().any(|problem| problem.severity != Severity::Warning)
    }

    /// Excerpts of the file show `*` instead of this part.
    pub(super) fn hide(&self, span: Span) {
        self.secret.borrow_mut().push(span);
    }

    /// The text as it may be shown; every place stays where it is.
    pub(super) fn masked(&self, text: &str) -> String {
        let mut shown = text.as_bytes().to_vec();
        for span in self.secret.borrow().iter() {
            let hidden = shown.get_mut(span.clone()).unwrap_or_default();
            hidden.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b'*');
        }
        String::from_utf8_lossy(&shown).into_owned()
    }

    /// In the order of the file.
    pub(super) fn into_sorted(self) -> Vec<Problem> {
        let mut problems = self.found.into_inner();
        problems.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
        problems.dedup();
        problems
    }
}

/// `did you mean …?` if one of `known` is close, else all of them.
pub(super) fn suggestion<'k>(
    written: &str,
    known: impl IntoIterator<Item = &'k str> + Clone,
) -> String {
    match nearest(written, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("expected {}", alternatives(known)),
    }
}

/// `` `a`, `b` or `c` ``
pub(super) fn alternatives<'k>(known: impl IntoIterator<Item = &'k str>) -> String {
    let mut words: Vec<_> = known.into_iter().map(|word| format!("`{word}`")).collect();
    match words.pop() {
        Some(last) if words.is_empty() => last,
        Some(last) => format!("{} or {last}", words.join(", ")),
        None => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions() {
        assert_eq!(suggestion("lisen", ["listen", "admin"]), "did you mean `listen`?");
        assert_eq!(suggestion("hs256", ["HS256", "RS256"]), "did you mean `HS256`?");
        assert_eq!(
            suggestion("x", ["read", "write", "download"]),
            "expected `read`, `write` or `download`"
        );
    }
}
