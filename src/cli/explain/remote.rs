//! Asking a running Transom, at its admin address.

use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cli::store::CommandError;
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
        let http = Client::builder().no_proxy().timeout(PATIENCE).build();
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { url, http: http.map_err(CommandError::failed)? })
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

    /// `None`: accepted, and nothing yet.
    async fn fetch<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<Option<T>, CommandError> {
        let reply = request.send().await.map_err(|error| {
            // Its own text names the URL only.
            let why = if error.is_connect() { "nobody listens there" } else { "no answer" };
            CommandError::Failed(format!("{}: {why}; is it `[server] admin`?", self.url))
        })?;
        let status = reply.status();
        let bytes =
            reply.bytes().await.map_err(|error| CommandError::failed(error.without_url()))?;
        match status {
            StatusCode::ACCEPTED if bytes.starts_with(b"{\"waiting\"") => Ok(None),
            status if status.is_success() => {
                let parsed = serde_json::from_slice(&bytes);
                parsed.map(Some).map_err(|error| {
                    CommandError::Failed(format!(
                        "{}: not the answer of a Transom: {error}",
                        self.url
                    ))
                })
            }
            status => {
                let told = String::from_utf8_lossy(&bytes);
                let told: String = told.chars().take(MAX_TOLD).collect();
                let message = format!("{} answers {status}: {}", self.url, told.trim_end());
                Err(CommandError::Failed(message))
            }
        }
    }
}

/// Longer than a running Transom takes to answer.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_TOLD: usize = 500;
