//! The capture lane: an upload, a replacement or a delete goes by.

use std::cell::LazyCell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use tracing::{debug, info, warn};

use super::look::{self, Deletion, Look};
use super::uploader::{Uploading, provenance};
use super::writing::{is_refusal, meant, named_by_rules};
use super::{Inner, ask_for_identity, client_address, last_segment, tell};
use crate::auth::Caller;
use crate::body::{RequestBody, ResponseBody};
use crate::capture::{
    FilePart, Handle, Parts, Plan, Seen, Shape, SpooledFile, is_form, is_json, tap,
};
use crate::client::ClientInfo;
use crate::coding::decode;
use crate::condition::Condition;
use crate::config::{Action, DeleteRule, FileSource, Kind, UploadRule};
use crate::correlate::{
    Found, HeldReply, Locator, MAX_REPLY, ReplyEnd, ReplyFacts, RequestFacts, find, form_value,
    reply_value, request_value,
};
use crate::deliver::{Circumstances, Known, WriteUnderWay};
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::explain::{Finding, Trail};
use crate::mount::Misplaced;
use crate::reason::Reason;
use crate::route::{Candidate, Captures, Rule, effective};
use crate::session::{Answer, Refusal, judge};
use crate::telemetry::{Step, Visit, request_id};

/// Taps the body, lets the app answer, and holds the end of its reply until what follows is durable.
pub(crate) async fn capture<S: Inner<B>, B>(
    engine: Arc<Engine>,
    mut inner: S,
    request: Request<B>,
) -> Result<Response<ResponseBody<S::Reply>>, S::Error>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let meant = meant(&engine, &request);
    let (mut parts, body) = request.into_parts();
    let mut arrival = Arrival {
        caller: caller(&parts),
        handle: None,
        unreadable: None,
        uploading: Uploading::begin(&engine, &parts),
        visit: Visit::of(&parts.extensions).cloned(),
        extensions: Trail::alone(&parts.extensions),
        write: None,
        seen_before: None,
    };
    let writers = arrival.writers(&engine);
    let named = named_by_rules(&engine, &parts, &writers);
    let write = engine.outbox.begin_write([named, meant].concat()).await;
    arrival.seen_before = look::before(&engine, &mut inner, &parts, &writers, &write).await;
    arrival.write = Some(write);
    let needs = Needs::of(&writers);
    if needs.reply_body {
        ask_for_identity(&mut parts.headers);
    }
    let plan = arrival.plan(&writers, &needs);
    drop(writers);
    let client = client_address(&engine, &parts.extensions, &parts.headers);
    let (tapped, handle) = tap(body, plan, &engine.spool.of_client(client));
    arrival.handle = Some(handle);
    let reply = inner.forward(Request::from_parts(parts, RequestBody::tapped(tapped))).await?;
    Trail::step(&arrival.extensions, "app", || {
        (Finding::Told, format!("answered with {}", reply.status().as_u16()))
    });
    if !needs.own_acceptance && !reply.status().is_success() && !reply.status().is_redirection() {
        let reason = arrival.unreadable.unwrap_or(Reason::NotAccepted);
        arrival.not_captured(&engine, Step::Capture, reason, reply.status());
        return Ok(reply.map(ResponseBody::passed));
    }
    let (head, body) = reply.into_parts();
    let (status, headers) = (head.status, head.headers.clone());
    let settle = move |end| async move {
        // In a task of its own: neither a client that leaves nor a slow store undoes half of it.
        let background = engine.background.clone();
        let settled = background.spawn(settle(engine, inner, arrival, status, headers, end));
        if tokio::time::timeout(HOLD_AT_MOST, settled).await.is_err() {
            warn!(code = %Reason::StoreUnavailable, "the reply was released before its capture was durable");
        }
    };
    if body.is_end_stream() {
        settle(Ok(Bytes::new())).await;
        return Ok(Response::from_parts(head, ResponseBody::passed(body)));
    }
    Ok(Response::from_parts(head, ResponseBody::held(HeldReply::new(body, settle))))
}

