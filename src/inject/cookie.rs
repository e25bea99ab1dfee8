//! `{ cookie = "viewer_session" }`: the client gets the session as a cookie.

use std::sync::Arc;

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use secrecy::ExposeSecret;

use super::delivery::{Asks, Delivery, IntoHead, Occupied, Reads, Way};
use crate::session_token::SessionToken;
use crate::store::now_ms;

pub(super) const WAY: Way =
    Way { key: "cookie", reads: Reads::Name(|name| Delivery::Head(Arc::new(Cookie(name)))) };

#[derive(Debug)]
struct Cookie(String);

impl IntoHead for Cookie {
    fn occupies(&self) -> Occupied<'_> {
        Occupied::Cookie(&self.0)
    }

    fn needs_client(&self) -> bool {
        true
    }

    fn asks(&self) -> Asks {
        Asks { whole: false, plain: false }
    }

    fn put(&self, headers: &mut HeaderMap, session: &SessionToken, over_tls: bool) {
        let life = session.expires.saturating_sub(now_ms() / 1000);
        headers
            .append(SET_COOKIE, set_cookie(&self.0, session.jwt.expose_secret(), life, over_tls));
    }

    fn done(&self) -> String {
        format!("set-cookie: {}=<session>, in the reply", self.0)
    }
}

/// `Set-Cookie` for a session: `Secure` when the client came over TLS, `SameSite=Lax`, `Path=/`,
/// `Max-Age` its life in seconds. Readable by scripts, since the viewer's page script needs it.
///
/// What is no cookie-octet (RFC 6265, section 4.1.1) is percent-encoded; a JWT holds none.
fn set_cookie(name: &str, jwt: &str, max_age: u64, secure: bool) -> HeaderValue {
    let name = utf8_percent_encode(name, NOT_IN_A_NAME);
    let value = utf8_percent_encode(jwt, NOT_IN_A_VALUE);
    let secure = if secure { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; Max-Age={max_age}; SameSite=Lax{secure}");
    // Percent-encoded text is always a header value.
    let mut cookie = HeaderValue::from_str(&cookie).unwrap_or(HeaderValue::from_static(""));
    cookie.set_sensitive(true);
    cookie
}

const NOT_IN_A_VALUE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b',').add(b';').add(b'\\');

/// All but the characters of a token (RFC 9110, section 5.6.2).
const NOT_IN_A_NAME: &AsciiSet = &NOT_IN_A_VALUE
    .add(b'(')
    .add(b')')
    .add(b'/')
    .add(b':')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b']')
    .add(b'{')
    .add(b'}');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_cookie() {
        assert_eq!(
            set_cookie("viewer_session", "e.y-J_", 900, false),
            "viewer_session=e.y-J_; Path=/; Max-Age=900; SameSite=Lax"
        );
        let secure = set_cookie("s", "j", 1, true);
        assert_eq!(secure, "s=j; Path=/; Max-Age=1; SameSite=Lax; Secure");
        assert!(secure.is_sensitive());
    }

    #[test]
    fn nothing_breaks_out_of_name_or_value() {
        assert_eq!(
            set_cookie("a=b; c", "x; Domain=evil\r\nSet-Cookie: y=\u{e9}", 1, false),
            "a%3Db%3B%20c=x%3B%20Domain=evil%0D%0ASet-Cookie:%20y=%C3%A9; Path=/; Max-Age=1; SameSite=Lax"
        );
    }
}
