//! Who signs tokens, and what is asked of them: parsed and checked.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;

/// One issuer of the app's own JWTs.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) tokens: Vec<TokenPlace>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) key: KeySource,
    /// Where `key` was read from; it is read again when the file changes.
    pub(crate) key_file: Option<PathBuf>,
    /// Keys that a verifier should refuse count all the same: short secrets, RSA from 1024 bits, JWKs
    /// whose `use` is not `sig`.
    pub(crate) allow_weak_keys: bool,
    pub(crate) issuer: Option<String>,
    /// Empty: not checked.
    pub(crate) audience: Vec<String>,
    pub(crate) require: Vec<(String, serde_json::Value)>,
    pub(crate) leeway: Duration,
    /// What the header's `typ` must be.
    pub(crate) typ: Option<String>,
    /// The longest life that a token may have.
    pub(crate) max_life: Option<Duration>,
    pub(crate) user: ClaimPath,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenPlace {
    Bearer,
    Scheme(String),
    Cookie(String),
    Header(HeaderName),
    Query(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

#[derive(Debug, Clone)]
pub(crate) enum KeySource {
    /// The raw bytes of a shared secret, already decoded (base64 here only to keep it printable-safe).
    Secret(secrecy::SecretSlice<u8>),
    /// A PEM public key.
    PublicKey(String),
    JwksUrl(String),
    /// The JWKS document itself, or one JWK, already read from its file.
    JwksText(String),
    /// Where the issuer's own metadata say (OpenID Connect Discovery 1.0, section 4).
    Discovery,
}

/// A claim by name, or by JSON pointer when it starts with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimPath(pub(crate) String);
