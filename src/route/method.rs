//! The method and the path that the app will act on. Pure.

use http::{HeaderMap, HeaderName, Method, Uri};

use crate::reading::{Parameter, field, is_urlencoded, parameter, same_in_cgi};

/// The effective method or path can't be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unclear;

/// The method after the overrides that frameworks honour: a header or a `_method` field, in a POST.
///
/// `fields` are those of the form, once they are known. An override of any other method is unclear, since
/// some apps honour it and others don't; so are overrides that contradict one another, and those in a spelling
/// that only some servers take for the name.
pub(crate) fn effective(
    method: &Method,
    headers: &HeaderMap,
    query: Option<&str>,
    fields: &[(String, String)],
) -> Result<Method, Unclear> {
    // As with nearly every request.
    let in_query = query.is_some_and(may_hold_field);
    if !in_query && fields.is_empty() && !headers.keys().any(is_method_override) {
        return Ok(method.clone());
    }
    let mut overriding: Option<Method> = None;
    let mut add = |value: &str, is_certain: bool| {
        let value = value.trim().to_ascii_uppercase();
        if value.is_empty() {
            return Ok(());
        }
        let value = Method::from_bytes(value.as_bytes()).map_err(|_| Unclear)?;
        let differs = overriding.as_ref().is_some_and(|earlier| *earlier != value);
        if differs || (!is_certain && value != *method) {
            return Err(Unclear);
        }
        overriding = Some(value);
        Ok(())
    };
    for (name, value) in headers.iter().filter(|(name, _)| is_method_override(name)) {
        add(value.to_str().map_err(|_| Unclear)?, METHOD_HEADERS.contains(&name.as_str()))?;
    }
    for value in [parameter(query, FIELD), field(fields, FIELD, is_urlencoded(headers))] {
        match value {
            Parameter::Missing => {}
            Parameter::Value(value) => add(&value, true)?,
            Parameter::Unclear => return Err(Unclear),
        }
    }
    match overriding {
        None => Ok(method.clone()),
        Some(other) if other == *method => Ok(other),
        Some(other) if *method == Method::POST => Ok(other),
        Some(_) => Err(Unclear),
    }
}

/// What the app may be about to do instead of what the request line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overridden {
    Method,
    Path,
}

/// The effective method of a request whose form, if there is one, is not known yet.
///
/// # Errors
/// The method is unclear, or a header may name another path.
pub(crate) fn effective_of_head(
    method: &Method,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Method, Overridden> {
    // As with nearly every request.
    if !headers.keys().any(|name| is_like_one(name.as_str()))
        && !uri.query().is_some_and(may_hold_field)
    {
        return Ok(method.clone());
    }
    let effective = effective(method, headers, uri.query(), &[]).map_err(|_| Overridden::Method)?;
    match is_path_overridden(headers, uri) {
        true => Err(Overridden::Path),
        false => Ok(effective),
    }
}

/// Whether a header says that another path is meant, which some apps go by: Symfony until 2018 (CVE-2018-14773),
/// Zend, CakePHP and Drupal behind IIS, as its rewriting modules write it. `X-Original-URI`, by which nginx tells an
/// auth server what it asks about, is taken for the same.
///
/// One that repeats the request's own target says nothing else.
fn is_path_overridden(headers: &HeaderMap, uri: &Uri) -> bool {
    let is_path_override = |name: &HeaderName| is_one_of(name, &PATH_HEADERS);
    let own = uri.path_and_query().map(|target| target.as_str().as_bytes());
    headers
        .iter()
        .any(|(name, value)| is_path_override(name) && Some(value.as_bytes().trim_ascii()) != own)
}

/// The paths that headers name instead of the request's own.
pub(crate) fn overriding_paths(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let named = headers.iter().filter(|(name, _)| is_one_of(name, &PATH_HEADERS));
    named.filter_map(|(_, value)| value.to_str().ok())
}

#[inline]
fn is_method_override(name: &HeaderName) -> bool {
    is_one_of(name, &METHOD_HEADERS)
}

/// Whether some reader could find `_method` in this query: not where no byte is one that readers take for `_`, or for
/// part of an escape.
fn may_hold_field(query: &str) -> bool {
    !query.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'=' | b'&' | b'-'))
}

#[inline]
fn is_one_of(name: &HeaderName, names: &[&str]) -> bool {
    let name = name.as_str();
    is_like_one(name) && folds_into(name, names)
}