/// The request as it came, for the decisions at its end.
pub(super) struct Arrival {
    /// Its head, with what requests of our own on the caller's behalf need of it.
    pub(super) caller: http::request::Parts,
    handle: Option<Handle>,
    /// Why no file can be read off this body.
    unreadable: Option<Reason>,
    uploading: Uploading,
    visit: Option<Visit>,
    /// For the trail.
    pub(super) extensions: Extensions,
    pub(super) write: Option<WriteUnderWay>,
    /// Whether the app let the caller see the document before it was asked to delete it; `None`: not asked.
    pub(super) seen_before: Option<bool>,
}

fn caller(parts: &http::request::Parts) -> http::request::Parts {
    let (mut caller, ()) = Request::new(()).into_parts();
    caller.method = parts.method.clone();
    caller.uri = parts.uri.clone();
    caller.headers = parts.headers.clone();
    if let Some(client) = parts.extensions.get::<ClientInfo>() {
        caller.extensions.insert(*client);
    }
    if let Some(misplaced) = parts.extensions.get::<Misplaced>() {
        caller.extensions.insert(*misplaced);
    }
    caller
}

impl Arrival {
    /// The rules of this route that capture or delete, in order of precedence.
    fn writers<'e>(&self, engine: &'e Engine) -> Vec<Candidate<'e>> {
        let http::request::Parts { uri, headers, .. } = &self.caller;
        let mut rules = engine.config.routes.candidates(uri.path(), uri.query());
        rules.retain(|candidate| {
            !matches!(candidate.rule.action, Action::View(_)) && candidate.rule.serves(headers, uri)
        });
        rules
    }

    pub(super) fn request_id(&self) -> &str {
        request_id::of(&self.caller.headers)
    }

    /// Counts what came of it, and tells it to the access log and the trail.
    pub(super) fn outcome(&self, engine: &Engine, step: Step, reason: Reason) {
        engine.metrics.outcome(step, reason);
        if let Some(visit) = &self.visit {
            visit.decide(reason);
        }
        Trail::decided(&self.extensions, reason);
    }

    pub(super) fn circumstances(&self, kind: &Kind) -> Circumstances {
        let write = self.write.as_ref();
        write.map(|write| write.circumstances(kind.source.is_some())).unwrap_or_default()
    }

    /// Tells that nothing was captured, and lifts the doubt of the documents that the request named if the app has
    /// changed nothing for certain.
    fn not_captured(&self, engine: &Engine, step: Step, reason: Reason, status: StatusCode) {
        self.outcome(engine, step, reason);
        let ordinary = matches!(reason, Reason::NoFile | Reason::WhenUnmet | Reason::NotAccepted);
        let refused = is_refusal(status) || reason == Reason::NoFile;
        let doubtful = match &self.write {
            Some(write) if refused => {
                write.refused();
                false
            }
            Some(write) => write.has_known(),
            None => false,
        };
        let (path, request_id) = (self.caller.uri.path(), self.request_id());
        let status = status.as_u16();
        if ordinary || refused {
            debug!(code = %reason, path, request_id, status, doubtful, "nothing captured");
        } else {
            warn!(code = %reason, path, request_id, status, doubtful, "nothing captured");
        }
    }

    /// A body from which no file can be read passes all the same, and may be that of a deletion.
    fn plan(&mut self, writers: &[Candidate<'_>], needs: &Needs) -> Plan {
        let headers = &self.caller.headers;
        let mut plan = Plan {
            shape: Shape::Other,
            max_size: 0,
            types: Vec::new(),
            keep_json: needs.request_json && is_json(headers),
        };
        let (mut named, mut any, mut raw) = (Vec::new(), false, false);
        for upload in writers.iter().filter_map(|candidate| as_upload(candidate.rule)) {
            match &upload.file {
                FileSource::AnyPart => any = true,
                FileSource::Part(name) => named.push(name.clone()),
                FileSource::Body => raw = true,
            }
            plan.max_size = plan.max_size.max(upload.max_size);
            plan.types.extend(
                upload
                    .types
                    .iter()
                    .filter(|t| !plan.types.contains(t))
                    .cloned()
                    .collect::<Vec<_>>(),
            );
        }
        let parts = if any { Parts::AnyFile } else { Parts::Named(named) };
        match Shape::of(headers, parts, raw.then(|| last_segment(&self.caller.uri))) {
            Ok(shape) => plan.shape = shape,
            Err(reason) => {
                let path = self.caller.uri.path();
                info!(code = %reason, path, request_id = self.request_id(), "no file can be captured");
                self.unreadable = Some(reason);
            }
        }
        plan
    }
}

