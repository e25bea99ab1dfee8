//! The app's own addresses, exchanged for ours in replies and back in requests.

use http::header::{CONTENT_LOCATION, LOCATION, SET_COOKIE};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::http::interim::EditReply;

/// Knows under which addresses the app believes to live.
#[derive(Debug)]
pub(crate) struct Origins {
    /// As the app is reached: scheme and authority, for `Destination`.
    app: String,
    known: Vec<Origin>,
    /// Path prefix of the app behind us, without a trailing slash; mostly empty.
    prefix: String,
}

/// Scheme (`http` or `https`), host in lower case, port with the scheme's default filled in.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    https: bool,
    host: String,
    port: u16,
}

impl Origins {
    /// Those of the upstream's `url`, and further ones.
    pub(crate) fn new(url: &Uri, further: &[String]) -> Self {
        let scheme = url.scheme_str().unwrap_or("http");
        let authority = url.authority().map_or("", |authority| authority.as_str());
        let app_origin = format!("{scheme}://{authority}");
        let known = std::iter::once(&app_origin)
            .chain(further)
            .filter_map(|origin| Origin::parse(origin))
            .collect();
        let prefix = url.path().trim_end_matches('/').to_owned();
        Self { app: app_origin, known, prefix }
    }

    /// `Destination` (RFC 4918 section 10.3): our address becomes the app's own.
    pub(crate) fn edit_request(&self, headers: &mut HeaderMap, public: Option<&HeaderValue>) {
        let Some(destination) = headers.get(DESTINATION).and_then(|value| value.to_str().ok())
        else {
            return;
        };
        let path = match Address::parse(destination) {
            Address::Absolute { authority, rest, .. } if is_public(authority, public) => rest,
            Address::Path(path) if !self.prefix.is_empty() => path,
            _ => return,
        };
        let slash = if path.starts_with('/') { "" } else { "/" };
        let destination = format!("{}{}{slash}{path}", self.app, self.prefix);
        if let Ok(destination) = HeaderValue::from_str(&destination) {
            headers.insert(DESTINATION, destination);
        }
    }

    /// `Location`, `Content-Location` and `Set-Cookie`: the app's own address becomes ours.
    ///
    /// An address becomes relative, which is right under any name and scheme that the client used.
    pub(crate) fn edit_reply(&self, headers: &mut HeaderMap, public: Option<&HeaderValue>) {
        for name in [LOCATION, CONTENT_LOCATION] {
            let edited = headers
                .get(&name)
                .and_then(|value| value.to_str().ok())
                .and_then(|value| self.outward(value, public))
                .and_then(|value| HeaderValue::from_str(&value).ok());
            if let Some(edited) = edited {
                headers.insert(name, edited);
            }
        }
        if headers
            .get_all(SET_COOKIE)
            .iter()
            .any(|cookie| self.outward_cookie(cookie, public).is_some())
        {
            let cookies: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
            headers.remove(SET_COOKIE);
            for cookie in cookies {
                let edited = self.outward_cookie(&cookie, public);
                headers.append(SET_COOKIE, edited.unwrap_or(cookie));
            }
        }
    }

    /// The address as a client of ours can use it, if that is another one.
    fn outward(&self, address: &str, public: Option<&HeaderValue>) -> Option<String> {
        match Address::parse(address) {
            Address::Absolute { scheme, authority, rest } if self.is_app(scheme, authority) => {
                self.without_prefix(rest).map(relative)
            }
            // The app believes to live where the client sees us, but for the prefix.
            Address::Absolute { authority, rest, .. }
                if !self.prefix.is_empty() && is_public(authority, public) =>
            {
                self.without_prefix(rest).map(relative)
            }
            Address::Path(path) if !self.prefix.is_empty() => {
                self.without_prefix(path).map(relative)
            }
            _ => None,
        }
    }

    /// `None` when the cookie can stay as it is.
    fn outward_cookie(
        &self,
        cookie: &HeaderValue,
        public: Option<&HeaderValue>,
    ) -> Option<HeaderValue> {
        let mut changed = false;
        let mut edited = Vec::with_capacity(cookie.len());
        for (place, part) in cookie.as_bytes().split(|b| *b == b';').enumerate() {
            let edit = if place == 0 { Edit::Keep } else { self.edit_attribute(part, public) };
            changed |= !matches!(edit, Edit::Keep);
            let part = match &edit {
                Edit::Keep => part,
                Edit::Drop => continue,
                Edit::Path(path) => path.as_bytes(),
            };
            if place > 0 {
                edited.push(b';');
            }
            edited.extend_from_slice(part);
        }
        if changed { HeaderValue::from_bytes(&edited).ok() } else { None }
    }

