//! Asking a running Transom, at its admin address.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Body, Client, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::store::CommandError;
use crate::admin::status::StatusReport;
use crate::explain::Asked;
use crate::trail::{Explanation, Wanted};

pub(super) struct Admin {
    url: String,
    http: Client,
}

#[derive(Deserialize)]
struct Armed {
    trace: String,
}

impl Admin {
    pub(super) fn at(url: &str) -> Result<Self, CommandError> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let message = format!("--admin {url}: expected an address as http://127.0.0.1:9090");
            return Err(CommandError::Usage(message));
        }
        let http = Client::builder().no_proxy().connect_timeout(CONNECT).read_timeout(PATIENCE);
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { url, http: http.build().map_err(CommandError::failed)? })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// `None`: nothing listens there, or not a Transom.
    pub(super) async fn status(&self) -> Option<StatusReport> {
        let request = self.http.get(format!("{}/status", self.url)).timeout(CONNECT);
        let reply = request.send().await.ok()?;
        reply.error_for_status().ok()?.json().await.ok()
    }

    pub(super) async fn explain(&self, asked: &Asked) -> Result<Explanation, CommandError> {
        let request = self.http.post(format!("{}/explain", self.url)).json(asked);
        let explanation = self.fetch(request).await?;
        explanation.ok_or_else(|| CommandError::Failed("no explanation came".to_owned()))
    }

    /// Waits for such a request.
    pub(super) async fn next(&self, wanted: Wanted) -> Result<Explanation, CommandError> {
        let within = Duration::from_secs(wanted.within.unwrap_or_default());
        let request = self.http.post(format!("{}/trace", self.url)).json(&wanted);
        let armed: Option<Armed> = self.fetch(request).await?;
        let Some(Armed { trace }) = armed else {
            return Err(CommandError::Failed("the trace was not taken".to_owned()));
        };
        eprintln!("waiting for the request, for up to {} s", within.as_secs());
        let until = Instant::now() + within + PATIENCE;
        while Instant::now() < until {
            let request = self.http.get(format!("{}/trace/{trace}?wait=10", self.url));
            if let Some(explanation) = self.fetch(request).await? {
                return Ok(explanation);
            }
        }
        Err(CommandError::Failed("the request came, and was not done in time".to_owned()))
    }

    /// One JSON value.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CommandError> {
        let request = self.http.get(format!("{}{path}", self.url));
        self.fetch(request).await?.ok_or_else(nothing)
    }

    /// The answer to what is to be changed.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CommandError> {
        let request = self.http.post(format!("{}{path}", self.url)).json(body);
        self.fetch(request).await?.ok_or_else(nothing)
    }

    /// The answer to lines of JSON.
    pub(super) async fn post_lines<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Body,
    ) -> Result<T, CommandError> {
        let request = self.http.post(format!("{}{path}", self.url)).body(body);
        // A long import is read to its end before the answer begins.
        let request = request.header("content-type", "application/x-ndjson").timeout(LONGEST);
        self.fetch(request).await?.ok_or_else(nothing)
    }

    /// JsonLines of JSON, as they come.
    pub(super) async fn lines(&self, path: &str) -> Result<JsonLines, CommandError> {
        let reply = self.send(self.http.get(format!("{}{path}", self.url))).await?;
        if !reply.status().is_success() {
            return Err(self.refusal(reply).await);
        }
        Ok(JsonLines { stream: Box::pin(reply.bytes_stream()), rest: Vec::new() })
    }

    /// `None`: accepted, and nothing yet.
    async fn fetch<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<Option<T>, CommandError> {
        let reply = self.send(request).await?;
        let status = reply.status();
        if status != StatusCode::ACCEPTED && !status.is_success() {
            return Err(self.refusal(reply).await);
        }
        let bytes =
            reply.bytes().await.map_err(|error| CommandError::failed(error.without_url()))?;
        if status == StatusCode::ACCEPTED && bytes.starts_with(b"{\"waiting\"") {
            return Ok(None);
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            CommandError::Failed(format!("{}: not the answer of a Transom: {error}", self.url))
        })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, CommandError> {
        request.send().await.map_err(|error| {
            // Its own text names the URL only.
            let why = if error.is_connect() { "nobody listens there" } else { "no answer" };
            CommandError::Failed(format!("{}: {why}; is it `[server] admin`?", self.url))
        })
    }

    /// What it says no with.
    async fn refusal(&self, reply: Response) -> CommandError {
        let status = reply.status();
        let told = reply.bytes().await.unwrap_or_default();
        let told: String = String::from_utf8_lossy(&told).chars().take(MAX_TOLD).collect();
        if status == StatusCode::UNPROCESSABLE_ENTITY {
            return CommandError::Usage(told.trim_end().to_owned());
        }
        // These say what is the matter by themselves.
        if matches!(status, StatusCode::CONFLICT | StatusCode::NOT_FOUND) {
            return CommandError::Failed(told.trim_end().to_owned());
        }
        CommandError::Failed(format!("{} answers {status}: {}", self.url, told.trim_end()))
    }
}

/// JsonLines of JSON that a running Transom is still sending.
pub(super) struct JsonLines {
    stream: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    rest: Vec<u8>,
}

impl JsonLines {
    /// The next, as it came.
    pub(super) async fn next(&mut self) -> Result<Option<Box<RawValue>>, CommandError> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return parse(&line).map(Some);
            }
            if self.rest.len() > LONGEST_LINE {
                return Err(CommandError::Failed("a line is too long".to_owned()));
            }
            match self.stream.next().await {
                Some(Ok(more)) => self.rest.extend_from_slice(&more),
                Some(Err(error)) => return Err(CommandError::failed(error.without_url())),
                None if self.rest.is_empty() => return Ok(None),
                None => return parse(&std::mem::take(&mut self.rest)).map(Some),
            }
        }
    }
}

fn parse(line: &[u8]) -> Result<Box<RawValue>, CommandError> {
    #[derive(Deserialize)]
    struct Failed {
        error: String,
    }
    if line.starts_with(b"{\"error\":")
        && let Ok(Failed { error }) = serde_json::from_slice(line)
    {
        return Err(CommandError::Failed(error));
    }
    serde_json::from_slice(line).map_err(CommandError::failed)
}

/// One segment of a path.
pub(super) fn segment(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, SEGMENT)
}

fn nothing() -> CommandError {
    CommandError::Failed("no answer came".to_owned())
}

const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');
const CONNECT: Duration = Duration::from_secs(5);
/// Longer than a running Transom takes for a piece of its answer.
const PATIENCE: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(3600);
const LONGEST_LINE: usize = 1 << 20;
const MAX_TOLD: usize = 500;
