//! Keys and signatures: the only place that knows `jsonwebtoken`, and `aws_lc_rs` for P-521, which that lacks.
//!
//! That crate is used for its signature checks alone. Its claim checks take the last of a repeated
//! member, pass a token that lacks the claim to be checked, and read the clock themselves.

use std::fmt;

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    ParsedPublicKey, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, RsaPublicKeyComponents, UnparsedPublicKey,
    VerificationAlgorithm,
};
// Named outright: the process-wide default panics where a host program's features leave it undefined.
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{DecodingKey, DecodingKeyKind};

use super::pem::{self, PublicKey};
use crate::auth::Algorithm;

/// A key that verifies signatures of one kind.
pub(super) struct Key {
    kind: Kind,
    inner: DecodingKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of this many bytes.
    Secret(usize),
    Rsa,
    /// Of 1024 to 2047 bits: too few.
    ShortRsa,
    P256,
    P384,
    P521,
    Ed25519,
}

impl Key {
    pub(super) fn secret(secret: &[u8]) -> Result<Self, &'static str> {
        if secret.is_empty() {
            return Err("the secret is empty");
        }
        Ok(Self::new(Kind::Secret(secret.len()), DecodingKey::from_secret(secret)))
    }

    /// An RSA, P-256, P-384, P-521 or Ed25519 key as SPKI, PKCS#1 or in an X.509 certificate, of which
    /// nothing but the key is looked at.
    pub(super) fn pem(text: &str) -> Result<Self, &'static str> {
        if text.contains("PRIVATE KEY-----") {
            return Err("this is a private key; only its public half belongs here");
        }
        match pem::public_key(text) {
            Some(PublicKey::Rsa(der)) => {
                let key = rsa::PublicKey::from_der(&der).map_err(|_| "not a valid RSA key")?;
                let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(&key);
                Self::rsa(&n, &e)
            }
            Some(PublicKey::Ec(point)) => {
                Self::p256(&point).or_else(|_| Self::p384(&point)).or_else(|_| Self::p521(&point))
            }
            Some(PublicKey::Ed25519(public)) => Self::ed25519(&public),
            None => Err(
                "not a PEM public key of a kind that is supported (RSA, P-256, P-384, P-521, Ed25519)",
            ),
        }
    }

    /// Modulus and exponent, big-endian.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Result<Self, &'static str> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        let kind = match bits {
            2048..=8192 => Kind::Rsa,
            1024..2048 => Kind::ShortRsa,
            _ => return Err("an RSA key must have 2048 to 8192 bits"),
        };
        // With exponent 1 anybody can sign; an even one is no RSA key.
        if e == [1] || e.last().is_none_or(|last| last % 2 == 0) {
            return Err("the RSA key's exponent is not a valid one");
        }
        Ok(Self::new(kind, DecodingKey::from_rsa_raw_components(n, e)))
    }

    /// An uncompressed point (SEC 1, section 2.3.3) on P-256.
    pub(super) fn p256(point: &[u8]) -> Result<Self, &'static str> {
        parses(&ECDSA_P256_SHA256_FIXED, point, NOT_A_POINT)?;
        Ok(Self::new(Kind::P256, DecodingKey::from_ec_der(point)))
    }

    /// An uncompressed point on P-384.
    pub(super) fn p384(point: &[u8]) -> Result<Self, &'static str> {
        parses(&ECDSA_P384_SHA384_FIXED, point, NOT_A_POINT)?;
        Ok(Self::new(Kind::P384, DecodingKey::from_ec_der(point)))
    }

    /// An uncompressed point on P-521.
    pub(super) fn p521(point: &[u8]) -> Result<Self, &'static str> {
        parses(&ECDSA_P521_SHA512_FIXED, point, NOT_A_POINT)?;
        Ok(Self::new(Kind::P521, DecodingKey::from_ec_der(point)))
    }

    /// The 32 bytes of RFC 8032, section 5.1.5.
    pub(super) fn ed25519(public: &[u8]) -> Result<Self, &'static str> {
        parses(&ED25519, public, "not an Ed25519 key")?;
        Ok(Self::new(Kind::Ed25519, DecodingKey::from_ed_der(public)))
    }

    fn new(kind: Kind, inner: DecodingKey) -> Self {
        Self { kind, inner }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether this kind of key signs with this algorithm.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::*;
        match self.kind {
            Kind::Secret(_) => matches!(algorithm, HS256 | HS384 | HS512),
            Kind::Rsa => matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
            Kind::ShortRsa => matches!(algorithm, RS256 | RS512),
            Kind::P256 => algorithm == ES256,
            Kind::P384 => algorithm == ES384,
            Kind::P521 => algorithm == ES512,
            Kind::Ed25519 => algorithm == EdDSA,
        }
    }

    pub(super) fn verifies(
        &self,
        algorithm: Algorithm,
        signed: &[u8],
        signature: &Vec<u8>,
    ) -> bool {
        if self.kind == Kind::ShortRsa {
            return self.verifies_short(algorithm, signed, signature);
        }
        if !self.fits(algorithm) {
            return false;
        }
        match names(algorithm).1 {
            Some(native) => (DEFAULT_PROVIDER.verifier_factory)(&native, &self.inner)
                .is_ok_and(|verifier| verifier.verify(signed, signature).is_ok()),
            None => self.inner.try_get_as_bytes().is_ok_and(|point| {
                let key = UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point);
                key.verify(signed, signature).is_ok()
            }),
        }
    }

    /// `jsonwebtoken` takes no keys of this size.
    fn verifies_short(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        let parameters = match algorithm {
            Algorithm::RS256 => &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
            Algorithm::RS512 => &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
            _ => return false,
        };
        match self.inner.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature).is_ok()
            }
            DecodingKeyKind::SecretOrDer(_) => false,
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        use DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
        match (self.inner.kind(), other.inner.kind()) {
            (SecretOrDer(a), SecretOrDer(b)) => self.kind == other.kind && a == b,
            (RsaModulusExponent { n, e }, RsaModulusExponent { n: m, e: f }) => (n, e) == (m, f),
            _ => false,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The name of an algorithm in `alg` (RFC 7518, section 3.1; RFC 8037, section 3.1).
pub(super) fn name(algorithm: Algorithm) -> &'static str {
    names(algorithm).0
}

