//! Content-Security-Policy of the pages, as measured to be the least that the SDK works with.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use url::Url;

/// 128 random bits for one reply.
pub(super) fn nonce() -> String {
    BASE64_STANDARD.encode(crate::random::bytes::<16>())
}

/// The policy of the viewer page. `sdk` is an address or a path of our own origin; `data_planes` are
/// where the SDK may connect to. Before one is known, that is any of the service's tenants, and the DWS itself, as of
/// one that serves both.
pub(super) fn of_page(
    nonce: &str,
    sdk: &str,
    data_planes: &[String],
    backend: &str,
) -> HeaderValue {
    let mut places: BTreeSet<_> = data_planes.iter().filter_map(|url| origin(url)).collect();
    if places.is_empty() {
        places.extend(origin(backend).filter(|backend| backend != SERVICE));
        places.insert(ANY_TENANT.to_owned());
    }
    // "http" becomes "ws" and "https" "wss".
    let sockets: Vec<_> = places.iter().map(|place| place.replacen("http", "ws", 1)).collect();
    let connect = places.iter().zip(&sockets).flat_map(|(place, socket)| [place, socket]);
    let mut connect: Vec<&str> = connect.map(String::as_str).collect();
    let cdn = origin(sdk);
    connect.extend(cdn.as_deref().filter(|cdn| !places.contains(*cdn)));
    let connect = connect.join(" ");
    // Our own origin is not a source of scripts: the app may serve its users' files there. The nonce
    // of the SDK's script goes on to what that loads.
    let (assets, scripts) = match cdn {
        Some(cdn) => (cdn.clone(), format!(" {cdn}")),
        None => ("'self'".to_owned(), String::new()),
    };
    header(&format!(
        "default-src 'none'; script-src 'nonce-{nonce}'{scripts} 'wasm-unsafe-eval'; \
         style-src {assets} 'nonce-{nonce}'; connect-src 'self' {connect}; img-src {assets} data: blob:; \
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
/// Where its API is, which is no data plane.
const SERVICE: &str = "https://api.nutrient.io";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const DWS: &str = "https://api.nutrient.io/viewer";

    #[test]
    fn an_sdk_of_our_own_origin() {
        let policy = of_page(
            "N",
            "/assets/nutrient-viewer.js",
            &["https://eu.example:8443/x/".to_owned()],
            DWS,
        );
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
        let policy = of_page("N", "https://cdn.example/v@1/nutrient-viewer.js", &[], DWS);
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
        let policy =
            of_page("N", "http://127.0.0.1:8090/v.js", &["http://127.0.0.1:8090/".to_owned()], DWS);
        let policy = policy.to_str().unwrap();
        assert!(policy.contains("connect-src 'self' http://127.0.0.1:8090 ws://127.0.0.1:8090;"));
    }

    #[test]
    fn before_the_first_session_a_dws_of_ones_own_is_allowed_too() {
        let policy = of_page("N", "/v.js", &[], "http://127.0.0.1:8090/viewer");
        let connect = "connect-src 'self' http://127.0.0.1:8090 ws://127.0.0.1:8090 \
                       https://*.nutrient-powered.io wss://*.nutrient-powered.io;";
        assert!(policy.to_str().unwrap().contains(connect), "{policy:?}");
    }

    #[test]
    fn each_data_plane_that_sessions_have_named() {
        let planes = ["https://b.example/", "https://a.example/x", "https://b.example/y"];
        let policy = of_page("N", "/v.js", &planes.map(str::to_owned), DWS);
        let connect = "connect-src 'self' https://a.example wss://a.example https://b.example wss://b.example;";
        assert!(policy.to_str().unwrap().contains(connect), "{policy:?}");
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
            let plane = [hostile.to_owned()];
            for policy in
                [of_page("N", "/v.js", &plane, hostile), of_page("N", hostile, &[], hostile)]
            {
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
