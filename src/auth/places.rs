//! Where a request may carry a token.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::auth::TokenPlace;
use crate::reading::{Parameter, parameter};

/// The token in these places, or `None` if all are empty. It is not looked at, and may be no text.
///
/// A request that carries two different tokens doesn't say who is asking, so it is an error; the
/// same token twice is not. An error is a sentence without any part of a token.
pub(super) fn find<'a>(
    request: &'a http::request::Parts,
    places: &[TokenPlace],
) -> Result<Option<Cow<'a, [u8]>>, &'static str> {
    let mut found = Found::default();
    for place in places {
        match place {
            TokenPlace::Bearer => in_scheme(&request.headers, "Bearer", &mut found)?,
            TokenPlace::Scheme(scheme) => in_scheme(&request.headers, scheme, &mut found)?,
            TokenPlace::Cookie(name) => in_cookies(&request.headers, name, &mut found)?,
            TokenPlace::Header(name) => in_header(&request.headers, name, &mut found)?,
            TokenPlace::Query(name) => in_query(request.uri.query(), name, &mut found)?,
        }
    }
    Ok(found.0)
}

/// Credentials of one scheme, whose name is case-insensitive (RFC 9110, section 11.1).
fn in_scheme<'a>(
    headers: &'a HeaderMap,
    scheme: &str,
    found: &mut Found<'a>,
) -> Result<(), &'static str> {
    let Some(value) = authorization(headers)? else { return Ok(()) };
    let value = value.as_bytes();
    let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (name, credentials) = value.split_at(end);
    if !name.eq_ignore_ascii_case(scheme.as_bytes()) {
        return Ok(());
    }
    found.add(Cow::Borrowed(credentials.trim_ascii()))
}

/// The value of every cookie with this name; browsers send several of different paths in one header,
/// HTTP/2 splits them over several (RFC 9113, section 8.2.3).
fn in_cookies<'a>(
    headers: &'a HeaderMap,
    name: &str,
    found: &mut Found<'a>,
) -> Result<(), &'static str> {
    let lines = headers.get_all(COOKIE).into_iter();
    for pair in lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';')) {
        let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
        let (key, value) = pair.split_at(equals);
        if key.trim_ascii() == name.as_bytes() {
            found.add_value(value.get(1..).unwrap_or_default())?;
        }
    }
    Ok(())
}

fn in_header<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    found: &mut Found<'a>,
) -> Result<(), &'static str> {
    if name == AUTHORIZATION {
        authorization(headers)?;
    }
    headers.get_all(name).into_iter().try_for_each(|value| found.add_value(value.as_bytes()))
}

fn in_query<'a>(
    query: Option<&'a str>,
    name: &str,
    found: &mut Found<'a>,
) -> Result<(), &'static str> {
    match parameter(query, name) {
        Parameter::Missing => Ok(()),
        Parameter::Value(Cow::Borrowed(value)) => found.add_value(value.as_bytes()),
        Parameter::Value(Cow::Owned(value)) => {
            found.add(Cow::Owned(bare(&value).into_owned().into_bytes()))
        }
        Parameter::Unclear => Err("the query's token can be read in two ways"),
    }
}

/// Which of two Authorization headers the app obeys can't be known.
fn authorization(headers: &HeaderMap) -> Result<Option<&HeaderValue>, &'static str> {
    let mut values = headers.get_all(AUTHORIZATION).into_iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err("the Authorization header is repeated"),
    }
}

/// The token in a value of an app that writes `Bearer eyJ…` there, perhaps in quotes or
/// percent-encoded. A compact JWS (RFC 7515, 7.1) holds nothing that any of this could change, and what
/// is not one scheme and one token stays as it is, which no verifier takes.
fn bare(value: &str) -> Cow<'_, str> {
    let value = unquoted(value.trim_ascii());
    if value.contains('%')
        && let Ok(decoded) = percent_decode_str(value).decode_utf8()
    {
        let decoded = without_scheme(unquoted(decoded.trim_ascii()));
        return Cow::Owned(decoded.to_owned());
    }
    Cow::Borrowed(without_scheme(value))
}

