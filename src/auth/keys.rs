//! The keys of one identity.

use serde::Deserialize;
use serde_json::Value;

use super::compact::Compact;
use super::jwk::Jwk;
use super::jwt::{self, Key, Kind};
use crate::auth::Algorithm;

/// What an identity asks of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Demands {
    pub(super) algorithms: Vec<Algorithm>,
    /// Keys that are too weak, or meant for something else, count all the same.
    pub(super) weak: bool,
}

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
    pub(super) fn secret(secret: &[u8], demands: &Demands) -> Result<Self, String> {
        if secret.starts_with(b"-----BEGIN ") {
            let why = "the secret is a PEM file; a public key is configured as `public_key`, with \
                       an algorithm that is not HS";
            return Err(why.to_owned());
        }
        Self::one(Key::secret(secret)?, demands)
    }

    pub(super) fn public_key(pem: &str, demands: &Demands) -> Result<Self, String> {
        Self::one(Key::pem(pem)?, demands)
    }

    fn one(key: Key, demands: &Demands) -> Result<Self, String> {
        let entry = Entry { kid: None, alg: None, key };
        if let Some(why) = entry.weakness(demands)
            && !demands.weak
        {
            return Err(why);
        }
        if let Some(odd) = demands.algorithms.iter().find(|algorithm| !entry.key.fits(**algorithm))
        {
            let (kind, odd) = (described(entry.key.kind()), jwt::name(*odd));
            return Err(format!("{kind} does not verify {odd}"));
        }
        Ok(Self { keys: vec![entry], named: false })
    }

    /// Reads a JWK set (RFC 7517, section 5), or one JWK. Keys that are of no use here are left out; a
    /// set without any other is an error, and so is one that mixes secrets and public keys, for there
    /// a public key may be taken for a secret.
    pub(super) fn jwks(text: &[u8], demands: &Demands) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("the JWK set is longer than {MAX_BYTES} bytes"));
        }
        let not_jwks = |error: serde_json::Error| {
            format!("not a JWK set (line {}, column {})", error.line(), error.column())
        };
        let value: Value = serde_json::from_slice(text).map_err(not_jwks)?;
        let single = value.get("kty").is_some() && value.get("keys").is_none();
        let set = match single {
            true => Set { keys: vec![value] },
            false => serde_json::from_value(value).map_err(not_jwks)?,
        };
        if set.keys.len() > MAX_KEYS {
            return Err(format!("the JWK set has more than {MAX_KEYS} keys"));
        }
        let jwks: Vec<Jwk> =
            set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect();
        if jwks.iter().any(Jwk::is_secret) && !jwks.iter().all(Jwk::is_secret) {
            return Err("the JWK set mixes shared secrets and public keys".to_owned());
        }
        let mut keys: Vec<Entry> = Vec::with_capacity(jwks.len());
        let mut left_out = None;
        for (index, jwk) in jwks.into_iter().enumerate() {
            let entry = match jwk.key(demands.weak) {
                Ok((key, alg)) => Entry { kid: jwk.kid, alg, key }.checked(demands),
                Err(why) => Err(why.to_owned()),
            };
            match entry {
                Ok(entry) => keys.push(entry),
                Err(why) => {
                    tracing::debug!(index, why, "a key of the JWK set is left out");
                    left_out.get_or_insert(why);
                }
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
            let why = left_out.map(|why| format!(": {why}")).unwrap_or_default();
            return Err(format!(
                "the JWK set has no usable key for the configured algorithms{why}"
            ));
        }
        let named = !single || keys.iter().any(|entry| entry.kid.is_some());
        Ok(Self { keys, named })
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
    fn checked(self, demands: &Demands) -> Result<Self, String> {
        if !demands.algorithms.iter().any(|algorithm| self.fits(*algorithm)) {
            return Err(format!("{} of no configured algorithm", described(self.key.kind())));
        }
        match self.weakness(demands) {
            Some(why) if !demands.weak => Err(why),
            _ => Ok(self),
        }
    }

    /// RFC 7518, sections 3.2 and 3.3: a secret at least as long as the hash, RSA from 2048 bits.
    fn weakness(&self, demands: &Demands) -> Option<String> {
        let length = match self.key.kind() {
            Kind::Secret(length) => length,
            Kind::ShortRsa => return Some("an RSA key of fewer than 2048 bits".to_owned()),
            _ => return None,
        };
        let fitting = demands.algorithms.iter().filter(|algorithm| self.fits(**algorithm));
        let short = fitting.into_iter().find(|algorithm| length < hash_length(**algorithm))?;
        let (name, wanted) = (jwt::name(*short), hash_length(*short));
        Some(format!("a shared secret of {length} bytes; {name} wants at least {wanted}"))
    }

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
        Kind::Rsa | Kind::ShortRsa => "an RSA key",
        Kind::P256 => "a P-256 key",
        Kind::P384 => "a P-384 key",
        Kind::P521 => "a P-521 key",
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
        let keys = KeySet::public_key(&key().pem(), &demands(&[Algorithm::ES256])).unwrap();
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
        assert!(KeySet::jwks(text.as_bytes(), &demands(&[Algorithm::HS256])).is_ok());
    }

    #[test]
    fn one_jwk_is_a_key() {
        let one = |jwk: &Value| {
            KeySet::jwks(jwk.to_string().as_bytes(), &demands(&[Algorithm::ES256])).unwrap()
        };
        let header = |kid: &str| json!({"alg": "ES256", "kid": kid});
        let named = one(&key().jwk(&json!({"kid": "a"})));
        assert_eq!(verdict(&named, &header("a")), Verdict::Good);
        assert_eq!(verdict(&named, &header("b")), Verdict::Unknown);
        assert_eq!(verdict(&one(&key().jwk(&json!({}))), &header("b")), Verdict::Good);
    }

    #[test]
    fn weak_keys_count_where_the_operator_says_so() {
        use Algorithm::{ES256, HS256, HS512, RS256};
        let oct = |bytes: usize| Pair::secret(&vec![7; bytes]).jwk(&json!({})).to_string();
        let other_use = key().jwk(&json!({"use": "enc"})).to_string();
        let short = r#"{"kty":"RSA","e":"AQAB","n":""#.to_owned() + &"_".repeat(171) + "\"}";
        for (jwk, algorithms, why) in [
            (oct(31), [HS256].as_slice(), "31 bytes"),
            (oct(63), &[HS256, HS512], "HS512"),
            (other_use, &[ES256], "`use`"),
            (short, &[RS256], "fewer than 2048 bits"),
        ] {
            let with = |weak: bool| {
                let demands = Demands { algorithms: algorithms.to_vec(), weak };
                KeySet::jwks(jwk.as_bytes(), &demands)
            };
            let refused = with(false).unwrap_err();
            assert!(refused.contains(why), "{refused}");
            assert!(with(true).is_ok(), "{jwk}");
        }
        let secret = |weak| {
            KeySet::secret(b"too short", &Demands { algorithms: vec![HS256], weak }).map(drop)
        };
        assert!(secret(false).unwrap_err().contains("9 bytes"));
        assert_eq!(secret(true), Ok(()));
    }

    #[test]
    fn a_set_is_bounded() {
        let many = |count| set(&vec![key().jwk(&json!({})); count]);
        assert!(many(100).is_ok());
        assert!(many(101).unwrap_err().contains("100"));
        let long = format!(r#"{{"x":"{}","keys":[]}}"#, "x".repeat(MAX_BYTES));
        assert!(
            KeySet::jwks(long.as_bytes(), &demands(&[Algorithm::ES256]))
                .unwrap_err()
                .contains("longer")
        );
    }

    #[test]
    fn not_a_set() {
        for text in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[1,null]}"#, r#"{"keys":[]}"#] {
            assert!(
                KeySet::jwks(text.as_bytes(), &demands(&[Algorithm::ES256])).is_err(),
                "{text}"
            );
        }
    }

    fn set(keys: &[Value]) -> Result<KeySet, String> {
        let text = json!({ "keys": keys }).to_string();
        KeySet::jwks(text.as_bytes(), &demands(&[Algorithm::ES256, Algorithm::ES384]))
    }

    fn demands(algorithms: &[Algorithm]) -> Demands {
        Demands { algorithms: algorithms.to_vec(), weak: false }
    }

    fn verdict(keys: &KeySet, header: &Value) -> Verdict {
        let token = key().sign(Algorithm::ES256, header, &json!({}));
        keys.verify(&Compact::parse(&token).unwrap(), Algorithm::ES256)
    }

    fn key() -> &'static Pair {
        testing::pair(Algorithm::ES256)
    }
}
