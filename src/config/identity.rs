//! `[[identity]]`: who vouches for the app's users.

use std::time::Duration;

use super::identity_key;
use super::problem::Problem;
use super::tree::{Table, Value};
use super::units::duration;
use super::{Algorithm, ClaimPath, Identity, KeySource, TokenPlace, names};
use crate::auth;
use crate::inject::Pointer;

/// The identities, and every name that is written, also of those that can't be read.
pub(super) fn identities(root: &Table<'_>) -> (Vec<Identity>, Vec<String>) {
    let Some(list) = root.get("identity") else { return Default::default() };
    let mut names: Vec<Value<'_>> = Vec::new();
    let mut identities = Vec::new();
    for item in list.array() {
        let Some(table) = item.table("`[[identity]]`") else { continue };
        if let Some(name) = table.require("name") {
            let same = |other: &&Value<'_>| other.as_text() == name.as_text();
            if let Some(other) = names.iter().find(same) {
                let problem = Problem::error(name.span.clone(), "two identities with one name");
                name.report(problem.other(other.span.clone(), "the other one"));
            }
            names.push(name);
        }
        identities.extend(identity(&table));
        table.finish();
    }
    let names = names.iter().filter_map(Value::as_text).map(str::to_owned);
    (identities, names.collect())
}

fn identity(table: &Table<'_>) -> Option<Identity> {
    let name = table.get("name").and_then(|value| value.text());
    let tokens = match table.get("tokens") {
        Some(value) => {
            let places = value.at_least_one("no place to look for a token, so none is ever found");
            places.iter().filter_map(token_place).collect()
        }
        None => vec![TokenPlace::Bearer],
    };
    let algorithms = table.require("algorithms").map(|value| algorithms(&value));
    let algorithms = algorithms.unwrap_or_default();
    let key = table.require("key");
    let weak = table.get("allow_weak_keys");
    let allow_weak_keys = weak.as_ref().and_then(Value::bool).unwrap_or_default();
    if allow_weak_keys && let Some(weak) = &weak {
        weak.warn("keys that are too weak are taken", "whoever finds the key can be any user");
    }
    let source =
        key.as_ref().and_then(|value| identity_key::key(value, &algorithms, allow_weak_keys));
    let issuer = table.get("issuer").and_then(|value| value.word()).map(str::to_owned);
    if let (Some(identity_key::Found { source: KeySource::Discovery, .. }), None) =
        (&source, &issuer)
    {
        let problem = Problem::error(table.span.clone(), "`discovery` starts at the `issuer`");
        table.reader.problems.push(problem.label("add `issuer = \"https://…\"`"));
        return None;
    }
    let audience = table.get("audience").map(|value| audience(&value));
    for (key, given) in [("issuer", issuer.is_some()), ("audience", audience.is_some())] {
        if !given && table.get(key).is_none() {
            let message = format!("`{key}` is not checked");
            let problem = Problem::warning(table.span.clone(), message);
            let label = format!("a token that this key signed for another {key} counts here too");
            table.reader.problems.push(problem.label(label));
        }
    }
    let require = table.get("require").and_then(|value| value.table("`require`"));
    let require = require.map(|table| table.entries()).unwrap_or_default();
    let leeway = table.get("leeway").and_then(|value| value.parse(duration));
    let user = table.get("user").and_then(|value| value.parse(claim_path));
    let typ = table.get("typ").and_then(|value| value.text()).map(str::to_owned);
    let max_life = table.get("max_life").and_then(|value| value.parse(duration));
    let source = source?;
    let identity = Identity {
        name: name?.to_owned(),
        tokens,
        algorithms,
        key: source.source,
        key_file: source.file,
        allow_weak_keys,
        issuer,
        audience: audience.unwrap_or_default(),
        require: require.iter().filter_map(|e| Some((e.key.to_owned(), e.json()?))).collect(),
        leeway: leeway.unwrap_or(LEEWAY),
        typ,
        max_life,
        user: user.unwrap_or_else(|| ClaimPath(USER.to_owned())),
    };
    // Algorithms that don't fit the source were told of already.
    if identity_key::fits(&identity.key, &identity.algorithms)
        && let Err(why) = auth::validate(&identity)
    {
        key?.error::<()>(why, "");
    }
    Some(identity)
}

fn token_place(value: &Value<'_>) -> Option<TokenPlace> {
    let table = value.table("a place of a token")?;
    let place = table.one_of();
    table.finish();
    let place = place?;
    Some(match place.key {
        "bearer" if place.bool()? => TokenPlace::Bearer,
        "bearer" => return place.error("`bearer` is there or not", "expected `true`"),
        "scheme" => TokenPlace::Scheme(place.parse(names::token)?),
        "cookie" => TokenPlace::Cookie(place.parse(names::token)?),
        "header" => TokenPlace::Header(place.parse(names::header)?),
        _ => TokenPlace::Query(place.word()?.to_owned()),
    })
}

fn algorithms(value: &Value<'_>) -> Vec<Algorithm> {
    let mut algorithms = Vec::new();
    for item in value.at_least_one("no algorithm, so no token could be valid") {
        match item.text() {
            Some("none") => {
                let label = "anybody could write such a token";
                item.error::<()>("`none` is not an algorithm that proves anything", label);
            }
            Some(_) => algorithms.extend(item.choice(ALGORITHMS)),
            None => {}
        }
    }
    algorithms
}

fn audience(value: &Value<'_>) -> Vec<String> {
    let items = value.at_least_one("tokens for anybody would count");
    items.iter().filter_map(Value::word).map(str::to_owned).collect()
}

fn claim_path(text: &str) -> Result<ClaimPath, String> {
    if text.is_empty() {
        return Err("the name of a claim is missing".to_owned());
    }
    if text.starts_with('/') {
        Pointer::parse(text)?;
    }
    Ok(ClaimPath(text.to_owned()))
}

pub(super) const LEEWAY: Duration = Duration::from_secs(60);
pub(super) const USER: &str = "sub";
const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("ES512", Algorithm::ES512),
    ("EdDSA", Algorithm::EdDSA),
];
