//! `{ query = "id" }`: a parameter of the request's query.

use std::sync::Arc;

use super::facts::{ReplyFacts, RequestFacts};
use super::locator::{Input, Locate};
use super::notation::{Mistake, Notation, Route};
use super::once;
use crate::reading::{may_be, parameter};
use crate::reason::Reason;

pub(super) const NOTATION: Notation = Notation { key: "query", takes_pattern: false, read };

#[derive(Debug)]
struct InQuery(String);

impl Locate for InQuery {
    fn input(&self) -> Input<'_> {
        Input::Query(&self.0)
    }

    fn values(
        &self,
        request: &RequestFacts<'_>,
        _: &ReplyFacts<'_>,
    ) -> Result<Vec<String>, Reason> {
        let value = once(parameter(request.query, &self.0))?;
        if value.is_some() && request.fields.iter().any(|(key, _)| may_be(key, &self.0)) {
            return Err(Reason::IdUnclear);
        }
        Ok(value.into_iter().collect())
    }

    fn written(&self) -> String {
        format!("query = {:?}", self.0)
    }
}

fn read<'a>(name: &str, _: &Route<'a>) -> Result<Arc<dyn Locate>, Mistake<'a>> {
    Ok(Arc::new(InQuery(name.to_owned())))
}
