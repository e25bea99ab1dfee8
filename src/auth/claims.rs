//! What a token with a good signature must say.

use serde_json::Value;

use super::Refusal;
use crate::auth::Identity;

/// What the claims of a good token come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) user: String,
    /// In Unix seconds: `exp`, or the end of the leeway for a token that lives by it. What is given
    /// for the token must have ended by then.
    pub(super) expires: u64,
}

/// Checks the claims at `now`, in Unix seconds. `exp` comes last, so that only a token that is good
/// in everything else is told to be expired. `tell` hears of each check as it is made.
///
/// Beyond RFC 7519, a token issued in the future (`iat`, leeway allowed) is refused: it comes from a
/// clock that can't be trusted with `exp` either.
pub(super) fn check(
    identity: &Identity,
    claims: &Value,
    now: u64,
    tell: &dyn Fn(&'static str, Result<(), Refusal>) -> Result<(), Refusal>,
) -> Result<Accepted, Refusal> {
    let leeway = identity.leeway.as_secs();
    check_issuer(identity, claims)?;
    tell("aud", check_audience(identity, claims))?;
    tell("require", check_required(identity, claims))?;
    let user = user(claims, &identity.user.0);
    tell("user", user.as_ref().map(|_| ()).map_err(Clone::clone))?;
    for (name, complaint) in [
        ("nbf", "the token is not valid yet (`nbf`)"),
        ("iat", "the token was issued in the future (`iat`)"),
    ] {
        let begun = numeric_date(claims, name).and_then(|date| match date {
            Some(date) if date > now.saturating_add(leeway) => Err(Refusal::invalid(complaint)),
            _ => Ok(()),
        });
        tell(name, begun)?;
    }
    let expires = numeric_date(claims, "exp")
        .and_then(|date| date.ok_or_else(|| Refusal::invalid("the token has no `exp`")));
    let expires = match expires {
        Ok(expires) => expires,
        Err(refusal) => return tell("exp", Err(refusal.clone())).and(Err(refusal)),
    };
    tell("max_life", check_life(identity, claims, expires, now))?;
    let end_of_leeway = expires.saturating_add(leeway);
    tell("exp", if now >= end_of_leeway { Err(Refusal::expired()) } else { Ok(()) })?;
    let expires = if now < expires { expires } else { end_of_leeway };
    Ok(Accepted { user: user?, expires })
}

fn check_audience(identity: &Identity, claims: &Value) -> Result<(), Refusal> {
    if audience_matches(&identity.audience, claims) {
        return Ok(());
    }
    Err(Refusal::invalid("`aud` holds none of the configured audiences"))
}

fn check_required(identity: &Identity, claims: &Value) -> Result<(), Refusal> {
    let missing = |(path, wanted): &&(String, Value)| claim(claims, path) != Some(wanted);
    match identity.require.iter().find(missing) {
        None => Ok(()),
        Some((path, _)) => Err(Refusal::invalid(format!("the claim `{path}` is not as required"))),
    }
}

fn check_life(identity: &Identity, claims: &Value, expires: u64, now: u64) -> Result<(), Refusal> {
    let Some(longest) = identity.max_life else { return Ok(()) };
    let begins = numeric_date(claims, "iat")?.unwrap_or(now);
    if expires.saturating_sub(begins) > longest.as_secs() {
        return Err(Refusal::invalid("the token's life is longer than `max_life`"));
    }
    Ok(())
}

/// The header's `typ` (RFC 8725, section 3.11). `application/` may be left out before it, and case
/// doesn't matter (RFC 7515, section 4.1.9).
pub(super) fn check_typ(identity: &Identity, typ: Option<&str>) -> Result<(), Refusal> {
    let Some(wanted) = &identity.typ else { return Ok(()) };
    let media_type = |typ: &str| {
        let typ = typ.to_ascii_lowercase();
        if typ.contains('/') { typ } else { format!("application/{typ}") }
    };
    if typ.is_none_or(|typ| media_type(typ) != media_type(wanted)) {
        return Err(Refusal::invalid("the token's `typ` is not the configured one"));
    }
    Ok(())
}

/// Passes if no issuer is configured.
pub(super) fn check_issuer(identity: &Identity, claims: &Value) -> Result<(), Refusal> {
    let named = claims.get("iss").and_then(Value::as_str);
    match &identity.issuer {
        Some(issuer) if named != Some(issuer) => {
            Err(Refusal::invalid("`iss` is not the configured issuer"))
        }
        _ => Ok(()),
    }
}

/// `aud` is one text or a list of them (RFC 7519, section 4.1.3).
fn audience_matches(wanted: &[String], claims: &Value) -> bool {
    let is_wanted =
        |audience: &Value| audience.as_str().is_some_and(|a| wanted.iter().any(|w| w == a));
    wanted.is_empty()
        || match claims.get("aud") {
            Some(Value::Array(audiences)) => audiences.iter().any(is_wanted),
            Some(audience) => is_wanted(audience),
            None => false,
        }
}

fn user(claims: &Value, path: &str) -> Result<String, Refusal> {
    match claim(claims, path) {
        Some(Value::String(user)) if !user.is_empty() => Ok(user.clone()),
        Some(Value::Number(user)) if !user.is_f64() => Ok(user.to_string()),
        _ => {
            Err(Refusal::invalid(format!("the user claim `{path}` is neither text nor an integer")))
        }
    }
}

/// A claim by name, or by JSON pointer (RFC 6901) when the path starts with `/`.
pub(super) fn claim<'a>(claims: &'a Value, path: &str) -> Option<&'a Value> {
    if path.starts_with('/') { claims.pointer(path) } else { claims.get(path) }
}

