//! `{ request_header = "destination" }`: a header of the request.

use std::sync::Arc;

use http::HeaderName;

use super::facts::{ReplyFacts, RequestFacts};
use super::locator::{Input, Locate};
use super::notation::{Mistake, Notation, Route};
use super::{header_name, the_header};
use crate::reading::same_in_cgi;
use crate::reason::Reason;

pub(super) const NOTATION: Notation = Notation { key: "request_header", takes_pattern: true, read };

#[derive(Debug)]
struct InRequestHeader(HeaderName);

impl Locate for InRequestHeader {
    fn input(&self) -> Input<'_> {
        Input::RequestHeader
    }

    fn values(
        &self,
        request: &RequestFacts<'_>,
        _: &ReplyFacts<'_>,
    ) -> Result<Vec<String>, Reason> {
        let name = &self.0;
        let twin = |other: &HeaderName| other != name && same_in_cgi(other.as_str(), name.as_str());
        match request.headers.keys().any(twin) {
            true => Err(Reason::IdUnclear),
            false => the_header(request.headers, name),
        }
    }

    fn written(&self) -> String {
        format!("request_header = {:?}", self.0.as_str())
    }
}

fn read<'a>(name: &str, _: &Route<'a>) -> Result<Arc<dyn Locate>, Mistake<'a>> {
    Ok(Arc::new(InRequestHeader(header_name(name)?)))
}
