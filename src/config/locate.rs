//! Locators: where a value sits in a request or a reply.

use serde_json_path::JsonPath;

use super::names;
use super::problem::{Problem, alternatives, suggestion};
use super::tree::{Table, Value};
use crate::locate::{JsonLocator, Locator, TextLocator, UrlPattern};
use crate::route::Pattern;

/// The locators of `key`, or else the capture `id` of the route.
pub(super) fn ids(table: &Table<'_>, route: Option<&Pattern>) -> Vec<Locator> {
    let captured = route.is_none_or(|route| route.names().contains(&"id"));
    match table.get("id") {
        Some(value) => locators(&value, route),
        None if captured => vec![Locator::Path("id".to_owned())],
        None => {
            let value = table.get("route");
            let message = "nothing says where the document's id is";
            let label =
                "this route captures no `{id}`; capture it, or add `id = { json = \"$.id\" }`";
            if let Some(value) = value {
                value.error::<()>(message, label);
            }
            Vec::new()
        }
    }
}

/// One locator or a list of them.
pub(super) fn locators(value: &Value<'_>, route: Option<&Pattern>) -> Vec<Locator> {
    let items = value.at_least_one("an empty list of locators finds nothing");
    items.iter().filter_map(|item| locator(item, route)).collect()
}

fn locator(value: &Value<'_>, route: Option<&Pattern>) -> Option<Locator> {
    let table = value.table("a locator")?;
    let place = table.one_of(PLACES);
    let pattern = || Some(table.get("pattern")?.parse(UrlPattern::parse));
    let locator = place.and_then(|place| match place.key {
        "path" => capture(&place, route),
        "query" => Some(Locator::Query(place.text()?.to_owned())),
        "field" => Some(Locator::Field(place.text()?.to_owned())),
        "header" => {
            let (name, pattern) = (place.parse(names::header), pattern());
            Some(Locator::Header { name: name?, pattern: flat(pattern)? })
        }
        "request_header" => {
            let (name, pattern) = (place.parse(names::header), pattern());
            Some(Locator::RequestHeader { name: name?, pattern: flat(pattern)? })
        }
        "json" | "body_json" => {
            let (path, pattern) = (json_path(&place), pattern());
            let locator = JsonLocator { path: path?, pattern: flat(pattern)? };
            Some(if place.key == "json" {
                Locator::Json(locator)
            } else {
                Locator::BodyJson(locator)
            })
        }
        "text" => {
            let (text, pattern) = (place.parse(TextLocator::parse), pattern());
            Some(Locator::Text(TextLocator { pattern: flat(pattern)?, ..text? }))
        }
        _ => {
            place.text()?;
            table.get("attribute").and_then(|value| value.text());
            pattern();
            place.not_yet("locators in HTML (`html`)");
            None
        }
    });
    table.finish();
    locator
}

/// A pattern that is absent is fine, one that is wrong is not.
fn flat<T>(pattern: Option<Option<T>>) -> Option<Option<T>> {
    match pattern {
        Some(None) => None,
        Some(found) => Some(found),
        None => Some(None),
    }
}

fn capture(place: &Value<'_>, route: Option<&Pattern>) -> Option<Locator> {
    let name = place.text()?;
    let names = route.map(Pattern::names).unwrap_or_default();
    if route.is_some() && !names.contains(&name) {
        let message = format!("the route has no capture `{name}`");
        let label = match names.is_empty() {
            true => format!("it captures nothing; write `{{{name}}}` where the value is"),
            false => {
                format!("{} (it captures {})", suggestion(name, names.clone()), alternatives(names))
            }
        };
        return place.error(message, label);
    }
    Some(Locator::Path(name.to_owned()))
}

fn json_path(place: &Value<'_>) -> Option<JsonPath> {
    let text = place.text()?;
    match JsonPath::parse(text) {
        Ok(path) => Some(path),
        Err(error) => {
            let column = text.chars().count().min(error.position()) + 1;
            let span = place.span_within(1, column);
            let problem = Problem::error(span, format!("`{text}` is not a JSONPath (RFC 9535)"));
            let problem = problem.label("not understood from here on");
            place.report(problem.help("a member is `$.data.id`, all items are `$.files[*].id`"));
            None
        }
    }
}

const PLACES: &[&str] =
    &["path", "query", "field", "header", "request_header", "json", "body_json", "text", "html"];
