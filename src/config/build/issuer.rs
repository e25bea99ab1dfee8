//! `[[identity]]`

use serde::Serialize;

use super::settings::Settings;

/// An issuer of the app's own JWTs: one `[[identity]]`.
#[derive(Clone, Debug)]
#[must_use]
pub struct TokenIssuer {
    pub(super) settings: Settings,
}

impl TokenIssuer {
    /// `name` is how the log, policies and views call it; `algorithms` are those that its tokens may be signed with, such
    /// as `["RS256", "ES256"]`.
    pub fn new<'a>(name: &str, algorithms: impl IntoIterator<Item = &'a str>) -> Self {
        let mut settings = Settings::default();
        settings.set("name", name);
        settings.set("algorithms", algorithms.into_iter().collect::<Vec<_>>());
        Self { settings }
    }

    /// The secret that it shares, for HS256, HS384 and HS512.
    pub fn secret(self, secret: &str) -> Self {
        self.set("key.secret", secret)
    }

    /// The address of its keys (RFC 7517).
    pub fn jwks(self, url: &str) -> Self {
        self.set("key.jwks", url)
    }

    /// What `iss` must be.
    pub fn issuer(self, issuer: &str) -> Self {
        self.set("issuer", issuer)
    }

    /// What `aud` must be, or have among others.
    pub fn audience(self, audience: &str) -> Self {
        self.set("audience", audience)
    }

    /// The cookie that holds its tokens. More than one place is tried; without any, it is `Authorization: Bearer`.
    pub fn cookie(mut self, name: &str) -> Self {
        self.settings.push("tokens", serde_json::json!({ "cookie": name }));
        self
    }

    /// Any key of `[[identity]]`, as in `set("require.type", "access")`.
    pub fn set(mut self, key: &str, value: impl Serialize) -> Self {
        self.settings.set(key, value);
        self
    }
}
