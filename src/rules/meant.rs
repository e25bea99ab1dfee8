//! The documents that a request may be about in the hands of some app, however unclear it is.
//!
//! A request that writes and that Transom does not follow may still have changed them.

use std::sync::Arc;

use http::Method;

use super::{Action, Rule};
use crate::locate::Locator;
use crate::reading::{Address, meant};
use crate::route::{Fold, Outgoing, Pattern, lenient};

/// One form that the addresses of a kind's documents have.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub(super) kind: usize,
    /// Requests of this form are meant to change documents.
    pub(super) writes: bool,
    /// Sees neither case nor trailing slashes, nor the types of captures.
    pattern: Pattern,
    /// Captures that are numbers.
    numbers: Vec<Arc<str>>,
    /// Where the id is: in captures of the path, or under keys of the query.
    captures: Vec<String>,
    keys: Vec<String>,
}

/// A kind, as an index into `Config::kinds`, and an id.
pub(crate) type Document = (usize, String);

impl Form {
    pub(super) fn of_rule(rule: &Rule, fold: Fold) -> Option<Self> {
        let ids = rule.action.ids();
        let names: Vec<_> = ids.iter().filter_map(Locator::capture).map(str::to_owned).collect();
        let keys = ids.iter().filter_map(Locator::parameter).map(str::to_owned).collect();
        let form = Self::new(rule.kind, &rule.pattern, &names, keys, fold)?;
        Some(Self { writes: !matches!(rule.action, Action::View(_)), ..form })
    }

    pub(super) fn of_template(kind: usize, template: &Outgoing, fold: Fold) -> Option<Self> {
        let pattern = Pattern::parse(template.text()).ok()?;
        Self::new(kind, &pattern, &["id".to_owned()], Vec::new(), fold)
    }

    fn new(
        kind: usize,
        pattern: &Pattern,
        names: &[String],
        mut keys: Vec<String>,
        fold: Fold,
    ) -> Option<Self> {
        let captures: Vec<_> =
            names.iter().filter(|name| pattern.is_in_path(name)).cloned().collect();
        keys.extend(names.iter().filter_map(|name| pattern.key_of(name)).map(str::to_owned));
        if captures.is_empty() && keys.is_empty() {
            return None;
        }
        let numbers = pattern.numbers();
        Some(Self {
            kind,
            writes: false,
            pattern: pattern.clone().untyped().folding(fold).loosened(),
            numbers,
            captures,
            keys,
        })
    }

    fn find(&self, path: &str, query: Option<&str>, found: &mut Vec<Document>) {
        let Some(captured) = self.pattern.path_captures(path) else { return };
        let is_number = |name: &str| self.numbers.iter().any(|number| **number == *name);
        let in_path = self.captures.iter().filter_map(|name| {
            let value = captured.get(name)?;
            if is_number(name) { number(value) } else { Some(value.to_owned()) }
        });
        let in_query = self.keys.iter().flat_map(|key| meant(query, key));
        for id in in_path.chain(in_query) {
            if !id.is_empty()
                && !found.iter().any(|(kind, known)| *kind == self.kind && *known == id)
            {
                found.push((self.kind, id));
            }
        }
    }
}

/// All that any reading of this path and query names.
pub(super) fn documents(forms: &[Form], path: &str, query: Option<&str>) -> Vec<Document> {
    let mut found = Vec::new();
    let readings = lenient::readings(path, false);
    for path in std::iter::once(path).chain(readings.iter().map(String::as_str)) {
        forms.iter().for_each(|form| form.find(path, query, &mut found));
    }
    found
}

/// The same for an address, as in `Destination` or `X-Original-URL`; relative ones belong to `base`.
pub(super) fn documents_at(forms: &[Form], address: &str, base: &str) -> Vec<Document> {
    let (path, query) = address.split_once('?').map_or((address, None), |(p, q)| (p, Some(q)));
    // As it stands too: resolving tidies what an app that routes by it may not.
    let mut found = documents(forms, path, query);
    if let Some(resolved) = Address::resolve(address, "", base) {
        let more = documents(forms, resolved.path(), resolved.query());
        found.extend(more.into_iter().filter(|one| !found.contains(one)).collect::<Vec<_>>());
    }
    found
}

/// Whether a request with this method may change a document: all but those that are safe (RFC 9110, section 9.2.1)
/// and those of WebDAV that leave content alone.
pub(super) fn may_write(method: &Method) -> bool {
    let harmless = ["PROPFIND", "REPORT", "SEARCH", "LOCK", "UNLOCK"];
    !method.is_safe() && !harmless.contains(&method.as_str())
}

