//! A request of the capture lane and its reply, both complete: what was done, and what follows.

use std::cell::LazyCell;
use std::sync::Arc;

use http::header::{LOCATION, REFERER};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use tracing::debug;

use super::arrival::Arrival;
use super::look::{self, Deletion, Look};
use crate::auth::Caller;
use crate::body::ReplyEnd;
use crate::coding::decode;
use crate::condition::Condition;
use crate::config::{Action, DeleteRule, Kind, UploadRule};
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::events::Event;
use crate::extract::{FilePart, Seen, is_form};
use crate::inject::MAX_REPLY;
use crate::lane::tell;
use crate::lane::uploader::provenance;
use crate::locate::{
    Found, Input, Locator, ReplyFacts, RequestFacts, find, form_value, reply_value, request_value,
};
use crate::outbox::Known;
use crate::reason::Reason;
use crate::route::{Captures, effective};
use crate::rules::{Candidate, Rule};
use crate::session::{Answer, Refusal, judge};
use crate::spool::SpooledFile;
use crate::telemetry::Step;
use crate::trail::{Finding, Trail};

/// A request and its reply, both complete.
pub(super) struct Exchange<'a> {
    pub(super) engine: &'a Engine,
    pub(super) arrival: &'a Arrival,
    pub(super) uploader: Option<Arc<Caller>>,
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    pub(super) end: ReplyEnd,
}

impl<'a> Exchange<'a> {
    /// What was done, and what is left to look for in the app.
    pub(super) async fn conclude(
        &self,
        seen: Result<Seen, Reason>,
    ) -> (Step, Result<Vec<Look>, Reason>) {
        let unread = seen.as_ref().err().copied();
        let seen = seen.unwrap_or_default();
        let (rule, captures) = match self.rule(&seen, unread) {
            Ok(chosen) => chosen,
            Err(reason) => {
                if unread.is_some() {
                    self.doubt_all_rules(&seen).await;
                }
                return (Step::Capture, Err(reason));
            }
        };
        match (&rule.action, unread) {
            (Action::Upload(upload), Some(reason)) => {
                self.doubt_all(rule, upload, &captures, &seen).await;
                (Step::Capture, Err(reason))
            }
            (Action::Upload(upload), None) => {
                (Step::Capture, self.keep(rule, upload, &captures, seen).await)
            }
            (Action::Delete(delete), _) => {
                (Step::Delete, self.forget(rule, delete, &captures, &seen).await)
            }
            (Action::View(_), _) => (Step::Capture, Err(Reason::WhenUnmet)),
        }
    }

    /// The first rule of this route and of the effective method whose `when` holds. `unread`: why the body could
    /// not be read.
    fn rule(&self, seen: &Seen, unread: Option<Reason>) -> Result<(&'a Rule, Captures), Reason> {
        let Parts { method, uri, headers, .. } = &self.arrival.caller;
        // A form that can't be read may name another method.
        if unread.is_some() && *method == Method::POST && is_form(headers) {
            return Err(unread.unwrap_or(Reason::OverrideUnclear));
        }
        let method = effective(method, headers, uri.query(), &seen.fields)
            .map_err(|_| Reason::OverrideUnclear)?;
        if self.engine.config.routes.are_fields_unclear(uri.path(), uri.query(), &seen.fields) {
            return Err(Reason::ParameterUnclear);
        }
        let of_method = |candidate: &Candidate<'_>| candidate.rule.method == method;
        let mut of_route =
            self.arrival.writers(self.engine).into_iter().filter(of_method).peekable();
        // A form that turned out to be for a method without rules is an ordinary request.
        of_route.peek().ok_or(unread.unwrap_or(Reason::NoFile))?;
        let variables = LazyCell::new(|| {
            let request =
                request_value(&method, uri.path(), uri.query(), headers, seen.json.as_ref());
            (request, form_value(&seen.fields))
        });
        let holds = |when: &Condition| {
            let (request, form) = &*variables;
            let variables = [("request", request), ("form", form)];
            let holds = when.holds(&variables);
            tell::condition(self.engine, "when", when, &variables, holds, &self.arrival.extensions);
            holds
        };
        let chosen = of_route
            .find(|candidate| {
                candidate.rule.when.as_ref().is_none_or(holds) && suits(candidate.rule, seen)
            })
            .map(|candidate| (candidate.rule, candidate.captures));
        if let Some((rule, _)) = &chosen {
            Trail::step(&self.arrival.extensions, "rule", || (Finding::Yes, rule.name.clone()));
        }
        chosen.ok_or(unread.unwrap_or(Reason::WhenUnmet))
    }

