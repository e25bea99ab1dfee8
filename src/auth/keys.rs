//! The keys of one identity.

use serde::Deserialize;
use serde_json::Value;

use super::compact::Compact;
use super::jwk::Jwk;
use super::jwt::{self, Key, Kind};
use crate::config::Algorithm;

/// Keys that fit the algorithms of an identity; at least one.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Entry>,
    /// A set has keys with names; a secret or a PEM file is one key whatever the token calls it.
    named: bool,
}

#[derive(Debug)]
struct Entry {
    kid: Option<String>,
    /// The one algorithm that the key is bound to.
    alg: Option<Algorithm>,
    key: Key,
}

/// What a set of keys says of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    /// The key that the token names did not sign it.
    Forged,
    /// No key of the set is the signer's; a newer set may have it.
    Unknown,
}

impl KeySet {
    /// Errors of these constructors are half a sentence, about the key.
    pub(super) fn secret(secret: &[u8], algorithms: &[Algorithm]) -> Result<Self, String> {
        if secret.starts_with(b"-----BEGIN ") {
            let why = "the secret is a PEM file; a public key is configured as `public_key`, with \
                       an algorithm that is not HS";
            return Err(why.to_owned());
        }
        Self::one(Key::secret(secret)?, algorithms)
    }

    pub(super) fn public_key(pem: &str, algorithms: &[Algorithm]) -> Result<Self, String> {
        Self::one(Key::pem(pem)?, algorithms)
    }

    fn one(key: Key, algorithms: &[Algorithm]) -> Result<Self, String> {
        if let Some(odd) = algorithms.iter().find(|algorithm| !key.fits(**algorithm)) {
            let (kind, odd) = (described(key.kind()), jwt::name(*odd));
            return Err(format!("{kind} does not verify {odd}"));
        }
        warn_if_short(&key, algorithms);
        Ok(Self { keys: vec![Entry { kid: None, alg: None, key }], named: false })
    }

    /// Reads a JWK set (RFC 7517, section 5). Keys that are of no use here are left out; a set without
    /// any other is an error, and so is one that mixes secrets and public keys, for there a public
    /// key may be taken for a secret.
    pub(super) fn jwks(text: &[u8], algorithms: &[Algorithm]) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("the JWK set is longer than {MAX_BYTES} bytes"));
        }
        let set: Set = serde_json::from_slice(text).map_err(|error| {
            format!("not a JWK set (line {}, column {})", error.line(), error.column())
        })?;
        if set.keys.len() > MAX_KEYS {
            return Err(format!("the JWK set has more than {MAX_KEYS} keys"));
        }
        let jwks: Vec<Jwk> =
            set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect();
        if jwks.iter().any(Jwk::is_secret) && !jwks.iter().all(Jwk::is_secret) {
            return Err("the JWK set mixes shared secrets and public keys".to_owned());
        }
        let mut keys: Vec<Entry> = Vec::with_capacity(jwks.len());
        for (index, jwk) in jwks.into_iter().enumerate() {
            match jwk.key() {
                Ok((key, alg)) => {
                    let entry = Entry { kid: jwk.kid, alg, key };
                    if algorithms.iter().any(|algorithm| entry.fits(*algorithm)) {
                        warn_if_short(&entry.key, algorithms);
                        keys.push(entry);
                    }
                }
                Err(why) => tracing::debug!(index, why, "a key of the JWK set is left out"),
            }
        }
        let ambiguous: Vec<bool> =
            keys.iter().map(|one| keys.iter().any(|other| one.contradicts(other))).collect();
        if ambiguous.contains(&true) {
            tracing::warn!("the JWK set has different keys of one `kid`; none of them is used");
        }
        let mut ambiguous = ambiguous.into_iter();
        keys.retain(|_| ambiguous.next() == Some(false));
        if keys.is_empty() {
            return Err("the JWK set has no usable key for the configured algorithms".to_owned());
        }
        Ok(Self { keys, named: true })
    }

    /// `algorithm` is the token's, found to be among the configured ones.
    ///
    /// A `kid` is matched as a whole and never interpreted; a token without one may be any key's.
    pub(super) fn verify(&self, token: &Compact<'_>, algorithm: Algorithm) -> Verdict {
        let kid = token.kid.as_ref().filter(|_| self.named);
        let mut candidates = self
            .keys
            .iter()
            .filter(|entry| entry.fits(algorithm) && (kid.is_none() || entry.kid.as_ref() == kid))
            .peekable();
        let nobody = candidates.peek().is_none();
        if candidates.any(|entry| entry.key.verifies(algorithm, token.signed, &token.signature)) {
            Verdict::Good
        } else if nobody || kid.is_none() {
            Verdict::Unknown
        } else {
            Verdict::Forged
        }
    }
}

impl Entry {
    fn fits(&self, algorithm: Algorithm) -> bool {
        self.key.fits(algorithm) && self.alg.is_none_or(|alg| alg == algorithm)
    }

    /// Whether a token that names the one might mean the other.
    fn contradicts(&self, other: &Self) -> bool {
        let same_kind =
            std::mem::discriminant(&self.key.kind()) == std::mem::discriminant(&other.key.kind());
        let same_alg = self.alg.is_none() || other.alg.is_none() || self.alg == other.alg;
        self.kid.is_some()
            && self.kid == other.kid
            && same_kind
            && same_alg
            && self.key != other.key
    }
}

