//! One identity, ready to verify.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Extensions;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::compact::Compact;
use super::file::{self, FileKeys};
use super::jwks::{Address, Jwks, Timing};
use super::keys::{Demands, KeySet, Verdict};
use super::tell::{self, Demand, Tell};
use super::{Caller, Refusal, claims, jwt, places};
use crate::auth::{Algorithm, Identity, KeySource};

#[derive(Debug)]
pub(super) struct Verifier {
    identity: Identity,
    name: Arc<str>,
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    Fixed(KeySet),
    Watched(FileKeys),
    /// Also by the verifier that takes this one's place after a reload.
    Fetched(Arc<Jwks>),
}

/// Whether an identity can be used, as far as that can be told without the network.
///
/// The error is a sentence for the operator that names the identity.
pub(crate) fn validate(identity: &Identity) -> Result<(), String> {
    Source::of(identity).map(drop).map_err(|why| complaint(identity, &why))
}

impl Verifier {
    /// `store`: the folder in which fetched keys are kept.
    pub(super) fn start(identity: &Identity, store: Option<&Path>) -> Result<Self, String> {
        Self::launch(identity, Timing::default(), file::EVERY, store)
    }

    #[cfg(test)]
    pub(super) fn start_with(identity: &Identity, timing: Timing) -> Result<Self, String> {
        Self::launch(identity, timing, file::EVERY, None)
    }

    #[cfg(test)]
    pub(super) fn start_watching(identity: &Identity, every: Duration) -> Result<Self, String> {
        Self::launch(identity, Timing::default(), every, None)
    }

    fn launch(
        identity: &Identity,
        timing: Timing,
        every: Duration,
        store: Option<&Path>,
    ) -> Result<Self, String> {
        let keys = Source::of(identity).and_then(|source| match (source, &identity.key_file) {
            (Source::Keys(keys), Some(file)) => {
                let read = reader(identity);
                FileKeys::watch(&identity.name, file, keys, read, every).map(Keys::Watched)
            }
            (Source::Keys(keys), None) => Ok(Keys::Fixed(keys)),
            (Source::Remote(address), _) => {
                Jwks::start(&identity.name, address, &demands(identity), timing, store)
                    .map(|jwks| Keys::Fetched(Arc::new(jwks)))
            }
        });
        let keys = keys.map_err(|why| complaint(identity, &why))?;
        Ok(Self::with(identity, keys))
    }

    /// The same identity under another configuration, with the keys that were fetched for it. `None` if
    /// it has none that would be fetched and chosen as these were.
    pub(super) fn renewed(&self, identity: &Identity) -> Option<Self> {
        let Keys::Fetched(jwks) = &self.keys else { return None };
        let before = Source::of(&self.identity).ok()?.address()?;
        let now = Source::of(identity).ok()?.address()?;
        let same = identity.name == self.identity.name
            && now == before
            && demands(identity) == demands(&self.identity);
        same.then(|| Self::with(identity, Keys::Fetched(Arc::clone(jwks))))
    }

    fn with(identity: &Identity, keys: Keys) -> Self {
        warn_of_what_is_not_checked(identity);
        Self { name: identity.name.as_str().into(), identity: identity.clone(), keys }
    }

    /// Whether there are keys, and whether fetching them failed last. Configured keys are always there.
    pub(super) fn health(&self) -> (bool, bool) {
        match &self.keys {
            Keys::Fixed(_) | Keys::Watched(_) => (true, false),
            Keys::Fetched(jwks) => jwks.health(),
        }
    }

    /// Which version of its keys is in use: what was verified with another one proves nothing any more.
    pub(super) fn generation(&self) -> u64 {
        match &self.keys {
            Keys::Fixed(_) => 0,
            Keys::Watched(file) => file.changes(),
            Keys::Fetched(jwks) => jwks.changes(),
        }
    }