    fn edit_attribute(&self, part: &[u8], public: Option<&HeaderValue>) -> Edit {
        let Some((name, value)) = attribute(part) else { return Edit::Keep };
        let is = |known| name.eq_ignore_ascii_case(known);
        if is("domain") && self.is_app_host(value) && !is_public_host(value, public) {
            return Edit::Drop;
        }
        if is("path")
            && !self.prefix.is_empty()
            && let Some(path) = self.without_prefix(value)
        {
            return Edit::Path(format!(" Path=/{}", path.trim_start_matches('/')));
        }
        Edit::Keep
    }

    fn is_app(&self, scheme: Option<&str>, authority: &str) -> bool {
        let is_known = |scheme: &str| {
            Origin::parse(&format!("{scheme}://{authority}"))
                .is_some_and(|origin| self.known.contains(&origin))
        };
        match scheme {
            Some(scheme) => is_known(scheme),
            None => is_known("http") || is_known("https"),
        }
    }

    fn is_app_host(&self, domain: &str) -> bool {
        let domain = domain.strip_prefix('.').unwrap_or(domain);
        self.known.iter().any(|origin| origin.host.eq_ignore_ascii_case(domain))
    }

    /// What follows the prefix; `None` for a path outside of it, which can't be reached through us.
    fn without_prefix<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.prefix.as_str())?;
        (rest.is_empty() || rest.starts_with(['/', '?', '#'])).then_some(rest)
    }
}

impl EditReply for Origins {
    fn edit_reply(&self, headers: &mut HeaderMap, public: Option<&HeaderValue>) {
        Self::edit_reply(self, headers, public);
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let https = match uri.scheme()? {
            scheme if *scheme == Scheme::HTTP => false,
            scheme if *scheme == Scheme::HTTPS => true,
            _ => return None,
        };
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        Some(Self { https, host: uri.host()?.to_ascii_lowercase(), port })
    }
}

/// What becomes of an attribute of a cookie.
enum Edit {
    Keep,
    Drop,
    /// In place of the old one, with the space before it.
    Path(String),
}