/// One look at the length and the beginning of each name there is costs less than a search for each of these. The third
/// byte leaves out `x-forwarded-proto`, which has the length of one and is in nearly every request.
#[inline]
fn is_like_one(name: &str) -> bool {
    matches!(name.len(), 13 | 14 | 17 | 22)
        && matches!(name.as_bytes(), [b'x', _, b'h' | b'm' | b'o' | b'r', ..])
}

fn folds_into(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.len() == known.len() && same_in_cgi(name, known))
}

const METHOD_HEADERS: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];
const PATH_HEADERS: [&str; 3] = ["x-original-url", "x-rewrite-url", "x-original-uri"];
const FIELD: &str = "_method";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(given: &[(&str, &str)]) -> HeaderMap {
        let pairs = given
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
        pairs.collect()
    }

    fn judged(
        method: &str,
        header: Option<&str>,
        query: Option<&str>,
        field: Option<&str>,
    ) -> String {
        let headers: Vec<_> =
            header.into_iter().map(|value| ("x-http-method-override", value)).collect();
        let fields: Vec<_> =
            field.map(|f| ("_method".to_owned(), f.to_owned())).into_iter().collect();
        let method = method.parse().unwrap();
        effective(&method, &self::headers(&headers), query, &fields)
            .map_or("unclear".into(), |m| m.to_string())
    }

    #[test]
    fn every_spelling_of_the_field_is_looked_for() {
        for name in [
            "_method",
            "%5Fmethod",
            "%255fmethod",
            ".method",
            "+method",
            "%20_method",
            "[method",
            "_METHOD[]",
        ] {
            for query in [format!("{name}=DELETE"), format!("a=1&{name}=DELETE")] {
                assert_eq!(judged("GET", None, Some(&query), None), "unclear", "{query}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn a_query_that_is_not_searched_holds_no_field(query in "[a-zA-Z0-9&=-]{0,12}([-&]?method=?[a-zA-Z]{0,6})?") {
            proptest::prop_assert!(!may_hold_field(&query));
            proptest::prop_assert!(matches!(parameter(Some(&query), FIELD), Parameter::Missing));
        }
    }

    #[test]
    fn a_post_is_judged_by_its_override() {
        assert_eq!(judged("POST", None, None, None), "POST");
        assert_eq!(judged("POST", Some("put"), None, None), "PUT");
        assert_eq!(judged("POST", None, Some("a=1&_method=DELETE"), None), "DELETE");
        assert_eq!(judged("POST", None, None, Some("patch")), "PATCH");
        assert_eq!(judged("POST", Some("PUT"), None, Some("PUT")), "PUT");
        assert_eq!(judged("POST", None, Some("method=PUT"), None), "POST");
    }

    #[test]
    fn what_can_not_be_known_is_unclear() {
        assert_eq!(judged("GET", Some("DELETE"), None, None), "unclear");
        assert_eq!(judged("GET", None, Some("_method=DELETE"), None), "unclear");
        assert_eq!(judged("POST", Some("PUT"), None, Some("DELETE")), "unclear");
        assert_eq!(judged("POST", Some("P U T"), None, None), "unclear");
        assert_eq!(judged("GET", Some("GET"), None, None), "GET");
    }

    #[test]
    fn a_spelling_that_only_some_servers_fold_is_unclear() {
        for query in
            ["+_method=PUT", ".method=PUT", "_METHOD=PUT", "_method[]=PUT", "a=1;_method=PUT"]
        {
            assert_eq!(judged("POST", None, Some(query), None), "unclear", "{query}");
        }
        for name in ["x_http_method_override", "x-http_method", "x.method.override"] {
            let given = headers(&[(name, "DELETE")]);
            assert_eq!(effective(&Method::POST, &given, None, &[]), Err(Unclear), "{name}");
            assert_eq!(effective(&Method::DELETE, &given, None, &[]), Ok(Method::DELETE));
        }
        let fields = [(" _method".to_owned(), "PUT".to_owned())];
        assert_eq!(effective(&Method::POST, &HeaderMap::new(), None, &fields), Err(Unclear));
    }

    #[test]
    fn another_path_in_a_header() {
        let uri: Uri = "/doc/7?a=1".parse().unwrap();
        for name in
            ["x-original-url", "x-rewrite-url", "X_Original_URL", "x.rewrite_url", "x-original-uri"]
        {
            for value in ["/doc/8", "", "/doc/7", "http://app/doc/7?a=1"] {
                assert!(is_path_overridden(&headers(&[(name, value)]), &uri), "{name}: {value}");
            }
            assert!(!is_path_overridden(&headers(&[(name, "/doc/7?a=1")]), &uri), "{name}");
        }
        assert!(!is_path_overridden(&headers(&[("x-original-ip", "/doc/8")]), &uri));
    }
}
