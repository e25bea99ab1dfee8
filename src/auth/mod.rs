//! Who is asking: the app's own JWT, found, verified and read.
//!
//! A token is found by `places`, taken apart by `compact`, its signature checked by `keys` (with the
//! cryptography of `jwt`), and its claims by `claims`. `verifier` puts these together for one identity.
//! Keys that live at a URL are kept fresh by `jwks`, those of a file by `file`; tokens already verified are remembered by `cache`.

mod assumed;
mod cache;
mod claims;
mod compact;
mod file;
mod identity;
#[cfg(test)]
mod interop;
pub(crate) mod json;
mod jwk;
mod jwks;
mod jwt;
mod keys;
mod pem;
mod places;
#[cfg(test)]
mod speed;
mod tell;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
mod verifier;

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;

use self::cache::{TokenCache, Verified};
use self::tell::Tell;
use self::verifier::Verifier;
use crate::reason::Reason;
use crate::trail::{Finding, Trail};

pub(crate) use self::assumed::{Assumed, as_if_signed};
pub(crate) use self::identity::{Algorithm, ClaimPath, Identity, KeySource, TokenPlace};
pub(crate) use self::verifier::validate;

/// Verifies the app's tokens. One per engine; cheap to share behind an `Arc`.
#[derive(Debug)]
pub(crate) struct Authenticator {
    verifiers: Arc<[Verifier]>,
    /// `None`: each token is verified, and none is remembered.
    cache: Option<TokenCache>,
}

/// Somebody whose token is good.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Name of the identity that vouches for the token.
    pub(crate) identity: Arc<str>,
    /// The user claim as text.
    pub(crate) user: Arc<str>,
    pub(crate) claims: serde_json::Value,
    /// `exp`, in Unix seconds. (A token without `exp` is refused.)
    pub(crate) expires: u64,
}

/// Why nobody was recognised: `token_missing`, `token_invalid`, `token_expired` or
/// `keys_unavailable`, with a detail for the log that never holds a part of the token.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

impl Authenticator {
    /// Reads keys; JWKS from URLs are fetched in the background on the current tokio runtime.
    ///
    /// The error is a sentence for the operator that names the identity.
    /// Fetched sets are kept in the folder `store`, if one is given.
    pub(crate) fn start(identities: &[Identity], store: Option<&Path>) -> Result<Self, String> {
        let start = |identity| Verifier::start(identity, store);
        let verifiers = identities.iter().map(start).collect::<Result<_, _>>()?;
        Ok(Self { verifiers, cache: Some(TokenCache::new()) })
    }

    /// For the identities of another configuration. Keys that were fetched serve on, also while their
    /// server is away; tokens are verified anew.
    pub(crate) fn renewed(&self, identities: &[Identity], store: &Path) -> Result<Self, String> {
        let renew = |identity| {
            let before = self.verifiers.iter().find_map(|before| before.renewed(identity));
            before.map_or_else(|| Verifier::start(identity, Some(store)), Ok)
        };
        let verifiers = identities.iter().map(renew).collect::<Result<_, _>>()?;
        Ok(Self { verifiers, cache: Some(TokenCache::new()) })
    }

    /// The same identities and keys, without what is remembered of tokens.
    pub(crate) fn forgetful(&self) -> Self {
        Self { verifiers: Arc::clone(&self.verifiers), cache: None }
    }

    /// Waits until every identity has keys or can't have them now: a few seconds at most.
    pub(crate) async fn ready(&self) {
        join_all(self.verifiers.iter().map(Verifier::ready)).await;
    }

    /// Of each identity: its name, whether it has keys, and whether fetching them failed last.
    pub(crate) fn health(&self) -> impl Iterator<Item = (&str, bool, bool)> {
        self.verifiers.iter().map(|verifier| {
            let (known, failing) = verifier.health();
            (verifier.name(), known, failing)
        })
    }

    /// `only`: names of the identities that count; empty means all.
    ///
    /// Where several identities find a token, the one whose `issuer` the token names is asked first,
    /// the others in the order of the configuration.
    pub(crate) async fn authenticate(
        &self,
        request: &http::request::Parts,
        only: &[String],
    ) -> Result<Arc<Caller>, Refusal> {
        self.authenticate_at(unix_now(), request, only).await
    }