    /// Waits for keys that are being fetched, for a few seconds at most.
    pub(super) async fn ready(&self) {
        if let Keys::Fetched(jwks) = &self.keys {
            // Whether they came or not, the next request will find out.
            let _ = jwks.keys().await;
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The token that this identity is to judge.
    pub(super) fn find<'a>(
        &self,
        request: &'a http::request::Parts,
    ) -> Result<Option<Cow<'a, [u8]>>, Refusal> {
        tell::of_places(request, &self.identity);
        places::find(request, &self.identity.tokens)
            .map_err(|why| Refusal::invalid(why).of(&self.name))
    }

    /// Whether the token, unverified, claims to come from this identity's configured issuer: good
    /// for choosing whom to ask first, and for nothing else.
    pub(super) fn is_named_by(&self, token: &[u8]) -> bool {
        self.identity.issuer.is_some()
            && text(token)
                .and_then(Compact::parse)
                .and_then(|token| token.claims())
                .is_ok_and(|claims| claims::check_issuer(&self.identity, &claims).is_ok())
    }

    /// `now` in Unix seconds.
    pub(super) async fn verify(
        &self,
        token: &[u8],
        now: u64,
        extensions: &Extensions,
    ) -> Result<Caller, Refusal> {
        let tell = Tell { extensions, identity: &self.name };
        self.judge(token, now, tell).await.map_err(|refusal| refusal.of(&self.name))
    }

    async fn judge(&self, token: &[u8], now: u64, tell: Tell<'_>) -> Result<Caller, Refusal> {
        let parsed = text(token).and_then(Compact::parse).map_err(Refusal::invalid);
        let token = tell.check("form", parsed, || {
            Demand::made("wants a signed JWT of three parts".to_owned())
        })?;
        tell.check("typ", claims::check_typ(&self.identity, token.typ.as_deref()), || {
            let has = token.typ.as_deref().unwrap_or("none");
            match &self.identity.typ {
                None => Demand::none("any type is taken"),
                Some(wanted) => Demand::made(format!("wants {wanted:?}, the token has {has:?}")),
            }
        })?;
        let algorithm = tell.check("alg", self.algorithm(&token), || {
            let allowed: Vec<_> = self.identity.algorithms.iter().map(|a| jwt::name(*a)).collect();
            Demand::made(format!("wants {}, the token has {:?}", allowed.join(" or "), token.alg))
        })?;
        let claims = token.claims().map_err(Refusal::invalid)?;
        // Before any key is asked for: somebody else's token is no reason to fetch keys, and is not
        // good either way.
        tell.check("iss", claims::check_issuer(&self.identity, &claims), || {
            tell::of_claim("iss", &self.identity, &claims, now)
        })?;
        tell.check("signature", self.check_signature(&token, algorithm).await, || {
            let kid = token.kid.as_ref();
            let key = kid.map_or("no key named".to_owned(), |kid| format!("key {kid:?}"));
            Demand::made(format!("{}, {key}", jwt::name(algorithm)))
        })?;
        self.caller(claims, now, tell)
    }

    /// The token's algorithm, if the configuration allows it.
    fn algorithm(&self, token: &Compact<'_>) -> Result<Algorithm, Refusal> {
        let mut allowed = self.identity.algorithms.iter().copied();
        allowed
            .find(|algorithm| jwt::name(*algorithm) == token.alg)
            .ok_or_else(|| Refusal::invalid("the token's `alg` is not among the configured ones"))
    }

    async fn check_signature(
        &self,
        token: &Compact<'_>,
        algorithm: Algorithm,
    ) -> Result<(), Refusal> {
        let verdict = match &self.keys {
            Keys::Fixed(keys) => keys.verify(token, algorithm),
            Keys::Watched(file) => file.keys().verify(token, algorithm),
            Keys::Fetched(jwks) => {
                jwks.verify(token, algorithm).await.map_err(Refusal::keys_unavailable)?
            }
        };
        match verdict {
            Verdict::Good => Ok(()),
            Verdict::Forged => Err(Refusal::invalid("the signature is wrong")),
            Verdict::Unknown => Err(Refusal::invalid("no known key has signed the token")),
        }
    }

