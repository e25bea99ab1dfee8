//! Whether a condition looks at a part of the request that apps read differently.
//!
//! Leaving that part out would not do: `request.query.x != '1'` would fail, but `!has(request.query.x)` would hold.

use serde_json::{Map, Value};

use crate::reading::{may_be, same_in_cgi};

/// Whether any of these members is unclear: a parameter, field or header that is there twice, or beside one that some
/// server takes for it. A look at all of them is a look at each.
pub(super) fn looks_at(members: &[Vec<String>], variables: &[(&str, &Value)]) -> bool {
    let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| *v);
    let request = |part: &str| variable("request")?.get(part)?.as_object();
    let form = || variable("form")?.as_object();
    members.iter().any(|path| {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path[..] {
            ["request"] | ["request", "query"] => all_of(request("query")),
            ["request", "query", name, ..] => one_of(request("query"), form(), name),
            ["request", "headers", name, ..] => request("headers").is_some_and(|headers| {
                headers.keys().any(|other| other != name && same_in_cgi(other, name))
            }),
            ["form"] => all_of(form()),
            ["form", name, ..] => one_of(form(), request("query"), name),
            _ => false,
        }
    })
}

/// `beside`: the other place from which many an app takes parameters, where it holds another value.
fn one_of(
    place: Option<&Map<String, Value>>,
    beside: Option<&Map<String, Value>>,
    name: &str,
) -> bool {
    let Some(place) = place else { return false };
    let value = place.get(name);
    value.is_some_and(Value::is_array)
        || place.keys().any(|other| other != name && may_be(other, name))
        || value.is_some_and(|value| {
            let differs =
                |(other, theirs): (&String, &Value)| may_be(other, name) && theirs != value;
            beside.is_some_and(|beside| beside.iter().any(differs))
        })
}

fn all_of(place: Option<&Map<String, Value>>) -> bool {
    let Some(place) = place else { return false };
    // Which names it looks for is not known: no server changes these.
    let is_plain = |name: &String| {
        name.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
    };
    place.values().any(Value::is_array) || !place.keys().all(is_plain)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::{HeaderMap, HeaderName, Method};

    use crate::condition::Condition;
    use crate::locate::{form_value, request_value};

    fn holds(condition: &str, query: &str, form: &[(&str, &str)], headers: &[&str]) -> bool {
        let headers: HeaderMap = headers
            .iter()
            .map(|name| (name.parse::<HeaderName>().unwrap(), "1".parse().unwrap()))
            .collect();
        let request = request_value(&Method::POST, "/", Some(query), &headers, None);
        let fields: Vec<_> = form.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let condition = Condition::compile(condition, &["request", "form"]).unwrap();
        condition.holds(&[("request", &request), ("form", &form_value(&fields))])
    }

    #[test]
    fn what_can_be_read_in_two_ways_lets_no_condition_hold() {
        for condition in [
            "request.query.x == '1'",
            "request.query.x != '1'",
            "!has(request.query.x)",
            "!('x' in request.query)",
            "request.query['x'] != '3'",
            "true || request.query.x == '3'",
            "request.query.all(name, name != 'y')",
        ] {
            for query in
                ["x=1&x=2", "x=1&+x=2", "X=1", "x[]=1", "x=1;x=2", "a=1;x=2", "x=%zz", "x=1&x=1"]
            {
                assert!(!holds(condition, query, &[], &[]), "{condition} of {query}");
            }
        }
        assert!(holds("request.query.x == '1'", "x=1&y=1&y=2", &[], &[]));
        assert!(holds("!has(request.query.x)", "y=1&y=2", &[], &[]));
        assert!(holds("request.path == '/'", "x=1&x=2", &[], &[]));
    }

    #[test]
    fn a_form_beside_a_query() {
        assert!(!holds("form.a == 'up'", "a=down", &[("a", "up")], &[]));
        assert!(!holds("request.query.a == 'up'", "a=up", &[("A", "down")], &[]));
        assert!(!holds("form.a != 'up'", "", &[("a", "x"), ("a", "up")], &[]));
        assert!(holds("form.a == 'up'", "a=up", &[("a", "up")], &[]));
        assert!(holds("form.a == 'up' || request.query.a == 'up'", "", &[("a", "up")], &[]));
    }

    #[test]
    fn headers_that_fold_into_one() {
        assert!(holds("request.headers['x-a'] == '1'", "", &[], &["x-a", "x-b"]));
        assert!(!holds("request.headers['x-a'] == '1'", "", &[], &["x-a", "x_a"]));
        assert!(!holds("!has(request.headers.xa_a)", "", &[], &["xa-a"]));
    }
}