fn without_scheme(value: &str) -> &str {
    // PHP writes a blank in a cookie as `+`, which no JWS holds.
    let Some(end) = value.find([' ', '\t', '+']) else { return value };
    let (scheme, token) = value.split_at(end);
    let token = unquoted(token.trim_start_matches([' ', '\t', '+']));
    let is_one =
        |token: &str| token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let is_scheme = SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known));
    if is_scheme && is_one(token) { token } else { value }
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}

/// Those that apps put before a JWT.
const SCHEMES: [&str; 2] = ["Bearer", "JWT"];

#[derive(Default)]
struct Found<'a>(Option<Cow<'a, [u8]>>);

impl<'a> Found<'a> {
    /// A value that may hold more than the token; see [`bare`].
    fn add_value(&mut self, value: &'a [u8]) -> Result<(), &'static str> {
        let value = std::str::from_utf8(value).map_err(|_| "the token is not text")?;
        self.add(match bare(value) {
            Cow::Borrowed(token) => Cow::Borrowed(token.as_bytes()),
            Cow::Owned(token) => Cow::Owned(token.into_bytes()),
        })
    }

    /// An empty place (a cookie cleared at logout) holds no token.
    fn add(&mut self, token: Cow<'a, [u8]>) -> Result<(), &'static str> {
        match &self.0 {
            _ if token.is_empty() => {}
            None => self.0 = Some(token),
            Some(first) if *first == token => {}
            Some(_) => return Err("the request carries two different tokens"),
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "../../tests/fuzz/cookies.rs"]
mod fuzz;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bearer_whatever_the_case_of_its_scheme() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c "] {
            assert_eq!(
                look(&[("authorization", value)], "/", &[TokenPlace::Bearer]),
                some("a.b.c")
            );
        }
    }

    #[test]
    fn other_schemes_are_somebody_elses() {
        let request = [("authorization", "JWT a.b.c")];
        assert_eq!(look(&request, "/", &[TokenPlace::Bearer]), Ok(None));
        assert_eq!(look(&request, "/", &[TokenPlace::Scheme("jwt".into())]), some("a.b.c"));
        assert_eq!(look(&[("authorization", "Bearera.b.c")], "/", &[TokenPlace::Bearer]), Ok(None));
        assert_eq!(look(&[("authorization", "Bearer ")], "/", &[TokenPlace::Bearer]), Ok(None));
    }

    #[test]
    fn repeated_authorization_is_refused_even_if_equal() {
        let request = [("authorization", "Bearer a"), ("authorization", "Bearer a")];
        assert!(look(&request, "/", &[TokenPlace::Bearer]).is_err());
        assert!(look(&request, "/", &[TokenPlace::Header(AUTHORIZATION)]).is_err());
        assert_eq!(look(&request, "/", &[cookie()]), Ok(None));
    }

    #[test]
    fn cookies_of_several_headers_and_pairs() {
        let request = [("cookie", "a=1; theme=\"dark\""), ("cookie", "x; t = \"a.b.c\" ;u=2")];
        assert_eq!(look(&request, "/", &[cookie()]), some("a.b.c"));
        assert_eq!(look(&[("cookie", "tt=a; T=b; t=")], "/", &[cookie()]), Ok(None));
    }

    #[test]
    fn a_strange_neighbour_does_not_hide_the_cookie() {
        assert_eq!(look(&[("cookie", "n=\u{fc}; t=a.b.c")], "/", &[cookie()]), some("a.b.c"));
    }

    #[test]
    fn a_cookie_twice() {
        assert_eq!(look(&[("cookie", "t=a; t=a")], "/", &[cookie()]), some("a"));
        assert!(look(&[("cookie", "t=a; t=b")], "/", &[cookie()]).is_err());
        assert!(look(&[("cookie", "t=a"), ("cookie", "t=b")], "/", &[cookie()]).is_err());
    }

    #[test]
    fn header_and_query() {
        let header = TokenPlace::Header(HeaderName::from_static("x-token"));
        assert_eq!(look(&[("x-token", "a.b.c")], "/", &[header]), some("a.b.c"));
        let query = [TokenPlace::Query("to ken".into())];
        assert_eq!(look(&[], "/?a=b&to%20ken=a%2Eb.c", &query), some("a.b.c"));
        assert!(look(&[], "/?to+ken=a&to+ken=b", &query).is_err());
        assert_eq!(look(&[], "/", &query), Ok(None));
    }

    #[test]
    fn a_scheme_before_the_token_is_dropped_wherever_it_stands() {
        let header = [TokenPlace::Header(HeaderName::from_static("x-token"))];
        for value in [
            "a.b.c",
            "Bearer a.b.c",
            "bearer   a.b.c ",
            "JWT a.b.c",
            "jwt\ta.b.c",
            "\"a.b.c\"",
            "\"Bearer a.b.c\"",
            "Bearer \"a.b.c\"",
            "Bearer%20a.b.c",
            "\"Bearer%20a.b.c\"",
            "%22Bearer%20a.b.c%22",
            "Bearer+a.b.c",
            "a%2eb.c",
            "Bearer%09a.b.c",
        ] {
            let in_cookie = format!("t={value}; u=1");
            assert_eq!(look(&[("cookie", &in_cookie)], "/", &[cookie()]), some("a.b.c"), "{value}");
            assert_eq!(look(&[("x-token", value)], "/", &header), some("a.b.c"), "{value}");
        }
        let query = [TokenPlace::Query("t".into())];
        for value in ["Bearer%20a.b.c", "Bearer+a.b.c", "%22JWT%20a.b.c%22", "Bearer%2520a.b.c"] {
            let uri = format!("/?t={value}");
            assert_eq!(look(&[], &uri, &query), some("a.b.c"), "{value}");
        }
    }

    #[test]
    fn what_is_not_one_scheme_and_one_token_stays_as_it_is() {
        let header = [TokenPlace::Header(HeaderName::from_static("x-token"))];
        for value in [
            "Bearer a.b.c d.e.f",
            "Bearer a.b.c, Bearer d.e.f",
            "Bearer Bearer a.b.c",
            "Basic a.b.c",
            "Bearer a.b.c;d",
            "Bearera.b.c",
        ] {
            assert_eq!(look(&[("x-token", value)], "/", &header), some(value), "{value}");
        }
        let two = [("cookie", "t=Bearer%20a; t=b")];
        assert!(look(&two, "/", &[cookie()]).is_err());
        let same = [("cookie", "t=Bearer%20a"), ("authorization", "Bearer a")];
        assert_eq!(look(&same, "/", &[cookie(), TokenPlace::Bearer]), some("a"));
    }

    #[test]
    fn two_places_must_agree() {
        let places = [TokenPlace::Bearer, cookie()];
        let with = |token| [("authorization", "Bearer a"), ("cookie", token)];
        assert_eq!(look(&with("t=a"), "/", &places), some("a"));
        assert!(look(&with("t=b"), "/", &places).is_err());
        assert_eq!(look(&with("t=b"), "/", &places[1..]), some("b"));
    }

    proptest! {
        #[test]
        fn never_panics(authorization in "[ -~\u{80}-\u{ff}]*", cookies in "[ -~\u{80}-\u{ff}]*", name in ".*") {
            let places = [
                TokenPlace::Bearer,
                TokenPlace::Scheme(name.clone()),
                TokenPlace::Cookie(name.clone()),
                TokenPlace::Query(name),
            ];
            let _ = look(&[("authorization", &authorization), ("cookie", &cookies)], "/?a", &places);
        }
    }

    fn look(
        headers: &[(&str, &str)],
        uri: &str,
        places: &[TokenPlace],
    ) -> Result<Option<String>, &'static str> {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let (request, ()) = request.body(()).unwrap().into_parts();
        let token = |token: Cow<'_, [u8]>| String::from_utf8_lossy(&token).into_owned();
        find(&request, places).map(|found| found.map(token))
    }

    fn some(token: &str) -> Result<Option<String>, &'static str> {
        Ok(Some(token.to_owned()))
    }

    fn cookie() -> TokenPlace {
        TokenPlace::Cookie("t".into())
    }
}
