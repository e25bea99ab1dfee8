//! One JSON Web Key (RFC 7517) and what it is good for.

use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::jwt::{self, Key};
use crate::auth::Algorithm;

/// A key as it is written. Members that don't matter to verification are ignored.
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    pub(super) kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

impl Jwk {
    pub(super) fn is_secret(&self) -> bool {
        self.kty == "oct"
    }

    /// The key, and the one algorithm that it is bound to, if it is. The error says why it doesn't
    /// verify signatures here.
    ///
    /// `any_use`: what `use` and `key_ops` say doesn't count.
    pub(super) fn key(&self, any_use: bool) -> Result<(Key, Option<Algorithm>), &'static str> {
        if !any_use {
            self.is_for_signatures()?;
        }
        let key = self.raw()?;
        let alg = match &self.alg {
            None => None,
            Some(alg) => {
                let fits = jwt::named(alg).filter(|algorithm| key.fits(*algorithm));
                Some(fits.ok_or("its `alg` does not belong to its kind")?)
            }
        };
        Ok((key, alg))
    }

    fn is_for_signatures(&self) -> Result<(), &'static str> {
        if self.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return Err("its `use` is not `sig`");
        }
        if self.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify")) {
            return Err("its `key_ops` lack `verify`");
        }
        Ok(())
    }

    fn raw(&self) -> Result<Key, &'static str> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("oct", _) => Key::secret(&member(self.k.as_ref())?),
            ("RSA", _) => Key::rsa(&member(self.n.as_ref())?, &member(self.e.as_ref())?),
            ("EC", Some("P-256")) => Key::p256(&self.point(32)?),
            ("EC", Some("P-384")) => Key::p384(&self.point(48)?),
            ("EC", Some("P-521")) => Key::p521(&self.point(66)?),
            ("OKP", Some("Ed25519")) => Key::ed25519(&member(self.x.as_ref())?),
            _ => Err("its kind is not supported (oct, RSA, P-256, P-384, P-521, Ed25519)"),
        }
    }

    /// Coordinates are as long as the curve wants, leading zeros included (RFC 7518, section 6.2.1.2).
    fn point(&self, length: usize) -> Result<Vec<u8>, &'static str> {
        let (x, y) = (member(self.x.as_ref())?, member(self.y.as_ref())?);
        if x.len() != length || y.len() != length {
            return Err("its coordinates have the wrong length");
        }
        Ok([&[UNCOMPRESSED], x.as_slice(), y.as_slice()].concat())
    }
}

fn member(text: Option<&String>) -> Result<Vec<u8>, &'static str> {
    let text = text.ok_or("it lacks a member of its kind")?;
    FORGIVING.decode(text).map_err(|_| "it is not base64url")
}

/// Issuers are forgiven padding and stray bits at the end; tokens are not.
const FORGIVING: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
/// SEC 1, section 2.3.3.
const UNCOMPRESSED: u8 = 4;
