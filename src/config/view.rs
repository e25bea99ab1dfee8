//! `[[documents.<kind>.view]]`: who gets a session, for what, and how.

use std::time::Duration;

use super::locate::ids;
use super::names;
use super::problem::{Problem, suggestion};
use super::rules::{Reading, condition};
use super::tree::{Table, Value};
use super::units::duration;
use super::{AppSays, Authorize, Grant, Permissions, TokenPlace, ViewRule};
use crate::inject::{Deliveries, Delivery, Occupied, Reads, WAYS};
use crate::locate;
use crate::route::Pattern;

/// What `?view=` calls the view: its `name`, else its number. No two of `taken`, the names of the kind's views so
/// far, are the same.
pub(super) fn name(table: &Table<'_>, index: usize, taken: &mut Vec<String>) -> String {
    let written = table.get("name");
    let name = written.as_ref().and_then(|value| value.parse(view_name));
    let name = name.unwrap_or_else(|| index.to_string());
    if taken.contains(&name) {
        let place = written.map_or_else(|| table.span.clone(), |value| value.span);
        let message = format!("two views of this kind are called `{name}`");
        let problem = Problem::error(place, message);
        let label = "sessions are asked for by it: give this one another `name`";
        table.reader.problems.push(problem.label(label));
    }
    taken.push(name.clone());
    name
}

fn view_name(text: &str) -> Result<String, String> {
    match !text.is_empty() && text.chars().all(super::documents::fits_in_an_address) {
        true => Ok(text.to_owned()),
        false => Err("expected letters, digits, `-` and `_`: it is part of addresses".to_owned()),
    }
}