pub(super) fn named(name: &str) -> Option<Algorithm> {
    ALL.into_iter().find(|algorithm| names(*algorithm).0 == name)
}

fn parses(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    complaint: &'static str,
) -> Result<(), &'static str> {
    ParsedPublicKey::new(algorithm, key).map(drop).map_err(|_| complaint)
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// Its name, and what `jsonwebtoken` calls it, if it has it.
fn names(algorithm: Algorithm) -> (&'static str, Option<jsonwebtoken::Algorithm>) {
    use jsonwebtoken::Algorithm as Native;
    let (name, native) = match algorithm {
        Algorithm::ES512 => return ("ES512", None),
        Algorithm::HS256 => ("HS256", Native::HS256),
        Algorithm::HS384 => ("HS384", Native::HS384),
        Algorithm::HS512 => ("HS512", Native::HS512),
        Algorithm::RS256 => ("RS256", Native::RS256),
        Algorithm::RS384 => ("RS384", Native::RS384),
        Algorithm::RS512 => ("RS512", Native::RS512),
        Algorithm::PS256 => ("PS256", Native::PS256),
        Algorithm::PS384 => ("PS384", Native::PS384),
        Algorithm::PS512 => ("PS512", Native::PS512),
        Algorithm::ES256 => ("ES256", Native::ES256),
        Algorithm::ES384 => ("ES384", Native::ES384),
        Algorithm::EdDSA => ("EdDSA", Native::EdDSA),
    };
    (name, Some(native))
}

const NOT_A_POINT: &str = "not a point on P-256, P-384 or P-521";

