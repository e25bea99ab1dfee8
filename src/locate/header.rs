//! `{ header = "location" }`: a header of the app's reply.

use std::sync::Arc;

use http::HeaderName;

use super::facts::{ReplyFacts, RequestFacts};
use super::locator::{Input, Locate};
use super::notation::{Mistake, Notation, Route};
use super::{header_name, the_header};
use crate::reason::Reason;

pub(super) const NOTATION: Notation = Notation { key: "header", takes_pattern: true, read };

#[derive(Debug)]
struct InHeader(HeaderName);

impl Locate for InHeader {
    fn input(&self) -> Input<'_> {
        Input::ReplyHead
    }

    fn values(&self, _: &RequestFacts<'_>, reply: &ReplyFacts<'_>) -> Result<Vec<String>, Reason> {
        the_header(reply.headers, &self.0)
    }

    fn written(&self) -> String {
        format!("header = {:?}", self.0.as_str())
    }
}

fn read<'a>(name: &str, _: &Route<'a>) -> Result<Arc<dyn Locate>, Mistake<'a>> {
    Ok(Arc::new(InHeader(header_name(name)?)))
}
