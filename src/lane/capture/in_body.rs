//! Documents that only the body of a request names: they are in doubt before the app gets the body's end.

use std::sync::{Arc, Mutex, PoisonError};

use http::request::Parts;

use super::arrival::Arrival;
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::extract::{BeforeEnd, Named};
use crate::lane::writing::key;
use crate::locate::{Locator, RequestFacts};
use crate::outbox::WriteUnderWay;
use crate::rules::Candidate;

/// The write of the documents that a body names, from the moment that its end comes by.
#[derive(Clone, Default)]
pub(super) struct InBody(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    write: Option<WriteUnderWay>,
    over: Option<Over>,
}

/// The app's reply has been dealt with. What is in doubt only now has no other end.
#[derive(Clone, Copy)]
struct Over {
    unchanged: bool,
}

impl InBody {
    /// What looks at the end of the body. `None` where no rule has an id there.
    pub(super) fn before_end(
        &self,
        engine: &Arc<Engine>,
        arrival: &Arrival,
        writers: &[Candidate<'_>],
    ) -> Option<BeforeEnd> {
        let in_body =
            |writer: &Candidate<'_>| writer.rule.action.ids().iter().any(Locator::may_be_in_body);
        if !writers.iter().any(in_body) {
            return None;
        }
        let (state, engine, caller) = (self.0.clone(), engine.clone(), arrival.caller.clone());
        let in_head: Vec<_> = arrival.write.iter().flat_map(WriteUnderWay::keys).cloned().collect();
        Some(Box::new(move |named| {
            let mut keys = named_by(&engine, &caller, &named);
            keys.retain(|key| !in_head.contains(key));
            if keys.is_empty() {
                return None;
            }
            Some(Box::pin(async move {
                let write = engine.outbox.begin_write(keys).await;
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                match state.over {
                    None => state.write = Some(write),
                    Some(Over { unchanged: true }) => write.refused(),
                    Some(Over { unchanged: false }) => write.ended(),
                }
            }))
        }))
    }

    /// What was in doubt so far. `unchanged`: the app has changed nothing, whatever comes of the rest of the body.
    pub(super) fn over(&self, unchanged: bool) -> Option<WriteUnderWay> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.over = Some(Over { unchanged });
        state.write.take()
    }
}

/// The documents that a body names to some reader. A reader may find a query's parameter in a form, too.
fn named_by(engine: &Engine, caller: &Parts, named: &Named) -> Vec<DocumentKey> {
    let Parts { uri, headers, .. } = caller;
    let mut keys = Vec::new();
    for Candidate { rule, captures, .. } in engine.config.routes.candidates(uri.path(), uri.query())
    {
        let request = RequestFacts {
            captures: &captures,
            path: uri.path(),
            query: uri.query(),
            headers,
            fields: &named.fields,
            json: named.json.as_ref(),
        };
        let ids = rule.action.ids().iter().flat_map(|locator| locator.ids_in_body(&request));
        keys.extend(ids.filter_map(|id| key(engine, rule.kind, id, headers, uri)));
    }
    keys
}
