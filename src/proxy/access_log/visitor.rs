//! What one request's line tells.

use std::net::IpAddr;
use std::time::Instant;

use http::header::USER_AGENT;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};

use super::AccessLog;
use super::clock::Clock;
use super::line::Line;
use crate::http::ClientInfo;
use crate::reason::Reason;
use crate::telemetry::Visit;

/// A request on its way; its line is written when this is dropped.
#[derive(Debug)]
pub(crate) struct Visitor {
    log: AccessLog,
    visit: Visit,
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
    pub(crate) fn follow<B>(
        log: &AccessLog,
        request: &mut Request<B>,
        client: ClientInfo,
    ) -> Box<Self> {
        let visit = Visit::default();
        request.extensions_mut().insert(visit.clone());
        Box::new(Self {
            log: log.clone(),
            visit,
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

    pub(crate) fn answered<B>(&mut self, reply: &Response<B>) {
        self.status = Some(reply.status());
        self.code = reply.extensions().get().copied();
        let bodiless = self.method == Method::HEAD
            || reply.status().is_informational()
            || matches!(reply.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if bodiless {
            self.end = End::Complete;
        }
    }

    /// So many bytes more of the reply's body are on their way to the client, and its end.
    pub(crate) fn sent(&mut self, bytes: usize, is_last: bool) {
        self.sent += bytes as u64;
        if is_last && self.end == End::Cut {
            self.end = End::Complete;
        }
    }

    /// The app broke off.
    pub(crate) fn failed(&mut self) {
        self.end = End::Failed;
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.log.add(|line, clock| self.write(line, clock));
    }
}

impl Visitor {
    /// Field names are a contract. Neither queries nor referers: both may hold tokens.
    fn write(&self, mut line: Line<'_>, clock: &Clock) {
        line.raw(br#"{"time":""#);
        line.raw(&clock.time(self.began).text());
        line.address(r#"","client":"#, self.visit.client().unwrap_or(self.peer));
        line.word(r#","method":"#, self.method.as_str());
        line.text(r#","path":"#, self.target.path().as_bytes());
        line.word(r#","protocol":"#, protocol(self.version));
        match self.status {
            Some(status) => line.number(r#","status":"#, status.as_u16().into()),
            // There was no reply.
            None => line.raw(br#","status":null"#),
        }
        // Bytes of the request's body.
        line.number(r#","received":"#, self.visit.bytes_received());
        // Bytes of the reply's body that were given to the connection.
        line.number(r#","sent":"#, self.sent);
        line.milliseconds(r#","ms":"#, self.began.elapsed());
        line.word(r#","end":"#, self.end.name());
        line.word(r#","lane":"#, self.visit.lane_taken().name());
        if let Some(code) = self.code.or_else(|| self.visit.decision()) {
            line.word(r#","code":"#, code.code());
        }
        match self.visit.request_id() {
            Some(id) => line.text(r#","request_id":"#, id.as_bytes()),
            None => line.raw(br#","request_id":null"#),
        }
        if let Some(agent) = self.user_agent.as_ref().map(HeaderValue::as_bytes) {
            line.text(r#","user_agent":"#, agent.get(..LONGEST_AGENT).unwrap_or(agent));
        }
        line.raw(b"}\n");
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