    /// The same for each rule that the request may be meant for.
    async fn doubt_all_rules(&self, seen: &Seen) {
        for Candidate { rule, captures, .. } in self.arrival.writers(self.engine) {
            if let Some(upload) = as_upload(rule) {
                self.doubt_all(rule, upload, &captures, seen).await;
            }
        }
    }

    /// The app took an upload of which there are no bytes: known documents that its reply names are in doubt.
    async fn doubt_all(&self, rule: &Rule, upload: &UploadRule, captures: &Captures, seen: &Seen) {
        let accepted = upload.accepted.as_ref();
        let found = self.ids(&upload.id, accepted, captures, &seen.fields, seen.json.as_ref());
        for id in found.map(|found| found.ids).unwrap_or_default() {
            if let Ok(key) = self.key(rule, id) {
                self.engine.outbox.doubt(&key).await;
            }
        }
    }

    async fn keep(
        &self,
        rule: &Rule,
        upload: &UploadRule,
        captures: &Captures,
        seen: Seen,
    ) -> Result<Vec<Look>, Reason> {
        let Seen { files, fields, json, .. } = seen;
        let files: Vec<FilePart> =
            files.into_iter().filter(|file| upload.file.selects(file)).collect();
        if files.is_empty() {
            return Err(Reason::NoFile);
        }
        let accepted = upload.accepted.as_ref();
        let Accepted { ids, little } =
            self.ids(&upload.id, accepted, captures, &fields, json.as_ref())?;
        let sent_back = self.is_sent_back(&upload.id, &ids);
        let kind = self.kind(rule)?;
        let looks = look::is_due(upload.confirm, little);
        let can_look = kind.source.is_some() || !kind.probe.is_empty();
        if looks && !can_look && accepted.is_none() {
            return Err(Reason::NotAccepted);
        }
        if ids.len() != files.len() {
            for key in ids.into_iter().filter_map(|id| self.key(rule, id).ok()) {
                self.engine.outbox.doubt(&key).await;
            }
            return Err(Reason::IdCountMismatch);
        }
        let (mut kept, mut refused): (Vec<(DocumentKey, SpooledFile)>, _) = (Vec::new(), None);
        for (file, id) in files.into_iter().zip(ids) {
            let key = self.key(rule, id)?;
            self.engine.sources.outdate(&key, false).await;
            tell::file(&key, &file, &self.arrival.extensions);
            match file.kept.and_then(|file| fits(upload, file)) {
                Ok(file) => kept.push((key, file)),
                Err(reason) => {
                    let (document, rule) = (&key, &*rule.name);
                    self.arrival.tell(self.engine, &Event::FileRefused { document, rule, reason });
                    // The app may have these bytes now.
                    if !self.is_named(&key) {
                        self.engine.outbox.doubt(&key).await;
                    }
                    refused = Some(reason);
                }
            }
        }
        if kept.is_empty() {
            // Whether the app took it at all is not known then.
            return refused.filter(|_| little).map_or(Ok(Vec::new()), Err);
        }
        let sizes: Vec<(DocumentKey, u64)> =
            kept.iter().map(|(key, file)| (key.clone(), file.size)).collect();
        let Parts { method, uri, headers, .. } = &self.arrival.caller;
        let request = || request_value(method, uri.path(), uri.query(), headers, json.as_ref());
        let form = || form_value(&fields);
        let provenance = provenance(rule, upload, self.uploader.as_deref(), request, form);
        let known = if upload.only_known { Known::Only } else { Known::Any };
        let by = self.arrival.circumstances(kind);
        if looks && can_look {
            let proposals = self.engine.outbox.propose(kept, provenance, known, by).await?;
            self.arrival.tell(self.engine, &Event::AwaitsLook { step: Step::Capture });
            let explicit = accepted.is_some();
            let look = |proposal| Look::Upload { proposal, sent_back, explicit };
            return Ok(proposals.into_iter().map(look).collect());
        }
        let outcomes = match self.engine.outbox.capture(kept, provenance, known, by).await {
            Ok(outcomes) => outcomes,
            Err(reason) => {
                self.engine.spool.not_journalled(reason);
                for (key, _) in &sizes {
                    self.engine.outbox.doubt(key).await;
                }
                return Err(reason);
            }
        };
        if outcomes.contains(&Reason::Replaced) {
            self.engine.decisions.forget();
        }
        for ((document, bytes), reason) in sizes.iter().zip(outcomes) {
            let event = Event::Captured { document, bytes: *bytes, rule: &rule.name, reason };
            self.arrival.tell(self.engine, &event);
        }
        let keys = sizes.into_iter().map(|(key, _)| key).filter(|_| kind.validate.is_some());
        Ok(keys.map(Look::Validators).collect())
    }