/// Whole seconds since the epoch; a fraction is dropped, a time before the epoch is the epoch.
fn numeric_date(claims: &Value, name: &str) -> Result<Option<u64>, Refusal> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(date)) => {
            // A cast from float to integer saturates.
            Ok(date.as_u64().or_else(|| date.as_f64().map(|date| date as u64)))
        }
        Some(_) => Err(Refusal::invalid(format!("`{name}` is not a number"))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::needless_pass_by_value)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::auth::testing;
    use crate::auth::{Algorithm, ClaimPath};
    use crate::reason::Reason;

    const NOW: u64 = 1_000_000;

    #[test]
    fn a_plain_token() {
        let claims = json!({"sub": "ann", "exp": NOW + 1});
        assert_eq!(
            check(&identity(), &claims, NOW, &|_, result| result).unwrap(),
            Accepted { user: "ann".into(), expires: NOW + 1 }
        );
    }

    #[test]
    fn a_token_that_lives_by_its_leeway_ends_with_it() {
        let identity = Identity { leeway: Duration::from_secs(60), ..identity() };
        for (exp, ends) in
            [(NOW + 1, NOW + 1), (NOW, NOW + 60), (NOW - 20, NOW + 40), (NOW - 59, NOW + 1)]
        {
            let claims = json!({"sub": "ann", "exp": exp});
            let accepted = check(&identity, &claims, NOW, &|_, result| result).unwrap();
            assert_eq!(accepted.expires, ends, "{exp}");
        }
        assert_eq!(
            reason(&identity, json!({"sub": "a", "exp": NOW - 60})),
            Some(Reason::TokenExpired)
        );
    }

    #[test]
    fn exp_is_required_and_numeric() {
        for exp in [json!(null), json!("1000001"), json!([NOW + 1]), json!({}), json!(true)] {
            assert_eq!(
                reason(&identity(), json!({"sub": "a", "exp": exp})),
                Some(Reason::TokenInvalid)
            );
        }
        assert_eq!(reason(&identity(), json!({"sub": "a"})), Some(Reason::TokenInvalid));
        for exp in [json!(NOW as f64 + 1.5), json!(1e300), json!(u64::MAX)] {
            assert_eq!(reason(&identity(), json!({"sub": "a", "exp": exp})), None);
        }
        for exp in [json!(-1), json!(-1e300), json!(0), json!(0.5)] {
            assert_eq!(
                reason(&identity(), json!({"sub": "a", "exp": exp})),
                Some(Reason::TokenExpired)
            );
        }
    }

    #[test]
    fn leeway_ends_on_the_second() {
        let identity = Identity { leeway: Duration::from_secs(60), ..identity() };
        let exp = |exp: u64| reason(&identity, json!({"sub": "a", "exp": exp}));
        assert_eq!(exp(NOW - 59), None);
        assert_eq!(exp(NOW - 60), Some(Reason::TokenExpired));
        for name in ["nbf", "iat"] {
            let begins = |at: u64| reason(&identity, json!({"sub": "a", "exp": NOW + 9, name: at}));
            assert_eq!(begins(NOW + 60), None);
            assert_eq!(begins(NOW + 61), Some(Reason::TokenInvalid));
        }
    }

    #[test]
    fn dates_that_are_not_numbers() {
        for name in ["nbf", "iat"] {
            let claims = json!({"sub": "a", "exp": NOW + 9, name: "1"});
            assert_eq!(reason(&identity(), claims), Some(Reason::TokenInvalid));
        }
    }

    #[test]
    fn a_life_is_measured_from_iat_or_from_now() {
        let identity = Identity { max_life: Some(Duration::from_secs(60)), ..identity() };
        let of = |claims: Value| reason(&identity, claims);
        assert_eq!(of(json!({"sub": "a", "iat": NOW - 10, "exp": NOW + 50})), None);
        assert_eq!(of(json!({"sub": "a", "exp": NOW + 60})), None);
        for long in [
            json!({"sub": "a", "iat": NOW - 10, "exp": NOW + 51}),
            json!({"sub": "a", "exp": NOW + 61}),
            json!({"sub": "a", "iat": 0, "exp": u64::MAX}),
            json!({"sub": "a", "iat": -5, "exp": NOW + 1}),
        ] {
            assert_eq!(of(long.clone()), Some(Reason::TokenInvalid), "{long}");
        }
    }

    #[test]
    fn types() {
        let wanting = |typ: &str| Identity { typ: Some(typ.into()), ..identity() };
        for (wanted, typ) in [
            ("at+jwt", "at+jwt"),
            ("at+jwt", "AT+JWT"),
            ("at+jwt", "application/at+jwt"),
            ("application/at+jwt", "at+jwt"),
        ] {
            assert!(check_typ(&wanting(wanted), Some(typ)).is_ok(), "{wanted} {typ}");
        }
        for typ in [None, Some(""), Some("JWT"), Some("at+jwt "), Some("text/at+jwt")] {
            assert!(check_typ(&wanting("at+jwt"), typ).is_err(), "{typ:?}");
            assert!(check_typ(&identity(), typ).is_ok());
        }
    }

    #[test]
    fn issuer() {
        let identity = Identity { issuer: Some("me".into()), ..identity() };
        let iss = |iss: Value| reason(&identity, json!({"sub": "a", "exp": NOW + 9, "iss": iss}));
        assert_eq!(iss(json!("me")), None);
        for other in [json!("you"), json!(["me"]), json!(null), json!("")] {
            assert_eq!(iss(other), Some(Reason::TokenInvalid));
        }
        assert_eq!(
            reason(&identity, json!({"sub": "a", "exp": NOW + 9})),
            Some(Reason::TokenInvalid)
        );
    }

    #[test]
    fn audience() {
        let identity = Identity { audience: vec!["me".into(), "us".into()], ..identity() };
        let aud = |aud: Value| reason(&identity, json!({"sub": "a", "exp": NOW + 9, "aud": aud}));
        for good in [json!("me"), json!("us"), json!(["x", "us"])] {
            assert_eq!(aud(good), None);
        }
        for bad in
            [json!("x"), json!([]), json!(["x"]), json!([["me"]]), json!({"me": 1}), json!(null)]
        {
            assert_eq!(aud(bad), Some(Reason::TokenInvalid));
        }
        assert_eq!(
            reason(&identity, json!({"sub": "a", "exp": NOW + 9})),
            Some(Reason::TokenInvalid)
        );
    }

    #[test]
    fn required_claims() {
        let require = vec![("type".into(), json!("access")), ("/org/id".into(), json!(7))];
        let identity = Identity { require, ..identity() };
        let with = |kind: &str, org: Value| {
            reason(&identity, json!({"sub": "a", "exp": NOW + 9, "type": kind, "org": org}))
        };
        assert_eq!(with("access", json!({"id": 7})), None);
        assert_eq!(with("refresh", json!({"id": 7})), Some(Reason::TokenInvalid));
        assert_eq!(with("access", json!({"id": "7"})), Some(Reason::TokenInvalid));
        assert_eq!(with("access", json!({})), Some(Reason::TokenInvalid));
    }

    #[test]
    fn users() {
        let user = |path: &str, claims: Value| {
            let identity = Identity { user: ClaimPath(path.into()), ..identity() };
            let mut all = json!({"exp": NOW + 9});
            all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
            check(&identity, &all, NOW, &|_, result| result).ok().map(|accepted| accepted.user)
        };
        assert_eq!(user("sub", json!({"sub": 42})).as_deref(), Some("42"));
        assert_eq!(user("sub", json!({"sub": -1})).as_deref(), Some("-1"));
        assert_eq!(user("/user/ids/0", json!({"user": {"ids": ["x"]}})).as_deref(), Some("x"));
        assert_eq!(user("a/b", json!({"a/b": "x"})).as_deref(), Some("x"));
        for sub in [json!(""), json!(1.5), json!(null), json!(true), json!(["a"]), json!({})] {
            assert_eq!(user("sub", json!({"sub": sub})), None);
        }
        assert_eq!(user("sub", json!({})), None);
    }

    #[test]
    fn only_an_otherwise_good_token_is_expired() {
        let identity = Identity { issuer: Some("me".into()), ..identity() };
        let claims = json!({"sub": "a", "exp": 1, "iss": "you"});
        assert_eq!(reason(&identity, claims), Some(Reason::TokenInvalid));
    }

    fn reason(identity: &Identity, claims: Value) -> Option<Reason> {
        check(identity, &claims, NOW, &|_, result| result).err().map(|refusal| refusal.reason)
    }

    fn identity() -> Identity {
        testing::identity("app", Algorithm::HS256)
    }
}
