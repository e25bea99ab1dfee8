//! One fetch of a JWK set.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderMap, StatusCode};
use url::Url;

use crate::auth::keys::{self, KeySet};
use crate::config::Algorithm;

#[derive(Debug)]
pub(super) struct Fetcher {
    client: reqwest::Client,
    url: Url,
    algorithms: Vec<Algorithm>,
}

#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) keys: Arc<KeySet>,
    /// How long the issuer allows the set to be kept.
    pub(super) max_age: Option<Duration>,
}

impl Fetcher {
    pub(super) fn new(url: Url, algorithms: &[Algorithm], limit: Duration) -> Result<Self, String> {
        // A redirect would let the keys come from a host that nobody configured.
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(limit)
            .timeout(limit)
            .build()
            .map_err(|error| format!("the HTTP client can't be built: {}", told(error)))?;
        Ok(Self { client, url, algorithms: algorithms.to_vec() })
    }

    /// The error says what went wrong, without the URL, which may hold credentials.
    pub(super) async fn fetch(&self) -> Result<Fetched, String> {
        let request = self.client.get(self.url.clone()).header(ACCEPT, "application/json");
        let mut response = request.send().await.map_err(told)?;
        if response.status() != StatusCode::OK {
            return Err(format!("the answer is {}, not 200", response.status().as_u16()));
        }
        let max_age = max_age(response.headers());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(told)? {
            if body.len() + chunk.len() > keys::MAX_BYTES {
                return Err(format!("the answer is longer than {} bytes", keys::MAX_BYTES));
            }
            body.extend_from_slice(&chunk);
        }
        let keys = Arc::new(KeySet::jwks(&body, &self.algorithms)?);
        Ok(Fetched { keys, max_age })
    }
}

/// RFC 9111, section 5.2.2.1.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).find_map(|directive| {
        let (name, value) = directive.trim().split_once('=')?;
        let is_max_age = name.eq_ignore_ascii_case("max-age");
        is_max_age.then(|| value.trim_matches('"').parse().ok().map(Duration::from_secs))?
    })
}

/// The error with its causes: reqwest keeps what matters ("connection refused") in them.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_max_age() {
        let of =
            |value: &str| max_age(&HeaderMap::from_iter([(CACHE_CONTROL, value.parse().unwrap())]));
        assert_eq!(of("public, Max-Age=600"), Some(Duration::from_secs(600)));
        assert_eq!(of("max-age=\"7\", must-revalidate"), Some(Duration::from_secs(7)));
        for value in ["no-store", "s-maxage=5", "max-age", "max-age=-1", "max-age=x"] {
            assert_eq!(of(value), None, "{value}");
        }
    }
}
