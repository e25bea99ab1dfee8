//! Locators: where a value sits in a request or a reply.

use super::problem::{Problem, alternatives, suggestion};
use super::tree::{Table, Value};
use crate::locate::{self, Locator, Mistake, NOTATIONS, Notation, UrlPattern};
use crate::route::Pattern;

/// The locators of `key`, or else the capture `id` of the route.
pub(super) fn ids(table: &Table<'_>, route: Option<&Pattern>) -> Vec<Locator> {
    let captured = route.is_none_or(|route| route.names().contains(&"id"));
    match table.get("id") {
        Some(value) => locators(&value, route),
        None if captured => vec![locate::by_default()],
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
    let place = table.one_of();
    let locator =
        place.and_then(|place| match NOTATIONS.iter().find(|notation| notation.key == place.key) {
            Some(notation) => read(notation, &place, &table, route),
            None => html(&place, &table),
        });
    table.finish();
    locator
}

/// All that is wrong with it is told at once.
fn read(
    notation: &Notation,
    place: &Value<'_>,
    table: &Table<'_>,
    route: Option<&Pattern>,
) -> Option<Locator> {
    let captures = route.map(Pattern::names);
    let kind = place.text().and_then(|text| match (notation.read)(text, &captures) {
        Ok(kind) => Some(kind),
        Err(mistake) => report(place, text, mistake),
    });
    let written = if notation.takes_pattern { table.get("pattern") } else { None };
    let pattern = match written {
        None => None,
        // One that is wrong must not become none.
        Some(written) => Some(written.parse(UrlPattern::parse)?),
    };
    Some(Locator::new(kind?, pattern))
}

/// Tells of a mistake in the text of this key.
pub(super) fn report<T>(place: &Value<'_>, text: &str, mistake: Mistake<'_>) -> Option<T> {
    let Mistake { message, label, help, column, choices } = mistake;
    let span = match column {
        Some(column) => place.span_within(1, column),
        None => place.span.clone(),
    };
    let names = || choices.iter().copied();
    let label = match choices.is_empty() {
        true => label,
        false => format!("{} ({label} {})", suggestion(text, names()), alternatives(names())),
    };
    let problem = Problem::error(span, message).label(label);
    place.report(if help.is_empty() { problem } else { problem.help(help) });
    None
}

fn html(place: &Value<'_>, table: &Table<'_>) -> Option<Locator> {
    place.text()?;
    table.get("attribute").and_then(|value| value.text());
    table.get("pattern").map(|value| value.parse(UrlPattern::parse));
    None
}