/// Of two places in the same JSON, none may lie within the other.
fn apart(ways: &[Value<'_>], session: &Deliveries) {
    let pointers = || session.body.iter().filter_map(|delivery| delivery.pointer());
    for (index, pointer) in pointers().enumerate() {
        if pointers().skip(index + 1).any(|other| pointer.covers(other) || other.covers(pointer))
            && let Some(way) = ways.first()
        {
            let message = "one of these places in the JSON lies within another, or is the same";
            way.error::<()>(message, "keep one of them");
            return;
        }
    }
}

pub(super) fn view(table: &Table<'_>, route: Option<&Pattern>, reading: &Reading<'_>) -> ViewRule {
    let session = table.require("session");
    let mut rule = ViewRule { id: ids(table, route), ..default_view(reading) };
    if let Some(value) = session {
        let ways = value.at_least_one("a session that reaches nobody");
        rule.session = ways.iter().filter_map(|way| delivery(way, reading)).collect();
        apart(&ways, &rule.session);
        let get =
            table.get("route").and_then(|value| value.as_text().map(|t| t.starts_with("GET ")));
        if rule.session.instead.is_some() && get == Some(false) {
            value.error::<()>(
                "a page is the answer to a browser's navigation",
                "expected a GET route",
            );
        }
    }
    if let Some(authorize) = table.get("authorize").and_then(|value| authorize(&value, reading)) {
        rule.authorize = authorize;
    }
    if rule.authorize.app == AppSays::Reply
        && route.is_some_and(|route| !rule.names_document_in_path(route))
    {
        rule.authorize.app = AppSays::Probe;
    }
    if let Some(value) = table.get("id")
        && !rule.id.iter().all(|locator| locator.input().may_name_a_view())
    {
        let message = "the id of a view has to be known before the app answers";
        let label =
            "take it from the request: `{ path = … }`, `{ query = … }` or `{ request_header = … }`";
        value.error::<()>(message, label);
    }
    if let Some(value) = table.get("identity") {
        let names = value.at_least_one("no identity counts, so nobody could view");
        rule.identity = names.iter().filter_map(|name| identity(name, reading)).collect();
    }
    rule.allow = table.get("allow").and_then(|value| condition(&value, ASKED));
    if let Some(value) = table.get("permissions") {
        rule.permissions = permissions(&value);
    }
    if let Some(value) = table.get("grant") {
        rule.grant = value.array().iter().filter_map(grant).collect();
    }
    let granted = rule.grant.iter().map(|grant| grant.permissions);
    let most = granted.fold(rule.permissions, Permissions::union);
    if let Some(value) = table.get("permissions")
        && most != Permissions::default()
        && !most.read
    {
        value.warn("nobody may read, so there is nothing to view", "add \"read\"");
    }
    if let Some(ttl) = table.get("ttl").and_then(|value| value.parse(lifetime)) {
        rule.ttl = ttl;
    }
    if let Some(wait) = table.get("wait").and_then(|value| value.parse(duration)) {
        rule.wait = wait;
    }
    rule
}

/// A view of which nothing is written.
pub(super) fn default_view(reading: &Reading<'_>) -> ViewRule {
    ViewRule {
        name: String::new(),
        view: "0".to_owned(),
        id: vec![locate::by_default()],
        session: Deliveries::default(),
        authorize: Authorize { token: reading.has_identity(), app: AppSays::Reply },
        identity: Vec::new(),
        allow: None,
        permissions: Permissions { read: true, ..Permissions::default() },
        grant: Vec::new(),
        ttl: TTL,
        wait: WAIT,
        serves_bytes: false,
    }
}

fn delivery(value: &Value<'_>, reading: &Reading<'_>) -> Option<Delivery> {
    let table = value.table("`session`")?;
    let place = table.one_of();
    table.finish();
    let place = place?;
    let Some(way) = WAYS.iter().find(|way| way.key == place.key) else {
        place.text()?;
        return None;
    };
    let delivery = match way.reads {
        Reads::Header(delivery) => delivery(place.parse(names::owned_header)?),
        Reads::Name(delivery) => delivery(place.parse(names::token)?),
        Reads::Text(read) => place.parse(read)?,
        Reads::Flag(delivery) if place.bool()? => delivery(),
        Reads::Flag(_) => {
            return place.error(format!("`{}` is there or not", way.key), "expected `true`");
        }
    };
    let mut places = reading.identities.iter().flat_map(|identity| &identity.tokens);
    let taken = places.find_map(|token| match (token, delivery.occupies()) {
        (TokenPlace::Header(header), Occupied::Header(name)) if header == name => {
            Some(header.as_str())
        }
        (TokenPlace::Cookie(cookie), Occupied::Cookie(name)) if cookie == name => Some(cookie),
        _ => None,
    });
    if let Some(name) = taken {
        let message = format!("`{name}` is where the app's own token is");
        return place.error(message, "take another name");
    }
    Some(delivery)
}

fn authorize(value: &Value<'_>, reading: &Reading<'_>) -> Option<Authorize> {
    let mut authorize = Authorize { token: false, app: AppSays::NotAsked };
    let items = value.one_or_more();
    if items.is_empty() {
        return value.error(
            "nobody is asked, so anybody would get a session",
            "expected \"token\", \"app\" or \"probe\"",
        );
    }
    for item in &items {
        match item.choice(&[("token", "token"), ("app", "app"), ("probe", "probe")])? {
            "token" if !reading.has_identity() => {
                let message = "there is no `[[identity]]` that could verify a token";
                return item.error(message, "add one, or ask the app alone: [\"app\"]");
            }
            "token" => authorize.token = true,
            _ if authorize.app != AppSays::NotAsked => {
                return item.error("the app is asked in one way", "keep \"app\" or \"probe\"");
            }
            "app" => authorize.app = AppSays::Reply,
            _ => authorize.app = AppSays::Probe,
        }
    }
    Some(authorize)
}

fn identity(value: &Value<'_>, reading: &Reading<'_>) -> Option<String> {
    let name = value.text()?;
    if !reading.has_identity() {
        return value.error(format!("there is no identity `{name}`"), "add it as `[[identity]]`");
    }
    let known = reading.identity_names.iter().map(String::as_str);
    if known.clone().any(|known| known == name) {
        return Some(name.to_owned());
    }
    value.error(format!("there is no identity `{name}`"), suggestion(name, known))
}

fn grant(value: &Value<'_>) -> Option<Grant> {
    let table = value.table("`grant`")?;
    let when = table.get("when").map(|value| condition(&value, ASKED));
    let permissions = table.require("permissions").map(|v| permissions(&v));
    table.finish();
    // A condition that can't be read must not become none.
    let when = match when {
        Some(None) => return None,
        Some(when) => when,
        None => None,
    };
    Some(Grant { when, permissions: permissions? })
}

fn permissions(value: &Value<'_>) -> Permissions {
    let mut permissions = Permissions::default();
    let items = value.one_or_more();
    if items.is_empty() {
        let label = "expected \"read\", \"write\" or \"download\"; `allow` says who gets nothing";
        value.error::<()>("a session without any permission", label);
    }
    for item in items {
        match item.choice(&[("read", 'r'), ("write", 'w'), ("download", 'd')]) {
            Some('r') => permissions.read = true,
            Some('w') => permissions.write = true,
            Some(_) => permissions.download = true,
            None => {}
        }
    }
    permissions
}

fn lifetime(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("a session that ends at once is of no use".to_owned()),
        ttl => Ok(ttl),
    }
}

pub(super) const TTL: Duration = Duration::from_secs(15 * 60);
pub(super) const WAIT: Duration = Duration::from_secs(5);
const ASKED: &[&str] = &["claims", "document", "request"];