    async fn forget(
        &self,
        rule: &Rule,
        delete: &DeleteRule,
        captures: &Captures,
        seen: &Seen,
    ) -> Result<Vec<Look>, Reason> {
        let accepted = delete.accepted.as_ref();
        let Accepted { ids, little } =
            self.ids(&delete.id, accepted, captures, &seen.fields, seen.json.as_ref())?;
        let kind = self.kind(rule)?;
        let looks = look::is_due(delete.confirm, little);
        if looks && kind.probe.is_empty() && accepted.is_none() {
            return Err(Reason::NotAccepted);
        }
        let keys: Result<Vec<_>, _> = ids.into_iter().map(|id| self.key(rule, id)).collect();
        let mut deletions = Vec::new();
        for key in keys? {
            let was_there = self.was_seen(&key).await;
            let mark = match looks && !self.is_named(&key) {
                true => self.engine.outbox.doubt(&key).await,
                false => None,
            };
            deletions.push(Deletion { key, prefix: delete.prefix, was_there, mark });
        }
        if looks && !kind.probe.is_empty() {
            // What the app said before may be untrue now.
            self.engine.decisions.forget();
            self.arrival.tell(self.engine, &Event::AwaitsLook { step: Step::Delete });
            return Ok(deletions.into_iter().map(Look::Delete).collect());
        }
        // The app has done it already, whatever becomes of the mappings.
        self.engine.decisions.forget();
        for deletion in deletions {
            look::delete(self.engine, self.arrival, &deletion).await?;
        }
        Ok(Vec::new())
    }

    /// Whether the caller was seen to have this document before it asked for its deletion: by a probe, or as the one
    /// who uploaded it. One that the request named from the start, and that was not asked about, counts as seen, since its
    /// method alone says what is meant.
    async fn was_seen(&self, key: &DocumentKey) -> bool {
        if let Some(seen) = &self.arrival.seen_before
            && seen.contains(key)
        {
            return true;
        }
        let in_head = self.arrival.write.as_ref().is_some_and(|write| write.names_in_head(key));
        if in_head && self.arrival.seen_before.is_none() {
            return true;
        }
        let mapping = self.engine.outbox.mapping(key).await.ok().flatten();
        let uploader = mapping.as_ref().and_then(|mapping| mapping.provenance.uploader.as_ref());
        uploader.zip(self.uploader.as_ref()).is_some_and(|(by, caller)| {
            *by.identity == *caller.identity && *by.user == *caller.user
        })
    }

    fn is_named(&self, key: &DocumentKey) -> bool {
        self.arrival.write.as_ref().is_some_and(|write| write.names(key))
    }

    /// Whether a redirect leads to where the form came from, as it does for an upload that was refused.
    fn is_sent_back(&self, locators: &[Locator], ids: &[String]) -> bool {
        let Parts { uri, headers, .. } = &self.arrival.caller;
        let Some(referer) = headers.get(REFERER).filter(|_| self.status.is_redirection()) else {
            return false;
        };
        let captures = Captures::default();
        let (path, query, fields, json) = (uri.path(), uri.query(), &[][..], None);
        let request = RequestFacts { captures: &captures, path, query, headers, fields, json };
        let back = HeaderMap::from_iter([(LOCATION, referer.clone())]);
        let reply = ReplyFacts::new(self.status, &back, Err(Reason::IdMissing));
        let in_head = locators.iter().filter(|locator| locator.input() == Input::ReplyHead);
        let found = |locator| find(std::slice::from_ref(locator), &request, &reply);
        in_head.map(found).any(|found| found.is_ok_and(|found| found.ids == ids))
    }