    fn caller(&self, claims: Value, now: u64, tell: Tell<'_>) -> Result<Caller, Refusal> {
        let accepted = claims::check(&self.identity, &claims, now, &|name, result| {
            tell.check(name, result, || tell::of_claim(name, &self.identity, &claims, now))
        })?;
        Ok(Caller {
            identity: self.name.clone(),
            user: accepted.user.into(),
            claims,
            expires: accepted.expires,
        })
    }
}

fn text(token: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(token).map_err(|_| "the token is not text".to_owned())
}

/// Where the keys are, found to fit the algorithms as far as they are known.
enum Source {
    Keys(KeySet),
    Remote(Address),
}

impl Source {
    fn of(identity: &Identity) -> Result<Self, String> {
        let algorithms = &identity.algorithms;
        let is_hs = |algorithm: &Algorithm| jwt::name(*algorithm).starts_with("HS");
        if algorithms.is_empty() {
            return Err("`algorithms` is empty".to_owned());
        }
        if algorithms.iter().any(is_hs) && !algorithms.iter().all(is_hs) {
            let why = "`algorithms` mixes HS (shared secret) with public-key ones, so that whoever \
                       knows the public key could sign; use one `[[identity]]` for each";
            return Err(why.to_owned());
        }
        let demands = &demands(identity);
        match &identity.key {
            KeySource::Secret(secret) => KeySet::secret(secret.expose_secret(), demands),
            KeySource::PublicKey(pem) => KeySet::public_key(pem, demands),
            KeySource::JwksText(text) => KeySet::jwks(text.as_bytes(), demands),
            KeySource::JwksUrl(url) => return Address::keys(url).map(Self::Remote),
            KeySource::Discovery => {
                let issuer = identity.issuer.as_deref().ok_or("`discovery` wants an `issuer`")?;
                return Address::issuer(issuer).map(Self::Remote);
            }
        }
        .map(Self::Keys)
    }

    fn address(self) -> Option<Address> {
        match self {
            Self::Keys(_) => None,
            Self::Remote(address) => Some(address),
        }
    }
}

/// Makes keys of a newer version of the file.
fn reader(identity: &Identity) -> file::Read {
    let demands = demands(identity);
    match identity.key {
        KeySource::PublicKey(_) => Box::new(move |text| KeySet::public_key(text, &demands)),
        _ => Box::new(move |text| KeySet::jwks(text.as_bytes(), &demands)),
    }
}

fn demands(identity: &Identity) -> Demands {
    Demands { algorithms: identity.algorithms.clone(), weak: identity.allow_weak_keys }
}

fn complaint(identity: &Identity, why: &str) -> String {
    format!("identity `{}`: {why}", identity.name)
}

fn warn_of_what_is_not_checked(identity: &Identity) {
    let name = identity.name.as_str();
    if identity.issuer.is_none() {
        tracing::warn!(identity = name, "no `issuer` is configured: `iss` is not checked");
    }
    if identity.audience.is_empty() {
        tracing::warn!(
            identity = name,
            "no `audience` is configured: tokens made for other services are accepted"
        );
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::auth::testing;

    #[tokio::test]
    async fn fetched_keys_pass_on_to_the_same_identity_alone() {
        let at = |url: &str| Identity {
            key: KeySource::JwksUrl(url.to_owned()),
            ..testing::identity("app", Algorithm::ES256)
        };
        // Nobody listens there.
        let url = "http://127.0.0.1:9/keys";
        let before = Verifier::start(&at(url), None).unwrap();
        let Keys::Fetched(keys) = &before.keys else { panic!("not fetched") };
        let narrower = Identity { audience: vec!["other".to_owned()], ..at(url) };
        let after = before.renewed(&narrower).unwrap();
        assert!(matches!(&after.keys, Keys::Fetched(same) if Arc::ptr_eq(same, keys)));
        assert_eq!(after.identity.audience, ["other"]);
        for other in [
            at("http://127.0.0.1:9/others"),
            Identity { name: "other".to_owned(), ..at(url) },
            Identity { algorithms: vec![Algorithm::RS256], ..at(url) },
            Identity { allow_weak_keys: true, ..at(url) },
            testing::identity("app", Algorithm::ES256),
        ] {
            assert!(before.renewed(&other).is_none(), "{other:?}");
        }
    }
}