/// What the rules of a route look at.
struct Needs {
    reply_body: bool,
    request_json: bool,
    /// Some rule decides by itself which replies are an acceptance.
    own_acceptance: bool,
}

impl Needs {
    fn of(writers: &[Candidate<'_>]) -> Self {
        let mut needs = Self { reply_body: false, request_json: false, own_acceptance: false };
        for Candidate { rule, .. } in writers {
            let (locators, accepted, attributes) = match &rule.action {
                Action::Upload(upload) => (&upload.id, &upload.accepted, &upload.attributes[..]),
                Action::Delete(delete) => (&delete.id, &delete.accepted, &[][..]),
                Action::View(_) => continue,
            };
            let reads = |f: fn(&Locator) -> bool| locators.iter().any(f);
            needs.reply_body |= reads(|l| matches!(l, Locator::Json(_) | Locator::Text(_)))
                || accepted.as_ref().is_some_and(|accepted| accepted.uses_member("reply", "json"));
            needs.request_json |= reads(|l| matches!(l, Locator::BodyJson(_)))
                || rule.when.as_ref().is_some_and(|when| when.uses("request"))
                || attributes.iter().any(|(_, source)| source.uses("request"));
            needs.own_acceptance |= accepted.is_some();
        }
        needs
    }
}

/// Decides what the exchange was, and makes it durable. What takes a look at the app goes on afterwards.
async fn settle<S: Inner<B>, B: Send + 'static>(
    engine: Arc<Engine>,
    inner: S,
    mut arrival: Arrival,
    status: StatusCode,
    headers: HeaderMap,
    end: ReplyEnd,
) {
    let Some(handle) = arrival.handle.take() else { return };
    let uploader = std::mem::take(&mut arrival.uploading).caller().await;
    let seen = match (handle.finish().await, arrival.unreadable) {
        (Ok(seen), None) => Ok(seen),
        (Ok(_) | Err(_), Some(reason)) | (Err(reason), None) => Err(reason),
    };
    let exchange =
        Exchange { engine: &engine, arrival: &arrival, uploader, status, headers: &headers, end };
    let (step, outcome) = exchange.conclude(seen).await;
    match outcome {
        Ok(looks) if looks.is_empty() => {}
        Ok(looks) => {
            let background = engine.background.clone();
            background.spawn(look::run(engine, inner, arrival, looks));
        }
        Err(reason) => {
            arrival.not_captured(&engine, step, reason, status);
            if matches!(reason, Reason::NotAccepted | Reason::WhenUnmet) {
                let background = engine.background.clone();
                background.spawn(look::refused(engine, inner, arrival, status));
            }
        }
    }
}

/// A request and its reply, both complete.
struct Exchange<'a> {
    engine: &'a Engine,
    arrival: &'a Arrival,
    uploader: Option<Caller>,
    status: StatusCode,
    headers: &'a HeaderMap,
    end: ReplyEnd,
}