    /// The ids that the locators find, if the reply is an acceptance.
    fn ids(
        &self,
        locators: &[Locator],
        accepted: Option<&Condition>,
        captures: &Captures,
        fields: &[(String, String)],
        json: Option<&serde_json::Value>,
    ) -> Result<Accepted, Reason> {
        let request = RequestFacts {
            captures,
            path: self.arrival.caller.uri.path(),
            query: self.arrival.caller.uri.query(),
            headers: &self.arrival.caller.headers,
            fields,
            json,
        };
        let body = self.end.clone().and_then(|body| decode(self.headers, &body, MAX_REPLY));
        let body = body.as_deref().map_err(|reason| *reason);
        let reply = ReplyFacts::new(self.status, self.headers, body);
        // The client can't have seen a success in a reply that broke off.
        if self.end == Err(Reason::ReplyIncomplete) {
            return Err(Reason::ReplyIncomplete);
        }
        let accepts = |accepted: &Condition| {
            let value = reply_value(&reply);
            let (variables, extensions) = ([("reply", &value)], &self.arrival.extensions);
            let holds = accepted.holds(&variables);
            tell::condition(self.engine, "accepted", accepted, &variables, holds, extensions);
            holds
        };
        // A page or a redirect may be a login, or the form shown again. JSON under the name of a page is none.
        let little = match judge(self.status, self.headers, &HeaderMap::new()) {
            Answer::No(Refusal::Page) => reply.json().is_none(),
            Answer::No(refusal) => refusal.proves_little(),
            _ => false,
        };
        let by_default = self.status.is_success();
        let redirect = self.status.is_redirection();
        let find = |locators: &[Locator]| {
            find(locators, &request, &reply)
                .inspect_err(|reason| debug!(code = %reason, looked_for = ?locators, "no id"))
        };
        match accepted {
            Some(accepted) if !accepts(accepted) => Err(Reason::NotAccepted),
            None if !by_default && !redirect => Err(Reason::NotAccepted),
            Some(_) => find(locators).map(|found| Accepted { ids: found.ids, little }),
            None => match find(locators) {
                Ok(Found { ids, by_pattern }) if by_default || by_pattern => {
                    Ok(Accepted { ids, little })
                }
                Ok(_) => Err(Reason::NotAccepted),
                Err(_) if redirect => Err(Reason::NotAccepted),
                Err(reason) => Err(reason),
            },
        }
    }

    fn kind(&self, rule: &Rule) -> Result<&'a Kind, Reason> {
        let kind = self.engine.config.kinds.get(rule.kind);
        kind.map(|kind| &**kind).ok_or(Reason::IdInvalid)
    }

    fn key(&self, rule: &Rule, id: String) -> Result<DocumentKey, Reason> {
        let Parts { uri, headers, .. } = &self.arrival.caller;
        self.kind(rule)?.key(id, headers, uri)
    }
}

/// What an acceptance names.
struct Accepted {
    ids: Vec<String>,
    /// The reply proves little.
    little: bool,
}

pub(super) fn as_upload(rule: &Rule) -> Option<&UploadRule> {
    match &rule.action {
        Action::Upload(upload) => Some(upload),
        _ => None,
    }
}

/// Of two upload rules that differ by `file` alone, the one whose file came is meant.
fn suits(rule: &Rule, seen: &Seen) -> bool {
    seen.files.is_empty()
        || as_upload(rule)
            .is_none_or(|upload| seen.files.iter().any(|file| upload.file.selects(file)))
}

/// Rules that share a route share one spool plan; here each one's own limits apply.
fn fits(upload: &UploadRule, file: SpooledFile) -> Result<SpooledFile, Reason> {
    if file.size > upload.max_size {
        return Err(Reason::FileTooLarge);
    }
    match upload.types.contains(&file.content_type) {
        true => Ok(file),
        false => Err(Reason::TypeNotCaptured),
    }
}
