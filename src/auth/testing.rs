//! Keys, tokens and identities for tests.

use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use serde_json::{Value, json};

use crate::auth::{Algorithm, ClaimPath, Identity, KeySource, TokenPlace};

/// A key pair of the kind that an algorithm wants.
pub(crate) struct Pair {
    private: Private,
    /// Public half as a JWK without `kid`; for HS the secret.
    jwk: Value,
    /// SPKI; for HS empty.
    spki: Vec<u8>,
}

/// `jsonwebtoken` has no P-521.
enum Private {
    Native(EncodingKey),
    P521(EcdsaKeyPair),
}

/// The pair that all tests use with this algorithm.
pub(crate) fn pair(algorithm: Algorithm) -> &'static Pair {
    static SECRET: LazyLock<Pair> = LazyLock::new(|| Pair::secret(SECRET_BYTES));
    static RSA: LazyLock<Pair> = LazyLock::new(Pair::rsa);
    static P256: LazyLock<Pair> = LazyLock::new(|| Pair::ec(Algorithm::ES256));
    static P384: LazyLock<Pair> = LazyLock::new(|| Pair::ec(Algorithm::ES384));
    static P521: LazyLock<Pair> = LazyLock::new(|| Pair::ec(Algorithm::ES512));
    static ED: LazyLock<Pair> = LazyLock::new(Pair::ed25519);
    match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => &SECRET,
        Algorithm::ES256 => &P256,
        Algorithm::ES384 => &P384,
        Algorithm::ES512 => &P521,
        Algorithm::EdDSA => &ED,
        _ => &RSA,
    }
}

/// Accepts bearer tokens of [`pair`] with `sub`, and nothing more is asked of them.
pub(crate) fn identity(name: &str, algorithm: Algorithm) -> Identity {
    let key = match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
            KeySource::Secret(SECRET_BYTES.to_vec().into())
        }
        _ => KeySource::PublicKey(pair(algorithm).pem()),
    };
    Identity {
        name: name.into(),
        tokens: vec![TokenPlace::Bearer],
        algorithms: vec![algorithm],
        key,
        key_file: None,
        allow_weak_keys: false,
        issuer: None,
        audience: Vec::new(),
        require: Vec::new(),
        leeway: Duration::ZERO,
        typ: None,
        max_life: None,
        user: ClaimPath("sub".into()),
    }
}

/// A token signed by [`pair`].
pub(crate) fn token(algorithm: Algorithm, claims: &Value) -> String {
    pair(algorithm).sign(algorithm, &json!({"alg": format!("{algorithm:?}")}), claims)
}

impl Pair {
    pub(crate) fn secret(secret: &[u8]) -> Self {
        Self {
            private: Private::Native(EncodingKey::from_secret(secret)),
            jwk: json!({"kty": "oct", "k": encode(secret)}),
            spki: Vec::new(),
        }
    }

    pub(crate) fn rsa() -> Self {
        let pair = RsaPair::generate(KeySize::Rsa2048).expect("an RSA key");
        let private: Pkcs8V1Der<'_> = pair.as_der().expect("PKCS#8");
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("SPKI");
        let RsaPublicKeyComponents { n, e } =
            RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        let pem = pem("PRIVATE KEY", private.as_ref());
        Self {
            private: Private::Native(
                EncodingKey::from_rsa_pem(pem.as_bytes()).expect("a private key"),
            ),
            jwk: json!({"kty": "RSA", "n": encode(&n), "e": encode(&e)}),
            spki: spki.as_ref().to_vec(),
        }
    }

    pub(crate) fn ec(algorithm: Algorithm) -> Self {
        let (signing, crv, length) = match algorithm {
            Algorithm::ES256 => (&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256", 32),
            Algorithm::ES512 => (&ECDSA_P521_SHA512_FIXED_SIGNING, "P-521", 66),
            _ => (&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384", 48),
        };
        let pair = EcdsaKeyPair::generate(signing).expect("an EC key");
        let (x, y) = pair.public_key().as_ref()[1..].split_at(length);
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("SPKI");
        let (jwk, spki) = (
            json!({"kty": "EC", "crv": crv, "x": encode(x), "y": encode(y)}),
            spki.as_ref().to_vec(),
        );
        let private = match algorithm {
            Algorithm::ES512 => Private::P521(pair),
            _ => {
                let pkcs8 = pair.to_pkcs8v1().expect("PKCS#8");
                Private::Native(EncodingKey::from_ec_der(pkcs8.as_ref()))
            }
        };
        Self { private, jwk, spki }
    }

    pub(crate) fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().expect("an Ed25519 key");
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("SPKI");
        Self {
            private: Private::Native(EncodingKey::from_ed_der(
                pair.to_pkcs8().expect("PKCS#8").as_ref(),
            )),
            jwk: json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())}),
            spki: spki.as_ref().to_vec(),
        }
    }

    /// The public half with more members.
    pub(crate) fn jwk(&self, more: &Value) -> Value {
        let mut jwk = self.jwk.clone();
        let more = more.as_object().expect("an object").clone();
        jwk.as_object_mut().expect("an object").extend(more);
        jwk
    }

    pub(crate) fn pem(&self) -> String {
        pem("PUBLIC KEY", &self.spki)
    }

    pub(crate) fn spki(&self) -> &[u8] {
        &self.spki
    }

    pub(crate) fn sign(&self, algorithm: Algorithm, header: &Value, claims: &Value) -> String {
        self.sign_text(algorithm, &header.to_string(), &claims.to_string())
    }

    /// Signs whatever header and claims, JSON or not.
    pub(crate) fn sign_text(&self, algorithm: Algorithm, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
        let signature = match &self.private {
            Private::P521(pair) => {
                let signature = pair.sign(&SystemRandom::new(), signed.as_bytes());
                signature.expect("a signature").as_ref().to_vec()
            }
            Private::Native(key) => {
                let native = format!("{algorithm:?}").parse().expect("an algorithm");
                let signer = (DEFAULT_PROVIDER.signer_factory)(&native, key).expect("a signer");
                signer.try_sign(signed.as_bytes()).expect("a signature")
            }
        };
        format!("{signed}.{}", encode(&signature))
    }
}

pub(crate) fn pem(tag: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .filter_map(|start| text.get(start..text.len().min(start + 64)))
        .collect();
    format!("-----BEGIN {tag}-----\n{}\n-----END {tag}-----\n", lines.join("\n"))
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

const SECRET_BYTES: &[u8] = &[7; 64];