impl<'a> Exchange<'a> {
    /// What was done, and what is left to look for in the app.
    async fn conclude(&self, seen: Result<Seen, Reason>) -> (Step, Result<Vec<Look>, Reason>) {
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
        let http::request::Parts { method, uri, headers, .. } = &self.arrival.caller;
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
        let request_id = self.arrival.request_id();
        let Seen { files, fields, json } = seen;
        let files: Vec<FilePart> =
            files.into_iter().filter(|file| selects(&upload.file, file)).collect();
        if files.is_empty() {
            return Err(Reason::NoFile);
        }
        let accepted = upload.accepted.as_ref();
        let Accepted { ids, little } =
            self.ids(&upload.id, accepted, captures, &fields, json.as_ref())?;
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
        let mut kept: Vec<(DocumentKey, SpooledFile)> = Vec::new();
        for (file, id) in files.into_iter().zip(ids) {
            let key = self.key(rule, id)?;
            self.engine.sources.outdate(&key, false).await;
            tell::file(&key, &file, &self.arrival.extensions);
            match file.kept.and_then(|file| fits(upload, file)) {
                Ok(file) => kept.push((key, file)),
                Err(reason) => {
                    self.arrival.outcome(self.engine, Step::Capture, reason);
                    info!(code = %reason, document = %key, rule = rule.name, request_id, "not captured");
                    // The app may have these bytes now.
                    self.engine.outbox.doubt(&key).await;
                }
            }
        }
        if kept.is_empty() {
            return Ok(Vec::new());
        }
        let sizes: Vec<(DocumentKey, u64)> =
            kept.iter().map(|(key, file)| (key.clone(), file.size)).collect();
        let http::request::Parts { method, uri, headers, .. } = &self.arrival.caller;
        let request = || request_value(method, uri.path(), uri.query(), headers, json.as_ref());
        let form = || form_value(&fields);
        let provenance = provenance(rule, upload, self.uploader.as_ref(), request, form);
        let known = if upload.only_known { Known::Only } else { Known::Any };
        let by = self.arrival.circumstances(kind);
        if looks && can_look {
            let proposals = self.engine.outbox.propose(kept, provenance, known, by).await?;
            self.arrival.outcome(self.engine, Step::Capture, Reason::Unconfirmed);
            return Ok(proposals.into_iter().map(Look::Upload).collect());
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
        for ((key, size), reason) in sizes.iter().zip(outcomes) {
            self.arrival.outcome(self.engine, Step::Capture, reason);
            self.engine.metrics.captured(*size);
            Trail::decided(&self.arrival.extensions, reason);
            info!(code = %reason, document = %key, bytes = size, rule = rule.name, request_id, "captured");
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
        let deletions = keys?
            .into_iter()
            .map(|key| Deletion { key, prefix: delete.prefix })
            .collect::<Vec<_>>();
        if looks && !kind.probe.is_empty() {
            self.arrival.outcome(self.engine, Step::Delete, Reason::Unconfirmed);
            return Ok(deletions.into_iter().map(Look::Delete).collect());
        }
        // The app has done it already, whatever becomes of the mappings.
        self.engine.decisions.forget();
        for deletion in deletions {
            look::delete(self.engine, self.arrival, &deletion).await?;
        }
        Ok(Vec::new())
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
        // A broken reply is no success that anybody saw.
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
        match accepted {
            Some(accepted) if !accepts(accepted) => Err(Reason::NotAccepted),
            None if !by_default && !redirect => Err(Reason::NotAccepted),
            Some(_) => {
                find(locators, &request, &reply).map(|found| Accepted { ids: found.ids, little })
            }
            None => match find(locators, &request, &reply) {
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
        let http::request::Parts { uri, headers, .. } = &self.arrival.caller;
        self.kind(rule)?.key(id, headers, uri)
    }
}

/// What an acceptance names.
struct Accepted {
    ids: Vec<String>,
    /// The reply proves little.
    little: bool,
}

fn as_upload(rule: &Rule) -> Option<&UploadRule> {
    match &rule.action {
        Action::Upload(upload) => Some(upload),
        _ => None,
    }
}

/// Of two upload rules that differ by `file` alone, the one whose file came is meant.
fn suits(rule: &Rule, seen: &Seen) -> bool {
    seen.files.is_empty()
        || as_upload(rule)
            .is_none_or(|upload| seen.files.iter().any(|file| selects(&upload.file, file)))
}

fn selects(source: &FileSource, file: &FilePart) -> bool {
    match (source, &file.part) {
        (FileSource::AnyPart, Some(_)) | (FileSource::Body, None) => true,
        (FileSource::Part(name), Some(part)) => name == part,
        _ => false,
    }
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

/// A store that hangs must not hang the app's clients for ever.
const HOLD_AT_MOST: Duration = Duration::from_secs(10);
