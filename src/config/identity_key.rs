//! `key` of an identity: what the app's tokens are verified with.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretSlice};

use super::problem::Problem;
use super::secret::{file, outside, secret};
use super::server::web;
use super::tree::Value;
use super::{Algorithm, KeySource};

/// Keys, and the file to watch for newer ones.
pub(super) struct Found {
    pub(super) source: KeySource,
    pub(super) file: Option<PathBuf>,
}

pub(super) fn key(value: &Value<'_>, algorithms: &[Algorithm], weak: bool) -> Option<Found> {
    let table = value.table("`key`")?;
    let encoding = table.get("encoding");
    let source = table.one_of();
    table.finish();
    let source = source?;
    check_algorithms(value, source.key == "secret", algorithms);
    let file = ["jwks", "jwk", "public_key"].contains(&source.key).then(|| file(&source)).flatten();
    let source = match source.key {
        "secret" => shared_secret(&source, encoding.as_ref(), algorithms, weak),
        "jwks" => jwks(&source),
        "jwk" => outside(&source).map(KeySource::JwksText),
        "discovery" => discovery(&source),
        _ => public_key(&source),
    }?;
    Some(Found { source, file })
}

fn check_algorithms(key: &Value<'_>, shared: bool, algorithms: &[Algorithm]) {
    let hmac = algorithms.iter().find(|algorithm| is_hmac(**algorithm));
    let public = algorithms.iter().find(|algorithm| !is_hmac(**algorithm));
    match (hmac, public) {
        (Some(_), Some(_)) => {
            let problem =
                Problem::error(key.span.clone(), "HS and other algorithms in one identity");
            let label = "whoever knows the public key could sign with it as a secret";
            key.report(problem.label(label).help("make two identities of it"));
        }
        (None, Some(public)) if shared => {
            let message = format!("{public:?} needs a public key, not a secret");
            key.error::<()>(message, "expected `jwks` or `public_key`");
        }
        (Some(hmac), None) if !shared => {
            let message = format!("{hmac:?} needs a secret, not a public key");
            key.error::<()>(message, "expected `secret`");
        }
        _ => {}
    }
}

fn shared_secret(
    value: &Value<'_>,
    encoding: Option<&Value<'_>>,
    algorithms: &[Algorithm],
    weak: bool,
) -> Option<KeySource> {
    let decoders: &[(&str, Decode)] = &[("utf8", utf8), ("hex", hex), ("base64", base64)];
    let decode = match encoding {
        Some(encoding) => encoding.choice(decoders)?,
        None => utf8,
    };
    let text = secret(value)?;
    let is_text = encoding.is_none_or(|encoding| encoding.as_text() == Some("utf8"));
    if is_text && text.expose_secret().trim() != text.expose_secret() {
        let label = "they count: remove them where the issuer's secret has none";
        value.warn("this secret begins or ends with blanks or line breaks", label);
    }
    let Some(bytes) = decode(text.expose_secret()) else {
        return value.error("this secret does not have its `encoding`", "");
    };
    let hash = algorithms.iter().map(|algorithm| hash_bytes(*algorithm)).max().unwrap_or(0);
    if bytes.len() < hash {
        let message = format!("this secret has {} bytes, fewer than its hash", bytes.len());
        let wanted = format!("RFC 7518 asks for at least {hash}");
        if !weak {
            let help = "take a longer one, or add `allow_weak_keys = true` to the identity";
            value.report(Problem::error(value.span.clone(), message).label(wanted).help(help));
            return None;
        }
        value.warn(message, wanted);
    }
    Some(KeySource::Secret(SecretSlice::from(bytes)))
}

fn jwks(value: &Value<'_>) -> Option<KeySource> {
    if value.is_table() {
        return outside(value).map(KeySource::JwksText);
    }
    value.parse(|text| web(text).map(|_| KeySource::JwksUrl(text.to_owned())))
}

fn discovery(value: &Value<'_>) -> Option<KeySource> {
    if !value.bool()? {
        return value.error("`discovery` is there or not", "expected `true`");
    }
    Some(KeySource::Discovery)
}

fn public_key(value: &Value<'_>) -> Option<KeySource> {
    let pem = outside(value)?;
    if pem.contains("PRIVATE KEY") {
        value.reader.problems.hide(value.span.clone());
        let message = "this is a private key, which only the issuer should have";
        return value.error(message, "expected the public key that belongs to it");
    }
    Some(KeySource::PublicKey(pem))
}

/// Whether the algorithms are of the kind that this source has keys for.
pub(super) fn fits(source: &KeySource, algorithms: &[Algorithm]) -> bool {
    let shared = matches!(source, KeySource::Secret(_));
    !algorithms.is_empty() && algorithms.iter().all(|algorithm| is_hmac(*algorithm) == shared)
}

fn is_hmac(algorithm: Algorithm) -> bool {
    hash_bytes(algorithm) > 0
}

/// Of the HMAC; 0 for other algorithms.
fn hash_bytes(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS256 => 32,
        Algorithm::HS384 => 48,
        Algorithm::HS512 => 64,
        _ => 0,
    }
}

type Decode = fn(&str) -> Option<Vec<u8>>;

fn utf8(text: &str) -> Option<Vec<u8>> {
    Some(text.as_bytes().to_vec())
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| (*byte as char).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    text.trim().as_bytes().chunks(2).map(pair).collect()
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let alphabets = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD];
    alphabets.iter().find_map(|alphabet| alphabet.decode(text.trim()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        assert_eq!(hex("00ffA0"), Some(vec![0, 255, 160]));
        assert_eq!(hex("0"), None);
        assert_eq!(hex("+1"), None);
        assert_eq!(base64("_-8="), Some(vec![255, 239]));
        assert_eq!(base64("/+8"), Some(vec![255, 239]));
        assert_eq!(base64("?"), None);
    }
}
