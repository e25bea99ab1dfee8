use http::Response;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use url::Url;

use super::refusal::describe_page;
use super::{csp, html, texts};
use crate::document::DocumentKey;

/// What the page needs to know.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    /// `[viewer] sdk`.
    pub(crate) sdk: &'a str,
    /// `/.transom`.
    pub(crate) prefix: &'a str,
    pub(crate) key: &'a DocumentKey,
    /// The view whose rights it has.
    pub(crate) view: &'a str,
    pub(crate) title: Option<&'a str>,
    /// Where viewers connect to, as far as sessions have told.
    pub(crate) data_planes: &'a [String],
    /// `[dws] url`.
    pub(crate) backend: &'a str,
    /// Where the app's own bytes are, for the page's download link.
    pub(crate) original: Option<&'a str>,
}

impl Page<'_> {
    /// The page with its own Content-Security-Policy and a fresh nonce. It holds no session: its
    /// script asks for one, as this visitor, when it is about to use it.
    pub(crate) fn reply(&self) -> Response<String> {
        let nonce = csp::nonce();
        let title = self.title.unwrap_or(self.key.id());
        let session = self.session_address();
        let original = self.original.and_then(download_address);
        let data = json!({
            "original": &original,
            "session": session,
            "fresh": format!("{session}&fresh"),
            "sdk": self.sdk,
            "cdn": self.is_vendor_cdn(),
            "nonce": nonce,
            "texts": texts::for_script(),
        });
        let download = original
            .map_or(String::new(), |address| html::fill(DOWNLOAD, &[("address", &address)]));
        let page = html::fill(
            include_str!("page.html"),
            &[
                ("nonce", &nonce),
                ("title", title),
                ("style", include_str!("page.css")),
                ("download", &download),
                ("page", &html::script_json(&data)),
                ("script", include_str!("page.js")),
            ],
        );
        let mut reply = Response::new(page);
        describe_page(
            reply.headers_mut(),
            csp::of_page(&nonce, self.sdk, self.data_planes, self.backend),
        );
        reply
    }

    fn session_address(&self) -> String {
        let kind = utf8_percent_encode(self.key.kind(), SEGMENT);
        let id = utf8_percent_encode(self.key.id(), SEGMENT);
        // A view's name needs no encoding.
        format!("{}/session/{kind}/{id}?view={}", self.prefix, self.view)
    }

    /// Nutrient's CDN serves the assets that go with the script; anywhere else they lie beside it.
    fn is_vendor_cdn(&self) -> bool {
        let host = Url::parse(self.sdk).ok().and_then(|url| url.host_str().map(str::to_owned));
        host.is_some_and(|host| {
            host.starts_with("cdn.cloud.nutrient.") || host.starts_with("cdn.cloud.pspdfkit.")
        })
    }
}

/// The address with a `download` parameter, by which Transom hands out the app's bytes even to a
/// navigation. `None` for what is not an address of a page (`javascript:`).
fn download_address(original: &str) -> Option<String> {
    let path =
        original.starts_with('/') && !original.starts_with("//") && !original.starts_with("/\\");
    if !path && csp::origin(original).is_none() {
        return None;
    }
    let address = original.split('#').next().unwrap_or_default();
    let joint = if address.contains('?') { '&' } else { '?' };
    Some(format!("{address}{joint}download"))
}

const DOWNLOAD: &str = "<a id=\"download\" href=\"{{address}}\" download>Download original</a>";

/// Everything but RFC 3986's unreserved characters, so that an id is one segment for every reader.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn page(id: &str, title: Option<&str>, original: Option<&str>) -> Response<String> {
        let key = DocumentKey::new("files", id).unwrap();
        let sdk = "https://cdn.cloud.nutrient.io/pspdfkit-web@1.22.0/nutrient-viewer.js";
        let (prefix, view) = ("/.transom", "detail");
        let backend = "https://api.nutrient.io/viewer";
        Page { sdk, prefix, key: &key, view, title, data_planes: &[], backend, original }.reply()
    }

    /// The data block as the page's script reads it.
    fn data(reply: &Response<String>) -> serde_json::Value {
        let block = reply.body().split("type=\"application/json\"").nth(1).unwrap();
        let block = block.split_once('>').unwrap().1.split("</script").next().unwrap();
        serde_json::from_str(block).unwrap()
    }

    #[test]
    fn is_never_stored_and_names_its_nonce() {
        let reply = page("7", Some("Plan.pdf"), Some("/files/7/content"));
        assert_eq!(reply.status(), 200);
        for (name, value) in [
            ("cache-control", "no-store"),
            ("content-type", "text/html; charset=utf-8"),
            ("referrer-policy", "strict-origin"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(reply.headers()[name], value);
        }
        let nonce = data(&reply)["nonce"].as_str().unwrap().to_owned();
        let policy = reply.headers()["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains(&format!("script-src 'nonce-{nonce}' https://cdn.cloud.nutrient.io "))
        );
        // Base64 may hold `+`, `/` and `=`, which HTML leaves as they are.
        assert_eq!(reply.body().matches(&format!("nonce=\"{nonce}\"")).count(), 3);
        assert!(!reply.body().contains("{{"));
    }

    #[test]
    fn an_id_is_one_segment() {
        let reply = page("a/b c?d#e%2F\u{fc}", None, None);
        let address = "/.transom/session/files/a%2Fb%20c%3Fd%23e%252F%C3%BC?view=detail";
        assert_eq!(data(&reply)["session"], address);
        assert_eq!(data(&reply)["fresh"], format!("{address}&fresh"));
    }

    #[test]
    fn the_download_link_asks_for_the_bytes() {
        for (original, href) in [
            ("/files/7/content", "/files/7/content?download"),
            ("/get?id=7&v=1#page=2", "/get?id=7&amp;v=1&amp;download"),
            ("https://app.example/f", "https://app.example/f?download"),
        ] {
            let reply = page("7", None, Some(original));
            assert!(reply.body().contains(&format!("href=\"{href}\"")), "{original}");
            assert_eq!(data(&reply)["original"], href.replace("&amp;", "&"));
        }
        for hostile in ["javascript:alert(1)", "//evil.example/", "/\\evil.example/", "files/7"] {
            assert!(
                !page("7", None, Some(hostile)).body().contains("id=\"download\""),
                "{hostile}"
            );
        }
    }

    #[test]
    fn hostile_names_stay_text() {
        let plain = page("7", Some("x"), None);
        for hostile in [
            "</title></h1></script><script>alert(1)</script>",
            "<!--<script>",
            "\" onload=\"alert(1)",
            "{{{script}}}{{nonce}}",
            "]]>'; script-src *",
        ] {
            for reply in [
                page(hostile, None, None),
                page("7", Some(hostile), None),
                page("7", None, Some(&format!("/{hostile}"))),
            ] {
                let tags = |reply: &Response<String>, tag| reply.body().matches(tag).count();
                for tag in ["<script", "</script", "<!--", "</title", "<style"] {
                    assert_eq!(tags(&reply, tag), tags(&plain, tag), "{tag} for {hostile}");
                }
                assert!(!reply.body().contains("\" onload=\""));
                assert_eq!(data(&reply)["cdn"], true);
            }
        }
    }
}
