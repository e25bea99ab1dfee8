//! `{ field = "id" }`: a field of the form in the request's body.

use std::sync::Arc;

use super::facts::{ReplyFacts, RequestFacts};
use super::locator::{Input, Locate};
use super::notation::{Mistake, Notation, Route};
use super::once;
use crate::reading::{Parameter, field, has_odd_charset, is_urlencoded, parameter};
use crate::reason::Reason;

pub(super) const NOTATION: Notation = Notation { key: "field", takes_pattern: false, read };

#[derive(Debug)]
struct InField(String);

impl Locate for InField {
    fn input(&self) -> Input<'_> {
        Input::Field(&self.0)
    }

    fn values(
        &self,
        request: &RequestFacts<'_>,
        _: &ReplyFacts<'_>,
    ) -> Result<Vec<String>, Reason> {
        let value = once(field(request.fields, &self.0, is_urlencoded(request.headers)))?;
        let elsewhere = parameter(request.query, &self.0) != Parameter::Missing;
        if value.is_some() && (elsewhere || has_odd_charset(request.headers)) {
            return Err(Reason::IdUnclear);
        }
        Ok(value.into_iter().collect())
    }

    fn written(&self) -> String {
        format!("field = {:?}", self.0)
    }
}

fn read<'a>(name: &str, _: &Route<'a>) -> Result<Arc<dyn Locate>, Mistake<'a>> {
    Ok(Arc::new(InField(name.to_owned())))
}
