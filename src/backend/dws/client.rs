//! The calls, one attempt each.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tracing::warn;
use url::Url;

use super::data_plane::DataPlanes;
use super::learnt::Learnt;
use super::readback::{Asked, read_back};
use super::upload::{self, Progress};
use super::{
    BackendError, BackendErrorKind, NAME, SessionRequest, SessionToken, Times, Upload, scrub,
    verdict,
};
use crate::backend::title::shown_title;
use crate::config::BackendConfig;
use crate::reason::causes;
use crate::telemetry::{BackendCall, Metrics};

/// Speaks to DWS.
pub(super) struct DwsClient {
    pub(super) calls: Client,
    /// Each upload has a connection of its own: on a reused one that DWS just closed, nobody could
    /// tell whether the document arrived.
    uploads: Client,
    /// Without a trailing slash.
    pub(super) url: String,
    api_key: SecretString,
    metrics: Arc<Metrics>,
    pub(super) times: Times,
    pub(super) learnt: Learnt,
    data_planes: DataPlanes,
}

impl DwsClient {
    pub(super) fn new(
        config: &BackendConfig,
        metrics: Arc<Metrics>,
        folder: Option<&Path>,
    ) -> Result<Self, String> {
        let key = config.api_key.expose_secret();
        let mut authorization = HeaderValue::try_from(format!("Bearer {key}"))
            .map_err(|_| "the DWS API key holds characters that no HTTP header can carry")?;
        authorization.set_sensitive(true);
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization), (ACCEPT, json)]);
        let url = Url::parse(&config.url).map_err(|error| format!("the DWS address: {error}"))?;
        let client = || match url.scheme() {
            // Plain addresses must work where no CA certificates are installed.
            "http" => builder(&headers).tls_certs_only([]),
            _ => builder(&headers),
        };
        let build = |client: ClientBuilder| {
            client.build().map_err(|error| format!("the DWS client: {}", causes(&error)))
        };
        Ok(Self {
            calls: build(client().pool_idle_timeout(POOL_IDLE))?,
            uploads: build(client().http1_only().pool_max_idle_per_host(0))?,
            url: config.url.trim_end_matches('/').to_owned(),
            api_key: config.api_key.clone(),
            metrics,
            times: Times { upload_idle: config.upload_idle, refused_keep: config.refused_keep },
            learnt: Learnt::of(config.url.trim_end_matches('/'), key, folder),
            data_planes: DataPlanes::default(),
        })
    }

    /// Stores a file; the id that DWS gave it.
    pub(super) async fn upload(&self, upload: Upload<'_>) -> Result<String, BackendError> {
        let progress = Progress::default();
        let file_error = |detail| BackendError::new(BackendErrorKind::File, None, detail);
        let form = upload::form(&upload, &progress).await.map_err(file_error)?;
        let request = self.uploads.post(format!("{}/documents", self.url));
        let request = request.header(CONTENT_TYPE, form.content_type);
        let request = request.header(CONTENT_LENGTH, form.length).body(form.body);
        let reply = tokio::select! {
            reply = self.stored(request, &upload) => reply,
            () = progress.stalled(self.times.upload_idle) => Err(BackendError::new(
                BackendErrorKind::Unclear,
                None,
                format!("the upload made no progress for {} s", self.times.upload_idle.as_secs()),
            )),
        };
        match (reply, progress.failure()) {
            (Err(_), Some(failure)) => Err(file_error(failure.to_owned())),
            (reply, _) => reply,
        }
    }

    async fn stored(
        &self,
        request: RequestBuilder,
        upload: &Upload<'_>,
    ) -> Result<String, BackendError> {
        let reply = self.send(BackendCall::Upload, request).await?;
        let (status, body) = self.json(reply).await?;
        if let Some(errors) = body.pointer("/data/errors").filter(|errors| !is_empty(errors)) {
            warn!(errors = self.scrub(&errors.to_string()), "DWS stored a document with errors");
        }
        let stored = document_id(&body).ok_or_else(|| self.unusable(status, "no document id"))?;
        let ids = upload.document_id.map(|asked| asked == stored);
        let told = ["/data/title", "/title"].into_iter().find_map(|at| body.pointer(at));
        let sent = upload.title.map(|title| shown_title(Some(title)));
        let titles = sent.zip(told).map(|(sent, told)| told.as_str() == Some(&*sent));
        self.learnt.note(ids, titles).await;
        Ok(stored.to_owned())
    }

    /// Removes a document; one that is gone already is fine.
    pub(super) async fn remove(&self, document_id: &str) -> Result<(), BackendError> {
        if document_id.is_empty() {
            // An empty id would address the whole collection.
            let detail = "a document without an id can't be removed".to_owned();
            return Err(BackendError::new(BackendErrorKind::Refused, None, detail));
        }
        let request = self.calls.delete(self.address_of(document_id));
        match self.send(BackendCall::Remove, request.timeout(CALL_TIMEOUT)).await {
            Err(error) if error.kind == BackendErrorKind::NotFound => Ok(()),
            reply => reply.map(drop),
        }
    }

    pub(super) fn address_of(&self, document_id: &str) -> String {
        let id = utf8_percent_encode(document_id, NON_ALPHANUMERIC);
        format!("{}/documents/{id}", self.url)
    }

    /// Mints a session and reads back what it grants.
    pub(super) async fn session(
        &self,
        request: SessionRequest<'_>,
    ) -> Result<SessionToken, BackendError> {
        let permissions = request.permissions.names();
        let mut body = json!({
            "allowed_documents": [{
                "document_id": request.document_id,
                // The guides name the second, the service heeds the first.
                "permissions": permissions,
                "document_permissions": permissions,
            }],
            "exp": request.expires,
        });
        if let Some(user_id) = request.user_id {
            body["user_id"] = user_id.into();
        }
        let call = self.calls.post(format!("{}/sessions", self.url)).json(&body);
        let reply = self.send(BackendCall::Session, call.timeout(CALL_TIMEOUT)).await?;
        let (status, body) = self.json(reply).await?;
        let jwt = match body.get("jwt").and_then(Value::as_str) {
            Some(jwt) if !jwt.is_empty() => jwt,
            _ => return Err(self.unusable(status, "no session")),
        };
        let asked = Asked {
            document_id: request.document_id,
            permissions: request.permissions,
            expires: request.expires,
        };
        let granted = read_back(jwt, asked).map_err(|refused| {
            let (kind, why) = refused.into_parts();
            BackendError::new(kind, Some(status.as_u16()), why.to_owned())
        })?;
        let header = HeaderValue::from_str(jwt).map(|mut header| {
            header.set_sensitive(true);
            header
        });
        if let Some(address) = &granted.server_url {
            self.data_planes.note(address);
        }
        Ok(SessionToken {
            header: header.map_err(|_| self.unusable(status, "a session of strange characters"))?,
            jwt: jwt.into(),
            document_id: request.document_id.to_owned(),
            expires: granted.expires,
            permissions: granted.permissions,
            server_url: granted.server_url,
        })
    }

    /// Where the viewers of its sessions connect to; empty before the first session.
    pub(super) fn data_planes(&self) -> Arc<Vec<String>> {
        self.data_planes.known()
    }

    /// Lists one document: tells whether address and key are right. The error's detail is a sentence for
    /// the operator that tells wrong key, wrong product and unreachable apart.
    pub(super) async fn check(&self) -> Result<(), BackendError> {
        let request = self.calls.get(format!("{}/documents?page_size=1", self.url));
        let reply = self.send(BackendCall::List, request.timeout(CALL_TIMEOUT)).await;
        let listed = match reply {
            Ok(reply) => self.json(reply).await.and_then(|(status, body)| match body.get("data") {
                Some(Value::Array(_)) => Ok(()),
                _ => Err(self.unusable(status, "no list of documents")),
            }),
            Err(error) => Err(error),
        };
        listed.map_err(|error| BackendError { detail: self.advice(&error), ..error })
    }

    fn advice(&self, error: &BackendError) -> String {
        let (url, said) = (&self.url, &error.detail);
        match error.kind {
            BackendErrorKind::Unreachable => format!(
                "DWS can't be reached at {url} ({said}); check dws.url, DNS, the network and a firewall between"
            ),
            BackendErrorKind::KeyRefused => format!(
                "DWS at {url} does not know the API key ({said}); check dws.api_key: it must be the secret key of a DWS Viewer application, not a publishable one"
            ),
            BackendErrorKind::Forbidden => format!(
                "DWS at {url} knows the API key but not for viewing ({said}); most likely it is another product's key: use the one of a DWS Viewer application"
            ),
            BackendErrorKind::NotFound => format!(
                "{url} answers, but has no Viewer API there ({said}); check dws.url, usually https://api.nutrient.io/viewer"
            ),
            BackendErrorKind::Quota => {
                format!("the DWS plan behind the API key is used up ({said})")
            }
            _ => format!("{url} does not answer as DWS would ({said}); check dws.url"),
        }
    }

    /// Sends once; a reply that is no success becomes an error.
    pub(super) async fn send(
        &self,
        call: BackendCall,
        request: RequestBuilder,
    ) -> Result<Response, BackendError> {
        let mut record =
            CallRecord { metrics: &self.metrics, call, status: None, start: Instant::now() };
        let reply = request.send().await.map_err(|error| self.transport(error))?;
        record.status = Some(reply.status().as_u16());
        drop(record);
        if reply.status().is_success() { Ok(reply) } else { Err(self.refusal(reply).await) }
    }

    async fn refusal(&self, reply: Response) -> BackendError {
        let status = reply.status();
        let wait = reply.headers().get(RETRY_AFTER).cloned();
        let (bytes, whole) = read(reply, MAX_ERROR_BODY).await.unwrap_or_default();
        let body = String::from_utf8_lossy(&bytes);
        let mut detail = match self.scrub_body(&body, whole) {
            text if text.is_empty() => format!("DWS answered {status} without a text"),
            text => format!("DWS answered {status}: {text}"),
        };
        let parsed = serde_json::from_str(&body).unwrap_or(Value::Null);
        if let Some(id) = scrub::request_id(&parsed).map(|id| self.scrub(id))
            && !detail.contains(&id)
        {
            detail = format!("{detail} (request {id})");
        }
        BackendError {
            kind: verdict::kind(status.as_u16(), wait.is_some(), &body),
            status: Some(status.as_u16()),
            retry_after: wait
                .and_then(|wait| verdict::retry_after(wait.to_str().ok()?, SystemTime::now())),
            detail,
        }
    }

    fn transport(&self, error: reqwest::Error) -> BackendError {
        let kind = match error.is_connect() || error.is_builder() {
            true => BackendErrorKind::Unreachable,
            false => BackendErrorKind::Unclear,
        };
        BackendError::new(kind, None, self.scrub(&causes(&error.without_url())))
    }

    pub(super) async fn json(&self, reply: Response) -> Result<(StatusCode, Value), BackendError> {
        let status = reply.status();
        let (body, whole) = read(reply, MAX_BODY).await.map_err(|error| self.transport(error))?;
        match serde_json::from_slice(&body) {
            Ok(body) if whole => Ok((status, body)),
            _ => Err(self.unusable(status, "no JSON that can be read")),
        }
    }

    pub(super) fn unusable(&self, status: StatusCode, lacks: &str) -> BackendError {
        let detail = format!("DWS answered {status}, but with {lacks}");
        BackendError::new(BackendErrorKind::Unclear, Some(status.as_u16()), detail)
    }

    fn scrub_body(&self, body: &str, whole: bool) -> String {
        match whole {
            true => self.scrub(body),
            false => scrub::scrub_cut(body, self.api_key.expose_secret()),
        }
    }

    fn scrub(&self, text: &str) -> String {
        scrub::scrub(text, self.api_key.expose_secret())
    }
}

