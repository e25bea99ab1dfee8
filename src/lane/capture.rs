//! The capture lane: an upload, a replacement or a delete goes by.

use std::cell::LazyCell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use tracing::{debug, info, warn};

use super::uploader::{Uploading, provenance};
use super::{Inner, ask_for_identity, is_encoded, last_segment, tell};
use crate::auth::Caller;
use crate::body::{RequestBody, ResponseBody};
use crate::capture::{FilePart, Handle, Parts, Plan, Seen, Shape, SpooledFile, is_json, tap};
use crate::condition::Condition;
use crate::config::{Action, DeleteRule, FileSource, UploadRule};
use crate::correlate::{
    Found, HeldReply, Locator, ReplyEnd, ReplyFacts, RequestFacts, find, form_value, reply_value,
    request_value,
};
use crate::deliver::Known;
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::explain::{Finding, Trail};
use crate::reason::Reason;
use crate::route::{Candidate, Captures, Rule, effective};
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
    let (mut parts, body) = request.into_parts();
    let mut arrival = Arrival {
        method: parts.method.clone(),
        uri: parts.uri.clone(),
        headers: parts.headers.clone(),
        handle: None,
        uploading: Uploading::begin(&engine, &parts),
        visit: Visit::of(&parts.extensions).cloned(),
        extensions: Trail::alone(&parts.extensions),
    };
    let needs = Needs::of(&arrival.writers(&engine));
    if needs.reply_body {
        ask_for_identity(&mut parts.headers);
    }
    let body = match arrival.plan(&engine, &needs) {
        Ok(plan) => {
            let (tapped, handle) = tap(body, plan, &engine.spool);
            arrival.handle = Some(handle);
            RequestBody::tapped(tapped)
        }
        Err(reason) => {
            arrival.outcome(&engine, Step::Capture, reason);
            info!(
                code = %reason, path = arrival.uri.path(), request_id = arrival.request_id(),
                "the upload passes without a capture"
            );
            return inner
                .forward(Request::from_parts(parts, RequestBody::passed(body)))
                .await
                .map(|reply| reply.map(ResponseBody::passed));
        }
    };
    let reply = inner.forward(Request::from_parts(parts, body)).await?;
    Trail::step(&arrival.extensions, "app", || {
        (Finding::Told, format!("answered with {}", reply.status().as_u16()))
    });
    if !needs.own_acceptance && !reply.status().is_success() && !reply.status().is_redirection() {
        arrival.outcome(&engine, Step::Capture, Reason::NotAccepted);
        debug!(
            code = %Reason::NotAccepted, status = reply.status().as_u16(), path = arrival.uri.path(),
            request_id = arrival.request_id(), "nothing captured"
        );
        return Ok(reply.map(ResponseBody::passed));
    }
    let (head, body) = reply.into_parts();
    let (status, headers) = (head.status, head.headers.clone());
    let settle = move |end| async move {
        // In a task of its own: neither a client that leaves nor a slow store undoes half of it.
        let background = engine.background.clone();
        let settled = background.spawn(settle(engine, arrival, status, headers, end));
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
struct Arrival {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    handle: Option<Handle>,
    uploading: Uploading,
    visit: Option<Visit>,
    /// For the trail.
    extensions: Extensions,
}

impl Arrival {
    /// The rules of this route that capture or delete, in order of precedence.
    fn writers<'e>(&self, engine: &'e Engine) -> Vec<Candidate<'e>> {
        let mut rules = engine.config.routes.candidates(self.uri.path(), self.uri.query());
        rules.retain(|candidate| !matches!(candidate.rule.action, Action::View(_)));
        rules
    }

    fn request_id(&self) -> &str {
        request_id::of(&self.headers)
    }

    /// Counts what came of it, and tells it to the access log and the trail.
    fn outcome(&self, engine: &Engine, step: Step, reason: Reason) {
        engine.metrics.outcome(step, reason);
        if let Some(visit) = &self.visit {
            visit.decide(reason);
        }
        Trail::decided(&self.extensions, reason);
    }

    fn plan(&self, engine: &Engine, needs: &Needs) -> Result<Plan, Reason> {
        let mut plan = Plan {
            shape: Shape::Other,
            max_size: 0,
            types: Vec::new(),
            keep_json: needs.request_json && is_json(&self.headers),
        };
        let (mut named, mut any, mut raw) = (Vec::new(), false, false);
        let writers = self.writers(engine);
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
        plan.shape = Shape::of(&self.headers, parts, raw.then(|| last_segment(&self.uri)))?;
        Ok(plan)
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
                || accepted.as_ref().is_some_and(|accepted| accepted.uses("reply"));
            needs.request_json |= reads(|l| matches!(l, Locator::BodyJson(_)))
                || rule.when.as_ref().is_some_and(|when| when.uses("request"))
                || attributes.iter().any(|(_, source)| source.uses("request"));
            needs.own_acceptance |= accepted.is_some();
        }
        needs
    }
}