const ALL: [Algorithm; 13] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::ES512,
    Algorithm::EdDSA,
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::auth::testing::{self, Pair};

    #[test]
    fn one_signature_per_algorithm() {
        for algorithm in ALL {
            let token = testing::token(algorithm, &serde_json::json!({}));
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let key = key(algorithm);
            assert!(key.verifies(algorithm, signed.as_bytes(), &signature), "{algorithm:?}");
            assert!(!key.verifies(algorithm, b"other", &signature), "{algorithm:?}");
            for other in ALL.into_iter().filter(|other| *other != algorithm) {
                assert!(!key.verifies(other, signed.as_bytes(), &signature), "{algorithm:?}");
            }
        }
    }

    #[test]
    fn names_are_read_back() {
        for algorithm in ALL {
            assert_eq!(named(name(algorithm)), Some(algorithm));
        }
        for name in ["none", "None", "hs256", "ES521", "ES256K", ""] {
            assert_eq!(named(name), None);
        }
    }

    #[test]
    fn spki_pkcs1_and_certificate() {
        let kind = |algorithm| Key::pem(&testing::pair(algorithm).pem()).unwrap().kind();
        assert_eq!(kind(Algorithm::RS256), Kind::Rsa);
        assert_eq!(kind(Algorithm::ES256), Kind::P256);
        assert_eq!(kind(Algorithm::ES384), Kind::P384);
        assert_eq!(kind(Algorithm::ES512), Kind::P521);
        assert_eq!(Key::pem(P521).unwrap().kind(), Kind::P521);
        assert_eq!(kind(Algorithm::EdDSA), Kind::Ed25519);

        let pair = Pair::rsa();
        let pkcs1 = rsa::PublicKey::from_der(pair.spki()).unwrap();
        let pkcs1 = Key::pem(&testing::pem("RSA PUBLIC KEY", pkcs1.as_ref())).unwrap();
        assert!(pkcs1 == Key::pem(&pair.pem()).unwrap());

        assert!(Key::pem(CERTIFICATE).unwrap() == Key::pem(KEY_OF_CERTIFICATE).unwrap());
    }

    #[test]
    fn keys_that_are_refused() {
        for pem in [SECP256K1, "", "garbage", "-----BEGIN PUBLIC KEY-----\nAAAA\n"] {
            assert!(Key::pem(pem).is_err(), "{pem}");
        }
        let private = testing::pem("PRIVATE KEY", b"x");
        assert!(Key::pem(&private).unwrap_err().contains("private key"));
        assert!(Key::secret(b"").is_err());
    }

    #[test]
    fn a_short_rsa_key_is_known_as_one() {
        let key = Key::pem(RSA_1024).unwrap();
        assert_eq!(key.kind(), Kind::ShortRsa);
        let fits: Vec<_> = ALL.into_iter().filter(|algorithm| key.fits(*algorithm)).collect();
        assert_eq!(fits, [Algorithm::RS256, Algorithm::RS512]);
        let (token, _) = SIGNED_WITH_RSA_1024.rsplit_once('.').unwrap();
        let signature = SIGNED_WITH_RSA_1024.rsplit_once('.').unwrap().1;
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(key.verifies(Algorithm::RS256, token.as_bytes(), &signature));
        assert!(!key.verifies(Algorithm::RS512, token.as_bytes(), &signature));
        assert!(!key.verifies(Algorithm::RS256, b"other", &signature));
    }

    #[test]
    fn rsa_size_is_counted_in_bits_without_leading_zeros() {
        let n = |first: u8, bytes: usize| [vec![first], vec![0xff; bytes - 1]].concat();
        assert!(Key::rsa(&n(0x80, 256), &[1, 0, 1]).is_ok());
        assert!(Key::rsa(&[vec![0], n(0x80, 256)].concat(), &[1, 0, 1]).is_ok());
        for short in [n(0x7f, 256), [vec![0; 200], n(0xff, 128)].concat()] {
            assert_eq!(Key::rsa(&short, &[1, 0, 1]).unwrap().kind(), Kind::ShortRsa);
        }
        assert!(Key::rsa(&n(0x7f, 128), &[1, 0, 1]).is_err());
        assert!(Key::rsa(&n(0x80, 1025), &[1, 0, 1]).is_err());
        for e in [&[1][..], &[0, 1], &[2], &[0], &[]] {
            assert!(Key::rsa(&n(0x80, 256), e).is_err(), "{e:?}");
        }
    }

    #[test]
    fn shows_nothing() {
        let shown = format!("{:?}", Key::secret(b"hunter22").unwrap());
        assert_eq!(shown, "Key { kind: Secret(8), .. }");
    }

    fn key(algorithm: Algorithm) -> Key {
        match algorithm {
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
                Key::secret(&[7; 64]).unwrap()
            }
            _ => Key::pem(&testing::pair(algorithm).pem()).unwrap(),
        }
    }

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUJdk3M0c1ivp+PUbWVl1s7Idx5ucwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjIwOTM4MjNaGA8yMTI2MTAyOTA5Mzgy
M1owDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABL0k
Lrb7ZEcCFQRrkEerBtggHbsouXHMNsl+0qOhICZ35yEjmrqgaLQvSS3ToaG505kZ
iDM+c0k1ScVN3E4Pu76jUzBRMB0GA1UdDgQWBBRz2P+KOKfaIAsno7n6Ff3hC2ft
ODAfBgNVHSMEGDAWgBRz2P+KOKfaIAsno7n6Ff3hC2ftODAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIB5EkUBtwE7q38z25jXkU3duUQM9SHd9bmLu
UiJohdJ/AiEAjoM2mnCsURsShSbFcpsSUv6HQ2d0/rpAaM4g4jabqQY=
-----END CERTIFICATE-----
";
    const KEY_OF_CERTIFICATE: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEvSQutvtkRwIVBGuQR6sG2CAduyi5
