//! What an app could read differently than one route does.

use std::sync::Arc;

use super::pattern::{Class, Pattern, Segment};
use crate::reading::{Parameter, decode, may_be, parameter};

impl Pattern {
    /// Whether an app could see other segments in this path than were captured, because of an encoded slash.
    pub(crate) fn hides_slash(&self, path: &str) -> bool {
        decode::has_encoded_slash(path)
            && self.segments.iter().any(|segment| match segment {
                Segment::One { .. } => !self.fold.encoded_slash,
                // It would have one value for two paths, `a/b` and `a%2Fb`.
                Segment::Rest { .. } => self.fold.encoded_slash,
                Segment::Literal(_) => false,
            })
    }

    pub(crate) fn asks_query(&self) -> bool {
        !self.query.is_empty()
    }

    /// Whether some reader could find another value than Transom for what this route looks at in the query.
    pub(crate) fn is_query_unclear(&self, query: Option<&str>) -> bool {
        self.query.iter().any(|part| match parameter(query, &part.key) {
            Parameter::Missing => false,
            Parameter::Value(value) => part.value.mistakes(&value),
            Parameter::Unclear => true,
        })
    }

    /// Whether a field of a form says something else than the query for what this route looks at there.
    pub(crate) fn are_fields_unclear(
        &self,
        query: Option<&str>,
        fields: &[(String, String)],
    ) -> bool {
        self.query.iter().any(|part| {
            let differs = |value: &str| match (parameter(query, &part.key), part.value.name()) {
                (Parameter::Value(own), None) => own != value,
                _ => true,
            };
            fields.iter().any(|(name, value)| may_be(name, &part.key) && differs(value))
        })
    }

    /// Whether the path is this route's but for a number that is written as no number should be: `007`, or in the
    /// digits of another script.
    pub(crate) fn mistakes_number(&self, path: &str) -> bool {
        let mut mistaken = false;
        let fits = self.walk(path, |segment, raw| match (segment, segment.name()) {
            (_, None) => segment.accepts(raw, self.fold.case),
            (Segment::One { .. }, _) => {
                let Some(text) = decode::segment(raw) else { return false };
                let mistakes = segment.mistakes(&text);
                mistaken |= mistakes;
                mistakes || segment.accepts_text(&text, false)
            }
            _ => true,
        });
        fits && mistaken
    }

    /// Whether the path is this route's, whatever the query says.
    pub(crate) fn is_path(&self, path: &str) -> bool {
        self.walk(path, |segment, raw| match segment.name() {
            None => segment.accepts(raw, self.fold.case),
            Some(_) => segment.value(raw, self.fold_values).is_some(),
        })
    }

    /// Captures that are `digits`.
    pub(crate) fn numbers(&self) -> Vec<Arc<str>> {
        let query = self.query.iter().map(|part| &part.value);
        let number = |segment: &Segment| match segment {
            Segment::One { name, class: Class::Digits } => Some(name.clone()),
            _ => None,
        };
        self.segments.iter().chain(query).filter_map(number).collect()
    }

    /// Without the types of its captures.
    pub(crate) fn untyped(mut self) -> Self {
        let query = self.query.iter_mut().map(|part| &mut part.value);
        for segment in self.segments.iter_mut().chain(query) {
            if let Segment::One { class: class @ Class::Digits, .. } = segment {
                *class = Class::Any;
            }
        }
        self
    }
}

impl Segment {
    /// Whether this text would be another spelling of a number that is accepted.
    fn mistakes(&self, text: &str) -> bool {
        matches!(self, Self::One { class: Class::Digits, .. })
            && !self.accepts_text(text, false)
            && !text.is_empty()
            && text.chars().all(char::is_numeric)
    }
}
