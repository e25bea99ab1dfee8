use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::store::now_ms;

/// Name, password and role.
pub(crate) const USERS: [(&str, &str, &str); 2] =
    [("ann", "anemone", "editor"), ("bob", "bluebell", "reader")];

/// Issues and reads the app's JWTs.
pub(super) struct Logins {
    sign: EncodingKey,
    verify: DecodingKey,
    validation: Validation,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    role: String,
    iat: u64,
    exp: u64,
}

impl Logins {
    pub(super) fn new(secret: &str) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[NAME]);
        validation.set_audience(&[NAME]);
        Self {
            sign: EncodingKey::from_secret(secret.as_bytes()),
            verify: DecodingKey::from_secret(secret.as_bytes()),
            validation,
        }
    }

    /// A token for whoever knows the password.
    pub(super) fn log_in(&self, username: &str, password: &str) -> Option<String> {
        let (name, _, role) =
            USERS.into_iter().find(|(name, word, _)| *name == username && *word == password)?;
        let now = now_ms() / 1000;
        let claims = Claims {
            iss: NAME.to_owned(),
            aud: NAME.to_owned(),
            sub: name.to_owned(),
            role: role.to_owned(),
            iat: now,
            exp: now + LIFE,
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.sign).ok()
    }

    /// The user whose token came as a bearer or in the cookie.
    pub(super) fn user(&self, headers: &HeaderMap) -> Option<String> {
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token =
            bearer.and_then(|value| value.strip_prefix("Bearer ")).or_else(|| cookie(headers))?;
        let token = decode::<Claims>(token, &self.verify, &self.validation).ok()?;
        Some(token.claims.sub)
    }

    pub(super) fn set_cookie(token: &str) -> String {
        format!("{COOKIE_NAME}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={LIFE}")
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, value)| (name == COOKIE_NAME).then_some(value))
}

const NAME: &str = "legacy-app";
const COOKIE_NAME: &str = "access_token";
/// Seconds.
const LIFE: u64 = 3600;