enum Address<'a> {
    /// `scheme://authority…`, or `//authority…` without a scheme.
    Absolute { scheme: Option<&'a str>, authority: &'a str, rest: &'a str },
    /// `/…`
    Path(&'a str),
    /// Relative to the request's own path, or of another scheme: ours are no different.
    Other,
}

impl<'a> Address<'a> {
    fn parse(text: &'a str) -> Self {
        let (scheme, after) = match text.split_once("://") {
            Some((scheme, after)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                (Some(scheme), after)
            }
            _ => match text.strip_prefix("//") {
                Some(after) => (None, after),
                None if text.starts_with('/') => return Self::Path(text),
                None => return Self::Other,
            },
        };
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        let (authority, rest) = after.split_at(end);
        Self::Absolute { scheme, authority, rest }
    }
}

/// `rest` as a reference with a path. One that starts with two slashes would name a host, so it
/// gets a dot segment, which the client drops again (RFC 3986 section 5.2.4). Browsers take `\` for `/`.
fn relative(rest: &str) -> String {
    match rest.as_bytes() {
        [b'/', b'/' | b'\\', ..] => format!("/.{rest}"),
        [b'/', ..] => rest.to_owned(),
        _ => format!("/{rest}"),
    }
}

fn is_public(authority: &str, public: Option<&HeaderValue>) -> bool {
    public.is_some_and(|public| public.as_bytes().eq_ignore_ascii_case(authority.as_bytes()))
}

fn is_public_host(domain: &str, public: Option<&HeaderValue>) -> bool {
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    public
        .and_then(|public| public.to_str().ok()?.parse::<http::uri::Authority>().ok())
        .is_some_and(|public| public.host().eq_ignore_ascii_case(domain))
}

fn attribute(part: &[u8]) -> Option<(&str, &str)> {
    let (name, value) = std::str::from_utf8(part).ok()?.split_once('=')?;
    Some((name.trim(), value.trim()))
}

const DESTINATION: HeaderName = HeaderName::from_static("destination");

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn origins(url: &str, others: &[&str]) -> Origins {
        let others: Vec<_> = others.iter().map(|&other| other.to_owned()).collect();
        Origins::new(&url.parse().unwrap(), &others)
    }

    fn edited(origins: &Origins, name: HeaderName, value: &str) -> String {
        let public = HeaderValue::from_static("docs.example");
        let mut headers = HeaderMap::new();
        headers.insert(&name, HeaderValue::from_str(value).unwrap());
        if name == DESTINATION {
            origins.edit_request(&mut headers, Some(&public));
        } else {
            origins.edit_reply(&mut headers, Some(&public));
        }
        headers[name].to_str().unwrap().to_owned()
    }

    #[test]
    fn the_app_s_address_becomes_ours() {
        let origins = origins("http://app:3000", &["https://Vault.internal"]);
        for (from_app, to_client) in [
            ("http://app:3000/files/7?a=b#c", "/files/7?a=b#c"),
            ("http://APP:3000", "/"),
            ("http://app:3000?q", "/?q"),
            ("//app:3000/x", "/x"),
            ("https://vault.internal/x", "/x"),
            ("https://vault.internal:443/x", "/x"),
            // What would name another host must not be made of the app's own path.
            ("http://app:3000//evil.example/x", "/.//evil.example/x"),
            ("http://app:3000/\\evil.example", "/./\\evil.example"),
            // Not the app's.
            ("https://app:3000/x", "https://app:3000/x"),
            ("http://app:3001/x", "http://app:3001/x"),
            ("http://app:3000@evil.example/x", "http://app:3000@evil.example/x"),
            ("http://app.example/x", "http://app.example/x"),
            ("https://docs.example/x", "https://docs.example/x"),
            ("/files/7", "/files/7"),
            ("7", "7"),
            ("mailto:a@app:3000", "mailto:a@app:3000"),
            ("", ""),
        ] {
            assert_eq!(edited(&origins, LOCATION, from_app), to_client, "{from_app}");
            assert_eq!(edited(&origins, CONTENT_LOCATION, from_app), to_client, "{from_app}");
        }
    }

    #[test]
    fn the_prefix_is_taken_off_again() {
        let origins = origins("http://app:3000/base/", &[]);
        for (from_app, to_client) in [
            ("http://app:3000/base/files/7", "/files/7"),
            ("http://app:3000/base", "/"),
            ("https://docs.example/base/files/7", "/files/7"),
            ("/base/files/7", "/files/7"),
            ("/base?q", "/?q"),
            ("/base//evil.example", "/.//evil.example"),
            // Outside of the prefix, where we do not lead.
            ("http://app:3000/login", "http://app:3000/login"),
            ("/baseline", "/baseline"),
            ("/login", "/login"),
        ] {
            assert_eq!(edited(&origins, LOCATION, from_app), to_client, "{from_app}");
        }
    }

    #[test]
    fn destination_is_led_back_to_the_app() {
        let plain = origins("http://app:3000", &[]);
        let prefixed = origins("http://app:3000/base", &[]);
        for (origins, from_client, to_app) in [
            (&plain, "https://docs.example/a%20b", "http://app:3000/a%20b"),
            (&plain, "http://DOCS.example", "http://app:3000/"),
            (&plain, "/a", "/a"),
            (&plain, "http://other.example/a", "http://other.example/a"),
            (&prefixed, "http://docs.example/a", "http://app:3000/base/a"),
            (&prefixed, "/a", "http://app:3000/base/a"),
        ] {
            assert_eq!(edited(origins, DESTINATION, from_client), to_app, "{from_client}");
        }
    }

    #[test]
    fn a_cookie_loses_the_app_s_domain_and_nothing_else() {
        let plain = origins("http://app.internal:3000", &["http://docs.example"]);
        let prefixed = origins("http://app.internal/base", &[]);
        for (origins, from_app, to_client) in [
            (&plain, "a=b; Domain=app.internal; Path=/; Secure", "a=b; Path=/; Secure"),
            (&plain, "a=b;domain = .APP.internal;HttpOnly", "a=b;HttpOnly"),
            (&plain, "domain=app.internal; Path=/", "domain=app.internal; Path=/"),
            (&plain, "a=b; Domain=internal", "a=b; Domain=internal"),
            // The client knows us by this name too: dropping it would narrow the cookie.
            (&plain, "a=b; Domain=docs.example", "a=b; Domain=docs.example"),
            (&prefixed, "a=b; Path=/base; Secure", "a=b; Path=/; Secure"),
            (&prefixed, "a=b; path=/base/x", "a=b; Path=/x"),
            (&prefixed, "a=b; Path=/", "a=b; Path=/"),
        ] {
            assert_eq!(edited(origins, SET_COOKIE, from_app), to_client, "{from_app}");
        }
    }

    #[test]
    fn several_cookies_stay_several() {
        let origins = origins("http://app:3000", &[]);
        let mut headers = HeaderMap::new();
        for cookie in ["a=1; Domain=app", "b=2", "c=3; Domain=app"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
        origins.edit_reply(&mut headers, None);
        let cookies: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1", "b=2", "c=3"]);
    }
}
