//! Content-Security-Policy of the pages, as measured to be the least that the SDK works with.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use url::Url;

/// 128 random bits for one reply.
pub(super) fn nonce() -> String {
    BASE64_STANDARD.encode(rand::random::<[u8; 16]>())
}

/// The policy of the viewer page. `sdk` is an address or a path of our own origin; `data_plane` is
/// where the SDK connects to, any of the service's tenants when it isn't known yet.
pub(super) fn of_page(nonce: &str, sdk: &str, data_plane: Option<&str>) -> HeaderValue {
    let data_plane = data_plane.and_then(origin);
    let data_plane = data_plane.as_deref().unwrap_or(ANY_TENANT);
    // "http" becomes "ws" and "https" "wss".
    let socket = data_plane.replacen("http", "ws", 1);
    // Our own origin is not a source of scripts: the app may serve its users' files there. The nonce
    // of the SDK's script goes on to what that loads.
    let (assets, scripts) = match origin(sdk) {
        Some(cdn) => (cdn.clone(), format!(" {cdn}")),
        None => ("'self'".to_owned(), String::new()),
    };
    let connect = match origin(sdk) {
        Some(cdn) if cdn != data_plane => format!("'self' {data_plane} {socket} {cdn}"),
        _ => format!("'self' {data_plane} {socket}"),
    };
    header(&format!(
        "default-src 'none'; script-src 'nonce-{nonce}'{scripts} 'wasm-unsafe-eval'; \
         style-src {assets} 'nonce-{nonce}'; connect-src {connect}; img-src {assets} data: blob:; \
         font-src {assets} data:; worker-src blob:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'self'"
    ))
}

/// The policy of a page without any script.
pub(super) fn of_plain_page(nonce: &str) -> HeaderValue {
    header(&format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'self'"
    ))
}

/// The policy of a page whose script only asks our own origin whether it may go on.
pub(super) fn of_waiting_page(nonce: &str) -> HeaderValue {
    header(&format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; connect-src 'self'; style-src 'nonce-{nonce}'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ))
}

/// The origin of an absolute http(s) address, in ASCII and thus without a separator of policies.
pub(super) fn origin(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| url.origin().ascii_serialization())
}

fn header(policy: &str) -> HeaderValue {
    // What can't be a header (nothing does) forbids everything.
    HeaderValue::from_str(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

const ANY_TENANT: &str = "https://*.nutrient-powered.io";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_sdk_of_our_own_origin() {
        let policy = of_page("N", "/assets/nutrient-viewer.js", Some("https://eu.example:8443/x/"));
        assert_eq!(
            policy,
            "default-src 'none'; script-src 'nonce-N' 'wasm-unsafe-eval'; \
             style-src 'self' 'nonce-N'; connect-src 'self' https://eu.example:8443 wss://eu.example:8443; \
             img-src 'self' data: blob:; font-src 'self' data:; worker-src blob:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'self'"
        );
    }

    #[test]
    fn an_sdk_of_another_origin() {
        let policy = of_page("N", "https://cdn.example/v@1/nutrient-viewer.js", None);
        assert_eq!(
            policy,
            "default-src 'none'; script-src 'nonce-N' https://cdn.example 'wasm-unsafe-eval'; \
             style-src https://cdn.example 'nonce-N'; connect-src 'self' \
             https://*.nutrient-powered.io wss://*.nutrient-powered.io https://cdn.example; \
             img-src https://cdn.example data: blob:; font-src https://cdn.example data:; worker-src blob:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
        );
    }

    #[test]
    fn one_origin_for_sdk_and_data_is_named_once() {
        let policy = of_page("N", "http://127.0.0.1:8090/v.js", Some("http://127.0.0.1:8090/"));
        let policy = policy.to_str().unwrap();
        assert!(policy.contains("connect-src 'self' http://127.0.0.1:8090 ws://127.0.0.1:8090;"));
    }

    #[test]
    fn nothing_breaks_out_of_a_directive() {
        for hostile in [
            "https://a.example; script-src *",
            "https://a.example/;script-src%20*",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://a.example\r\nset-cookie: x=y",
            "*",
        ] {
            for policy in [of_page("N", "/v.js", Some(hostile)), of_page("N", hostile, None)] {
                let policy = policy.to_str().unwrap();
                assert_eq!(policy.split(';').count(), 10, "{policy}");
                assert_eq!(policy.matches("script-src").count(), 1, "{policy}");
                assert!(!policy.contains(" * "), "{policy}");
            }
        }
    }

    #[test]
    fn nonces_differ() {
        assert_eq!(BASE64_STANDARD.decode(nonce()).unwrap().len(), 16);
        assert_ne!(nonce(), nonce());
    }
}
