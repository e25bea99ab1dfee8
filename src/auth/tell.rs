//! What recognising a caller tells to whoever has a request explained: what was asked of the token, and what
//! it has to say to that. Never the token itself.

use http::Extensions;
use serde_json::Value;

use super::{Refusal, claims, places};
use crate::auth::{Identity, TokenPlace};
use crate::trail::{Finding, Trail};

/// One identity at work on one request.
#[derive(Clone, Copy)]
pub(super) struct Tell<'a> {
    pub(super) extensions: &'a Extensions,
    pub(super) identity: &'a str,
}

/// What a check asks for, and what it finds.
pub(super) struct Demand {
    /// Whether the configuration, or the token, asks for anything here.
    made: bool,
    told: String,
}

impl Demand {
    pub(super) fn made(told: String) -> Self {
        Self { made: true, told }
    }

    pub(super) fn none(told: &str) -> Self {
        Self { made: false, told: told.to_owned() }
    }
}

impl Tell<'_> {
    pub(super) fn check<T>(
        self,
        name: &'static str,
        result: Result<T, Refusal>,
        what: impl FnOnce() -> Demand,
    ) -> Result<T, Refusal> {
        Trail::step(self.extensions, name, || {
            let (identity, Demand { made, told }) = (self.identity, what());
            match &result {
                Ok(_) if made => (Finding::Yes, format!("identity `{identity}`: {told}")),
                Ok(_) => (Finding::Told, format!("identity `{identity}`: {told}")),
                Err(refusal) => {
                    (Finding::No, format!("identity `{identity}`: {}; {told}", refusal.detail))
                }
            }
        });
        result
    }

    pub(super) fn says(self, name: &'static str, finding: Finding, what: &str) {
        Trail::step(self.extensions, name, || {
            (finding, format!("identity `{}`: {what}", self.identity))
        });
    }
}

/// Each place that may hold a token, and whether it does.
pub(super) fn of_places(request: &http::request::Parts, identity: &Identity) {
    if Trail::of(&request.extensions).is_none() {
        return;
    }
    let tell = Tell { extensions: &request.extensions, identity: &identity.name };
    for place in &identity.tokens {
        let (finding, told) = match places::find(request, std::slice::from_ref(place)) {
            Ok(Some(_)) => (Finding::Yes, "a token"),
            Ok(None) => (Finding::Told, "nothing"),
            Err(why) => (Finding::No, why),
        };
        tell.says("place", finding, &format!("{} holds {told}", name(place)));
    }
}

pub(super) fn name(place: &TokenPlace) -> String {
    match place {
        TokenPlace::Bearer => "Authorization: Bearer".to_owned(),
        TokenPlace::Scheme(scheme) => format!("Authorization: {scheme}"),
        TokenPlace::Cookie(name) => format!("cookie `{name}`"),
        TokenPlace::Header(name) => format!("header `{name}`"),
        TokenPlace::Query(name) => format!("query `{name}`"),
    }
}

/// What is asked of a claim and what the token has there.
pub(super) fn of_claim(name: &str, identity: &Identity, token: &Value, now: u64) -> Demand {
    let has = |path: &str| match claims::claim(token, path) {
        None => "the token has none".to_owned(),
        Some(value) => format!("the token has {}", short(&value.to_string())),
    };
    Demand::made(match (name, token.get(name)) {
        ("iss", _) => match &identity.issuer {
            None => return Demand::none("any issuer is taken"),
            Some(issuer) => format!("wants {issuer:?}, {}", has("iss")),
        },
        ("aud", _) if identity.audience.is_empty() => {
            return Demand::none("any audience is taken");
        }
        ("aud", _) => format!("wants one of {:?}, {}", identity.audience, has("aud")),
        ("require", _) if identity.require.is_empty() => {
            return Demand::none("nothing more is required");
        }
        ("require", _) => {
            let wanted = identity.require.iter();
            let wanted =
                wanted.map(|(path, value)| format!("wants `{path}` = {value}, {}", has(path)));
            wanted.collect::<Vec<_>>().join("; ")
        }
        ("user", _) => format!("the user is in `{}`, {}", identity.user.0, has(&identity.user.0)),
        ("max_life", _) => match identity.max_life {
            None => return Demand::none("a life of any length is taken"),
            Some(longest) => format!("at most {} s", longest.as_secs()),
        },
        (_, None) => return Demand::none("the token has none"),
        (name, Some(date)) => match date.as_f64() {
            None => has(name),
            Some(at) => {
                let leeway = identity.leeway.as_secs();
                format!("{}, with {leeway} s of leeway", distance(at - now as f64))
            }
        },
    })
}

fn distance(seconds: f64) -> String {
    if seconds < 0.0 { format!("{:.0} s ago", -seconds) } else { format!("in {seconds:.0} s") }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Characters of a claim.
const LONGEST: usize = 120;
