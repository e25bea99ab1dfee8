//! `[[test]]`: what the operator expects of a request. `transom check` asks the engine whether it is so.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use serde_json::{Map, Value as Json};

use super::problem::{Problem, Span, suggestion};
use super::rules::Reading;
use super::tree::{Table, Value};
use super::{Expectation, Expected, TestCaller, TestCase, TestDocument};
use crate::reason::Reason;
use crate::route::split_method;

pub(super) fn tests(root: &Table<'_>, reading: &Reading<'_>) -> Vec<TestCase> {
    let items = root.get("test").map(|value| value.array()).unwrap_or_default();
    let mut names: Vec<(String, Span)> = Vec::new();
    let mut tests = Vec::new();
    for item in items {
        let Some(table) = item.table("`[[test]]`") else { continue };
        let name = table.require("name");
        let name = name.and_then(|value| Some((value.text()?.to_owned(), value.span)));
        if let Some((name, span)) = &name
            && let Some((_, other)) = names.iter().find(|(other, _)| other == name)
        {
            let problem = Problem::error(span.clone(), "two tests with one name");
            root.reader.problems.push(problem.other(other.clone(), "the other one"));
        }
        let test = test(&table, reading);
        table.finish();
        names.extend(name.clone());
        if let (Some((name, _)), Some(test)) = (name, test) {
            tests.push(TestCase { name, ..test });
        }
    }
    tests
}

fn test(table: &Table<'_>, reading: &Reading<'_>) -> Option<TestCase> {
    let request = table.require("request");
    let request = request.and_then(|value| value.parse(request_line));
    let headers = table.get("headers").and_then(|value| headers(&value)).unwrap_or_default();
    let caller = caller(table, reading);
    let app = table.get("app").map(|value| status(&value));
    let document = table.get("document").map(|value| {
        value.choice(&[
            ("ready", TestDocument::Ready),
            ("pending", TestDocument::Pending),
            ("refused", TestDocument::Refused),
            ("unknown", TestDocument::Unknown),
        ])
    });
    let attributes = table.get("attributes").and_then(|value| object(&value, "`attributes`"));
    let uploader = table.get("uploader").map(|value| value.text().map(str::to_owned));
    let expect = table.require("expect");
    let expect = expect.and_then(|value| expected(&value));
    let (method, target) = request?;
    Some(TestCase {
        name: String::new(),
        method,
        target,
        headers,
        caller: caller?,
        app: app.unwrap_or(Some(StatusCode::OK))?,
        document: document.unwrap_or(Some(TestDocument::Ready))?,
        attributes: BTreeMap::from_iter(attributes.unwrap_or_default()),
        uploader: uploader.unwrap_or_default(),
        expect: expect?,
    })
}

fn request_line(text: &str) -> Result<(Method, Uri), String> {
    let (method, target) = split_method(text)?;
    let uri = target.parse::<Uri>().ok().filter(|_| target.starts_with('/'));
    let uri = uri.ok_or_else(|| format!("`{target}` is not a path such as /api/files/7"))?;
    Ok((method, uri))
}

/// A text, or a list of them for a repeated header.
fn headers(value: &Value<'_>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for entry in value.table("`headers`")?.entries() {
        let name = HeaderName::from_bytes(entry.key.as_bytes());
        let Ok(name) = name else {
            entry.error::<()>(format!("`{}` is not a header name", entry.key), "");
            continue;
        };
        for item in entry.one_or_more() {
            let value = item.parse(|text| {
                HeaderValue::from_str(text).map_err(|_| "not a value for a header".to_owned())
            });
            headers.extend(value.map(|value| (name.clone(), value)));
        }
    }
    Some(headers)
}

