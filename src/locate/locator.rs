//! One locator: a kind of place, and the pattern of the addresses there.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use super::facts::{ReplyFacts, RequestFacts};
use super::pattern::UrlPattern;
use crate::reading::{may_be, meant};
use crate::reason::Reason;
use crate::route::Fold;

/// A kind of place where a value can be, as one of the files of this folder has it.
///
/// It reads what it names as its [`Input`] and nothing else, since nothing else may be there when it is asked.
pub(crate) trait Locate: fmt::Debug + Send + Sync {
    /// What it reads.
    fn input(&self) -> Input<'_>;

    /// Every value that is there, as text and in order. A place whose values can't all be ids has none.
    ///
    /// # Errors
    /// `id_unclear`, where readers of the same exchange may find different ones.
    fn values(
        &self,
        request: &RequestFacts<'_>,
        reply: &ReplyFacts<'_>,
    ) -> Result<Vec<String>, Reason>;

    /// As the configuration writes it, without braces and pattern: `json = "$.id"`.
    fn written(&self) -> String;
}

/// What of an exchange a locator reads. It decides when the value is known, and what has to be kept until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input<'a> {
    /// A capture of the route.
    Capture(&'a str),
    /// A parameter of the request's query.
    Query(&'a str),
    RequestHeader,
    /// A field of the form in the request's body.
    Field(&'a str),
    /// The request's body as JSON.
    RequestJson,
    ReplyHead,
    ReplyBody,
}

impl Input<'_> {
    /// It is known in time for a view, or comes first of what the app answers.
    pub(crate) fn may_name_a_view(self) -> bool {
        match self {
            Self::Capture(_)
            | Self::Query(_)
            | Self::RequestHeader
            | Self::Field(_)
            | Self::ReplyHead => true,
            Self::RequestJson | Self::ReplyBody => false,
        }
    }

    /// It can't be had before the end of the request's body, or may come there once more.
    fn is_request_body(self) -> bool {
        match self {
            // A reader may find a query's parameter in a form, too.
            Self::Query(_) | Self::Field(_) | Self::RequestJson => true,
            Self::Capture(_) | Self::RequestHeader | Self::ReplyHead | Self::ReplyBody => false,
        }
    }

    /// Whether an address there has to be one of the app's own. In a body any host will do, as media have hosts of
    /// their own.
    fn is_own_address(self) -> bool {
        match self {
            Self::Capture(_)
            | Self::Query(_)
            | Self::RequestHeader
            | Self::Field(_)
            | Self::ReplyHead => true,
            Self::RequestJson | Self::ReplyBody => false,
        }
    }
}

/// Where a value is, in the request or in the app's reply.
#[derive(Clone)]
pub(crate) struct Locator {
    kind: Arc<dyn Locate>,
    /// The values are addresses that must match it.
    pattern: Option<UrlPattern>,
}

impl Locator {
    pub(crate) fn new(kind: Arc<dyn Locate>, pattern: Option<UrlPattern>) -> Self {
        Self { kind, pattern }
    }

    pub(crate) fn input(&self) -> Input<'_> {
        self.kind.input()
    }

    /// The capture of the route that it reads, if it is one.
    pub(crate) fn capture(&self) -> Option<&str> {
        match self.input() {
            Input::Capture(name) => Some(name),
            _ => None,
        }
    }

    /// The parameter of the query that it reads, if it is one.
    pub(crate) fn parameter(&self) -> Option<&str> {
        match self.input() {
            Input::Query(name) => Some(name),
            _ => None,
        }
    }

    /// It reads an address in the head of the reply. A redirect to one that it knows is an acceptance.
    pub(super) fn is_pattern_of_head(&self) -> bool {
        self.pattern.is_some() && self.input() == Input::ReplyHead
    }

    /// Whether its value may be in the request's body, to some reader.
    pub(crate) fn may_be_in_body(&self) -> bool {
        self.input().is_request_body()
    }

    /// The ids that are there, in order.
    ///
    /// # Errors
    /// `id_unclear`, where readers may find different ones.
    pub(super) fn ids(
        &self,
        request: &RequestFacts<'_>,
        reply: &ReplyFacts<'_>,
    ) -> Result<Vec<String>, Reason> {
        let values = self.kind.values(request, reply)?;
        let Some(pattern) = &self.pattern else { return Ok(values) };
        let own = self.input().is_own_address();
        let ids = values.iter().map(|value| pattern.find_in(value, request, own));
        // With one missing, the order of files and ids would be lost.
        Ok(ids.collect::<Option<_>>().unwrap_or_default())
    }

    /// What some reader may find by it in the request's head, before the app is asked.
    pub(crate) fn ids_in_head(&self, request: &RequestFacts<'_>) -> Vec<String> {
        match self.input() {
            Input::Capture(_) | Input::Query(_) | Input::RequestHeader => {
                self.without_reply(request)
            }
            // Some apps read a field from the query, too.
            Input::Field(name) => meant(request.query, name),
            Input::RequestJson | Input::ReplyHead | Input::ReplyBody => Vec::new(),
        }
    }

    /// What some reader may find by it in the request's body, of which `request` has all that was read.
    pub(crate) fn ids_in_body(&self, request: &RequestFacts<'_>) -> Vec<String> {
        match self.input() {
            Input::Query(name) | Input::Field(name) => {
                let same = request.fields.iter().filter(|(field, _)| may_be(field, name));
                same.map(|(_, value)| value.trim().to_owned()).collect()
            }
            Input::RequestJson => self.without_reply(request),
            Input::Capture(_) | Input::RequestHeader | Input::ReplyHead | Input::ReplyBody => {
                Vec::new()
            }
        }
    }

    fn without_reply(&self, request: &RequestFacts<'_>) -> Vec<String> {
        let nothing = HeaderMap::new();
        let reply = ReplyFacts::new(StatusCode::OK, &nothing, Err(Reason::IdMissing));
        let mut ids = self.ids(request, &reply).unwrap_or_default();
        ids.retain(|id| !id.is_empty());
        ids
    }

    /// Reads addresses as the app does.
    pub(crate) fn for_app(&mut self, fold: Fold, origins: &Arc<[String]>) {
        if let Some(pattern) = &mut self.pattern {
            pattern.for_app(fold, origins);
        }
    }
}