/// RFC 7518, section 3.2 wants a secret at least as long as the hash; legacy apps have shorter ones.
fn warn_if_short(key: &Key, algorithms: &[Algorithm]) {
    let Kind::Secret(length) = key.kind() else { return };
    for algorithm in algorithms.iter().filter(|algorithm| length < hash_length(**algorithm)) {
        let (algorithm, wanted) = (jwt::name(*algorithm), hash_length(*algorithm));
        tracing::warn!(
            "a shared secret has {length} bytes; {algorithm} wants at least {wanted}: \
             a short one can be found by trying"
        );
    }
}

fn hash_length(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS256 => 32,
        Algorithm::HS384 => 48,
        Algorithm::HS512 => 64,
        _ => 0,
    }
}

fn described(kind: Kind) -> &'static str {
    match kind {
        Kind::Secret(_) => "a shared secret",
        Kind::Rsa => "an RSA key",
        Kind::P256 => "a P-256 key",
        Kind::P384 => "a P-384 key",
        Kind::Ed25519 => "an Ed25519 key",
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

pub(super) const MAX_BYTES: usize = 256 * 1024;
const MAX_KEYS: usize = 100;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::testing::{self, Pair};

    #[test]
    fn a_kid_is_matched_as_a_whole() {
        let keys = set(&[key().jwk(&json!({"kid": "a"}))]).unwrap();
        assert_eq!(verdict(&keys, &json!({"alg": "ES256", "kid": "a"})), Verdict::Good);
        for kid in ["A", "a ", "", "aa", "../a"] {
            let header = json!({"alg": "ES256", "kid": kid});
            assert_eq!(verdict(&keys, &header), Verdict::Unknown, "{kid}");
        }
        assert_eq!(verdict(&keys, &json!({"alg": "ES256"})), Verdict::Good);
    }

    #[test]
    fn a_forged_signature_is_told_from_an_unknown_key() {
        let other = Pair::ec(Algorithm::ES256);
        let keys = set(&[other.jwk(&json!({"kid": "a"}))]).unwrap();
        assert_eq!(verdict(&keys, &json!({"alg": "ES256", "kid": "a"})), Verdict::Forged);
        assert_eq!(verdict(&keys, &json!({"alg": "ES256"})), Verdict::Unknown);
    }

    #[test]
    fn a_single_key_has_no_name() {
        let keys = KeySet::public_key(&key().pem(), &[Algorithm::ES256]).unwrap();
        assert_eq!(verdict(&keys, &json!({"alg": "ES256", "kid": "any"})), Verdict::Good);
    }

    #[test]
    fn keys_for_other_purposes_are_left_out() {
        for odd in [
            json!({"use": "enc"}),
            json!({"key_ops": ["encrypt"]}),
            json!({"key_ops": []}),
            json!({"alg": "ES384"}),
            json!({"alg": "ECDH-ES"}),
            json!({"crv": "P-384"}),
            json!({"crv": "secp256k1"}),
            json!({"kty": "RSA"}),
            json!({"x": "AA"}),
            json!({"x": 1}),
            json!({"kid": 7}),
        ] {
            assert!(set(&[key().jwk(&odd)]).is_err(), "{odd}");
            let with_good = set(&[key().jwk(&odd), key().jwk(&json!({"kid": "a"}))]).unwrap();
            assert_eq!(with_good.keys.len(), 1);
        }
        for fine in [json!({"use": "sig", "alg": "ES256"}), json!({"key_ops": ["sign", "verify"]})]
        {
            assert!(set(&[key().jwk(&fine)]).is_ok(), "{fine}");
        }
    }

    #[test]
    fn different_keys_of_one_kid_are_not_used() {
        let named = |pair: &Pair| pair.jwk(&json!({"kid": "a"}));
        let other = Pair::ec(Algorithm::ES256);
        assert!(set(&[named(key()), named(&other)]).is_err());
        assert!(set(&[named(key()), named(key())]).is_ok());
        assert!(set(&[named(key()), named(testing::pair(Algorithm::ES384))]).is_ok());
        let unnamed = [key().jwk(&json!({})), other.jwk(&json!({}))];
        assert_eq!(set(&unnamed).unwrap().keys.len(), 2);
    }

    #[test]
    fn secrets_and_public_keys_do_not_mix() {
        let secret = testing::pair(Algorithm::HS256).jwk(&json!({}));
        assert!(set(&[secret.clone(), key().jwk(&json!({}))]).unwrap_err().contains("mixes"));
        let text = json!({"keys": [secret]}).to_string();
        assert!(KeySet::jwks(text.as_bytes(), &[Algorithm::HS256]).is_ok());
    }

    #[test]
    fn a_set_is_bounded() {
        let many = |count| set(&vec![key().jwk(&json!({})); count]);
        assert!(many(100).is_ok());
        assert!(many(101).unwrap_err().contains("100"));
        let long = format!(r#"{{"x":"{}","keys":[]}}"#, "x".repeat(MAX_BYTES));
        assert!(KeySet::jwks(long.as_bytes(), &[Algorithm::ES256]).unwrap_err().contains("longer"));
    }

    #[test]
    fn not_a_set() {
        for text in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[1,null]}"#, r#"{"keys":[]}"#] {
            assert!(KeySet::jwks(text.as_bytes(), &[Algorithm::ES256]).is_err(), "{text}");
        }
    }

    fn set(keys: &[Value]) -> Result<KeySet, String> {
        let text = json!({ "keys": keys }).to_string();
        KeySet::jwks(text.as_bytes(), &[Algorithm::ES256, Algorithm::ES384])
    }

    fn verdict(keys: &KeySet, header: &Value) -> Verdict {
        let token = key().sign(Algorithm::ES256, header, &json!({}));
        keys.verify(&Compact::parse(&token).unwrap(), Algorithm::ES256)
    }

    fn key() -> &'static Pair {
        testing::pair(Algorithm::ES256)
    }
}
