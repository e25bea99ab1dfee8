//! One fetch of a JWK set.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::{ACCEPT, CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use crate::auth::keys::{self, Demands, KeySet};
use crate::reason::causes;

/// What a set is fetched from. Tests have others than [`Fetcher`].
pub(super) trait Origin: Send + 'static {
    /// The error says what went wrong, without the URL, which may hold credentials.
    fn fetch(&mut self) -> BoxFuture<'_, Result<Fetched, String>>;
}

#[derive(Debug, Clone)]
pub(super) struct Fetched {
    pub(super) keys: Arc<KeySet>,
    /// The set as it came.
    pub(super) text: Arc<[u8]>,
    /// How long the issuer allows the set to be kept.
    pub(super) max_age: Option<Duration>,
}

/// Where the keys of an identity are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::auth) enum Address {
    Keys(Url),
    /// The issuer's metadata name the URL of its keys (OpenID Connect Discovery 1.0, section 4).
    Issuer {
        issuer: String,
        metadata: Url,
    },
}

#[derive(Debug)]
pub(super) struct Fetcher {
    client: reqwest::Client,
    address: Address,
    demands: Demands,
    discovered: Option<(Url, Instant)>,
    /// The last set that came with an ETag, and that.
    tagged: Option<(HeaderValue, Fetched)>,
}

impl Address {
    pub(in crate::auth) fn keys(url: &str) -> Result<Self, String> {
        web(url, "the JWKS URL").map(Self::Keys)
    }

    pub(in crate::auth) fn issuer(issuer: &str) -> Result<Self, String> {
        let url = web(issuer, "the issuer")?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err("the issuer's URL has more than a path, so it has no metadata".to_owned());
        }
        let metadata = format!("{}{METADATA}", issuer.trim_end_matches('/'));
        let metadata = web(&metadata, "the issuer")?;
        Ok(Self::Issuer { issuer: issuer.to_owned(), metadata })
    }

    pub(super) fn url(&self) -> &Url {
        match self {
            Self::Keys(url) | Self::Issuer { metadata: url, .. } => url,
        }
    }
}

impl Fetcher {
    pub(super) fn new(
        address: Address,
        demands: &Demands,
        limit: Duration,
    ) -> Result<Self, String> {
        // A redirect would let the keys come from a host that nobody configured.
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(limit)
            .timeout(limit)
            .build()
            .map_err(|error| format!("the HTTP client can't be built: {}", told(error)))?;
        Ok(Self { client, address, demands: demands.clone(), discovered: None, tagged: None })
    }

    async fn set(&mut self) -> Result<Fetched, String> {
        let url = self.keys_url().await?;
        let mut request = self.client.get(url).header(ACCEPT, "application/json");
        if let Some((etag, _)) = &self.tagged {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let response = request.send().await.map_err(told)?;
        let max_age = max_age(response.headers());
        if response.status() == StatusCode::NOT_MODIFIED
            && let Some((_, last)) = &self.tagged
        {
            return Ok(Fetched { max_age, ..last.clone() });
        }
        let etag = response.headers().get(ETAG).cloned();
        let text = body(response).await?;
        let keys = Arc::new(KeySet::jwks(&text, &self.demands)?);
        let fetched = Fetched { keys, text: text.into(), max_age };
        self.tagged = etag.map(|etag| (etag, fetched.clone()));
        Ok(fetched)
    }

    async fn keys_url(&mut self) -> Result<Url, String> {
        let (issuer, metadata) = match &self.address {
            Address::Keys(url) => return Ok(url.clone()),
            Address::Issuer { issuer, metadata } => (issuer, metadata),
        };
        if let Some((url, since)) = &self.discovered
            && since.elapsed() < REDISCOVER
        {
            return Ok(url.clone());
        }
        let request = self.client.get(metadata.clone()).header(ACCEPT, "application/json");
        let text = body(request.send().await.map_err(told)?)
            .await
            .map_err(|error| format!("the issuer's metadata: {error}"))?;
        let url = keys_url(&text, issuer, metadata.scheme())?;
        self.discovered = Some((url.clone(), Instant::now()));
        // An ETag belongs to one URL.
        self.tagged = None;
        Ok(url)
    }
}

impl Origin for Fetcher {
    fn fetch(&mut self) -> BoxFuture<'_, Result<Fetched, String>> {
        Box::pin(async {
            let fetched = self.set().await;
            if fetched.is_err() {
                // The keys may have moved.
                self.discovered = None;
            }
            fetched
        })
    }
}

/// `jwks_uri` of the metadata, which must be those of the issuer (section 4.3). Keys of an https
/// issuer don't come by http.
fn keys_url(metadata: &[u8], issuer: &str, scheme: &str) -> Result<Url, String> {
    let metadata: Metadata = serde_json::from_slice(metadata)
        .map_err(|_| "the issuer's metadata lack `issuer` or `jwks_uri`".to_owned())?;
    if metadata.issuer != issuer {
        return Err("the issuer's metadata are those of another issuer".to_owned());
    }
    let url = web(&metadata.jwks_uri, "`jwks_uri` of the issuer's metadata")?;
    match (scheme, url.scheme()) {
        ("https", "http") => Err("`jwks_uri` of the issuer's metadata is not https".to_owned()),
        _ => Ok(url),
    }
}

async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    if response.status() != StatusCode::OK {
        return Err(format!("the answer is {}, not 200", response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(told)? {
        if body.len() + chunk.len() > keys::MAX_BYTES {
            return Err(format!("the answer is longer than {} bytes", keys::MAX_BYTES));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn web(url: &str, what: &str) -> Result<Url, String> {
    let url = Url::parse(url).map_err(|error| format!("{what} can't be read: {error}"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(format!("{what} is neither https nor http")),
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
    causes(&error.without_url())
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

const METADATA: &str = "/.well-known/openid-configuration";
const REDISCOVER: Duration = Duration::from_secs(24 * 60 * 60);

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

    #[test]
    fn metadata_are_where_the_issuer_is() {
        let of = |issuer: &str| Address::issuer(issuer).map(|address| address.url().to_string());
        let wanted = "https://id.example/.well-known/openid-configuration";
        assert_eq!(of("https://id.example").as_deref(), Ok(wanted));
        assert_eq!(of("https://id.example/").as_deref(), Ok(wanted));
        let wanted = "https://id.example/realms/a/.well-known/openid-configuration";
        assert_eq!(of("https://id.example/realms/a").as_deref(), Ok(wanted));
        for odd in ["my-app", "", "file:///etc", "https://id.example/?a", "https://id.example/#a"] {
            assert!(of(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn metadata_of_another_issuer_are_not_believed() {
        let url = |issuer: &str, jwks_uri: &str| {
            let text = serde_json::json!({"issuer": issuer, "jwks_uri": jwks_uri}).to_string();
            keys_url(text.as_bytes(), "https://id.example", "https").map(|url| url.to_string())
        };
        let keys = "https://keys.example/jwks";
        assert_eq!(url("https://id.example", keys).as_deref(), Ok(keys));
        for (issuer, jwks_uri) in [
            ("https://id.example/", keys),
            ("https://other.example", keys),
            ("https://id.example", "http://keys.example/jwks"),
            ("https://id.example", "/jwks"),
            ("https://id.example", "file:///etc/passwd"),
        ] {
            assert!(url(issuer, jwks_uri).is_err(), "{issuer} {jwks_uri}");
        }
        assert!(keys_url(b"{}", "https://id.example", "https").is_err());
    }
}
