//! Addresses in headers and bodies. Pure.

use url::Url;

/// The path and query that an address leads to, for a browser that finds it in the reply to a request for `base`
/// (RFC 3986, section 5.2). Fragments are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    url: Url,
    /// It names no host of its own, or the one of the request.
    pub(crate) same_host: bool,
}

impl Address {
    /// `None` for what is no http address, or has a backslash, a control character or user information: browsers and
    /// servers differ on these.
    pub(crate) fn resolve(address: &str, host: &str, base: &str) -> Option<Self> {
        if address.contains(['\\', '@']) || address.chars().any(char::is_control) {
            return None;
        }
        let host = if host.is_empty() { NO_HOST } else { host };
        let base = Url::parse(&format!("http://{host}{base}")).ok()?;
        let url = base.join(address).ok()?;
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let same_host = authority(&url) == authority(&base);
        Some(Self { url, same_host })
    }

    pub(crate) fn path(&self) -> &str {
        self.url.path()
    }

    pub(crate) fn query(&self) -> Option<&str> {
        self.url.query()
    }

    /// Whether it is at one of these origins, such as `https://app.example`.
    pub(crate) fn is_at(&self, origins: &[String]) -> bool {
        let own = authority(&self.url);
        origins
            .iter()
            .filter_map(|origin| Url::parse(origin).ok())
            .any(|url| authority(&url) == own)
    }
}

/// Host and port, where ports that go without saying are none: a proxy may have taken the TLS off.
fn authority(url: &Url) -> (Option<String>, Option<u16>) {
    let host = url.host_str().map(|host| host.trim_end_matches('.').to_owned());
    (host, url.port().filter(|port| !matches!(port, 80 | 443)))
}

/// What no request names (RFC 6761, section 6.4).
const NO_HOST: &str = "none.invalid";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_where_a_browser_would_go() {
        for (address, target) in [
            ("/documents/7", "/documents/7"),
            ("documents/7", "/api/documents/7"),
            ("../7", "/7"),
            ("./7?a=1#x", "/api/7?a=1"),
            ("?id=7", "/api/files?id=7"),
            ("", "/api/files?x=1"),
            ("//app.example:80/7", "/7"),
            ("https://APP.example/7", "/7"),
        ] {
            let found = Address::resolve(address, "app.example", "/api/files?x=1");
            let found = found.filter(|found| found.same_host).map(|found| match found.query() {
                Some(query) => format!("{}?{query}", found.path()),
                None => found.path().to_owned(),
            });
            assert_eq!(found.as_deref(), Some(target), "{address}");
        }
    }

    #[test]
    fn what_leads_elsewhere_is_told_apart() {
        let resolve = |address| Address::resolve(address, "app.example", "/");
        for foreign in
            ["https://elsewhere.example/7", "//elsewhere.example/7", "http://app.example:8080/7"]
        {
            assert!(resolve(foreign).is_some_and(|found| !found.same_host), "{foreign}");
        }
        assert!(
            resolve("https://other.example/7")
                .is_some_and(|found| found.is_at(&["http://Other.example".to_owned()]))
        );
        for none in
            ["javascript:7", "mailto:a@b", "/a\\7", "http://u@app.example/7", "/a\n7", "https://"]
        {
            assert_eq!(resolve(none), None, "{none}");
        }
    }
}