ccw2yX7So6EgJnfnISOauqBotC9JLdOhobnTmRmIMz5zSTVJxU3cTg+7vg==
-----END PUBLIC KEY-----
";
    const SECP256K1: &str = "-----BEGIN PUBLIC KEY-----
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAESsvytcfzkFXe/dnNcQFAMko5Vijf45ke
oX+rdyNxLXtjtyAiFEZnxkfK6kZ/aI7PwCbRlX1MJtlPSEzXGTPo1Q==
-----END PUBLIC KEY-----
";
    const P521: &str = "-----BEGIN PUBLIC KEY-----
MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAKKo2JZbYdYE+0pylEec3DEw4+/Hp
5gxnJcuH0Zs7j6CLH5jmH54aUEXU1jFCgH9EGXj+LDYxDZrHGZoI7yr0H8sBtq7L
uCWLsfx0/Q73NFIelntNw4hcprfTDUo2qLTSA+/v2fCScjjg+P2Jb+ek+NT7VZUN
so6ERf36HOVeODEUOi0=
-----END PUBLIC KEY-----
";
    const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCdqsbP51Dvz8jIj3JLx1mTIkJK
LIpQhcgXCzbZ8DiNVbyV88UlHN/meDZV9fnnKl26koXpfUbVAC0o5b2N6Vdgnefx
mgiBLI9GroYr1JSjuB6hvbUwCrHeF8ImSt2zIMA0kwnnOCuWRq/Zw2/Q65oIJAiN
XxHzRj/+2e9pvtulsQIDAQAB
-----END PUBLIC KEY-----
";
    const SIGNED_WITH_RSA_1024: &str = "short.rsa.FTCUzkkUQjjcO_gh-v52GQCLncc4ANFCP23jBtiBd9iij\
        -kTLgJQjvrNL8JuN4WteIGinnnUvvCT9cUDKnK1W7PicGscMirAuM1d32nu6Ao9VyNlR4_UKmj4U4APxw37SLMzLvCf\
        zZ7RlPTTHCzrjjpH8jL3aTvIHBsu7sXWPnQ";
}
