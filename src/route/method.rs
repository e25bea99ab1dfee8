//! The method that the app will act on. Pure.

use http::{HeaderMap, HeaderName, Method};

/// The effective method can't be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unclear;

/// The method after the overrides that frameworks honour: a header or a `_method` field, in a POST.
///
/// `fields` are those of the form, once they are known. An override of any other method is unclear, since
/// some apps honour it and others don't; so are overrides that contradict one another.
pub(crate) fn effective(
    method: &Method,
    headers: &HeaderMap,
    query: Option<&str>,
    fields: &[(String, String)],
) -> Result<Method, Unclear> {
    // As with nearly every request.
    let in_query = query.is_some_and(|query| !query.is_empty());
    if !in_query && fields.is_empty() && !headers.keys().any(is_override) {
        return Ok(method.clone());
    }
    let mut overriding: Option<Method> = None;
    let named = OVERRIDE_HEADERS.iter().flat_map(|name| headers.get_all(name));
    let in_headers = named.map(|value| value.to_str().map(str::to_owned).map_err(|_| Unclear));
    let in_query = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .filter(|(key, _)| key == OVERRIDE_FIELD)
        .map(|(_, value)| Ok(value.into_owned()));
    let in_form =
        fields.iter().filter(|(key, _)| key == OVERRIDE_FIELD).map(|(_, value)| Ok(value.clone()));
    for value in in_headers.chain(in_query).chain(in_form) {
        let value = value?.trim().to_ascii_uppercase();
        if value.is_empty() {
            continue;
        }
        let value = Method::from_bytes(value.as_bytes()).map_err(|_| Unclear)?;
        if overriding.as_ref().is_some_and(|earlier| *earlier != value) {
            return Err(Unclear);
        }
        overriding = Some(value);
    }
    match overriding {
        None => Ok(method.clone()),
        Some(other) if other == *method => Ok(other),
        Some(other) if *method == Method::POST => Ok(other),
        Some(_) => Err(Unclear),
    }
}

/// One look at each name there is costs less than a search for each of these.
fn is_override(name: &HeaderName) -> bool {
    matches!(name.as_str().len(), 13 | 17 | 22) && OVERRIDE_HEADERS.contains(name)
}

static OVERRIDE_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];
const OVERRIDE_FIELD: &str = "_method";

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(
        method: &str,
        header: Option<&str>,
        query: Option<&str>,
        field: Option<&str>,
    ) -> String {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert("x-http-method-override", header.parse().expect("a header value"));
        }
        let fields: Vec<_> =
            field.map(|f| ("_method".to_owned(), f.to_owned())).into_iter().collect();
        let method = method.parse().expect("a method");
        effective(&method, &headers, query, &fields).map_or("unclear".into(), |m| m.to_string())
    }

    #[test]
    fn a_post_is_judged_by_its_override() {
        assert_eq!(judged("POST", None, None, None), "POST");
        assert_eq!(judged("POST", Some("put"), None, None), "PUT");
        assert_eq!(judged("POST", None, Some("a=1&_method=DELETE"), None), "DELETE");
        assert_eq!(judged("POST", None, None, Some("patch")), "PATCH");
        assert_eq!(judged("POST", Some("PUT"), None, Some("PUT")), "PUT");
    }

    #[test]
    fn what_can_not_be_known_is_unclear() {
        assert_eq!(judged("GET", Some("DELETE"), None, None), "unclear");
        assert_eq!(judged("GET", None, Some("_method=DELETE"), None), "unclear");
        assert_eq!(judged("POST", Some("PUT"), None, Some("DELETE")), "unclear");
        assert_eq!(judged("POST", Some("P U T"), None, None), "unclear");
        assert_eq!(judged("GET", Some("GET"), None, None), "GET");
    }
}
