//! `{ path = "id" }`: a capture of the route, from its path or its query part.

use std::sync::Arc;

use super::facts::{ReplyFacts, RequestFacts};
use super::locator::{Input, Locate};
use super::notation::{Mistake, Notation, Route};
use crate::reason::Reason;

pub(super) const NOTATION: Notation = Notation { key: "path", takes_pattern: false, read };

#[derive(Debug)]
pub(super) struct InPath(pub(super) String);

impl Locate for InPath {
    fn input(&self) -> Input<'_> {
        Input::Capture(&self.0)
    }

    fn values(
        &self,
        request: &RequestFacts<'_>,
        _: &ReplyFacts<'_>,
    ) -> Result<Vec<String>, Reason> {
        Ok(request.captures.get(&self.0).map(str::to_owned).into_iter().collect())
    }

    fn written(&self) -> String {
        format!("path = {:?}", self.0)
    }
}

fn read<'a>(name: &str, route: &Route<'a>) -> Result<Arc<dyn Locate>, Mistake<'a>> {
    match route {
        Some(captures) if !captures.contains(&name) => Err(Mistake {
            message: format!("the route has no capture `{name}`"),
            label: match captures.is_empty() {
                true => format!("it captures nothing; write `{{{name}}}` where the value is"),
                false => "it captures".to_owned(),
            },
            choices: captures.clone(),
            ..Mistake::default()
        }),
        _ => Ok(Arc::new(InPath(name.to_owned()))),
    }
}
