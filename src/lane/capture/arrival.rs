//! A request of the capture lane as it came.

use std::sync::Arc;

use http::request::Parts;
use http::{Extensions, StatusCode};
use tracing::info;

use super::exchange::as_upload;
use super::in_body::InBody;
use super::needs::Needs;
use crate::config::{Action, Kind};
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::events::{Event, Origin};
use crate::extract::{Handle, Head, Plan, extractor, is_json, no_files};
use crate::lane::last_segment;
use crate::lane::uploader::Uploading;
use crate::lane::writing::caller;
use crate::outbox::{Circumstances, WriteUnderWay};
use crate::reason::{Class, Reason};
use crate::rules::Candidate;
use crate::telemetry::{Step, request_id};
use crate::trail::Trail;

/// The request as it came, for the decisions at its end.
pub(super) struct Arrival {
    /// Its head, with what requests of our own on the caller's behalf need of it.
    pub(super) caller: Parts,
    pub(super) handle: Option<Handle>,
    /// Why no file can be read off this body.
    pub(super) unreadable: Option<Reason>,
    pub(super) uploading: Uploading,
    /// For the trail.
    pub(super) extensions: Extensions,
    pub(super) write: Option<WriteUnderWay>,
    pub(super) in_body: InBody,
    /// Which documents the app let the caller see before it was asked to delete them; `None`: not asked.
    pub(super) seen_before: Option<Vec<DocumentKey>>,
}

impl Arrival {
    pub(super) fn of(engine: &Arc<Engine>, parts: &Parts) -> Self {
        Self {
            caller: caller(parts),
            handle: None,
            unreadable: None,
            uploading: Uploading::begin(engine, parts),
            extensions: Trail::alone(&parts.extensions),
            write: None,
            in_body: InBody::default(),
            seen_before: None,
        }
    }

    /// The rules of this route that capture or delete, in order of precedence.
    pub(super) fn writers<'e>(&self, engine: &'e Engine) -> Vec<Candidate<'e>> {
        let Parts { uri, headers, .. } = &self.caller;
        let mut rules = engine.config.routes.candidates(uri.path(), uri.query());
        rules.retain(|candidate| {
            !matches!(candidate.rule.action, Action::View(_)) && candidate.rule.serves(headers, uri)
        });
        rules
    }

    pub(super) fn request_id(&self) -> &str {
        request_id::of(&self.caller.headers)
    }

    pub(super) fn tell(&self, engine: &Engine, event: &Event<'_>) {
        engine.events.tell(event, &Origin::at(&self.extensions, &self.caller.headers));
    }

    /// The app's reply is there: what the body named so far is followed as what the head named. `unchanged`: the app
    /// has changed nothing, whatever comes of the rest of the body.
    pub(super) fn over(&mut self, unchanged: bool) {
        let in_body = self.in_body.over(unchanged);
        if let Some((write, in_body)) = self.write.as_mut().zip(in_body) {
            write.join(in_body);
        }
    }

    pub(super) fn circumstances(&self, kind: &Kind) -> Circumstances {
        let write = self.write.as_ref();
        write.map(|write| write.circumstances(kind.source.is_some())).unwrap_or_default()
    }

    /// Tells that nothing was captured. `unchanged`: the app has changed nothing for certain, so that the documents that
    /// the request named are in doubt no longer because of it.
    pub(super) fn not_captured(
        &self,
        engine: &Engine,
        step: Step,
        reason: Reason,
        status: StatusCode,
        unchanged: bool,
    ) {
        let doubtful = match &self.write {
            Some(write) if unchanged => {
                write.refused();
                false
            }
            Some(write) => write.has_known(),
            None => false,
        };
        let (path, status) = (self.caller.uri.path(), status.as_u16());
        let is_expected = unchanged || reason.class() == Class::Ordinary;
        let event = Event::NotCaptured { step, reason, path, status, doubtful, is_expected };
        self.tell(engine, &event);
    }

    /// A body from which no file can be read passes all the same, and may be that of a deletion.
    pub(super) fn plan(&mut self, writers: &[Candidate<'_>], needs: &Needs) -> Plan {
        let Parts { uri, headers, .. } = &self.caller;
        let mut plan = Plan {
            body: no_files(),
            max_size: 0,
            types: Vec::new(),
            keep_json: needs.request_json && is_json(headers),
        };
        let mut sources = Vec::new();
        for upload in writers.iter().filter_map(|candidate| as_upload(candidate.rule)) {
            sources.push(&upload.file);
            plan.max_size = plan.max_size.max(upload.max_size);
            for name in &upload.types {
                if !plan.types.contains(name) {
                    plan.types.push(name.clone());
                }
            }
        }
        match extractor(&Head { headers, name: &|| last_segment(uri) }, &sources) {
            Ok(body) => plan.body = body,
            Err(reason) => {
                let path = uri.path();
                info!(code = %reason, path, request_id = self.request_id(), "no file can be captured");
                self.unreadable = Some(reason);
            }
        }
        plan
    }
}