/// `claims`, with `identity` where there are several; or `token`; or nothing, which is no token.
fn caller(table: &Table<'_>, reading: &Reading<'_>) -> Option<TestCaller> {
    let (claims, token) = (table.get("claims"), table.get("token"));
    let identity = table.get("identity");
    if let Some(identity) = &identity {
        identity.text()?;
    }
    if let (Some(_), Some(token)) = (&claims, &token) {
        return token
            .error("`claims` are those of a good token", "keep one of `claims` and `token`");
    }
    if let Some(token) = token {
        let states = [
            ("missing", Reason::TokenMissing),
            ("invalid", Reason::TokenInvalid),
            ("expired", Reason::TokenExpired),
            ("keys_unavailable", Reason::KeysUnavailable),
        ];
        return token.choice(&states).map(TestCaller::Refused);
    }
    let Some(claims) = claims else {
        return Some(TestCaller::Refused(Reason::TokenMissing));
    };
    let known = reading.identities.iter().map(|identity| identity.name.as_str());
    let index = match (&identity, reading.identities) {
        (Some(identity), _) => {
            let name = identity.text()?;
            let index = known.clone().position(|known| known == name);
            index.or_else(|| {
                identity.error(format!("there is no identity `{name}`"), suggestion(name, known))
            })
        }
        (None, [_]) => Some(0),
        (None, []) if reading.has_identity() => None,
        (None, []) => claims.error(
            "there is no `[[identity]]` whose token could have these claims",
            "without one, the app's word alone decides",
        ),
        (None, _) => claims.error("whose token is it?", "add `identity = \"…\"` to the test"),
    };
    let claims = object(&claims, "`claims`");
    Some(TestCaller::Claims { identity: index?, claims: claims? })
}

fn status(value: &Value<'_>) -> Option<StatusCode> {
    let code = value.integer()?;
    let status = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
    status.or_else(|| value.error(format!("`{code}` is not a status"), "expected 100 to 599"))
}

fn expected(value: &Value<'_>) -> Option<Vec<Expected>> {
    let table = value.table("`expect`")?;
    let mut expected = Vec::new();
    let mut add = |value: &Value<'_>, what: Option<Expectation>| {
        expected.extend(what.map(|what| Expected { what, place: value.span.clone() }));
    };
    if let Some(lane) = table.get("lane") {
        let lanes = LANES.map(|lane| (lane, lane));
        add(&lane, lane.choice(&lanes).map(Expectation::Lane));
    }
    if let Some(decision) = table.get("decision") {
        let given = decision.choice(&[("session", true), ("none", false)]);
        add(&decision, given.map(Expectation::Session));
    }
    if let Some(reason) = table.get("reason") {
        add(&reason, reason.text().and_then(|code| read_reason(&reason, code)));
    }
    if let Some(permissions) = table.get("permissions") {
        let items = permissions.one_or_more();
        let names = PERMISSIONS.map(|name| (name, name));
        let names: Option<Vec<_>> = items.iter().map(|item| item.choice(&names)).collect();
        add(&permissions, names.map(Expectation::Permissions));
    }
    let nothing = ["lane", "decision", "reason", "permissions"];
    if nothing.iter().all(|key| table.get(key).is_none()) {
        table.finish();
        let label = "expected `lane`, `decision`, `reason` or `permissions`";
        return value.error("a test that expects nothing can't fail", label);
    }
    table.finish();
    Some(expected)
}

fn read_reason(value: &Value<'_>, code: &str) -> Option<Expectation> {
    if let Some(reason) = Reason::from_code(code) {
        return Some(Expectation::Reason(reason));
    }
    let codes = Reason::ALL.iter().filter(|reason| reason.status().is_some());
    let codes = codes.map(|reason| reason.code());
    value.error(format!("there is no reason `{code}`"), suggestion(code, codes))
}

/// A table of any JSON.
fn object(value: &Value<'_>, name: &str) -> Option<Map<String, Json>> {
    let table = value.table(name)?;
    let entries = table.entries();
    entries.iter().map(|entry| Some((entry.key.to_owned(), json(entry)?))).collect()
}

fn json(value: &Value<'_>) -> Option<Json> {
    match value.is_table() {
        true => object(value, &format!("`{}`", value.key)).map(Json::Object),
        false => value.json(),
    }
}