/// What a lax reader of numbers makes of a text: blanks, a sign, leading zeros, digits of any script, and what follows
/// them dropped.
fn number(text: &str) -> Option<String> {
    let digits = text.trim().trim_start_matches('+').chars().map_while(digit);
    let digits: String = digits.collect();
    match digits.trim_start_matches('0') {
        "" => (!digits.is_empty()).then(|| "0".to_owned()),
        number => Some(number.to_owned()),
    }
}

fn digit(c: char) -> Option<char> {
    if c.is_ascii_digit() {
        return Some(c);
    }
    let value =
        ZEROS.iter().find_map(|zero| u32::from(c).checked_sub(*zero).filter(|v| *v < 10))?;
    char::from_digit(value, 10)
}

/// Where the decimal digits of other scripts begin (Unicode, general category Nd), in the basic plane.
const ZEROS: &[u32] = &[
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6,
    0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50,
    0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::locate;
    use crate::route::split_method;
    use crate::rules::{Confirm, DeleteRule, RouteTable};

    fn table() -> RouteTable {
        let rule = |(text, id): (&str, Locator)| {
            let (method, path) = split_method(text).unwrap();
            let action = Action::Delete(DeleteRule {
                id: vec![id],
                prefix: false,
                accepted: None,
                confirm: Confirm::Auto,
            });
            let pattern = Pattern::parse(path).unwrap();
            Rule {
                name: text.to_owned(),
                kind: 0,
                hosts: std::sync::Arc::default(),
                method,
                pattern,
                when: None,
                action,
            }
        };
        let path = || locate::by_default();
        let rules = vec![
            rule(("DELETE /files/{id}", path())),
            rule(("PUT /n/{id:digits}", path())),
            rule(("PUT /dav/{*id}", path())),
            rule(("POST /doc.php?do=save&doc_id={id}", path())),
            rule(("POST /q", locate::locator("query", "doc", None))),
        ];
        let mut table = RouteTable::build(rules, Fold::default()).0;
        table.add_address(1, &Outgoing::parse("GET /api/{id}/content").unwrap());
        table
    }

    #[test]
    fn every_reading_of_a_path_names_its_documents() {
        let table = table();
        for (target, ids) in [
            ("/files/7", "7"),
            ("//files//7", "7"),
            ("/x/../files/7", "7"),
            ("/files%2F7", "7"),
            ("/files/7;v=1", "7 7;v=1"),
            ("/FILES/7/", "7"),
            ("/files/%2537", "%37 7"),
            ("/files\\7", "7"),
            ("/files/a%23b", "a a#b"),
            ("/n/007", "7"),
            ("/n/%D9%A7", "7"),
            ("/n/7abc", "7"),
            ("/dav/a/../b", "b"),
            ("/api/7/content", "7"),
            ("/doc.php?+doc_id=8&doc_id=7", "7 8"),
            ("/q?doc=7;Doc=8", "7 7;Doc=8 8"),
            ("/elsewhere/7", ""),
        ] {
            let (path, query) =
                target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q)));
            let mut found: Vec<_> = table
                .documents_meant(&Method::POST, path, query)
                .into_iter()
                .map(|(_, id)| id)
                .collect();
            found.sort_unstable();
            assert_eq!(found.join(" "), ids, "{target}");
            assert!(table.documents_meant(&Method::GET, path, query).is_empty());
        }
    }

    #[test]
    fn headers_name_documents_too() {
        let table = table();
        for (method, name, value) in [
            ("MOVE", "destination", "http://app.example/dav/a%20b"),
            ("MOVE", "destination", "/dav//a%20b"),
            ("COPY", "destination", "../dav/a%20b"),
            ("POST", "x_original_url", "/x/../dav/a%20b"),
            ("GET", "x-rewrite-url", ""),
        ] {
            let headers: http::HeaderMap = [
                (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()),
                ("x-http-method-override".parse().unwrap(), "DELETE".parse().unwrap()),
            ]
            .into_iter()
            .collect();
            let uri = "/files/7".parse().unwrap();
            let found = table.may_change(&method.parse().unwrap(), &headers, &uri);
            assert!(found.contains(&(0, "7".to_owned())), "{method}: {found:?}");
            let named = value.is_empty() || found.contains(&(0, "a b".to_owned()));
            assert!(named, "{value}: {found:?}");
        }
        let harmless =
            table.may_change(&Method::GET, &http::HeaderMap::new(), &"/files/7".parse().unwrap());
        assert!(harmless.is_empty());
    }
}