/// As the configuration writes it: `{ header = "location", pattern = "/d/{id}" }`.
impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ {}", self.kind.written())?;
        if let Some(pattern) = &self.pattern {
            write!(f, ", pattern = {pattern:?}", pattern = pattern.written())?;
        }
        f.write_str(" }")
    }
}

impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::locate::locator;
    use crate::route::Captures;

    #[test]
    fn what_a_request_names_to_some_reader_before_its_app_answers() {
        let headers = HeaderMap::from_iter([("x-doc".parse().unwrap(), "5".parse().unwrap())]);
        let fields = [("doc[]".to_owned(), " 7 ".to_owned()), ("other".to_owned(), "8".to_owned())];
        let json = json!({ "id": 9 });
        let request = RequestFacts {
            captures: &Captures::default(),
            path: "/files",
            query: Some("doc=6"),
            headers: &headers,
            fields: &fields,
            json: Some(&json),
        };
        let before = RequestFacts { fields: &[], json: None, ..request };
        for (key, text, in_head, in_body) in [
            ("path", "id", "", None),
            ("query", "doc", "6", Some("7")),
            ("field", "doc", "6", Some("7")),
            ("request_header", "x-doc", "5", None),
            ("body_json", "$.id", "", Some("9")),
            ("header", "location", "", None),
            ("json", "$.id", "", None),
            ("text", "{id}", "", None),
        ] {
            let locator = locator(key, text, None);
            assert_eq!(locator.ids_in_head(&before).join(" "), in_head, "{locator}");
            assert_eq!(locator.may_be_in_body(), in_body.is_some(), "{locator}");
            let found = locator.ids_in_body(&request).join(" ");
            assert_eq!(found, in_body.unwrap_or_default(), "{locator}");
        }
    }

    #[test]
    fn a_locator_is_told_as_it_was_written() {
        for (key, text, pattern, told) in [
            ("path", "id", None, r#"{ path = "id" }"#),
            ("json", "$.data[*].id", None, r#"{ json = "$.data[*].id" }"#),
            (
                "header",
                "Location",
                Some("/d/{id}"),
                r#"{ header = "location", pattern = "/d/{id}" }"#,
            ),
            ("text", "at {id}.", Some("d/{id}"), r#"{ text = "at {id}.", pattern = "d/{id}" }"#),
        ] {
            let pattern = pattern.map(|pattern| UrlPattern::parse(pattern).unwrap());
            assert_eq!(locator(key, text, pattern).to_string(), told);
        }
    }
}