/// Decides what the exchange was, and makes it durable.
async fn settle(
    engine: Arc<Engine>,
    mut arrival: Arrival,
    status: StatusCode,
    headers: HeaderMap,
    end: ReplyEnd,
) {
    let Some(handle) = arrival.handle.take() else { return };
    let uploader = std::mem::take(&mut arrival.uploading).caller().await;
    let (step, outcome) = match handle.finish().await {
        Ok(seen) => conclude(&engine, &arrival, uploader, seen, status, &headers, end).await,
        Err(reason) => (Step::Capture, Err(reason)),
    };
    if let Err(reason) = outcome {
        Trail::decided(&arrival.extensions, reason);
    }
    let (path, request_id) = (arrival.uri.path(), arrival.request_id());
    match outcome {
        Ok(()) => {}
        Err(reason @ (Reason::NoFile | Reason::WhenUnmet | Reason::NotAccepted)) => {
            arrival.outcome(&engine, step, reason);
            debug!(code = %reason, path, request_id, status = status.as_u16(), "nothing captured");
        }
        Err(reason) => {
            arrival.outcome(&engine, step, reason);
            warn!(code = %reason, path, request_id, status = status.as_u16(), "nothing captured");
        }
    }
}

async fn conclude(
    engine: &Engine,
    arrival: &Arrival,
    uploader: Option<Caller>,
    seen: Seen,
    status: StatusCode,
    headers: &HeaderMap,
    end: ReplyEnd,
) -> (Step, Result<(), Reason>) {
    let exchange = Exchange { engine, arrival, uploader, status, headers, end };
    let (rule, captures) = match exchange.rule(&seen) {
        Ok(chosen) => chosen,
        Err(reason) => return (Step::Capture, Err(reason)),
    };
    match &rule.action {
        Action::Upload(upload) => {
            (Step::Capture, exchange.keep(rule, upload, &captures, seen).await)
        }
        Action::Delete(delete) => {
            (Step::Delete, exchange.forget(rule, delete, &captures, &seen).await)
        }
        Action::View(_) => (Step::Capture, Err(Reason::WhenUnmet)),
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
    /// The first rule of this route and of the effective method whose `when` holds.
    fn rule(&self, seen: &Seen) -> Result<(&'a Rule, Captures), Reason> {
        let Arrival { method, uri, headers, .. } = self.arrival;
        let method = effective(method, headers, uri.query(), &seen.fields)
            .map_err(|_| Reason::OverrideUnclear)?;
        let of_method = |candidate: &Candidate<'_>| candidate.rule.method == method;
        let mut of_route =
            self.arrival.writers(self.engine).into_iter().filter(of_method).peekable();
        // A form that turned out to be for a method without rules is an ordinary request.
        of_route.peek().ok_or(Reason::NoFile)?;
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
        chosen.ok_or(Reason::WhenUnmet)
    }

    async fn keep(
        &self,
        rule: &Rule,
        upload: &UploadRule,
        captures: &Captures,
        seen: Seen,
    ) -> Result<(), Reason> {
        let request_id = self.arrival.request_id();
        let Seen { files, fields, json } = seen;
        let files: Vec<FilePart> =
            files.into_iter().filter(|file| selects(&upload.file, file)).collect();
        if files.is_empty() {
            return Err(Reason::NoFile);
        }
        let found =
            self.ids(&upload.id, upload.accepted.as_ref(), captures, &fields, json.as_ref())?;
        if found.len() != files.len() {
            return Err(Reason::IdCountMismatch);
        }
        let mut kept: Vec<(DocumentKey, SpooledFile)> = Vec::new();
        for (file, id) in files.into_iter().zip(found) {
            let key = self.key(rule, id)?;
            self.engine.sources.outdate(&key, false).await;
            tell::file(&key, &file, &self.arrival.extensions);
            match file.kept.and_then(|file| fits(upload, file)) {
                Ok(file) => kept.push((key, file)),
                Err(reason) => {
                    self.arrival.outcome(self.engine, Step::Capture, reason);
                    info!(code = %reason, document = %key, rule = rule.name, request_id, "not captured");
                }
            }
        }
        if kept.is_empty() {
            return Ok(());
        }
        let sizes: Vec<(DocumentKey, u64)> =
            kept.iter().map(|(key, file)| (key.clone(), file.size)).collect();
        let Arrival { method, uri, headers, .. } = self.arrival;
        let request = || request_value(method, uri.path(), uri.query(), headers, json.as_ref());
        let form = || form_value(&fields);
        let provenance = provenance(rule, upload, self.uploader.as_ref(), request, form);
        let known = if upload.only_known { Known::Only } else { Known::Any };
        let outcomes = self.engine.outbox.capture(kept, provenance, known).await?;
        if outcomes.contains(&Reason::Replaced) {
            self.engine.decisions.forget();
        }
        for ((key, size), reason) in sizes.iter().zip(outcomes) {
            self.arrival.outcome(self.engine, Step::Capture, reason);
            self.engine.metrics.captured(*size);
            Trail::decided(&self.arrival.extensions, reason);
            info!(code = %reason, document = %key, bytes = size, rule = rule.name, request_id, "captured");
        }
        Ok(())
    }

    async fn forget(
        &self,
        rule: &Rule,
        delete: &DeleteRule,
        captures: &Captures,
        seen: &Seen,
    ) -> Result<(), Reason> {
        let request_id = self.arrival.request_id();
        let accepted = delete.accepted.as_ref();
        let ids = self.ids(&delete.id, accepted, captures, &seen.fields, seen.json.as_ref())?;
        // The app has done it already, whatever becomes of the mappings.
        self.engine.decisions.forget();
        for id in ids {
            let key = self.key(rule, id)?;
            self.engine.sources.outdate(&key, delete.prefix).await;
            let forgotten = self.engine.outbox.delete(&key, delete.prefix).await?;
            self.arrival.outcome(self.engine, Step::Delete, Reason::Deleted);
            info!(
                code = %Reason::Deleted, document = %key, forgotten, rule = rule.name, request_id,
                "deleted by the app"
            );
        }
        Ok(())
    }

    /// The ids that the locators find, if the reply is an acceptance.
    fn ids(
        &self,
        locators: &[Locator],
        accepted: Option<&Condition>,
        captures: &Captures,
        fields: &[(String, String)],
        json: Option<&serde_json::Value>,
    ) -> Result<Vec<String>, Reason> {
        let request = RequestFacts {
            captures,
            query: self.arrival.uri.query(),
            headers: &self.arrival.headers,
            fields,
            json,
        };
        let body = match &self.end {
            Ok(_) if is_encoded(self.headers) => Err(Reason::ReplyEncoded),
            Ok(body) => Ok(&body[..]),
            Err(reason) => Err(*reason),
        };
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
        let by_default = self.status.is_success();
        let redirect = self.status.is_redirection();
        match accepted {
            Some(accepted) if !accepts(accepted) => Err(Reason::NotAccepted),
            None if !by_default && !redirect => Err(Reason::NotAccepted),
            Some(_) => find(locators, &request, &reply).map(|found| found.ids),
            None => match find(locators, &request, &reply) {
                Ok(Found { ids, by_pattern }) if by_default || by_pattern => Ok(ids),
                Ok(_) => Err(Reason::NotAccepted),
                Err(_) if redirect => Err(Reason::NotAccepted),
                Err(reason) => Err(reason),
            },
        }
    }

    fn key(&self, rule: &Rule, id: String) -> Result<DocumentKey, Reason> {
        let kind = self.engine.config.kinds.get(rule.kind).ok_or(Reason::IdInvalid)?;
        DocumentKey::new(kind.name.as_str(), id).map_err(|_| Reason::IdInvalid)
    }
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
