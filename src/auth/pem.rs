//! Public keys in PEM files (RFC 7468): SPKI, PKCS#1, or in an X.509 certificate. Pure.
//!
//! Of a certificate only the key is read. Its signature and its dates are not checked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A public key that says what it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PublicKey {
    /// `RSAPublicKey` (RFC 8017, appendix A.1.1).
    Rsa(Vec<u8>),
    /// A point of a curve (RFC 5480, section 2.2).
    Ec(Vec<u8>),
    /// RFC 8410, section 4.
    Ed25519(Vec<u8>),
}

/// The key in the first block of a file.
pub(super) fn public_key(text: &str) -> Option<PublicKey> {
    let (label, der) = block(text)?;
    match label {
        "RSA PUBLIC KEY" => Some(PublicKey::Rsa(der)),
        "PUBLIC KEY" => of_spki(Der(&der).sequence()?),
        "CERTIFICATE" => of_certificate(Der(&der).sequence()?),
        _ => None,
    }
}

/// Its label and its content.
fn block(text: &str) -> Option<(&str, Vec<u8>)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (content, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let content: String = content.split_ascii_whitespace().collect();
    Some((label, STANDARD.decode(content).ok()?))
}

/// `Certificate`, and in it `TBSCertificate` (RFC 5280, section 4.1).
fn of_certificate(mut certificate: Der<'_>) -> Option<PublicKey> {
    let mut content = certificate.sequence()?;
    // A certificate of version 1 does not say so.
    let _version = content.next(VERSION);
    let (serial, algorithm) = (content.next(INTEGER), content.next(SEQUENCE));
    let (issuer, validity, subject) =
        (content.next(SEQUENCE), content.next(SEQUENCE), content.next(SEQUENCE));
    [serial, algorithm, issuer, validity, subject].iter().all(Option::is_some).then_some(())?;
    of_spki(content.sequence()?)
}

/// `SubjectPublicKeyInfo` (RFC 5280, section 4.1).
fn of_spki(mut spki: Der<'_>) -> Option<PublicKey> {
    let algorithm = spki.sequence()?.next(OBJECT_IDENTIFIER)?;
    // The first byte counts the bits that are left over at the end; keys have whole bytes.
    let key = spki.next(BIT_STRING)?.strip_prefix(&[0])?.to_vec();
    match algorithm {
        RSA_ENCRYPTION => Some(PublicKey::Rsa(key)),
        EC_PUBLIC_KEY => Some(PublicKey::Ec(key)),
        ED25519 => Some(PublicKey::Ed25519(key)),
        _ => None,
    }
}

/// Values that follow each other (X.690, section 8.1, in the distinguished form of section 10).
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn sequence(&mut self) -> Option<Self> {
        self.next(SEQUENCE).map(Self)
    }

    /// The content of the next value, if it is of this kind.
    fn next(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (first, rest) = self.0.strip_prefix(&[tag])?.split_first()?;
        let (length, rest) = match first {
            ..=0x7f => (usize::from(*first), rest),
            // One to four bytes: no key is longer than that.
            0x81..=0x84 => {
                let (length, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
                (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// 1.2.840.113549.1.1.1
const RSA_ENCRYPTION: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
/// 1.2.840.10045.2.1
const EC_PUBLIC_KEY: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";
/// 1.3.101.112
const ED25519: &[u8] = b"\x2b\x65\x70";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jsonwebtoken::DecodingKey;
    use proptest::prelude::*;

    use super::*;
    use crate::auth::testing::{pair, pem};
    use crate::config::Algorithm;

    #[test]
    fn the_key_of_a_certificate_of_version_1() {
        let key = public_key(CERTIFICATE);
        assert!(matches!(key, Some(PublicKey::Ec(_))));
        assert_eq!(key, public_key(KEY_OF_CERTIFICATE));
    }

    #[test]
    fn text_around_a_block_is_no_part_of_it() {
        let text = format!("Subject: CN=test\r\n{}and more", CERTIFICATE.replace('\n', "\r\n"));
        assert_eq!(public_key(&text), public_key(KEY_OF_CERTIFICATE));
    }

    #[test]
    fn what_is_no_key() {
        let key = KEY_OF_CERTIFICATE;
        for text in [
            &key.replace("END PUBLIC", "END RSA PUBLIC"),
            &key.replace("-----END", "----END"),
            &key.replace("PUBLIC KEY", "CERTIFICATE"),
            &key.replace("PUBLIC KEY", "PARAMETERS"),
            &key.replace("MFkw", "MFkx"),
            &key.replace("MFkw", "M!kw"),
        ] {
            assert_eq!(public_key(text), None, "{text}");
        }
    }

    proptest! {
        /// `jsonwebtoken` reads PEM files too, by a feature that brings ten crates along.
        #[test]
        fn a_key_is_the_one_that_others_read(
            algorithm in prop::sample::select(vec![Algorithm::RS256, Algorithm::ES384, Algorithm::EdDSA]),
            at in 0_usize..400,
            to in any::<u8>(),
        ) {
            let mut der = pair(algorithm).spki().to_vec();
            let at = at % der.len();
            der[at] = to;
            let text = pem("PUBLIC KEY", &der);
            let bytes = |key: DecodingKey| key.try_get_as_bytes().unwrap().to_vec();
            let rsa = || DecodingKey::from_rsa_pem(text.as_bytes()).map(bytes).map(PublicKey::Rsa);
            let ec = || DecodingKey::from_ec_pem(text.as_bytes()).map(bytes).map(PublicKey::Ec);
            let ed = || DecodingKey::from_ed_pem(text.as_bytes()).map(bytes).map(PublicKey::Ed25519);
            let other = rsa().or_else(|_| ec()).or_else(|_| ed()).ok();
            // Each takes some damage that the other refuses: in what a curve is called, and where it is not DER.
            if let (Some(key), Some(other)) = (public_key(&text), other) {
                prop_assert_eq!(key, other);
            }
        }

        #[test]
        fn any_bytes_are_a_key_or_not(der in prop::collection::vec(any::<u8>(), 0..200)) {
            for label in ["PUBLIC KEY", "CERTIFICATE"] {
                drop(public_key(&pem(label, &der)));
            }
        }
    }

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBGzCBwQIUIdbInv0fTVWPgyhdIqb0+rJQRTAwCgYIKoZIzj0EAwIwDzENMAsG
A1UEAwwEdGVzdDAgFw0yNjExMzAwNzQ4NTZaGA8yMTI2MTEwNjA3NDg1NlowDzEN
MAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABHg0yKm44ykE
rmuJ3vs7gANavIuEVqcv5YtjhQjTpCmTlV1zNkosG8j+LKVPObtpRZteYWNVdK8n
qj18QTXCMtcwCgYIKoZIzj0EAwIDSQAwRgIhAPveJOKGfg49OdQghcmmoPcE0fbe
7zQB4T4XiPbk3qVVAiEArmNgCvJZwJFI/6jE2xb0sA6Gf5LFbY6FQB4rDD6UEFQ=
-----END CERTIFICATE-----
";
    const KEY_OF_CERTIFICATE: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeDTIqbjjKQSua4ne+zuAA1q8i4RW
py/li2OFCNOkKZOVXXM2SiwbyP4spU85u2lFm15hY1V0ryeqPXxBNcIy1w==
-----END PUBLIC KEY-----
";
}
