//! What one request's line tells.

use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Frame;
use serde::Serialize;

use super::AccessLog;
use crate::client::ClientInfo;
use crate::reason::Reason;
use crate::telemetry::{Rfc3339, Visit};

/// A request on its way; its line is written when this is dropped.
#[derive(Debug)]
pub(in crate::server) struct Visitor {
    log: AccessLog,
    visit: Visit,
    time: Rfc3339,
    began: Instant,
    peer: IpAddr,
    method: Method,
    target: Uri,
    version: Version,
    user_agent: Option<HeaderValue>,
    status: Option<StatusCode>,
    code: Option<Reason>,
    sent: u64,
    end: End,
}

/// How a reply came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    /// The client left, or its connection was closed, before the end.
    Cut,
    /// The app broke off.
    Failed,
}

impl Visitor {
    /// Follows this request to the end of its reply.
    pub(in crate::server) fn follow<B>(
        log: &AccessLog,
        request: &mut Request<B>,
        client: ClientInfo,
    ) -> Box<Self> {
        let visit = Visit::default();
        request.extensions_mut().insert(visit.clone());
        Box::new(Self {
            log: log.clone(),
            visit,
            time: Rfc3339::now(),
            began: Instant::now(),
            peer: client.peer.ip(),
            method: request.method().clone(),
            target: request.uri().clone(),
            version: request.version(),
            user_agent: request.headers().get(USER_AGENT).cloned(),
            status: None,
            code: None,
            sent: 0,
            end: End::Cut,
        })
    }

    pub(in crate::server) fn answered<B>(&mut self, reply: &Response<B>) {
        self.status = Some(reply.status());
        self.code = reply.extensions().get().copied();
        let bodiless = self.method == Method::HEAD
            || reply.status().is_informational()
            || matches!(reply.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if bodiless {
            self.end = End::Complete;
        }
    }

    /// The next thing that a reply's body has yielded, and whether it is its last.
    pub(in crate::server) fn sent<E>(
        &mut self,
        frame: Option<&Result<Frame<Bytes>, E>>,
        last: bool,
    ) {
        match frame {
            Some(Ok(frame)) => self.sent += frame.data_ref().map_or(0, Bytes::len) as u64,
            Some(Err(_)) => self.end = End::Failed,
            None => {}
        }
        if last && self.end == End::Cut {
            self.end = End::Complete;
        }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let ended = Instant::now();
        self.log.add(|line| self.write(line, ended));
    }
}

impl Visitor {
    /// Field names are a contract. Neither queries nor referers: both may hold tokens.
    ///
    /// Each field is written by itself, since a derived writer looks for what to escape in every name.
    fn write(&self, line: &mut Vec<u8>, ended: Instant) -> serde_json::Result<()> {
        let took = ended.saturating_duration_since(self.began);
        line.extend_from_slice(br#"{"time":""#);
        line.extend_from_slice(&self.time.text());
        put(line, r#"","client":"#, &self.visit.client().unwrap_or(self.peer))?;
        put(line, r#","method":"#, self.method.as_str())?;
        put(line, r#","path":"#, self.target.path())?;
        word(line, r#","protocol":""#, protocol(self.version));
        // `null` when there was no reply.
        put(line, r#","status":"#, &self.status.map(|status| status.as_u16()))?;
        // Bytes of the request's body.
        put(line, r#","received":"#, &self.visit.bytes_received())?;
        // Bytes of the reply's body that were given to the connection.
        put(line, r#","sent":"#, &self.sent)?;
        put(line, r#","ms":"#, &(took.as_micros() as u64 as f64 / 1000.0))?;
        word(line, r#","end":""#, self.end.name());
        word(line, r#","lane":""#, self.visit.lane_taken().name());
        if let Some(code) = self.code.or_else(|| self.visit.decision()) {
            word(line, r#","code":""#, code.code());
        }
        put(line, r#","request_id":"#, &self.visit.request_id())?;
        if let Some(agent) = self.user_agent.as_ref().map(HeaderValue::as_bytes) {
            let agent = agent.get(..LONGEST_AGENT).unwrap_or(agent);
            put(line, r#","user_agent":"#, &*String::from_utf8_lossy(agent))?;
        }
        line.extend_from_slice(b"}\n");
        Ok(())
    }
}

fn put<T: Serialize + ?Sized>(line: &mut Vec<u8>, name: &str, value: &T) -> serde_json::Result<()> {
    line.extend_from_slice(name.as_bytes());
    serde_json::to_writer(line, value)
}

/// One that needs no escaping.
fn word(line: &mut Vec<u8>, name: &str, word: &'static str) {
    for piece in [name, word, "\""] {
        line.extend_from_slice(piece.as_bytes());
    }
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Cut => "cut",
            Self::Failed => "failed",
        }
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

const LONGEST_AGENT: usize = 256;