    async fn authenticate_at(
        &self,
        now: u64,
        request: &http::request::Parts,
        only: &[String],
    ) -> Result<Arc<Caller>, Refusal> {
        let mut refusal: Option<Refusal> = None;
        let mut refused = |other: Refusal| {
            refusal = Some(match refusal.take() {
                Some(refusal) => refusal.or(other),
                None => other,
            });
        };
        let (mut first, mut others) = (None, Vec::new());
        for (index, verifier) in self.verifiers.iter().enumerate() {
            let tell = Tell { extensions: &request.extensions, identity: verifier.name() };
            if !counts(verifier, only) {
                tell.says("identity", Finding::Told, "does not count for this route (`identity`)");
                continue;
            }
            match verifier.find(request) {
                Ok(Some(token)) if first.is_none() => first = Some((index, verifier, token)),
                Ok(Some(token)) => others.push((index, verifier, token)),
                Ok(None) => {}
                Err(other) => refused(other),
            }
        }
        if !others.is_empty() {
            others.splice(0..0, first.take());
            others.sort_by_key(|(_, verifier, token)| !verifier.is_named_by(token));
            tell_of_order(request, &others);
        }
        for (index, verifier, token) in first.into_iter().chain(others) {
            // Taken before the keys are: what an older set vouched for is never found under a newer one.
            let generation = verifier.generation();
            let verified = Verified { identity: index, generation, token: &token };
            if let Some(caller) = self.cache.as_ref().and_then(|cache| cache.get(verified, now)) {
                let tell = Tell { extensions: &request.extensions, identity: verifier.name() };
                tell.says("remembered", Finding::Yes, "this token was found good a moment ago");
                return Ok(caller);
            }
            // Boxed, since it is rare, and would be a part of every view otherwise.
            match Box::pin(verifier.verify(&token, now, &request.extensions)).await {
                Ok(caller) => {
                    let caller = Arc::new(caller);
                    if let Some(cache) = &self.cache {
                        cache.insert(verified, &caller, now);
                    }
                    return Ok(caller);
                }
                Err(other) => refused(other),
            }
        }
        Err(refusal.unwrap_or_else(Refusal::missing))
    }
}

fn counts(verifier: &Verifier, only: &[String]) -> bool {
    only.is_empty() || only.iter().any(|name| name == verifier.name())
}

fn tell_of_order<T>(request: &http::request::Parts, found: &[(usize, &Verifier, T)]) {
    Trail::step(&request.extensions, "identity", || {
        let names: Vec<_> = found.iter().map(|(_, verifier, _)| verifier.name()).collect();
        let order = names.join("`, `");
        (
            Finding::Told,
            format!("several have a token; the one that its `iss` names first: `{order}`"),
        )
    });
}

/// Where an identity looks for tokens, in words.
pub(crate) fn places(identity: &Identity) -> impl Iterator<Item = String> {
    identity.tokens.iter().map(tell::name)
}

impl Refusal {
    pub(crate) fn missing() -> Self {
        Self { reason: Reason::TokenMissing, detail: "no configured place holds a token".into() }
    }

    fn invalid(detail: impl Into<String>) -> Self {
        Self { reason: Reason::TokenInvalid, detail: detail.into() }
    }

    fn expired() -> Self {
        Self { reason: Reason::TokenExpired, detail: "the token is past its `exp`".into() }
    }

    fn keys_unavailable(detail: impl Into<String>) -> Self {
        Self { reason: Reason::KeysUnavailable, detail: detail.into() }
    }

    /// The same refusal, saying which identity it comes from.
    fn of(self, identity: &str) -> Self {
        Self { detail: format!("identity `{identity}`: {}", self.detail), ..self }
    }

    /// The one that tells more; `self` if they tell as much.
    fn or(self, other: Self) -> Self {
        if other.telling() > self.telling() { other } else { self }
    }

    /// An identity that could not know might have said yes, so its refusal comes before any no.
    fn telling(&self) -> u8 {
        match self.reason {
            Reason::KeysUnavailable => 3,
            Reason::TokenExpired => 2,
            Reason::TokenInvalid => 1,
            _ => 0,
        }
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
