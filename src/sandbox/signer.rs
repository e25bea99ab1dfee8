//! The key behind the sandbox's sessions and tokens: RS256 (RFC 7518 section 3.3), as DWS signs.

use std::fmt;
use std::io;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Signs JWTs with a key that lives as long as the process.
pub(super) struct Signer(KeyPair);

impl Signer {
    pub(super) fn generate() -> io::Result<Self> {
        KeyPair::generate(KeySize::Rsa2048)
            .map(Self)
            .map_err(|_| io::Error::other("no RSA key could be generated"))
    }

    pub(super) fn sign(&self, claims: &Value) -> io::Result<String> {
        let header = json!({ "alg": "RS256", "typ": "JWT" });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| io::Error::other("signing failed"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The claims of a JWT that this key signed. Times aren't checked.
    pub(super) fn verify(&self, jwt: &str) -> Option<Value> {
        let (signed, signature) = jwt.rsplit_once('.')?;
        let (_header, payload) = signed.split_once('.')?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.0.public_key())
            .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?)
            .ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_unchanged_tokens_verify() {
        let (signer, other) = (Signer::generate().unwrap(), Signer::generate().unwrap());
        let claims = json!({ "exp": 7 });
        let jwt = signer.sign(&claims).unwrap();
        assert_eq!(signer.verify(&jwt), Some(claims));
        assert_eq!(other.verify(&jwt), None);
        let forged = jwt.replacen('.', ".e30", 1);
        assert_eq!(signer.verify(&forged), None);
        assert_eq!(signer.verify("a.b"), None);
    }
}