pub(super) const LANES: [&str; 4] = ["pass", "capture", "view", "own"];
pub(super) const PERMISSIONS: [&str; 3] = ["read", "write", "download"];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::super::Config;
    use super::*;

    fn read(test: &str) -> Result<Config, String> {
        let text = format!(
            "app = {{ url = \"http://a\" }}\ndws = {{ api_key = {{ env = \"K\" }} }}\n\
             documents.f = {{ source = \"GET /f/{{id}}\" }}\n\
             [[identity]]\nname = \"a\"\nalgorithms = [\"HS256\"]\nkey = {{ secret = {{ env = \"K\" }} }}\n\
             issuer = \"i\"\naudience = \"a\"\n[[test]]\n{test}"
        );
        let env = |_: &str| Some("0123456789abcdef0123456789abcdef".to_owned());
        Config::parse_with(&text, Path::new("c.toml"), &env).map_err(|error| error.to_string())
    }

    #[test]
    fn a_test_with_all_there_is() {
        let config = read(
            "name = \"n\"\nrequest = \"GET /f/7?a=b\"\nheaders = { accept = \"text/html\", x = [\"1\", \"2\"] }\n\
             claims = { sub = \"ann\", org = { id = 7 }, groups = [\"x\"] }\nidentity = \"a\"\napp = 403\n\
             document = \"pending\"\nattributes = { tenant = \"acme\" }\nuploader = \"bob\"\n\
             expect = { lane = \"view\", decision = \"none\", reason = \"denied_by_app\", permissions = [\"read\"] }",
        );
        let test = config.unwrap().tests.pop().unwrap();
        assert_eq!(test.headers.get_all("x").iter().count(), 2);
        assert_eq!((test.app.as_u16(), test.document), (403, TestDocument::Pending));
        assert!(
            matches!(&test.caller, TestCaller::Claims { claims, .. } if claims["org"]["id"] == 7)
        );
        assert_eq!(test.expect.len(), 4);
    }

    #[test]
    fn mistakes_are_told_with_their_remedy() {
        let line = "name = \"n\"\nrequest = \"GET /f/7\"\n";
        let good = "expect = { lane = \"view\" }";
        for (test, told) in [
            (format!("{line}expct = {{ lane = \"view\" }}"), "did you mean `expect`?"),
            (format!("{line}expect = {{ lan = \"view\" }}"), "did you mean `lane`?"),
            (format!("{line}expect = {{}}"), "a test that expects nothing can't fail"),
            (format!("{line}expect = {{ lane = \"vew\" }}"), "did you mean `view`?"),
            (
                format!("{line}expect = {{ reason = \"denied_by_polcy\" }}"),
                "did you mean `denied_by_policy`?",
            ),
            (format!("{line}expect = {{ permissions = [\"wirte\"] }}"), "did you mean `write`?"),
            (format!("{line}{good}\nidentity = \"b\"\nclaims = {{}}"), "there is no identity `b`"),
            (format!("{line}{good}\ntoken = \"exspired\""), "did you mean `expired`?"),
            (
                format!("{line}{good}\ntoken = \"expired\"\nclaims = {{}}"),
                "keep one of `claims` and `token`",
            ),
            (format!("{line}{good}\ndocument = \"redy\""), "did you mean `ready`?"),
            (format!("{line}{good}\napp = 99"), "`99` is not a status"),
            (
                format!("{line}{good}\nheaders = {{ \"a b\" = \"x\" }}"),
                "`a b` is not a header name",
            ),
            (format!("{line}{good}\n[[test]]\n{line}{good}"), "two tests with one name"),
            (format!("name = \"n\"\nrequest = \"/f/7\"\n{good}"), "--> c.toml:12:11"),
            (good.to_owned(), "`request` is missing"),
        ] {
            let error = read(&test).unwrap_err();
            assert!(error.contains(told), "{test}\n{error}");
        }
    }
}