impl fmt::Debug for DwsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DwsClient").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Counts a call when it ends, also one whose future is dropped.
struct CallRecord<'a> {
    metrics: &'a Metrics,
    call: BackendCall,
    status: Option<u16>,
    start: Instant,
}

impl Drop for CallRecord<'_> {
    fn drop(&mut self) {
        self.metrics.backend(NAME, self.call, self.status, self.start.elapsed());
    }
}

fn builder(headers: &HeaderMap) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("transom/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers.clone())
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
}

/// The first `limit` bytes of the body, and whether that is all of it.
async fn read(mut reply: Response, limit: usize) -> Result<(Vec<u8>, bool), reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = reply.chunk().await? {
        let room = limit.saturating_sub(body.len());
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() > room {
            return Ok((body, false));
        }
    }
    Ok((body, true))
}

/// DWS and its relatives spell the id of a new document in five ways.
pub(super) fn document_id(body: &Value) -> Option<&str> {
    ["/data/document_id", "/data/documentId", "/data/id", "/document_id", "/id"]
        .into_iter()
        .filter_map(|pointer| body.pointer(pointer)?.as_str())
        .find(|id| is_document_id(id))
}

/// Whether this can be an id of DWS. It is put into URLs, claims and pages, where a slash, a quote
/// or a line break would mean something.
pub(super) fn is_document_id(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~:".contains(&byte);
    (1..=MAX_ID).contains(&id.len())
        && id.bytes().all(is_plain)
        && id.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

fn is_empty(errors: &Value) -> bool {
    errors.is_null() || errors.as_array().is_some_and(Vec::is_empty)
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Total, for calls without a file.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Below what the load balancer in front of DWS most likely keeps (60 s), so that it is rarely the
/// one that closes.
const POOL_IDLE: Duration = Duration::from_secs(40);
const MAX_BODY: usize = 1024 * 1024;
const MAX_ID: usize = 256;
const MAX_ERROR_BODY: usize = 8 * 1024;
