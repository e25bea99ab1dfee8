//! `{ text = "created {id}." }`: literal text around one `{id}`, over the trimmed reply.

use std::sync::Arc;

use super::facts::{ReplyFacts, RequestFacts};
use super::locator::{Input, Locate};
use super::notation::{Mistake, Notation, Route};
use crate::reason::Reason;

pub(super) const NOTATION: Notation = Notation { key: "text", takes_pattern: true, read };

#[derive(Debug)]
struct InText {
    before: String,
    after: String,
}

impl InText {
    /// The error is a sentence for the operator.
    fn parse(text: &str) -> Result<Self, String> {
        match text.trim().split_once("{id}") {
            Some((before, after)) if !after.contains("{id}") => {
                Ok(Self { before: before.to_owned(), after: after.to_owned() })
            }
            _ => Err(format!("`{text}` needs exactly one `{{id}}`")),
        }
    }

    fn find(&self, body: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(body).ok()?.trim();
        let id = text.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?;
        Some(id.trim().to_owned())
    }
}

impl Locate for InText {
    fn input(&self) -> Input<'_> {
        Input::ReplyBody
    }

    fn values(&self, _: &RequestFacts<'_>, reply: &ReplyFacts<'_>) -> Result<Vec<String>, Reason> {
        Ok(reply.body.ok().and_then(|body| self.find(body)).into_iter().collect())
    }

    fn written(&self) -> String {
        format!("text = {:?}", format!("{}{{id}}{}", self.before, self.after))
    }
}

fn read<'a>(text: &str, _: &Route<'a>) -> Result<Arc<dyn Locate>, Mistake<'a>> {
    Ok(Arc::new(InText::parse(text)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_id_between_literal_text() {
        let text = InText::parse(" created {id}.\n").unwrap();
        assert_eq!((&*text.before, &*text.after), ("created ", "."));
        assert!(InText::parse("{id} {id}").is_err());
        assert!(InText::parse("created").is_err());
    }
}
